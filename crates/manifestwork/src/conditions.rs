//! Standard Kubernetes conditions, and how they are set.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::serde_util::{is_zero, null_default, seconds};

/// Status of a condition. Text that is none of the three is read as `Unknown`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// Nobody can tell.
    #[default]
    Unknown,
}

/// A condition (`metav1.Condition`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type, unique in its list.
    #[serde(rename = "type", default, deserialize_with = "null_default")]
    pub type_: String,
    /// Whether it holds.
    #[serde(default, deserialize_with = "null_default")]
    pub status: ConditionStatus,
    /// Generation of the spec that it speaks about; 0 is "not told".
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "is_zero"
    )]
    pub observed_generation: i64,
    /// When `status` changed last. None is written as `null`, as Go writes the zero time.
    #[serde(default, with = "seconds")]
    pub last_transition_time: Option<Timestamp>,
    /// One word for programs.
    #[serde(default, deserialize_with = "null_default")]
    pub reason: String,
    /// A sentence for people.
    #[serde(default, deserialize_with = "null_default")]
    pub message: String,
}

// === impl ConditionStatus ===

impl ConditionStatus {
    /// `True`, `False` or `Unknown`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl std::fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&str> for ConditionStatus {
    fn from(text: &str) -> Self {
        match text {
            "True" => Self::True,
            "False" => Self::False,
            _ => Self::Unknown,
        }
    }
}

impl<'de> Deserialize<'de> for ConditionStatus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

// === impl Condition ===

impl Condition {
    /// A condition without a time; [`set`] fills it in.
    #[must_use]
    pub fn new(
        type_: impl Into<String>,
        status: impl Into<ConditionStatus>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_: type_.into(),
            status: status.into(),
            observed_generation: 0,
            last_transition_time: None,
            reason: reason.into(),
            message: message.into(),
        }
    }

    /// The same condition about a generation.
    #[must_use]
    pub fn observing(mut self, generation: i64) -> Self {
        self.observed_generation = generation;
        self
    }
}

/// Finds a condition by type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// True if the condition exists and holds.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    status_of(conditions, type_) == ConditionStatus::True
}

/// Status of a condition; a missing one is `Unknown`.
#[must_use]
pub fn status_of(conditions: &[Condition], type_: &str) -> ConditionStatus {
    find(conditions, type_).map_or(ConditionStatus::Unknown, |condition| condition.status)
}

/// Adds or replaces a condition and tells whether anything changed.
///
/// The transition time moves only when the status changes: to the new condition's own time if it has one, otherwise to `now`.
pub fn set(conditions: &mut Vec<Condition>, new: Condition, now: Timestamp) -> bool {
    let Some(current) = conditions
        .iter_mut()
        .find(|condition| condition.type_ == new.type_)
    else {
        let time = new.last_transition_time.or(Some(now));
        conditions.push(Condition {
            last_transition_time: time,
            ..new
        });
        return true;
    };
    let time = if current.status == new.status && current.last_transition_time.is_some() {
        current.last_transition_time
    } else {
        new.last_transition_time.or(Some(now))
    };
    let new = Condition {
        last_transition_time: time,
        ..new
    };
    let changed = *current != new;
    *current = new;
    changed
}

/// Removes a condition and tells whether it was there.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != type_);
    before != conditions.len()
}
