//! The data of a pulse.

use event_broker::Event;
use serde_json::{Map, Value};

/// What the framework itself reads from an event; everything else is reachable as `event.*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventData {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) href: String,
    pub(crate) generation: Option<i64>,
    pub(crate) owner: Option<Owner>,
}

/// `owner_references`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) id: String,
    pub(crate) kind: String,
}

impl EventData {
    /// Reads the data; also gives it as it came.
    pub(crate) fn parse(event: &Event) -> Result<(Self, Value), String> {
        let raw = event
            .data
            .clone()
            .filter(|data| !data.is_null())
            .unwrap_or_else(|| Value::Object(Map::new()));
        let Value::Object(map) = &raw else {
            return Err(format!("data must be a JSON object, is {}", describe(&raw)));
        };
        let data = Self {
            id: text(map, "id")?,
            kind: text(map, "kind")?,
            href: text(map, "href")?,
            generation: integer(map, "generation")?,
            owner: owner(map)?,
        };
        Ok((data, raw))
    }

    /// What this event is about: events with one key are never processed at the same time.
    pub(crate) fn key(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{}/{}/{}/{}", owner.kind, owner.id, self.kind, self.id),
            None => format!("{}/{}", self.kind, self.id),
        }
    }
}

fn text(map: &Map<String, Value>, key: &str) -> Result<String, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!(
            "field {key} must be a text, is {}",
            describe(other)
        )),
    }
}

fn integer(map: &Map<String, Value>, key: &str) -> Result<Option<i64>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(integer) => Ok(Some(integer)),
            None => Err(format!("field {key} must be a whole number, is {number}")),
        },
        Some(other) => Err(format!(
            "field {key} must be a whole number, is {}",
            describe(other)
        )),
    }
}

fn owner(map: &Map<String, Value>) -> Result<Option<Owner>, String> {
    match map.get("owner_references") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(owner)) => {
            let owner = Owner {
                id: text(owner, "id")?,
                kind: text(owner, "kind")?,
            };
            Ok((owner != Owner::default()).then_some(owner))
        }
        Some(other) => Err(format!(
            "field owner_references must be an object, is {}",
            describe(other)
        )),
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(data: Value) -> Result<EventData, String> {
        EventData::parse(&Event::new("s", "t", data)).map(|(data, _)| data)
    }

    #[test]
    fn known_fields_are_typed_and_unknown_ones_stay() {
        let data = parse(json!({"id": "c1", "kind": "Cluster", "generation": 5, "more": {"x": 1}}))
            .unwrap();
        assert_eq!(
            (data.id.as_str(), data.generation, data.key().as_str()),
            ("c1", Some(5), "Cluster/c1")
        );
        let data = parse(
            json!({"id": "n1", "kind": "NodePool", "owner_references": {"id": "c1", "kind": "Cluster"}}),
        );
        assert_eq!(data.unwrap().key(), "Cluster/c1/NodePool/n1");
        assert_eq!(parse(Value::Null).unwrap(), EventData::default());
        let mut event = Event::new("s", "t", Value::Null);
        event.data = None;
        assert!(EventData::parse(&event).is_ok());
    }

    #[test]
    fn wrong_types_are_named() {
        for (data, part) in [
            (json!([]), "must be a JSON object"),
            (json!("text"), "must be a JSON object"),
            (
                json!({"generation": "5"}),
                "generation must be a whole number",
            ),
            (
                json!({"generation": 1.5}),
                "generation must be a whole number",
            ),
            (json!({"id": 5}), "id must be a text"),
            (
                json!({"owner_references": []}),
                "owner_references must be an object",
            ),
        ] {
            let error = parse(data.clone()).unwrap_err();
            assert!(error.contains(part), "{data}: {error}");
        }
    }
}
