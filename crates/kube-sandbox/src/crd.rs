//! CustomResourceDefinitions: defaults, rules, and the resource types that they make.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::failure::{Cause, qualified};
use crate::resource::{GenerationRule, Origin, PrinterColumn, Resource, Scale};
use crate::schema::{self, Schema};
use crate::shape::{ObjectShape, Shape};

/// Finalizer that holds a CRD until its objects are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in names, conversion and the list of stored versions.
pub fn default(crd: &mut Value) {
    let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    spec.entry("conversion")
        .or_insert_with(|| json!({"strategy": "None"}));
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
        let kind = names
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        names
            .entry("singular")
            .or_insert_with(|| kind.to_lowercase().into());
        names
            .entry("listKind")
            .or_insert_with(|| format!("{kind}List").into());
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn versions(crd: &Value) -> &[Value] {
    crd.pointer("/spec/versions")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// What is wrong with a CRD. `old` is absent on create.
pub fn validate(crd: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (pointer, path) in [
        ("/spec/group", "spec.group"),
        ("/spec/names/plural", "spec.names.plural"),
        ("/spec/names/kind", "spec.names.kind"),
        ("/spec/scope", "spec.scope"),
    ] {
        if text(crd, pointer).is_empty() {
            causes.push(Cause::required(path, ""));
        }
    }
    let scope = text(crd, "/spec/scope");
    if !scope.is_empty() && !matches!(scope, "Namespaced" | "Cluster") {
        causes.push(Cause::not_supported(
            "spec.scope",
            &scope.into(),
            &["Cluster".into(), "Namespaced".into()],
        ));
    }
    let (group, plural) = (text(crd, "/spec/group"), text(crd, "/spec/names/plural"));
    let expected = qualified(plural, group);
    let name = crate::object::metadata_text(crd, "name");
    if !group.is_empty() && !plural.is_empty() && name != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &name.into(),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if !group.is_empty() && !group.contains('.') {
        causes.push(Cause::invalid(
            "spec.group",
            &group.into(),
            "should be a domain with at least one dot",
        ));
    }
    validate_versions(crd, &mut causes);
    if let Some(old) = old {
        for (pointer, path) in [
            ("/spec/group", "spec.group"),
            ("/spec/names/plural", "spec.names.plural"),
            ("/spec/scope", "spec.scope"),
            ("/spec/names/kind", "spec.names.kind"),
        ] {
            if text(old, pointer) != text(crd, pointer) {
                causes.push(Cause::invalid(
                    path,
                    &text(crd, pointer).into(),
                    "field is immutable",
                ));
            }
        }
        let stored = old
            .pointer("/status/storedVersions")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for version in &stored {
            if !versions(crd)
                .iter()
                .any(|candidate| candidate.get("name") == Some(version))
            {
                let path = "status.storedVersions[0]";
                causes.push(Cause::invalid(
                    path,
                    version,
                    "must appear in spec.versions",
                ));
            }
        }
    }
    causes
}

fn validate_versions(crd: &Value, causes: &mut Vec<Cause>) {
    let versions = versions(crd);
    if versions.is_empty() {
        causes.push(Cause::required(
            "spec.versions",
            "must have at least one version",
        ));
        return;
    }
    let storing = versions
        .iter()
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .count();
    if storing != 1 {
        let shown = Value::from(versions.len());
        causes.push(Cause::invalid(
            "spec.versions",
            &shown,
            "must have exactly one version marked as storage version",
        ));
    }
    let mut names = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = text(version, "/name");
        if name.is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        } else if !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
        }
        match version.pointer("/schema/openAPIV3Schema") {
            None => causes.push(Cause::required(
                format!("{path}.schema.openAPIV3Schema"),
                "schemas are required",
            )),
            Some(source) => {
                let path = format!("{path}.schema.openAPIV3Schema");
                schema::compile(source, &path, causes);
                if text(source, "/type") != "object" {
                    causes.push(Cause::invalid(
                        format!("{path}.type"),
                        &text(source, "/type").into(),
                        "must be object at the root",
                    ));
                }
            }
        }
    }
}

