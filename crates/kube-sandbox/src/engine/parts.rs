//! Which part of an object a request is about, and what it leaves alone.

use serde_json::Value;

use super::Part;
use crate::failure::Failure;
use crate::managed::Scope;
use crate::object::{remove_metadata, set_metadata};
use crate::resource::Resource;

/// Members of `metadata` that a client can't change; they keep their value.
const SYSTEM_METADATA: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

pub(super) fn check_part(resource: &Resource, part: Part) -> Result<(), Failure> {
    match part {
        Part::Whole => Ok(()),
        Part::Status if resource.has_status => Ok(()),
        Part::Finalize if resource.kind == "Namespace" => Ok(()),
        Part::Status | Part::Finalize => Err(Failure::unknown_path()),
    }
}

pub(super) fn subresource(part: Part) -> &'static str {
    match part {
        Part::Whole => "",
        Part::Status => "status",
        Part::Finalize => "finalize",
    }
}

pub(super) fn scope(resource: &Resource, part: Part) -> Scope {
    match part {
        Part::Status => Scope::StatusOnly,
        Part::Whole | Part::Finalize if resource.has_status => Scope::WithoutStatus,
        Part::Whole | Part::Finalize => Scope::Whole,
    }
}
/// What an applied configuration may speak of at this endpoint.
pub(super) fn restrict_config(resource: &Resource, part: Part, config: &mut Value) {
    let Some(map) = config.as_object_mut() else {
        return;
    };
    match part {
        Part::Status => map.retain(|name, _| {
            matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status")
        }),
        Part::Whole | Part::Finalize if resource.has_status => {
            map.remove("status");
        }
        Part::Whole | Part::Finalize => {}
    }
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| !value.is_null());
        metadata.remove("managedFields");
        if part == Part::Status {
            metadata.retain(|name, _| {
                matches!(
                    name.as_str(),
                    "name" | "namespace" | "uid" | "resourceVersion"
                )
            });
        }
    }
}
/// A write to one endpoint leaves what belongs to the other as it was.
pub(super) fn keep_other_part(resource: &Resource, part: Part, before: &Value, object: &mut Value) {
    match part {
        Part::Status => {
            let status = object
                .get("status")
                .filter(|status| !status.is_null())
                .cloned();
            let mut kept = before.clone();
            if let Some(map) = kept.as_object_mut() {
                match status {
                    Some(status) => map.insert("status".to_owned(), status),
                    None => map.remove("status"),
                };
            }
            *object = kept;
        }
        Part::Finalize => {
            let finalizers = object.pointer("/spec/finalizers").cloned();
            let mut kept = before.clone();
            if let Some(spec) = kept.get_mut("spec").and_then(Value::as_object_mut) {
                match finalizers {
                    Some(finalizers) => spec.insert("finalizers".to_owned(), finalizers),
                    None => spec.remove("finalizers"),
                };
            }
            *object = kept;
        }
        Part::Whole => {
            if let Some(map) = object.as_object_mut()
                && resource.has_status
            {
                match before.get("status") {
                    Some(status) => map.insert("status".to_owned(), status.clone()),
                    None => map.remove("status"),
                };
            }
            if resource.kind == "Namespace"
                && let (Some(finalizers), Some(spec)) =
                    (before.pointer("/spec/finalizers"), object.get_mut("spec"))
                && let Some(spec) = spec.as_object_mut()
            {
                spec.insert("finalizers".to_owned(), finalizers.clone());
            }
        }
    }
}

pub(super) fn keep_system_metadata(resource: &Resource, before: &Value, object: &mut Value) {
    for name in SYSTEM_METADATA {
        match before
            .get("metadata")
            .and_then(|metadata| metadata.get(name))
        {
            Some(value) => set_metadata(object, name, value.clone()),
            None => {
                remove_metadata(object, name);
            }
        }
    }
    if let Some(map) = object.as_object_mut() {
        map.insert("kind".to_owned(), resource.kind.as_str().into());
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|_, value| !value.is_null());
            // An empty list is the same as none.
            for name in ["finalizers", "ownerReferences"] {
                if metadata
                    .get(name)
                    .and_then(Value::as_array)
                    .is_some_and(Vec::is_empty)
                {
                    metadata.remove(name);
                }
            }
        }
    }
}
