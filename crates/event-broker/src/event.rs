//! A CloudEvent 1.0 in structured JSON, the body of every broker message (`docs/protocol/broker.md`, "Message").

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Largest accepted event in structured JSON, in bytes.
///
/// Pulses have a few hundred; 256 KiB is what every broker of the field carries.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// A CloudEvent as it travels: attributes, extensions and JSON data.
///
/// `specversion` is always `1.0` and is therefore no field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Event {
    /// Unique within `source`; never empty.
    pub id: String,
    /// Who published, such as `hyperfleet-sentinel`; never empty.
    pub source: String,
    /// For example `com.redhat.hyperfleet.cluster.reconcile`; never empty.
    pub event_type: String,
    /// When it happened, if the publisher says so.
    pub time: Option<Timestamp>,
    /// Optional subject within the source.
    pub subject: Option<String>,
    /// The payload; `None` when the event has no `data` member.
    pub data: Option<Value>,
    /// Extension attributes such as `traceparent`.
    pub extensions: BTreeMap<String, Value>,
}

/// Why a text is not a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a CloudEvent: {0}")]
pub struct Invalid(String);

impl Event {
    /// An event with a fresh UUID v7 id and no time.
    pub fn new(source: impl Into<String>, event_type: impl Into<String>, data: Value) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            source: source.into(),
            event_type: event_type.into(),
            time: None,
            subject: None,
            data: Some(data),
            extensions: BTreeMap::new(),
        }
    }

    /// Reads structured JSON.
    ///
    /// # Errors
    /// The text is longer than [`MAX_EVENT_BYTES`], no JSON object, misses `specversion`, `id`, `source` or
    /// `type`, or one of them is empty or of the wrong type.
    pub fn from_json(text: &[u8]) -> Result<Self, Invalid> {
        if text.len() > MAX_EVENT_BYTES {
            return Err(Invalid(format!(
                "{} bytes, the limit is {MAX_EVENT_BYTES}",
                text.len()
            )));
        }
        serde_json::from_slice(text).map_err(|error| Invalid(plain(&error)))
    }

    /// The same from a JSON tree.
    ///
    /// # Errors
    /// As [`Event::from_json`], without the size.
    pub fn from_value(value: Value) -> Result<Self, Invalid> {
        serde_json::from_value(value).map_err(|error| Invalid(plain(&error)))
    }

    /// Writes structured JSON with the members in the order of the CloudEvents specification.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The extension attribute `name` if it is text, such as `traceparent`.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.get(name).and_then(Value::as_str)
    }
}

/// Serde's texts name no Rust type here; the inner [`Invalid`] repeats its prefix, which is cut.
fn plain(error: &serde_json::Error) -> String {
    error.to_string().replace("not a CloudEvent: ", "")
}

/// The JSON members; unknown ones are extensions.
#[derive(Serialize, Deserialize)]
struct Wire {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    #[serde(flatten)]
    extensions: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl TryFrom<Wire> for Event {
    type Error = Invalid;

    fn try_from(wire: Wire) -> Result<Self, Invalid> {
        if wire.specversion != "1.0" {
            return Err(Invalid(format!(
                "specversion {:?} is not \"1.0\"",
                wire.specversion
            )));
        }
        for (name, value) in [
            ("id", &wire.id),
            ("source", &wire.source),
            ("type", &wire.event_type),
        ] {
            if value.is_empty() {
                return Err(Invalid(format!("{name} is empty")));
            }
        }
        if let Some(kind) = &wire.datacontenttype {
            let json = kind.split(';').next().unwrap_or_default().trim();
            if json != "application/json" && !json.ends_with("+json") {
                return Err(Invalid(format!(
                    "datacontenttype {kind:?}: only JSON data is supported"
                )));
            }
        }
        Ok(Self {
            id: wire.id,
            source: wire.source,
            event_type: wire.event_type,
            time: wire.time,
            subject: wire.subject,
            data: wire.data,
            extensions: wire.extensions,
        })
    }
}

impl From<Event> for Wire {
    fn from(event: Event) -> Self {
        Self {
            specversion: "1.0".into(),
            id: event.id,
            source: event.source,
            event_type: event.event_type,
            time: event.time,
            subject: event.subject,
            datacontenttype: event.data.is_some().then(|| "application/json".into()),
            extensions: event.extensions,
            data: event.data,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pulse_survives_the_round_trip_byte_by_byte() {
        let text = br#"{"specversion":"1.0","id":"0198","source":"hyperfleet-sentinel","type":"com.redhat.hyperfleet.cluster.reconcile","datacontenttype":"application/json","traceparent":"00-aa-bb-01","data":{"generation":1,"id":"c1"}}"#;
        let event = Event::from_json(text).unwrap();
        assert_eq!(event.extension("traceparent"), Some("00-aa-bb-01"));
        assert_eq!(event.data, Some(json!({"id": "c1", "generation": 1})));
        assert_eq!(
            String::from_utf8(event.to_json()).unwrap(),
            String::from_utf8(text.to_vec()).unwrap()
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, names) in [
            (
                r#"{"specversion":"1.0","source":"s","type":"t"}"#,
                "missing field `id`",
            ),
            (
                r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#,
                "specversion",
            ),
            (
                r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#,
                "id is empty",
            ),
            (
                r#"{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"text/xml"}"#,
                "only JSON",
            ),
            ("[]", "not a CloudEvent"),
            ("{", "not a CloudEvent"),
        ] {
            let error = Event::from_json(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(names), "{text}: {error}");
            assert_eq!(
                error.matches("not a CloudEvent").count(),
                1,
                "prefix once: {error}"
            );
        }
        assert!(
            Event::from_json(&vec![b' '; MAX_EVENT_BYTES + 1])
                .unwrap_err()
                .to_string()
                .contains("limit")
        );
    }
}
