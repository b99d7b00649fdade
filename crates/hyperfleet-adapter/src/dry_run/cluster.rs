//! Objects in memory, for both transports.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kube_access::{Gvk, Propagation, object};
use serde_json::{Map, Value, json};

use super::Error as Invalid;
use crate::transport::select::matches;
use crate::transport::{Created, Error, Transport};

/// Objects by their `metadata.name`: they exist when the run begins, and an applied object of that name looks like this
/// afterwards.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    objects: BTreeMap<String, Value>,
}

impl Discovery {
    /// Reads `{"name": {"apiVersion", "kind", …}}`.
    ///
    /// # Errors
    /// No JSON object, or an object without `apiVersion` or `kind`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let objects: BTreeMap<String, Value> = serde_json::from_str(text)
            .map_err(|error| Invalid(format!("discovery file: {error}")))?;
        for (name, value) in &objects {
            for field in ["apiVersion", "kind"] {
                if value
                    .get(field)
                    .and_then(Value::as_str)
                    .is_none_or(str::is_empty)
                {
                    return Err(Invalid(format!(
                        "discovery override {name:?} is missing required field {field:?}"
                    )));
                }
            }
        }
        Ok(Self { objects })
    }
}

/// What was asked of a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) operation: &'static str,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) result: String,
}

type Key = (Gvk, Option<String>, String);

pub(super) struct Cluster {
    overrides: BTreeMap<String, Value>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    operations: Vec<Operation>,
}

impl Cluster {
    pub(super) fn new(discovery: Discovery) -> Self {
        let mut state = State::default();
        for (name, value) in &discovery.objects {
            let mut value = value.clone();
            if object::name(&value).is_none()
                && let Value::Object(map) = &mut value
                && let Value::Object(metadata) = map
                    .entry("metadata")
                    .or_insert_with(|| Value::Object(Map::new()))
            {
                metadata.insert("name".into(), name.as_str().into());
            }
            if let Some(key) = key(&value) {
                state.objects.insert(key, value);
            }
        }
        Self {
            overrides: discovery.objects,
            state: Mutex::new(state),
        }
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        self.state().operations.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, wanted: &Value, result: &str) -> Result<(), Error> {
        let name = object::name(wanted).unwrap_or_default().to_owned();
        let mut state = self.state();
        state.note(
            "apply",
            object::kind(wanted).unwrap_or_default(),
            object::namespace(wanted),
            &name,
            result,
        );
        // An override shows the object as it is once the other side has worked on it; its life goes on from there.
        let stored = self
            .overrides
            .get(&name)
            .filter(|have| object::kind(have) == object::kind(wanted))
            .unwrap_or(wanted);
        let mut stored = stored.clone();
        carry_identity(&mut stored, wanted);
        if let Some(key) = key(&stored) {
            state.objects.insert(key, stored);
        }
        Ok(())
    }

    /// Works live in their consumer's namespace, which manifests leave out.
    fn find(state: &State, gvk: &Gvk, namespace: Option<&str>, name: &str) -> Option<Key> {
        state
            .objects
            .keys()
            .find(|(kind, at, have)| {
                kind == gvk && have == name && any_or_same(namespace, at.as_deref())
            })
            .cloned()
    }
}

impl State {
    fn note(
        &mut self,
        operation: &'static str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        result: &str,
    ) {
        self.operations.push(Operation {
            operation,
            kind: kind.to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
            name: name.to_owned(),
            result: result.to_owned(),
        });
    }
}

/// Name, namespace and generation of what was applied belong to the stored object too.
fn carry_identity(stored: &mut Value, wanted: &Value) {
    let Value::Object(map) = stored else { return };
    let Some(from) = wanted.get("metadata").and_then(Value::as_object) else {
        return;
    };
    let Value::Object(metadata) = map
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()))
    else {
        return;
    };
    for key in ["name", "namespace"] {
        if let (Some(value), false) = (from.get(key), metadata.contains_key(key)) {
            metadata.insert(key.into(), value.clone());
        }
    }
}

fn any_or_same(wanted: Option<&str>, have: Option<&str>) -> bool {
    match wanted {
        None | Some("" | "*") => true,
        Some(namespace) => have == Some(namespace) || have.is_none(),
    }
}

fn key(value: &Value) -> Option<Key> {
    Some((
        object::gvk(value)?,
        object::namespace(value).map(str::to_owned),
        object::name(value)?.to_owned(),
    ))
}

