//! The values that a template computes with: JSON, and points in time.

use std::borrow::Cow;

use go_compat::{layout, print};
use jiff::Timestamp;
use serde_json::Value;

/// What `fmt` prints for a time.
const TIME_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// A value that borrows from the data where it can.
#[derive(Clone, Debug)]
pub(super) enum Val<'d> {
    Json(Cow<'d, Value>),
    Time(Timestamp),
}

// === impl Val ===

impl<'d> Val<'d> {
    pub(super) fn nil() -> Self {
        Self::owned(Value::Null)
    }

    pub(super) fn owned(value: impl Into<Value>) -> Self {
        Self::Json(Cow::Owned(value.into()))
    }

    pub(super) fn borrowed(value: &'d Value) -> Self {
        Self::Json(Cow::Borrowed(value))
    }

    pub(super) fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            Self::Time(_) => None,
        }
    }

    pub(super) fn is_nil(&self) -> bool {
        self.json().is_some_and(Value::is_null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        self.json().and_then(Value::as_str)
    }

    /// Go's truth: not zero, not empty, not nil.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Time(_) => true,
            Self::Json(value) => match value.as_ref() {
                Value::Null => false,
                Value::Bool(value) => *value,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(items) => !items.is_empty(),
                Value::Object(map) => !map.is_empty(),
            },
        }
    }

    /// `fmt.Sprint`: nil is `<nil>`.
    pub(super) fn print(&self) -> String {
        match self {
            Self::Json(value) => print::sprint(value),
            Self::Time(time) => layout::format_utc(*time, TIME_LAYOUT),
        }
    }

    /// The name of the type in errors, as Go's template engine names it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Time(_) => "time.Time",
            Self::Json(value) => match value.as_ref() {
                Value::Number(number) if !number.is_f64() => "int",
                other => print::type_name(other),
            },
        }
    }

    /// The member of a map; the error is a missing key or a value without members.
    pub(super) fn member(&self, name: &str) -> Result<Val<'d>, Lookup> {
        match self {
            Self::Json(Cow::Borrowed(Value::Object(map))) => {
                map.get(name).map(Val::borrowed).ok_or(Lookup::Missing)
            }
            Self::Json(Cow::Owned(Value::Object(map))) => map
                .get(name)
                .cloned()
                .map(Val::owned)
                .ok_or(Lookup::Missing),
            Self::Json(value) if value.is_null() => Err(Lookup::OfNil),
            other => Err(Lookup::NoMembers(other.type_name())),
        }
    }
}

/// Why a member can't be had.
pub(super) enum Lookup {
    Missing,
    OfNil,
    NoMembers(&'static str),
}
