//! The way from `kubectl apply` to `kubectl apply --server-side`.
//!
//! Client-side apply remembers what it applied in an annotation. When `kubectl` then applies on the server side, it may
//! take the fields of that annotation without force, and the annotation is kept up to date for the way back.

use serde_json::Value;

use crate::fields::FieldSet;
use crate::managed::{Manager, Operation};
use crate::object::metadata_mut;
use crate::shape::{Shape, compare, extract};

/// The manager that these rules are for.
const KUBECTL: &str = "kubectl";
/// Where client-side apply remembers.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Longer configurations are not remembered, bytes.
const MAX_REMEMBERED_BYTES: usize = 128 * 1024;

fn last_applied(live: &Value) -> Option<&str> {
    live.get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?
        .as_str()
}

fn is_kubectl(manager: &Manager) -> bool {
    manager.name == KUBECTL && manager.operation == Operation::Apply
}

/// Fields that `manager` may take without force: those that client-side apply set and nobody changed since.
pub fn allowed(manager: &Manager, live: &Value, shape: &Shape) -> FieldSet {
    let remembered = last_applied(live)
        .filter(|_| is_kubectl(manager))
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .filter(|config| config.get("apiVersion") == live.get("apiVersion"));
    let Some(config) = remembered else {
        return FieldSet::new();
    };
    let comparison = compare(&config, live, shape);
    extract(&config, shape)
        .difference(&comparison.touched())
        .difference(&comparison.removed)
}

/// Keeps the annotation, if there is one, in step with what `kubectl` applied.
pub fn refresh(manager: &Manager, object: &mut Value, config: &Value) {
    if !is_kubectl(manager) || last_applied(object).is_none() {
        return;
    }
    let mut remembered = config.clone();
    if let Some(annotations) = metadata_mut(&mut remembered)
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    let text = remembered.to_string();
    let annotations = metadata_mut(object)
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        if text.len() > MAX_REMEMBERED_BYTES {
            annotations.remove(LAST_APPLIED);
        } else {
            annotations.insert(LAST_APPLIED.to_owned(), text.into());
        }
    }
}
