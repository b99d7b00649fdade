//! What both databases share about ending a cluster for good.

use jiff::Timestamp;
use uuid::Uuid;

use super::Forced;
use super::facts::{AuditEntry, action};

/// The record of who begins an ending, or goes on with one that was `begun`. It comes with the first portion: nobody knows
/// yet whether there will be a last one.
pub(super) fn record(forced: &Forced, begun: bool, at: Timestamp) -> AuditEntry {
    let action = if begun {
        action::FORCE_REMOVE_CONTINUED
    } else {
        action::FORCE_REMOVE_BEGUN
    };
    AuditEntry {
        id: Uuid::new_v4().to_string(),
        at,
        action: action.to_owned(),
        consumer: forced.id.clone(),
        cluster: forced.cluster.clone(),
        who: forced.who.clone(),
        reason: forced.reason.clone(),
        resources: Vec::new(),
    }
}
