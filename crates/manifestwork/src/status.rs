//! What became of a work: conditions of the whole, and per manifest its conditions and feedback values.

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::{conditions::Condition, serde_util::null_default};

/// Status of a work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Conditions of the whole work.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub conditions: Vec<Condition>,
    /// Status of each manifest. Always written, `{}` when empty.
    #[serde(default, deserialize_with = "null_default")]
    pub resource_status: ResourceStatus,
}

/// Status of each manifest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// One entry per manifest, by ordinal.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub manifests: Vec<ManifestCondition>,
}

/// Status of one manifest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestCondition {
    /// Which object.
    #[serde(default, deserialize_with = "null_default")]
    pub resource_meta: ResourceMeta,
    /// Values read from it. Always written, `{}` when empty.
    #[serde(default, deserialize_with = "null_default")]
    pub status_feedback: StatusFeedback,
    /// Conditions of this manifest.
    #[serde(default, deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
}

/// Names an applied object; all seven keys are always written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResourceMeta {
    /// Index in the work's manifests.
    #[serde(default, deserialize_with = "null_default")]
    pub ordinal: i32,
    /// API group; empty for core.
    #[serde(default, deserialize_with = "null_default")]
    pub group: String,
    /// API version.
    #[serde(default, deserialize_with = "null_default")]
    pub version: String,
    /// Kind.
    #[serde(default, deserialize_with = "null_default")]
    pub kind: String,
    /// Plural resource name.
    #[serde(default, deserialize_with = "null_default")]
    pub resource: String,
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(default, deserialize_with = "null_default")]
    pub namespace: String,
}

/// Values read from an object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusFeedback {
    /// The values; names are unique.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub values: Vec<FeedbackValue>,
}

/// One value read from an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedbackValue {
    /// Name that the feedback rule gave it.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// The value.
    pub field_value: FieldValue,
}

/// A typed value: on the wire `{"type":"Integer","integer":3}` and so on.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// 64-bit integer.
    Integer(i64),
    /// Text.
    String(String),
    /// Truth value.
    Boolean(bool),
    /// JSON as text.
    JsonRaw(String),
    /// What a newer peer sent, kept as it came.
    Other(Value),
}

// === impl Status ===

impl Status {
    /// Feedback value by manifest ordinal and name.
    #[must_use]
    pub fn feedback(&self, ordinal: i32, name: &str) -> Option<&FieldValue> {
        self.resource_status
            .manifests
            .iter()
            .filter(|manifest| manifest.resource_meta.ordinal == ordinal)
            .find_map(|manifest| manifest.status_feedback.get(name))
    }
}

// === impl StatusFeedback ===

impl StatusFeedback {
    /// Value by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.values
            .iter()
            .find(|value| value.name == name)
            .map(|value| &value.field_value)
    }
}

// === impl FieldValue ===

impl FieldValue {
    /// The value as JSON: raw JSON is parsed, anything else becomes its JSON counterpart. Raw text that isn't JSON becomes a string.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Integer(number) => Value::from(*number),
            Self::String(text) => Value::from(text.as_str()),
            Self::Boolean(truth) => Value::from(*truth),
            Self::JsonRaw(text) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
            }
            Self::Other(value) => value.clone(),
        }
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Self::Other(value) = self {
            return value.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            Self::Integer(number) => {
                map.serialize_entry("type", "Integer")?;
                map.serialize_entry("integer", number)?;
            }
            Self::String(text) => {
                map.serialize_entry("type", "String")?;
                map.serialize_entry("string", text)?;
            }
            Self::Boolean(truth) => {
                map.serialize_entry("type", "Boolean")?;
                map.serialize_entry("boolean", truth)?;
            }
            Self::JsonRaw(text) => {
                map.serialize_entry("type", "JsonRaw")?;
                map.serialize_entry("jsonRaw", text)?;
            }
            Self::Other(_) => {}
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let arm = |key: &str| value.get(key);
        let typed = match arm("type").and_then(Value::as_str) {
            Some("Integer") => arm("integer").and_then(Value::as_i64).map(Self::Integer),
            Some("String") => arm("string")
                .and_then(Value::as_str)
                .map(|text| Self::String(text.to_owned())),
            Some("Boolean") => arm("boolean").and_then(Value::as_bool).map(Self::Boolean),
            Some("JsonRaw") => arm("jsonRaw")
                .and_then(Value::as_str)
                .map(|text| Self::JsonRaw(text.to_owned())),
            _ => None,
        };
        Ok(typed.unwrap_or(Self::Other(value)))
    }
}
