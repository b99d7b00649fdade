//! Whether somebody has changed what was applied, told from the live object alone.

use std::hash::{DefaultHasher, Hash, Hasher};

use kube_access::object;
use serde_json::Value;

/// What an object looked like right after it was applied, as far as it is ours. As long as an object still gives
/// the same mark, no field of ours was changed: the server takes a field out of our entry in `managedFields` when
/// anybody else changes its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    uid: String,
    owned_fields: u64,
}

impl Mark {
    /// Reads the mark; `None` if the object doesn't say which fields the manager applied.
    pub fn read(live: &Value, field_manager: &str) -> Option<Self> {
        let entry = live
            .get("metadata")?
            .get("managedFields")?
            .as_array()?
            .iter()
            .find(|entry| {
                entry["manager"] == field_manager
                    && entry["operation"] == "Apply"
                    && entry.get("subresource").is_none()
            })?;
        let mut hasher = DefaultHasher::new();
        entry.get("fieldsV1")?.hash(&mut hasher);
        Some(Self {
            uid: object::uid(live)?.to_owned(),
            owned_fields: hasher.finish(),
        })
    }
}

/// Whether everything in `required` stands in `live` with the same value. Lists agree when they have the same
/// length and each element is covered. Nothing and an empty value are the same.
pub fn covers(live: &Value, required: &Value) -> bool {
    match (live, required) {
        (Value::Object(have), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match have.get(key) {
                Some(found) => covers(found, value),
                None => is_empty(value),
            })
        }
        (Value::Array(have), Value::Array(wanted)) => {
            have.len() == wanted.len()
                && have
                    .iter()
                    .zip(wanted)
                    .all(|(found, value)| covers(found, value))
        }
        (Value::Number(have), Value::Number(wanted)) => {
            have == wanted || have.as_f64() == wanted.as_f64()
        }
        (have, wanted) => have == wanted || (is_empty(have) && is_empty(wanted)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn additions_and_empty_values_are_no_drift() {
        let live = json!({"a": 1, "b": {"c": [{"d": 1, "e": 2}]}, "n": 1.0});
        assert!(covers(
            &live,
            &json!({"a": 1, "b": {"c": [{"d": 1}]}, "x": null, "y": {}, "n": 1})
        ));
        assert!(!covers(&live, &json!({"a": 2})));
        assert!(!covers(&live, &json!({"b": {"c": []}})));
        assert!(!covers(&live, &json!({"z": "missing"})));
    }

    #[test]
    fn a_mark_changes_with_our_fields_and_with_the_life_of_the_object() {
        let object = |uid: &str, fields: Value, others: Value| {
            json!({"metadata": {"uid": uid, "managedFields": [
                {"manager": "work-agent", "operation": "Apply", "fieldsV1": fields},
                {"manager": "work-agent", "operation": "Update", "fieldsV1": others.clone()},
                {"manager": "hypershift", "operation": "Update", "fieldsV1": others},
            ]}})
        };
        let mark = |object: &Value| Mark::read(object, "work-agent");
        let ours = json!({"f:spec": {"f:a": {}}});
        let first = object("u1", ours.clone(), json!({}));
        assert!(mark(&first).is_some());
        assert_eq!(
            mark(&first),
            mark(&object("u1", ours.clone(), json!({"f:status": {}})))
        );
        assert_ne!(
            mark(&first),
            mark(&object("u1", json!({"f:spec": {}}), json!({})))
        );
        assert_ne!(mark(&first), mark(&object("u2", ours, json!({}))));
        assert_eq!(Mark::read(&first, "someone"), None);
    }
}
