//! The Update strategy as a pure function: what is required, what is live, what to send.
//!
//! See `docs/protocol/work-agent.md`, "Update".

mod kinds;

use kube_access::object;
use serde_json::{Map, Value};

use super::drift::covers;
use super::owner::Owner;

/// What an update comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// The live object is as required.
    Unchanged,
    /// Send this in place of the live object; it carries the live resource version.
    Replace(Value),
    /// Delete the live object and create this one: a field differs that can't be changed.
    Recreate(Value),
}

/// What becomes of our reference in `ownerReferences`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership<'a> {
    /// The record owns the object.
    Own(&'a Owner),
    /// The object outlives the record.
    Disown(&'a Owner),
}

/// How much of the live object must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Everything: what the manifest doesn't mention is taken out. For a new version of the work.
    Exact,
    /// What the manifest says; additions of others are left alone. For drift.
    Required,
}

impl Ownership<'_> {
    /// The list of owners for an object that is created now.
    fn at_creation(self) -> Option<Value> {
        match self {
            Self::Own(owner) => Some(Value::Array(vec![owner.reference()])),
            Self::Disown(_) => None,
        }
    }

    /// The changed list of owners of a live object, if it changes.
    pub fn changed(self, live: &Value) -> Option<Vec<Value>> {
        match self {
            Self::Own(owner) => owner.added_to(live),
            Self::Disown(owner) => owner.removed_from(live),
        }
    }
}

/// The object to create: no uid, no version, keys that only ask for removal left out, owned or not.
pub fn for_creation(required: &Value, ownership: Ownership<'_>) -> Value {
    let mut wanted = required.clone();
    if let Some(metadata) = object::metadata_mut(&mut wanted) {
        for key in ["uid", "resourceVersion", "ownerReferences"] {
            metadata.remove(key);
        }
        for key in ["labels", "annotations"] {
            if let Some(Value::Object(entries)) = metadata.get_mut(key) {
                entries.retain(|name, _| !name.ends_with('-'));
            }
        }
        if let Some(owners) = ownership.at_creation() {
            metadata.insert("ownerReferences".into(), owners);
        }
    }
    wanted
}

/// Compares and merges by the rules of the object's kind.
///
/// # Errors
/// The manifest contradicts itself (a Secret with a key in both `data` and `stringData`).
pub fn plan(
    required: &Value,
    live: &Value,
    ownership: Ownership<'_>,
    compare: Compare,
) -> Result<Plan, String> {
    let metadata = merged_metadata(required, live, ownership);
    let content = kinds::content(required, live, compare)?;
    let mut result = match content {
        kinds::Content::Same if metadata.is_none() => return Ok(Plan::Unchanged),
        kinds::Content::Same => live.clone(),
        kinds::Content::Replace(object) => object,
        kinds::Content::Recreate => return Ok(Plan::Recreate(for_creation(required, ownership))),
    };
    if let Some(fields) = result.as_object_mut() {
        let merged = metadata.or_else(|| live.get("metadata").cloned());
        fields.insert("metadata".into(), merged.unwrap_or_default());
    }
    Ok(Plan::Replace(result))
}

/// The live metadata with the required labels, annotations and owner; `None` if nothing changes.
fn merged_metadata(required: &Value, live: &Value, ownership: Ownership<'_>) -> Option<Value> {
    let mut metadata = live.get("metadata").cloned()?;
    let mut changed = false;
    let fields = metadata.as_object_mut()?;
    for key in ["labels", "annotations"] {
        if let Some(Value::Object(wanted)) = required.get("metadata").and_then(|m| m.get(key)) {
            changed |= merge_entries(fields, key, wanted);
        }
    }
    if let Some(references) = ownership.changed(live) {
        fields.insert("ownerReferences".into(), Value::Array(references));
        changed = true;
    }
    fields.remove("managedFields");
    changed.then_some(metadata)
}

/// Adds and overwrites, never removes, except for a key that ends in `-`.
fn merge_entries(
    metadata: &mut Map<String, Value>,
    key: &str,
    wanted: &Map<String, Value>,
) -> bool {
    let entries = metadata
        .entry(key)
        .or_insert_with(|| Value::Object(Map::new()));
    if !entries.is_object() {
        *entries = Value::Object(Map::new());
    }
    let Some(entries) = entries.as_object_mut() else {
        return false;
    };
    let mut changed = false;
    for (name, value) in wanted {
        if let Some(unwanted) = name.strip_suffix('-') {
            changed |= entries.remove(unwanted).is_some();
        } else if entries.get(name) != Some(value) {
            entries.insert(name.clone(), value.clone());
            changed = true;
        }
    }
    changed
}

/// Whether two pieces of content agree.
fn agrees(required: &Value, live: &Value, compare: Compare) -> bool {
    match compare {
        Compare::Exact => required == live,
        Compare::Required => covers(live, required),
    }
}

#[cfg(test)]
mod tests;
