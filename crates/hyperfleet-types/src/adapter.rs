//! What an adapter reports about a resource, and what the API stores of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::condition::{Condition, ConditionReport, ConditionStatus};

/// Body of `PUT …/statuses`.
///
/// `Applied`, `Available` and `Health` must be among the conditions; `Finalized` decides deletion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterStatusRequest {
    /// Name of the adapter, as the kind's `required_adapters` spell it.
    pub adapter: String,
    /// Generation of the resource that was processed, from 1.
    pub observed_generation: i32,
    /// When the adapter looked. Absent: when the API received it. Send sub-seconds, or a second report within the
    /// same second may look like a repetition to older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<Timestamp>,
    /// The whole set; a condition that is left out disappears.
    #[serde(default)]
    pub conditions: Vec<ConditionReport>,
    /// Facts for others, e.g. `control_plane_endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// About the run itself, e.g. `job_name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// The last report of one adapter about one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterStatus {
    /// Name of the adapter.
    pub adapter: String,
    /// Generation that was processed.
    pub observed_generation: i32,
    /// Conditions with the time of their last change.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// About the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Facts for others; always an object.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// `observed_time` of the first report.
    pub created_time: Timestamp,
    /// `observed_time` of the latest report.
    pub last_report_time: Timestamp,
}

impl AdapterStatus {
    /// The condition of this type, if it was reported.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    /// Whether the condition of this type was reported as `True`.
    pub fn is_true(&self, type_: &str) -> bool {
        self.condition(type_)
            .is_some_and(|condition| condition.status == ConditionStatus::True)
    }
}
