//! What both databases share about ending a cluster for good.

use jiff::Timestamp;
use uuid::Uuid;

use super::facts::{AuditEntry, action};
use super::{Forced, last_words};

/// Bytes of statuses and metadata after which a portion takes no more rows.
const PORTION_BYTES: usize = 16 * 1024 * 1024;

/// Rows that end in one transaction.
#[derive(Default)]
pub(super) struct Portion {
    pub(super) rows: Vec<last_words::Row>,
    bytes: usize,
    /// Whether no rows are left after these.
    pub(super) last: bool,
}

impl Portion {
    pub(super) fn add(&mut self, row: last_words::Row) {
        let documents = [&row.metadata, &row.status];
        self.bytes += documents
            .into_iter()
            .flatten()
            .map(String::len)
            .sum::<usize>();
        self.rows.push(row);
    }

    /// How many rows it may take yet, when there may be `most` in all.
    pub(super) fn room(&self, most: usize) -> usize {
        if self.bytes >= PORTION_BYTES {
            return 0;
        }
        most.saturating_sub(self.rows.len())
    }
}

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
