//! Finding objects: where a resource lives, and the objects inside of a ManifestWork.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Run;
use crate::config::task::{By, Discovery};
use crate::policy::{FailureClass, Gvk};
use crate::transport::select::{latest, matches};
use crate::transport::{Error, Transport, gvk_of};
use kube_access::object;

/// The kind that carries others.
pub(crate) const MANIFEST_WORK: &str = "ManifestWork";

/// A discovery with everything rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) namespace: Option<String>,
    pub(super) by: Find,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Find {
    Name(String),
    Labels(BTreeMap<String, String>),
}

impl Run<'_> {
    pub(super) fn render_discovery(&self, discovery: &Discovery) -> Result<Wanted, String> {
        let data = self.scope.data();
        let namespace = discovery
            .namespace
            .as_ref()
            .map(|text| text.render(data))
            .transpose()?;
        let by = match &discovery.by {
            By::Name(text) => Find::Name(text.render(data)?),
            By::Labels(labels) => Find::Labels(
                labels
                    .iter()
                    .map(|(key, value)| Ok((key.render(data)?, value.render(data)?)))
                    .collect::<Result<_, String>>()?,
            ),
        };
        Ok(Wanted {
            namespace: namespace.filter(|namespace| !namespace.is_empty()),
            by,
        })
    }
}

/// The one object that a discovery means; `None` if there is none.
pub(super) async fn find(
    transport: &dyn Transport,
    target: Option<&str>,
    gvk: &Gvk,
    wanted: &Wanted,
) -> Result<Option<Value>, Error> {
    let namespace = wanted.namespace.as_deref();
    match &wanted.by {
        Find::Name(name) if name.is_empty() => Err(Error::new(
            FailureClass::Internal,
            "discovery.by_name is empty",
        )),
        Find::Name(name) => transport.get(target, gvk, namespace, name).await,
        Find::Labels(labels) => Ok(latest(
            transport.list(target, gvk, namespace, labels).await?,
        )),
    }
}

/// The object inside of a ManifestWork that a nested discovery means, with what the agent reported about it.
pub(super) fn nested(parent: &Value, wanted: &Wanted) -> Option<Value> {
    let candidates = carried(parent)
        .into_iter()
        .filter(|manifest| {
            wanted.namespace.is_none() || wanted.namespace.as_deref() == object::namespace(manifest)
        })
        .filter(|manifest| match &wanted.by {
            Find::Name(name) => object::name(manifest) == Some(name),
            Find::Labels(labels) => matches(manifest, labels),
        })
        .cloned()
        .collect();
    latest(candidates).map(|manifest| with_status(parent, manifest))
}

/// The manifests of a ManifestWork.
pub(crate) fn carried(work: &Value) -> Vec<&Value> {
    work.pointer("/spec/workload/manifests")
        .and_then(Value::as_array)
        .map(|list| list.iter().collect())
        .unwrap_or_default()
}

/// Adds `conditions`, `statusFeedback` (with typed values under `byName`) and, if the value `status` was fed back
/// as an object, `status`.
pub(crate) fn with_status(work: &Value, mut manifest: Value) -> Value {
    let Some(entry) = status_entry(work, &manifest) else {
        return manifest;
    };
    let conditions = entry.get("conditions").cloned();
    let feedback = entry.get("statusFeedback").cloned();
    if let Value::Object(map) = &mut manifest {
        if let Some(conditions) = conditions {
            map.insert("conditions".into(), conditions);
        }
        if let Some(mut feedback) = feedback {
            let by_name = values_by_name(&feedback);
            if let Some(status @ Value::Object(_)) = by_name.get("status") {
                map.insert("status".into(), status.clone());
            }
            if let Value::Object(feedback) = &mut feedback {
                feedback.insert("byName".into(), Value::Object(by_name));
            }
            map.insert("statusFeedback".into(), feedback);
        }
    }
    manifest
}

