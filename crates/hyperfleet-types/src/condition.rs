//! Conditions: of a resource, and as an adapter reports them.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Condition type of a resource: every required adapter is done at the current generation.
pub const RECONCILED: &str = "Reconciled";
/// Condition type of a resource: it was reconciled at some generation and nothing says that this ended.
pub const LAST_KNOWN_RECONCILED: &str = "LastKnownReconciled";
/// Condition type every adapter reports: its resources exist as wanted.
pub const APPLIED: &str = "Applied";
/// Condition type every adapter reports: its work is complete and usable.
pub const AVAILABLE: &str = "Available";
/// Condition type every adapter reports: the adapter itself works.
pub const HEALTH: &str = "Health";
/// Condition type an adapter reports while a resource is being deleted: nothing of it is left.
pub const FINALIZED: &str = "Finalized";

/// The three values of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody can tell.
    Unknown,
}

impl ConditionStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether this is [`ConditionStatus::True`].
    pub const fn is_true(self) -> bool {
        matches!(self, Self::True)
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no condition status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid status value '{0}': must be 'True', 'False', or 'Unknown'")]
pub struct InvalidStatus(pub String);

impl FromStr for ConditionStatus {
    type Err = InvalidStatus;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "True" => Ok(Self::True),
            "False" => Ok(Self::False),
            "Unknown" => Ok(Self::Unknown),
            other => Err(InvalidStatus(other.to_owned())),
        }
    }
}

/// A condition of a resource, computed by the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceCondition {
    /// CamelCase name, unique within a resource.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True` or `False`; the API never writes `Unknown` here.
    pub status: ConditionStatus,
    /// One CamelCase token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Generation of the resource that this speaks about.
    #[serde(default)]
    pub observed_generation: i32,
    /// When the condition first appeared.
    pub created_time: Timestamp,
    /// When the facts behind it were last reported.
    pub last_updated_time: Timestamp,
    /// When its status last changed.
    pub last_transition_time: Timestamp,
}

/// A condition in an adapter's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionReport {
    /// CamelCase name, unique within a report.
    #[serde(rename = "type")]
    pub type_: String,
    /// Its value.
    pub status: ConditionStatus,
    /// One CamelCase token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl ConditionReport {
    /// A condition with reason and message.
    pub fn new(
        type_: impl Into<String>,
        status: ConditionStatus,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_: type_.into(),
            status,
            reason: Some(reason.into()),
            message: Some(message.into()),
        }
    }
}

/// A condition of an adapter as the API stores it: the report plus the time of its last change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What was reported.
    #[serde(flatten)]
    pub report: ConditionReport,
    /// When its status last changed.
    pub last_transition_time: Timestamp,
}

impl std::ops::Deref for Condition {
    type Target = ConditionReport;

    fn deref(&self) -> &ConditionReport {
        &self.report
    }
}
