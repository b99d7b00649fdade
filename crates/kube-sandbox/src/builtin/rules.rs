//! Defaults and rules of built-in kinds: the ones that clients notice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::failure::Cause;

/// Fills in what the API server fills in. `old` is absent on create.
pub fn default(kind: &str, object: &mut Value, old: Option<&Value>) {
    drop_nulls(object);
    match kind {
        "Namespace" => {
            let name = crate::object::metadata_text(object, "name").to_owned();
            if !name.is_empty()
                && let Some(metadata) = crate::object::metadata_mut(object)
            {
                let labels = metadata.entry("labels").or_insert_with(|| json!({}));
                if let Some(labels) = labels.as_object_mut() {
                    labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
                }
            }
            member(object, "spec")
                .entry("finalizers")
                .or_insert_with(|| json!(["kubernetes"]));
            if old.is_none() {
                member(object, "status").insert("phase".to_owned(), "Active".into());
            }
        }
        "Secret" => {
            let strings = object
                .as_object_mut()
                .and_then(|object| object.remove("stringData"));
            if let Some(Value::Object(strings)) = strings {
                let data = member(object, "data");
                for (key, value) in strings {
                    if let Value::String(text) = value {
                        data.insert(key, STANDARD.encode(text).into());
                    }
                }
            }
            set_default(object, "type", || "Opaque".into());
        }
        "Service" => {
            let spec = member(object, "spec");
            spec.entry("type").or_insert_with(|| "ClusterIP".into());
            spec.entry("sessionAffinity")
                .or_insert_with(|| "None".into());
            default_ports(spec, "ports");
            if let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut) {
                for port in ports.iter_mut().filter_map(Value::as_object_mut) {
                    if let Some(number) = port.get("port").cloned() {
                        port.entry("targetPort").or_insert(number);
                    }
                }
            }
        }
        "Pod" => {
            pod_spec(member(object, "spec"));
            if old.is_none() {
                member(object, "status")
                    .entry("phase")
                    .or_insert_with(|| "Pending".into());
            }
        }
        "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController" => {
            let spec = member(object, "spec");
            spec.entry("replicas").or_insert_with(|| 1.into());
            template(spec);
        }
        "DaemonSet" => template(member(object, "spec")),
        "Job" => {
            let spec = member(object, "spec");
            spec.entry("backoffLimit").or_insert_with(|| 6.into());
            spec.entry("completions").or_insert_with(|| 1.into());
            spec.entry("parallelism").or_insert_with(|| 1.into());
            spec.entry("suspend").or_insert_with(|| false.into());
            template(spec);
        }
        "Lease" => {
            member(object, "spec");
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            if let Some(subjects) = object.get_mut("subjects").and_then(Value::as_array_mut) {
                for subject in subjects.iter_mut().filter_map(Value::as_object_mut) {
                    let group = match subject.get("kind").and_then(Value::as_str) {
                        Some("User" | "Group") => "rbac.authorization.k8s.io",
                        _ => continue,
                    };
                    subject.entry("apiGroup").or_insert_with(|| group.into());
                }
            }
            if let Some(role) = object.get_mut("roleRef").and_then(Value::as_object_mut) {
                role.entry("apiGroup")
                    .or_insert_with(|| "rbac.authorization.k8s.io".into());
            }
        }
        _ => {}
    }
}

/// Typed objects have no explicit nulls.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, child| !child.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn set_default(object: &mut Value, name: &str, default: impl FnOnce() -> Value) {
    if let Some(object) = object.as_object_mut() {
        object.entry(name).or_insert_with(default);
    }
}

/// The object member `name`, made if it isn't an object.
fn member<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    let slot = &mut object[name];
    if !slot.is_object() {
        *slot = json!({});
    }
    slot.as_object_mut().expect("was just made an object")
}

fn template(spec: &mut Map<String, Value>) {
    if let Some(pod) = spec
        .get_mut("template")
        .and_then(|template| template.get_mut("spec"))
        .and_then(Value::as_object_mut)
    {
        pod_spec(pod);
    }
}