/// The agent's entry for a manifest: same kind, group, namespace and name.
fn status_entry<'a>(work: &'a Value, manifest: &Value) -> Option<&'a Value> {
    let gvk = gvk_of(manifest)?;
    let entries = work
        .pointer("/status/resourceStatus/manifests")?
        .as_array()?;
    entries.iter().find(|entry| {
        let meta = entry.get("resourceMeta").unwrap_or(&Value::Null);
        let text = |key: &str| meta.get(key).and_then(Value::as_str).unwrap_or_default();
        // Agents leave the kind out where they could not map it.
        text("name") == object::name(manifest).unwrap_or_default()
            && text("namespace") == object::namespace(manifest).unwrap_or_default()
            && (text("kind").is_empty() || text("kind") == gvk.kind)
            && (text("kind").is_empty() || text("group") == gvk.group)
    })
}

/// Feedback values by name, each as what it is.
fn values_by_name(feedback: &Value) -> Map<String, Value> {
    let mut by_name = Map::new();
    let values = feedback.get("values").and_then(Value::as_array);
    for value in values.into_iter().flatten() {
        let Some(name) = value.get("name").and_then(Value::as_str) else {
            continue;
        };
        let field = value.get("fieldValue").unwrap_or(&Value::Null);
        let typed = match field.get("type").and_then(Value::as_str) {
            Some("Integer") => field.get("integer").cloned(),
            Some("Boolean") => field.get("boolean").cloned(),
            Some("JsonRaw") => field
                .get("jsonRaw")
                .and_then(Value::as_str)
                .map(|raw| serde_json::from_str(raw).unwrap_or_else(|_| json!(raw))),
            _ => field.get("string").cloned(),
        };
        by_name.insert(name.to_owned(), typed.unwrap_or(Value::Null));
    }
    by_name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Value {
        json!({
            "kind": "ManifestWork",
            "spec": {"workload": {"manifests": [
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c1", "namespace": "clusters"}},
                {"apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
                    "metadata": {"name": "c1", "namespace": "clusters", "labels": {"a": "1"}}},
            ]}},
            "status": {"resourceStatus": {"manifests": [
                {"resourceMeta": {"kind": "Secret", "group": "", "name": "c1", "namespace": "clusters"},
                    "conditions": [{"type": "Applied", "status": "False"}]},
                {"resourceMeta": {"kind": "HostedCluster", "group": "hypershift.openshift.io", "name": "c1",
                    "namespace": "clusters"},
                    "conditions": [{"type": "Applied", "status": "True"}],
                    "statusFeedback": {"values": [
                        {"name": "status", "fieldValue": {"type": "JsonRaw", "jsonRaw": "{\"version\":\"4\"}"}},
                        {"name": "replicas", "fieldValue": {"type": "Integer", "integer": 3}},
                        {"name": "ready", "fieldValue": {"type": "Boolean", "boolean": true}},
                        {"name": "phase", "fieldValue": {"type": "String", "string": "x"}},
                    ]}},
            ]}},
        })
    }

    fn wanted(by: Find) -> Wanted {
        Wanted {
            namespace: Some("clusters".into()),
            by,
        }
    }

    #[test]
    fn a_nested_object_has_its_own_status_not_that_of_another_kind() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let found = nested(&work(), &wanted(Find::Labels(labels))).unwrap();
        assert_eq!(found["conditions"][0]["status"], "True");
        assert_eq!(found["status"], json!({"version": "4"}));
        assert_eq!(
            found["statusFeedback"]["byName"],
            json!({"status": {"version": "4"}, "replicas": 3, "ready": true, "phase": "x"})
        );
        let secret = nested(&work(), &wanted(Find::Name("c1".into()))).unwrap();
        assert_eq!(
            (
                secret["kind"].as_str(),
                secret["conditions"][0]["status"].as_str()
            ),
            (Some("Secret"), Some("False"))
        );
    }

    #[test]
    fn no_match_and_no_status_are_fine() {
        assert_eq!(nested(&work(), &wanted(Find::Name("other".into()))), None);
        let mut bare = work();
        bare.as_object_mut().unwrap().remove("status");
        let found = nested(&bare, &wanted(Find::Name("c1".into()))).unwrap();
        assert!(found.get("conditions").is_none());
    }
}