/// The status after a CRD was accepted. `now` is RFC 3339.
pub fn established_status(crd: &Value, now: &str, conflict: Option<&str>) -> Value {
    let storage = versions(crd)
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))
        .map(|version| text(version, "/name").to_owned())
        .unwrap_or_default();
    let mut stored: Vec<Value> = crd
        .pointer("/status/storedVersions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if !stored
        .iter()
        .any(|version| version.as_str() == Some(&storage))
    {
        stored.push(storage.into());
    }
    let names = match conflict {
        None => ("True", "NoConflicts", "no conflicts found"),
        Some(text) => ("False", "KindConflict", text),
    };
    let established = match conflict {
        None => (
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
        Some(_) => ("False", "NotAccepted", "not all names are accepted"),
    };
    let condition = |kind: &str, (status, reason, message): (&str, &str, &str)| {
        let previous = crd
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .and_then(|conditions| {
                conditions
                    .iter()
                    .find(|condition| text(condition, "/type") == kind)
            });
        let since = match previous {
            Some(previous) if text(previous, "/status") == status => {
                text(previous, "/lastTransitionTime").to_owned()
            }
            _ => now.to_owned(),
        };
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    };
    json!({
        "conditions": [condition("NamesAccepted", names), condition("Established", established)],
        "acceptedNames": crd.pointer("/spec/names").cloned().unwrap_or_else(|| json!({})),
        "storedVersions": stored,
    })
}

/// Whether the CRD's endpoints are to be served.
pub fn is_established(crd: &Value) -> bool {
    crd.pointer("/status/conditions")
        .and_then(Value::as_array)
        .is_some_and(|conditions| {
            conditions.iter().any(|condition| {
                text(condition, "/type") == "Established" && text(condition, "/status") == "True"
            })
        })
}

/// The resource types of a valid CRD, one per served version, preferred version first.
pub fn resources(crd: &Value) -> Vec<Resource> {
    let group: Arc<str> = text(crd, "/spec/group").into();
    let plural = text(crd, "/spec/names/plural").to_owned();
    let storage: Arc<str> = qualified(&plural, &group).into();
    let strings = |pointer: &str| -> Vec<String> {
        crd.pointer(pointer)
            .and_then(Value::as_array)
            .map(|list| {
                list.iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default()
    };
    let storage_version: Arc<str> = versions(crd)
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))
        .map(|version| text(version, "/name"))
        .unwrap_or_default()
        .into();
    let mut served: Vec<&Value> = versions(crd)
        .iter()
        .filter(|version| version.get("served") != Some(&Value::Bool(false)))
        .collect();
    served.sort_by_key(|version| version_rank(text(version, "/name")));
    served
        .into_iter()
        .map(|version| {
            let source = version
                .pointer("/schema/openAPIV3Schema")
                .cloned()
                .unwrap_or_else(|| json!({"type": "object"}));
            let schema = schema::compile(&source, "", &mut Vec::new());
            let has_status = version.pointer("/subresources/status").is_some();
            let name = text(version, "/name");
            Resource {
                shape: root_shape(&schema),
                schema: Some(Arc::new(schema)),
                open_api: Some(Arc::new(source)),
                group: Arc::clone(&group),
                version: name.into(),
                storage_version: Arc::clone(&storage_version),
                kind: text(crd, "/spec/names/kind").to_owned(),
                list_kind: text(crd, "/spec/names/listKind").to_owned(),
                plural: plural.clone(),
                singular: text(crd, "/spec/names/singular").to_owned(),
                short_names: strings("/spec/names/shortNames"),
                categories: strings("/spec/names/categories"),
                namespaced: text(crd, "/spec/scope") == "Namespaced",
                origin: Origin::Custom,
                has_status,
                scale: scale(version),
                generation: GenerationRule::Content,
                columns: Some(columns(version)),
                selectable_fields: selectable_fields(version),
                storage: Arc::clone(&storage),
                deprecation: deprecation(version, &group, text(crd, "/spec/names/kind")),
            }
        })
        .collect()
}

fn root_shape(schema: &Schema) -> Arc<Shape> {
    let metadata = crate::builtin::metadata_shape();
    match schema.shape().as_ref() {
        Shape::Object(object) => {
            let mut object = object.clone();
            object.fields.insert("metadata".to_owned(), metadata);
            Arc::new(Shape::Object(object))
        }
        _ => {
            let mut object = ObjectShape::default();
            object.fields.insert("metadata".to_owned(), metadata);
            Arc::new(Shape::Object(object))
        }
    }
}

fn scale(version: &Value) -> Option<Scale> {
    let scale = version.pointer("/subresources/scale")?;
    Some(Scale {
        spec_replicas: text(scale, "/specReplicasPath").to_owned(),
        status_replicas: text(scale, "/statusReplicasPath").to_owned(),
        selector: scale
            .get("labelSelectorPath")
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

fn columns(version: &Value) -> Vec<PrinterColumn> {
    let Some(list) = version
        .get("additionalPrinterColumns")
        .and_then(Value::as_array)
    else {
        return vec![PrinterColumn {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: "CreationTimestamp is a timestamp representing the server time when this object was created."
                .to_owned(),
            priority: 0,
            json_path: ".metadata.creationTimestamp".to_owned(),
        }];
    };
    list.iter()
        .map(|column| PrinterColumn {
            name: text(column, "/name").to_owned(),
            kind: text(column, "/type").to_owned(),
            format: text(column, "/format").to_owned(),
            description: text(column, "/description").to_owned(),
            priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
            json_path: text(column, "/jsonPath").to_owned(),
        })
        .collect()
}

fn selectable_fields(version: &Value) -> Vec<String> {
    let Some(list) = version.get("selectableFields").and_then(Value::as_array) else {
        return Vec::new();
    };
    list.iter()
        .map(|field| text(field, "/jsonPath").trim_start_matches('.').to_owned())
        .collect()
}

fn deprecation(version: &Value, group: &str, kind: &str) -> Option<String> {
    if version.get("deprecated") != Some(&Value::Bool(true)) {
        return None;
    }
    let name = text(version, "/name");
    Some(
        match version.get("deprecationWarning").and_then(Value::as_str) {
            Some(warning) => warning.to_owned(),
            None => format!("{group}/{name} {kind} is deprecated"),
        },
    )
}

/// Sorts versions as Kubernetes does: stable before beta before alpha, higher numbers first, anything else last.
fn version_rank(name: &str) -> (u8, std::cmp::Reverse<(u64, u64)>, String) {
    let other = (3, std::cmp::Reverse((0, 0)), name.to_owned());
    let Some(rest) = name.strip_prefix('v') else {
        return other;
    };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let Ok(major) = digits.parse::<u64>() else {
        return other;
    };
    let suffix = &rest[digits.len()..];
    let (class, minor) = if suffix.is_empty() {
        (0, Some(0))
    } else if let Some(minor) = suffix.strip_prefix("beta") {
        (1, minor.parse().ok())
    } else if let Some(minor) = suffix.strip_prefix("alpha") {
        (2, minor.parse().ok())
    } else {
        (3, None)
    };
    match minor {
        Some(minor) => (class, std::cmp::Reverse((major, minor)), String::new()),
        None => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_like_kubernetes() {
        let mut names = ["foo1", "v1alpha1", "v10", "v2", "v1beta2", "v1beta10", "v1"];
        names.sort_by_key(|name| version_rank(name));
        assert_eq!(
            names,
            ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "foo1"]
        );
    }

    #[test]
    fn a_bad_definition_is_refused_with_all_reasons() {
        let crd = json!({
            "metadata": {"name": "wrong"},
            "spec": {"group": "example.com", "names": {"plural": "things", "kind": "Thing"}, "scope": "Everywhere",
                "versions": [{"name": "v1", "served": true, "storage": false,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "properties": {"x": {"type": "strin", "pattern": "("}}}}}}}]},
        });
        let fields: Vec<String> = validate(&crd, None)
            .into_iter()
            .map(|cause| cause.field)
            .collect();
        assert_eq!(
            fields,
            [
                "spec.scope",
                "metadata.name",
                "spec.versions",
                "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[x].type",
                "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[x].pattern",
                "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[x].type",
            ]
        );
    }
}
