//! Extension attributes: their names, and values that are read tolerantly.

use bytes::Bytes;
use jiff::Timestamp;

/// Names of extensions, without the `ce-` of the wire.
pub mod name {
    /// Id of the resource.
    pub const RESOURCE_ID: &str = "resourceid";
    /// Version of the resource.
    pub const RESOURCE_VERSION: &str = "resourceversion";
    /// Name of the consumer.
    pub const CLUSTER_NAME: &str = "clustername";
    /// Who owns the resource, from the agent's view.
    pub const ORIGINAL_SOURCE: &str = "originalsource";
    /// Object metadata as JSON text.
    pub const METADATA: &str = "metadata";
    /// When deletion was asked for.
    pub const DELETION_TIMESTAMP: &str = "deletiontimestamp";
    /// Orders the status events of a resource.
    pub const SEQUENCE_ID: &str = "sequenceid";
    /// Hash of the status.
    pub const STATUS_HASH: &str = "statushash";
    /// Log tracing annotations as a JSON object.
    pub const LOG_TRACING: &str = "logtracing";
    /// W3C trace context: which trace and which span the event belongs to.
    pub const TRACE_PARENT: &str = "traceparent";
    /// W3C trace context: what tracing systems add to it.
    pub const TRACE_STATE: &str = "tracestate";
}

/// Value of an extension.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Truth value.
    Bool(bool),
    /// 32-bit integer.
    Int(i32),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Bytes),
    /// Absolute URI.
    Uri(String),
    /// URI reference.
    UriRef(String),
    /// Point in time.
    Timestamp(Timestamp),
}

// === impl Attribute ===

impl Attribute {
    /// Text; no other type is text.
    ///
    /// # Errors
    /// Another type.
    pub fn as_str(&self) -> Result<&str, String> {
        match self {
            Self::String(text) => Ok(text),
            other => Err(format!("{} is not a string", other.type_name())),
        }
    }

    /// An integer, or decimal text (a fraction is cut off): events that crossed MQTT carry text only.
    ///
    /// # Errors
    /// Another type, text that is no number, or a number beyond 32 bits.
    pub fn as_int(&self) -> Result<i32, String> {
        match self {
            Self::Int(number) => Ok(*number),
            Self::String(text) => {
                if let Ok(number) = text.parse::<i32>() {
                    return Ok(number);
                }
                let number: f64 = text
                    .parse()
                    .map_err(|_| format!("{text:?} is not an integer"))?;
                let number = number.trunc();
                if number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX) {
                    #[allow(clippy::cast_possible_truncation, reason = "checked one line above")]
                    Ok(number as i32)
                } else {
                    Err(format!("{text:?} is out of range for a 32-bit integer"))
                }
            }
            other => Err(format!("{} is not an integer", other.type_name())),
        }
    }

    /// A time, or RFC 3339 text.
    ///
    /// # Errors
    /// Another type, or text that is no time.
    pub fn as_time(&self) -> Result<Timestamp, String> {
        match self {
            Self::Timestamp(time) => Ok(*time),
            Self::String(text) => text
                .parse()
                .map_err(|_| format!("{text:?} is not an RFC 3339 time")),
            other => Err(format!("{} is not a time", other.type_name())),
        }
    }

    /// Bytes of the value beside its place in the event.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::String(text) | Self::Uri(text) | Self::UriRef(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Bool(_) | Self::Int(_) | Self::Timestamp(_) => 0,
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Int(_) => "int32",
            Self::String(_) => "string",
            Self::Bytes(_) => "[]uint8",
            Self::Uri(_) => "URI",
            Self::UriRef(_) => "URI-reference",
            Self::Timestamp(_) => "time",
        }
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<i32> for Attribute {
    fn from(number: i32) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Attribute {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Timestamp> for Attribute {
    fn from(time: Timestamp) -> Self {
        Self::Timestamp(time)
    }
}
