//! Fields of a server-side apply that are left to others (`ignoreFields`).
//!
//! See `docs/protocol/work-agent.md`, "Ignored fields".

use manifestwork::{IgnoreField, IgnoreFieldsCondition, constants::CONFIG_SPEC_HASH_ANNOTATION};
use serde_json::{Map, Value, json};

use super::go_text::config_hash;
use kube_access::object;

/// What to send, depending on what is on the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// For an object that isn't there: everything, ignored fields included.
    pub create: Value,
    /// For an object that is there, unless its annotation carries `hash` already.
    pub update: Value,
    /// The hash that both carry in their annotation.
    pub hash: String,
}

/// Takes the ignored fields out.
///
/// # Errors
/// The text of a condition: a pointer that can't be removed, or a jq expression.
pub fn prepare(mut manifest: Value, rules: &[IgnoreField]) -> Result<Prepared, String> {
    let mut update = manifest.clone();
    for rule in rules {
        // Fields that are ignored only until the next change of the spec are part of the hash and are sent.
        if rule.condition != IgnoreFieldsCondition::OnSpokeChange {
            remove(&mut update, rule)?;
        }
    }
    let hash = config_hash(&update);
    annotate(&mut manifest, &hash);
    annotate(&mut update, &hash);
    Ok(Prepared {
        create: manifest,
        update,
        hash,
    })
}

/// The hash that a live object carries.
pub fn live_hash(live: &Value) -> Option<&str> {
    object::annotation(live, CONFIG_SPEC_HASH_ANNOTATION)
}

fn remove(object: &mut Value, rule: &IgnoreField) -> Result<(), String> {
    for path in &rule.json_paths {
        // A path that doesn't parse ignores nothing; the peers only log it.
        if let Err(error) = jsonpath::remove_field(path, object) {
            tracing::warn!(path, %error, "An ignored field has a path that can't be used.");
        }
    }
    for pointer in &rule.json_pointers {
        remove_pointer(object, pointer).map_err(|error| {
            format!("Failed to process ignoreFields: JSON Pointer error in '{pointer}': {error}")
        })?;
    }
    if let Some(expression) = rule.jq_path_expressions.first() {
        return Err(format!(
            "Failed to process ignoreFields: JQ expression error in '{expression}': jq expressions are not \
             supported by this agent; use jsonPaths or jsonPointers"
        ));
    }
    Ok(())
}

/// RFC 6902 `remove`; what isn't there needs no removing.
fn remove_pointer(object: &mut Value, pointer: &str) -> Result<(), String> {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return Err("a pointer starts with \"/\"".to_owned());
    };
    if !pointer.starts_with('/') {
        return Err("a pointer starts with \"/\"".to_owned());
    }
    let key = last.replace("~1", "/").replace("~0", "~");
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&key);
        }
        Some(Value::Array(items)) => {
            let index: usize = key
                .parse()
                .map_err(|_| format!("{key:?} is not an index of a list"))?;
            if index < items.len() {
                items.remove(index);
            }
        }
        Some(_) => return Err(format!("{parent:?} is neither an object nor a list")),
        None => {}
    }
    Ok(())
}

fn annotate(manifest: &mut Value, hash: &str) {
    let Some(metadata) = object::metadata_mut(manifest) else {
        return;
    };
    let annotations = metadata
        .entry("annotations")
        .or_insert_with(|| Value::Object(Map::new()));
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(CONFIG_SPEC_HASH_ANNOTATION.to_owned(), json!(hash));
    }
}

/// Removes `creationTimestamp: null` wherever it stands: serializers of Go objects leave it behind, and the server
/// would count it as a field of ours.
pub fn remove_null_creation_timestamps(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(metadata)) = fields.get_mut("metadata")
                && metadata.get("creationTimestamp") == Some(&Value::Null)
            {
                metadata.remove("creationTimestamp");
            }
            for child in fields.values_mut() {
                remove_null_creation_timestamps(child);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(remove_null_creation_timestamps),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(condition: IgnoreFieldsCondition) -> IgnoreField {
        IgnoreField {
            condition,
            json_paths: vec![],
            json_pointers: vec![],
            jq_path_expressions: vec![],
        }
    }

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "annotations": {"a/b": "1"}},
               "spec": {"replicas": 3, "containers": [{"name": "c1", "image": "x"}, {"name": "c2", "image": "y"}]}})
    }

    #[test]
    fn fields_on_spoke_present_are_left_out_of_updates_only() {
        let mut present = rule(IgnoreFieldsCondition::OnSpokePresent);
        present.json_paths = vec![
            ".spec.replicas".into(),
            ".spec.containers[?(@.name==\"c1\")].image".into(),
            "((".into(),
        ];
        present.json_pointers = vec!["/metadata/annotations/a~1b".into(), "/no/such".into()];
        let prepared = prepare(deployment(), &[present]).unwrap();
        assert_eq!(prepared.create["spec"]["replicas"], 3);
        assert_eq!(prepared.update["spec"].get("replicas"), None);
        assert_eq!(
            prepared.update["spec"]["containers"][0],
            json!({"name": "c1"})
        );
        assert_eq!(prepared.update["spec"]["containers"][1]["image"], "y");
        assert_eq!(prepared.update["metadata"]["annotations"].get("a/b"), None);
        assert_eq!(live_hash(&prepared.create), Some(prepared.hash.as_str()));
        assert_eq!(live_hash(&prepared.update), Some(prepared.hash.as_str()));
    }

    #[test]
    fn fields_on_spoke_change_are_part_of_the_hash() {
        let mut change = rule(IgnoreFieldsCondition::OnSpokeChange);
        change.json_paths = vec![".spec.replicas".into()];
        let three = prepare(deployment(), std::slice::from_ref(&change)).unwrap();
        let mut changed = deployment();
        changed["spec"]["replicas"] = json!(4);
        let four = prepare(changed, &[change]).unwrap();
        assert_ne!(three.hash, four.hash);
        assert_eq!(four.update["spec"]["replicas"], 4);
    }

    #[test]
    fn what_cannot_be_ignored_fails_the_manifest() {
        let mut jq = rule(IgnoreFieldsCondition::OnSpokePresent);
        jq.jq_path_expressions = vec![".spec".into()];
        let error = prepare(deployment(), &[jq]).unwrap_err();
        assert!(
            error.starts_with("Failed to process ignoreFields: JQ expression error in '.spec'")
        );
        let mut pointer = rule(IgnoreFieldsCondition::OnSpokePresent);
        pointer.json_pointers = vec!["spec".into()];
        assert!(prepare(deployment(), &[pointer]).is_err());
    }

    #[test]
    fn null_creation_timestamps_go_everywhere_and_real_ones_stay() {
        let mut object = json!({
            "metadata": {"creationTimestamp": null, "name": "x"},
            "spec": {"template": {"metadata": {"creationTimestamp": null}}, "list": [{"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}]},
        });
        remove_null_creation_timestamps(&mut object);
        assert_eq!(
            object,
            json!({"metadata": {"name": "x"},
                   "spec": {"template": {"metadata": {}}, "list": [{"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}]}})
        );
    }
}