fn pod_spec(spec: &mut Map<String, Value>) {
    spec.entry("restartPolicy")
        .or_insert_with(|| "Always".into());
    spec.entry("terminationGracePeriodSeconds")
        .or_insert_with(|| 30.into());
    spec.entry("dnsPolicy")
        .or_insert_with(|| "ClusterFirst".into());
    spec.entry("schedulerName")
        .or_insert_with(|| "default-scheduler".into());
    for list in ["containers", "initContainers"] {
        if let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) {
            for container in containers.iter_mut().filter_map(Value::as_object_mut) {
                default_ports(container, "ports");
            }
        }
    }
}

fn default_ports(owner: &mut Map<String, Value>, name: &str) {
    if let Some(ports) = owner.get_mut(name).and_then(Value::as_array_mut) {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            port.entry("protocol").or_insert_with(|| "TCP".into());
        }
    }
}

/// What is wrong with an object of a built-in kind. `old` is absent on create.
pub fn validate(kind: &str, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    match kind {
        "ConfigMap" => {
            string_map(object, "data", &mut causes);
            base64_map(object, "binaryData", &mut causes);
            immutable_content(object, old, &["data", "binaryData"], &mut causes);
        }
        "Secret" => {
            base64_map(object, "data", &mut causes);
            immutable_content(object, old, &["data"], &mut causes);
            unchangeable(object, old, "/type", "type", &mut causes);
        }
        "Service" => {
            if let Some(ports) = object.pointer("/spec/ports").and_then(Value::as_array) {
                for (index, port) in ports.iter().enumerate() {
                    let number = port.get("port").and_then(Value::as_i64);
                    if !number.is_some_and(|number| (1..=65535).contains(&number)) {
                        let value = port.get("port").cloned().unwrap_or(json!(0));
                        causes.push(Cause::invalid(
                            format!("spec.ports[{index}].port"),
                            &value,
                            "must be between 1 and 65535, inclusive",
                        ));
                    }
                }
            }
        }
        "Pod" => {
            containers(object, "/spec", "spec", &mut causes);
        }
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => {
            workload(object, &mut causes);
            unchangeable(object, old, "/spec/selector", "spec.selector", &mut causes);
        }
        "Job" => {
            containers(
                object,
                "/spec/template/spec",
                "spec.template.spec",
                &mut causes,
            );
            unchangeable(object, old, "/spec/template", "spec.template", &mut causes);
            unchangeable(
                object,
                old,
                "/spec/completions",
                "spec.completions",
                &mut causes,
            );
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            if object
                .pointer("/roleRef/name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .is_empty()
            {
                causes.push(Cause::required("roleRef.name", ""));
            }
            if let (Some(old), Some(new)) = (
                old.and_then(|old| old.get("roleRef")),
                object.get("roleRef"),
            ) && old != new
            {
                causes.push(Cause::invalid("roleRef", new, "cannot change roleRef"));
            }
        }
        "Event" => {
            let namespace = crate::object::metadata_text(object, "namespace");
            let involved = object
                .pointer("/involvedObject/namespace")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !involved.is_empty() && involved != namespace {
                causes.push(Cause::invalid(
                    "involvedObject.namespace",
                    &involved.into(),
                    "does not match event.namespace",
                ));
            }
        }
        _ => {}
    }
    causes
}

fn string_map(object: &Value, name: &str, causes: &mut Vec<Cause>) {
    match object.get(name) {
        None => {}
        Some(Value::Object(entries)) => {
            for (key, value) in entries {
                data_key(name, key, causes);
                if !value.is_string() {
                    causes.push(Cause::invalid(
                        format!("{name}[{key}]"),
                        value,
                        "must be a string",
                    ));
                }
            }
        }
        Some(other) => causes.push(Cause::invalid(name, other, "must be an object")),
    }
}

fn base64_map(object: &Value, name: &str, causes: &mut Vec<Cause>) {
    match object.get(name) {
        None => {}
        Some(Value::Object(entries)) => {
            for (key, value) in entries {
                data_key(name, key, causes);
                if value
                    .as_str()
                    .is_none_or(|text| STANDARD.decode(text).is_err())
                {
                    // The value may be secret: it is not repeated.
                    causes.push(Cause::new(
                        format!("{name}[{key}]"),
                        "FieldValueInvalid",
                        "Invalid value: \"<redacted>\": must be base64 text",
                    ));
                }
            }
        }
        Some(other) => causes.push(Cause::invalid(name, other, "must be an object")),
    }
}

fn data_key(name: &str, key: &str, causes: &mut Vec<Cause>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || key.len() > 253 || !key.chars().all(allowed) || key == "." || key == ".." {
        causes.push(Cause::invalid(
            format!("{name}[{key}]"),
            &key.into(),
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ));
    }
}

fn immutable_content(object: &Value, old: Option<&Value>, names: &[&str], causes: &mut Vec<Cause>) {
    let Some(old) = old else { return };
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    if object.get("immutable") != Some(&Value::Bool(true)) {
        causes.push(Cause::forbidden(
            "immutable",
            "field is immutable when `immutable` is set",
        ));
    }
    for name in names {
        if old.get(*name) != object.get(*name) {
            causes.push(Cause::forbidden(
                *name,
                "field is immutable when `immutable` is set",
            ));
        }
    }
}

fn unchangeable(
    object: &Value,
    old: Option<&Value>,
    pointer: &str,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let Some(old) = old else { return };
    let (before, after) = (old.pointer(pointer), object.pointer(pointer));
    if before != after {
        causes.push(Cause::invalid(
            path,
            after.unwrap_or(&Value::Null),
            "field is immutable",
        ));
    }
}

fn containers(object: &Value, pointer: &str, path: &str, causes: &mut Vec<Cause>) {
    let Some(list) = object
        .pointer(pointer)
        .and_then(|spec| spec.get("containers"))
        .and_then(Value::as_array)
    else {
        causes.push(Cause::required(format!("{path}.containers"), ""));
        return;
    };
    if list.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, container) in list.iter().enumerate() {
        let name = container
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if name.is_empty() {
            causes.push(Cause::required(
                format!("{path}.containers[{index}].name"),
                "",
            ));
        } else if !seen.insert(name) {
            causes.push(Cause::duplicate(
                format!("{path}.containers[{index}].name"),
                &name.into(),
            ));
        }
    }
}

