//! What a pulse says: names to expressions, compiled once.

use std::collections::BTreeMap;

use expressions::cel::{Bindings, Environment, Program};
use serde_json::{Map, Value};

use crate::observed::Observed;

/// Compiled `message_data`.
#[derive(Debug)]
pub struct Payload {
    members: BTreeMap<String, Node>,
}

#[derive(Debug)]
enum Node {
    Expression(Program),
    Literal(Value),
    Map(BTreeMap<String, Node>),
}

impl Payload {
    /// Compiles `message_data`.
    ///
    /// # Errors
    /// Every problem, with its key.
    pub fn compile(data: &Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let members = compile(
            data,
            "message_data",
            &Environment::sentinel_payload(),
            &mut problems,
        );
        if problems.is_empty() {
            Ok(Self { members })
        } else {
            Err(problems)
        }
    }

    /// The data of a pulse. A member whose expression fails is left out, with a warning; so is a map without members.
    pub fn build(&self, resource: &Observed, reason: &str) -> Map<String, Value> {
        let reason = Value::from(reason);
        let mut bindings = Bindings::new();
        bindings
            .insert("resource", &resource.variable)
            .insert("reason", &reason);
        build(&self.members, &bindings, &resource.id)
    }
}

fn compile(
    data: &Map<String, Value>,
    key: &str,
    environment: &Environment,
    problems: &mut Vec<String>,
) -> BTreeMap<String, Node> {
    let mut members = BTreeMap::new();
    for (name, value) in data {
        let key = format!("{key}.{name}");
        let node = match value {
            Value::Null => Err(format!("{key}: must not be null")),
            Value::String(text) if text.trim().is_empty() => {
                Err(format!("{key}: must not be empty"))
            }
            Value::String(text) => environment
                .compile(text)
                .map(Node::Expression)
                .map_err(|error| format!("{key}: {error}")),
            Value::Bool(_) | Value::Number(_) => Ok(Node::Literal(value.clone())),
            Value::Object(data) => Ok(Node::Map(compile(data, &key, environment, problems))),
            Value::Array(_) => Err(format!(
                "{key}: must be an expression, a number, a boolean or a map"
            )),
        };
        match node {
            Ok(node) => {
                members.insert(name.clone(), node);
            }
            Err(problem) => problems.push(problem),
        }
    }
    members
}

fn build(
    members: &BTreeMap<String, Node>,
    bindings: &Bindings<'_>,
    id: &str,
) -> Map<String, Value> {
    let mut data = Map::new();
    for (name, node) in members {
        let value = match node {
            Node::Literal(value) => value.clone(),
            Node::Expression(program) => match program.evaluate(bindings) {
                Ok(value) => value,
                Err(error) => {
                    tracing::warn!(resource_id = id, member = name.as_str(), %error, "left out of the message data");
                    continue;
                }
            },
            Node::Map(members) => match build(members, bindings, id) {
                data if data.is_empty() => continue,
                data => data.into(),
            },
        };
        data.insert(name.clone(), value);
    }
    data
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{child_data, standard_data};

    fn data(data: Value, resource: Value) -> Value {
        let payload = Payload::compile(data.as_object().unwrap()).unwrap();
        payload
            .build(&Observed::new(&resource).unwrap(), "because")
            .into()
    }

    fn cluster() -> Value {
        json!({"id": "i", "kind": "Cluster", "href": "/h", "generation": 3, "spec": {"region": "x"}})
    }

    #[test]
    fn the_standard_data_is_what_adapters_read() {
        let want = json!({"id": "i", "kind": "Cluster", "href": "/h", "generation": 3});
        assert_eq!(data(standard_data().into(), cluster()), want);
        let mut pool = cluster();
        pool["owner_references"] = json!({"id": "c", "kind": "Cluster", "href": "/c"});
        assert_eq!(
            data(child_data().into(), pool)["owner_references"],
            json!({"id": "c", "kind": "Cluster", "href": "/c"})
        );
        assert!(
            data(child_data().into(), cluster())
                .get("owner_references")
                .is_none(),
            "an empty map is left out"
        );
    }

    #[test]
    fn expressions_literals_and_maps() {
        let built = data(
            json!({"text": "'literal'", "why": "reason", "n": 3, "yes": true, "clusterId": "resource.id",
                   "deep": {"region": "resource.spec.region", "absent": "resource.spec.absent"},
                   "choice": "resource.generation > 1 ? 'many' : 'one'", "empty": {"absent": "resource.spec.absent"}}),
            cluster(),
        );
        let want = json!({"text": "literal", "why": "because", "n": 3, "yes": true, "clusterId": "i", "deep": {"region": "x"}, "choice": "many"});
        assert_eq!(built, want);
    }

    #[test]
    fn mistakes_are_found_at_start_with_their_key() {
        let bad = json!({"a": null, "b": "", "c": {"d": "1 +"}, "e": [1], "f": "now"});
        let problems = Payload::compile(bad.as_object().unwrap())
            .map(|_| ())
            .unwrap_err()
            .join("\n");
        for expected in [
            "message_data.a: must not be null",
            "message_data.b: must not be empty",
            "message_data.c.d: ",
            "message_data.e: must be",
            "message_data.f: ",
        ] {
            assert!(problems.contains(expected), "{expected} not in {problems}");
        }
    }
}
