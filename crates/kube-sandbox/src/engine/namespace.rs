//! The end of a namespace.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Engine, Propagation};
use crate::builtin::NAMESPACE_STORAGE;
use crate::object::{Key, Object, finalizers, set_status};

impl Engine {
    /// A terminating namespace: delete what is in it, then the namespace; say what still holds it.
    pub(super) fn settle_namespace(&mut self, name: &str) {
        let key = Key::new(&NAMESPACE_STORAGE.into(), "", name);
        let Some(namespace) = self
            .objects
            .get(&key)
            .cloned()
            .filter(|object| object.deleting)
        else {
            return;
        };
        let mut storages: Vec<Arc<str>> = self
            .registry
            .all()
            .iter()
            .filter(|resource| resource.namespaced)
            .map(|resource| Arc::clone(&resource.storage))
            .collect();
        storages.sort();
        storages.dedup();
        let mut left: Vec<Arc<Object>> = Vec::new();
        for storage in storages {
            for object in self.in_storage(&storage, Some(name)) {
                if !object.deleting {
                    self.begin_deletion(&object.key, Propagation::Background);
                }
                left.extend(self.objects.get(&object.key).cloned());
            }
        }
        let mut value = namespace.value();
        if left.is_empty() {
            if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
                let others: Vec<Value> = spec
                    .get("finalizers")
                    .and_then(Value::as_array)
                    .map(|list| {
                        list.iter()
                            .filter(|name| *name != "kubernetes")
                            .cloned()
                            .collect()
                    })
                    .unwrap_or_default();
                if !others.is_empty() {
                    return;
                }
                spec.remove("finalizers");
            }
            if finalizers(&value).is_empty() {
                self.remove(&key, Some(&mut value));
            }
            return;
        }
        let conditions =
            namespace_conditions(&left, value.pointer("/status/conditions"), &self.now());
        if value.pointer("/status/conditions") != Some(&conditions) {
            set_status(&mut value, "conditions", conditions);
            self.store(key, &mut value);
        }
    }
}

/// Why a namespace isn't gone yet.
fn namespace_conditions(left: &[Arc<Object>], old: Option<&Value>, now: &str) -> Value {
    let mut by_type: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut by_finalizer: std::collections::BTreeMap<&str, usize> =
        std::collections::BTreeMap::new();
    for object in left {
        *by_type.entry(&object.key.storage).or_default() += 1;
        for finalizer in &object.finalizers {
            *by_finalizer.entry(finalizer).or_default() += 1;
        }
    }
    let types: Vec<String> = by_type
        .iter()
        .map(|(storage, count)| format!("{storage} has {count} resource instances"))
        .collect();
    let holders: Vec<String> = by_finalizer
        .iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    let condition = |kind: &str, status: &str, reason: &str, message: String| {
        let previous = old.and_then(Value::as_array).and_then(|list| {
            list.iter()
                .find(|condition| condition["type"] == kind && condition["status"] == status)
        });
        let since = previous.map_or_else(
            || now.into(),
            |condition| condition["lastTransitionTime"].clone(),
        );
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    };
    let finalizers = if holders.is_empty() {
        condition(
            "NamespaceFinalizersRemaining",
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        )
    } else {
        let text = format!(
            "Some content in the namespace has finalizers remaining: {}",
            holders.join(", ")
        );
        condition(
            "NamespaceFinalizersRemaining",
            "True",
            "SomeFinalizersRemain",
            text,
        )
    };
    json!([
        condition(
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned()
        ),
        condition(
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            format!("Some resources are remaining: {}", types.join(", "))
        ),
        finalizers,
    ])
}
