//! A resource as expressions see it.

use serde_json::{Map, Value};

/// Members of a resource that expressions may read, always there.
const TEXTS: [&str; 6] = ["id", "href", "kind", "name", "created_time", "updated_time"];
/// Members that are there when they are not empty.
const OPTIONAL: [&str; 6] = [
    "spec",
    "labels",
    "owner_references",
    "references",
    "deleted_time",
    "deleted_by",
];
/// Members of a condition.
const CONDITION_TEXTS: [&str; 4] = [
    "type",
    "status",
    "last_transition_time",
    "last_updated_time",
];

/// A resource, read leniently: what has a wrong type is as good as missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Id; never empty.
    pub id: String,
    /// Kind.
    pub kind: String,
    /// Generation.
    pub generation: i64,
    /// The variable `resource` of expressions.
    pub variable: Value,
}

impl Observed {
    /// Takes what a list gave; `None` if it has no id.
    pub fn new(resource: &Value) -> Option<Self> {
        let text = |name: &str| {
            resource
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let id = text("id");
        if id.is_empty() {
            return None;
        }
        let generation = resource
            .get("generation")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let mut variable = Map::new();
        for name in TEXTS {
            variable.insert(name.to_owned(), text(name).into());
        }
        for name in OPTIONAL {
            if let Some(value) = resource.get(name).filter(|value| !is_empty(value)) {
                variable.insert(name.to_owned(), value.clone());
            }
        }
        variable.insert("generation".to_owned(), generation.into());
        let mut status = Map::new();
        let conditions = resource
            .get("status")
            .and_then(|status| status.get("conditions"))
            .and_then(Value::as_array);
        if let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) {
            status.insert(
                "conditions".to_owned(),
                conditions.iter().map(condition).collect(),
            );
        }
        variable.insert("status".to_owned(), status.into());
        Some(Self {
            id,
            kind: text("kind"),
            generation,
            variable: variable.into(),
        })
    }

    /// Whether it is reconciled at its current generation.
    pub fn is_reconciled(&self) -> bool {
        let conditions = self
            .variable
            .get("status")
            .and_then(|status| status.get("conditions"))
            .and_then(Value::as_array);
        conditions.into_iter().flatten().any(|condition| {
            condition
                .get("type")
                .is_some_and(|type_| type_ == "Reconciled")
                && condition
                    .get("status")
                    .is_some_and(|status| status == "True")
                && condition.get("observed_generation").and_then(Value::as_i64)
                    == Some(self.generation)
        })
    }
}

fn condition(condition: &Value) -> Value {
    let text = |name: &str| {
        condition
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut members = Map::new();
    for name in CONDITION_TEXTS {
        members.insert(name.to_owned(), text(name).into());
    }
    for name in ["reason", "message"] {
        if !text(name).is_empty() {
            members.insert(name.to_owned(), text(name).into());
        }
    }
    let generation = condition
        .get("observed_generation")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    members.insert("observed_generation".to_owned(), generation.into());
    members.into()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_documented_members_are_seen() {
        let observed = Observed::new(&json!({
            "id": "i", "kind": "Cluster", "name": "n", "generation": 3, "labels": {}, "spec": {"a": 1}, "created_by": "x", "tenancy": {},
            "status": {"conditions": [{"type": "Reconciled", "status": "True", "observed_generation": 3}]}, "deleted_time": "t"
        }))
        .unwrap();
        assert_eq!(
            observed.variable,
            json!({"id": "i", "href": "", "kind": "Cluster", "name": "n", "created_time": "", "updated_time": "", "generation": 3,
                   "spec": {"a": 1}, "deleted_time": "t",
                   "status": {"conditions": [{"type": "Reconciled", "status": "True", "last_transition_time": "", "last_updated_time": "",
                                              "observed_generation": 3}]}})
        );
        assert!(observed.is_reconciled());
    }

    #[test]
    fn what_has_no_id_is_nothing() {
        for nothing in [
            json!(null),
            json!({}),
            json!({"id": ""}),
            json!({"id": 7}),
            json!([1]),
        ] {
            assert_eq!(Observed::new(&nothing), None);
        }
        assert_eq!(
            Observed::new(&json!({"id": "i", "status": "odd", "generation": "x"}))
                .unwrap()
                .variable["status"],
            json!({})
        );
    }
}
