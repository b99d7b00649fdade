//! Reading conditions out of a JSON status. Order is not stable: conditions are always looked up by type.

use jiff::Timestamp;
use serde_json::Value;

/// A borrowed condition; absent members are empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition<'v> {
    /// For example `Available`.
    pub type_: &'v str,
    /// `True`, `False`, `Unknown`.
    pub status: &'v str,
    /// A CamelCase word.
    pub reason: &'v str,
    /// A sentence.
    pub message: &'v str,
    /// The generation this was computed from.
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    pub last_transition_time: Option<Timestamp>,
}

impl<'v> Condition<'v> {
    /// Reads one JSON condition; `None` if it has no type.
    pub fn read(value: &'v Value) -> Option<Self> {
        let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let type_ = value
            .get("type")
            .and_then(Value::as_str)
            .filter(|type_| !type_.is_empty())?;
        Some(Self {
            type_,
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
            observed_generation: value.get("observedGeneration").and_then(Value::as_i64),
            last_transition_time: text("lastTransitionTime").parse().ok(),
        })
    }

    /// Whether the status is `True`.
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// Whether the status is `False`.
    pub fn is_false(&self) -> bool {
        self.status == "False"
    }
}

/// The condition of this type in `status.conditions`.
pub fn find<'v>(status: &'v Value, type_: &str) -> Option<Condition<'v>> {
    all(status).find(|condition| condition.type_ == type_)
}

/// All readable conditions in `status.conditions`.
pub fn all(status: &Value) -> impl Iterator<Item = Condition<'_>> {
    status
        .get("conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Condition::read)
}
