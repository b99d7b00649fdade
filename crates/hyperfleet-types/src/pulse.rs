//! The pulse: a CloudEvent by which Sentinel tells adapters to look at a resource.
//!
//! It carries no state that matters; the adapter reads the resource from the API. Losing one costs time, a repetition costs a
//! look.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::resource::ObjectReference;

/// CloudEvents version of every pulse.
pub const SPEC_VERSION: &str = "1.0";
/// `datacontenttype` of every pulse.
pub const DATA_CONTENT_TYPE: &str = "application/json";
/// `source` when Sentinel has no other name.
pub const DEFAULT_SOURCE: &str = "hyperfleet-sentinel";

/// A pulse in the structured JSON form of CloudEvents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// Always `1.0`.
    pub specversion: String,
    /// UUIDv7 of this event.
    pub id: String,
    /// Who sent it.
    pub source: String,
    /// `com.redhat.hyperfleet.<kind>.reconcile`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Always `application/json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// W3C trace context, if the sender traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What Sentinel's `message_data` made of the resource.
    #[serde(default)]
    pub data: Value,
}

/// What adapters read from [`Pulse::data`]; other members stay in the JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulseData {
    /// Id of the resource.
    #[serde(default)]
    pub id: String,
    /// Kind of the resource.
    #[serde(default)]
    pub kind: String,
    /// Canonical path of the resource.
    #[serde(default)]
    pub href: String,
    /// Generation when the pulse was sent.
    #[serde(default)]
    pub generation: i64,
    /// The parent, for child kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_references: Option<ObjectReference>,
}

/// Why bytes are no pulse.
#[derive(Debug, thiserror::Error)]
#[error("event is not a CloudEvent in structured JSON: {0}")]
pub struct Malformed(#[from] serde_json::Error);

impl Pulse {
    /// A pulse with a fresh id for a resource of `kind`.
    pub fn new(source: impl Into<String>, kind: &str, data: Map<String, Value>) -> Self {
        Self {
            specversion: SPEC_VERSION.to_owned(),
            id: uuid::Uuid::now_v7().to_string(),
            source: source.into(),
            type_: event_type(kind),
            datacontenttype: Some(DATA_CONTENT_TYPE.to_owned()),
            traceparent: None,
            data: Value::Object(data),
        }
    }

    /// Reads structured JSON.
    ///
    /// # Errors
    /// [`Malformed`] if these bytes are not JSON or lack an attribute every CloudEvent has.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Writes structured JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a pulse is strings and JSON, which always serialize")
    }

    /// The members that adapters read.
    ///
    /// # Errors
    /// [`Malformed`] if one of them has another type, e.g. a generation in quotes.
    pub fn payload(&self) -> Result<PulseData, Malformed> {
        if self.data.is_null() {
            return Ok(PulseData::default());
        }
        Ok(PulseData::deserialize(&self.data)?)
    }
}

/// `type` of the pulse for a resource of `kind`.
pub fn event_type(kind: &str) -> String {
    format!("com.redhat.hyperfleet.{}.reconcile", kind.to_lowercase())
}
