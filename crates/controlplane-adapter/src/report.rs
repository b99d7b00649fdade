//! Conditions of hypershift's mapping as the adapter reports them.

use hyperfleet_adapter::policy::Overrides;
use hyperfleet_types::{ConditionReport, ConditionStatus};
use hypershift::status::{ConditionInput, Status};

pub(crate) const APPLIED: &str = "Applied";
pub(crate) const AVAILABLE: &str = "Available";
pub(crate) const HEALTH: &str = "Health";
pub(crate) const FINALIZED: &str = "Finalized";

/// Adds (or replaces) a condition.
pub(crate) fn put(overrides: &mut Overrides, type_: &str, condition: ConditionInput) {
    let status = match condition.status {
        Status::True => ConditionStatus::True,
        Status::False => ConditionStatus::False,
        Status::Unknown => ConditionStatus::Unknown,
    };
    let condition = ConditionReport::new(type_, status, condition.reason, condition.message);
    let one = Overrides {
        conditions: vec![condition],
        ..Overrides::default()
    };
    overrides.merge(one);
}
