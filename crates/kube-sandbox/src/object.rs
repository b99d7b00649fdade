//! A stored object: its JSON text and the few facts that lookups need.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

/// Where an object is stored. Sorted by resource type, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `plural.group`.
    pub storage: Arc<str>,
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl Key {
    /// A key of its parts.
    pub fn new(storage: &Arc<str>, namespace: &str, name: &str) -> Self {
        Self {
            storage: Arc::clone(storage),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// A reference to an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// UID of the owner.
    pub uid: String,
    /// Whether a foreground deletion of the owner waits for this object.
    pub blocks_deletion: bool,
}

/// One version of a stored object. Immutable and shared.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where it is stored.
    pub key: Key,
    /// resourceVersion of this version.
    pub revision: u64,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.ownerReferences`.
    pub owners: Vec<Owner>,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// The object as compact JSON.
    pub json: Bytes,
}

impl Object {
    /// Wraps `value`, whose `metadata.resourceVersion` must already be `revision`.
    pub fn new(key: Key, revision: u64, value: &Value) -> Self {
        let metadata = value.get("metadata").unwrap_or(&Value::Null);
        let labels = metadata
            .get("labels")
            .and_then(Value::as_object)
            .map(|labels| {
                labels
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                    .collect()
            })
            .unwrap_or_default();
        Self {
            key,
            revision,
            uid: text(metadata, "uid").into(),
            labels,
            owners: owners(metadata),
            finalizers: finalizers(value),
            deleting: metadata
                .get("deletionTimestamp")
                .is_some_and(|value| !value.is_null()),
            json: Bytes::from(value.to_string()),
        }
    }

    /// The object as a tree.
    pub fn value(&self) -> Value {
        // The text was written by `new` or `parse`, so it reads back.
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }

    /// Reads a stored text.
    ///
    /// # Errors
    /// The text isn't JSON.
    pub fn parse(key: Key, revision: u64, json: &[u8]) -> Result<Self, serde_json::Error> {
        let value: Value = serde_json::from_slice(json)?;
        Ok(Self::new(key, revision, &value))
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn owners(metadata: &Value) -> Vec<Owner> {
    let Some(references) = metadata.get("ownerReferences").and_then(Value::as_array) else {
        return Vec::new();
    };
    references
        .iter()
        .map(|reference| Owner {
            api_version: text(reference, "apiVersion").to_owned(),
            kind: text(reference, "kind").to_owned(),
            name: text(reference, "name").to_owned(),
            uid: text(reference, "uid").to_owned(),
            blocks_deletion: reference
                .get("blockOwnerDeletion")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        })
        .collect()
}

/// `metadata.finalizers` of an object tree.
pub fn finalizers(value: &Value) -> Vec<String> {
    value
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .map(|list| {
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default()
}

/// A member of `metadata` as text, empty if absent.
pub fn metadata_text<'a>(value: &'a Value, name: &str) -> &'a str {
    value
        .get("metadata")
        .map(|metadata| text(metadata, name))
        .unwrap_or_default()
}

/// Sets a member of `metadata`, making `metadata` if needed. Does nothing if the value isn't an object.
pub fn set_metadata(value: &mut Value, name: &str, member: Value) {
    if let Some(metadata) = metadata_mut(value) {
        metadata.insert(name.to_owned(), member);
    }
}

/// Removes a member of `metadata`.
pub fn remove_metadata(value: &mut Value, name: &str) -> Option<Value> {
    value
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .and_then(|metadata| metadata.remove(name))
}

/// `metadata` as a map, made if needed.
pub fn metadata_mut(value: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    let object = value.as_object_mut()?;
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Value::Object(serde_json::Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(serde_json::Map::new());
    }
    metadata.as_object_mut()
}

/// Sets a member of `status`, making `status` an object if it isn't one.
pub fn set_status(value: &mut Value, name: &str, member: Value) {
    let Some(object) = value.as_object_mut() else {
        return;
    };
    let status = object
        .entry("status")
        .or_insert_with(|| Value::Object(serde_json::Map::new()));
    if !status.is_object() {
        *status = Value::Object(serde_json::Map::new());
    }
    if let Some(status) = status.as_object_mut() {
        status.insert(name.to_owned(), member);
    }
}