fn workload(object: &Value, causes: &mut Vec<Cause>) {
    containers(object, "/spec/template/spec", "spec.template.spec", causes);
    let Some(selector) = object
        .pointer("/spec/selector")
        .filter(|selector| selector.is_object())
    else {
        causes.push(Cause::required("spec.selector", ""));
        return;
    };
    let labels = object.pointer("/spec/template/metadata/labels");
    if let Some(wanted) = selector.get("matchLabels").and_then(Value::as_object) {
        let matches = wanted
            .iter()
            .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
        if !matches {
            let shown = labels.cloned().unwrap_or_else(|| json!({}));
            causes.push(Cause::invalid(
                "spec.template.metadata.labels",
                &shown,
                "`selector` does not match template `labels`",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_data_is_folded_into_data() {
        let mut secret =
            json!({"metadata": {"name": "s"}, "stringData": {"a": "hello"}, "data": {"b": "eA=="}});
        default("Secret", &mut secret, None);
        assert_eq!(secret["data"], json!({"a": "aGVsbG8=", "b": "eA=="}));
        assert_eq!(secret["type"], "Opaque");
        assert!(secret.get("stringData").is_none());
    }

    #[test]
    fn bad_secret_values_are_named_and_not_repeated() {
        let causes = validate("Secret", &json!({"data": {"token": "not base64!"}}), None);
        assert_eq!(causes.len(), 1);
        assert_eq!(causes[0].field, "data[token]");
        assert!(!causes[0].message.contains("not base64!"));
    }
}