#[async_trait]
impl Transport for Cluster {
    async fn get(
        &self,
        _target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let mut state = self.state();
        let found = Self::find(&state, gvk, namespace, name)
            .and_then(|key| state.objects.get(&key).cloned());
        let result = if found.is_some() {
            "found"
        } else {
            "not found"
        };
        state.note("get", &gvk.kind, namespace, name, result);
        Ok(found)
    }

    async fn list(
        &self,
        _target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Value>, Error> {
        let mut state = self.state();
        let found: Vec<Value> = state
            .objects
            .iter()
            .filter(|((kind, at, _), value)| {
                kind == gvk && any_or_same(namespace, at.as_deref()) && matches(value, labels)
            })
            .map(|(_, value)| value.clone())
            .collect();
        state.note(
            "discover",
            &gvk.kind,
            namespace,
            "",
            &format!("{} found", found.len()),
        );
        Ok(found)
    }

    async fn create(
        &self,
        _target: Option<&str>,
        _gvk: &Gvk,
        wanted: &Value,
    ) -> Result<Created, Error> {
        self.apply(wanted, "create").map(|()| Created::Yes)
    }

    async fn update(
        &self,
        _target: Option<&str>,
        _gvk: &Gvk,
        _current: &Value,
        wanted: &Value,
    ) -> Result<(), Error> {
        self.apply(wanted, "update")
    }

    async fn recreate(
        &self,
        _target: Option<&str>,
        _gvk: &Gvk,
        _current: &Value,
        wanted: &Value,
    ) -> Result<(), Error> {
        self.apply(wanted, "recreate")
    }

    async fn delete(
        &self,
        target: Option<&str>,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: &str,
        _propagation: Propagation,
    ) -> Result<(), Error> {
        let mut state = self.state();
        let found = Self::find(&state, gvk, namespace, name);
        let result = if found.is_some() {
            "deleted"
        } else {
            "not found"
        };
        state.note("delete", &gvk.kind, namespace, name, result);
        let Some(key) = found else { return Ok(()) };
        if target.is_none() {
            state.objects.remove(&key);
        } else if let Some(metadata) = state.objects.get_mut(&key).and_then(object::metadata_mut) {
            // An agent has to clean up first.
            metadata.insert(
                "deletionTimestamp".into(),
                json!(go_compat::time::rfc3339_seconds(jiff::Timestamp::now())),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(generation: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "namespace": "n", "labels": {"a": "1"}, "annotations": {"hyperfleet.io/generation": generation}}})
    }

    #[tokio::test]
    async fn objects_are_found_by_name_and_labels_and_deleted_by_kind_of_transport() {
        let cluster = Cluster::new(Discovery::default());
        let gvk = Gvk::new("v1", "ConfigMap");
        assert_eq!(cluster.get(None, &gvk, Some("n"), "x").await.unwrap(), None);
        cluster.create(None, &gvk, &config_map("1")).await.unwrap();
        for namespace in [Some("n"), Some("*"), Some(""), None] {
            assert!(
                cluster
                    .get(None, &gvk, namespace, "x")
                    .await
                    .unwrap()
                    .is_some(),
                "{namespace:?}"
            );
        }
        assert_eq!(
            cluster.get(None, &gvk, Some("other"), "x").await.unwrap(),
            None
        );
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(
            cluster.list(None, &gvk, None, &labels).await.unwrap().len(),
            1
        );
        cluster
            .delete(Some("consumer"), &gvk, None, "x", Propagation::Background)
            .await
            .unwrap();
        assert!(object::is_deleting(
            &cluster.get(None, &gvk, None, "x").await.unwrap().unwrap()
        ));
        cluster
            .delete(None, &gvk, None, "x", Propagation::Background)
            .await
            .unwrap();
        assert_eq!(cluster.get(None, &gvk, None, "x").await.unwrap(), None);
        cluster
            .delete(None, &gvk, None, "x", Propagation::Background)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_override_replaces_what_was_applied() {
        let discovery = Discovery::parse(
            r#"{"x": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}}}"#,
        )
        .unwrap();
        let cluster = Cluster::new(discovery);
        let gvk = Gvk::new("v1", "ConfigMap");
        cluster
            .update(None, &gvk, &json!({}), &config_map("2"))
            .await
            .unwrap();
        let stored = cluster
            .get(None, &gvk, Some("n"), "x")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored["data"]["k"], "v");
        for (text, part) in [
            ("[]", "discovery file"),
            (
                r#"{"n": {"apiVersion": "v1"}}"#,
                "\"n\" is missing required field \"kind\"",
            ),
        ] {
            assert!(
                Discovery::parse(text)
                    .unwrap_err()
                    .to_string()
                    .contains(part)
            );
        }
    }
}
