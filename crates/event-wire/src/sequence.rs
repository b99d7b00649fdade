//! Sequence ids: which of two status events of a resource is newer.
//!
//! A snowflake of 63 bits: milliseconds since 2010-11-04T01:42:54.657Z, 10 bits of node, 12 bits of step. All agents use node 1.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;

/// Milliseconds between 1970 and the epoch of sequence ids.
pub const EPOCH_MS: i64 = 1_288_834_974_657;
/// Node of every agent.
pub const NODE: i64 = 1;

const STEP_BITS: u32 = 12;
const NODE_BITS: u32 = 10;
const STEP_MASK: i64 = (1 << STEP_BITS) - 1;
const NODE_MASK: i64 = (1 << NODE_BITS) - 1;

/// A sequence id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceId(i64);

/// Why sequence ids can't be read or compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Not a decimal number of 64 bits.
    #[error("invalid sequence id {0:?}: it must be a decimal number")]
    Parse(String),
    /// Ids of different nodes have no order.
    #[error("Sequence IDs are not from the same node")]
    Node,
}

/// Makes sequence ids that only grow, also when the clock steps back. Safe to share.
#[derive(Debug, Default)]
pub struct SequenceGenerator {
    /// The last id without its node: milliseconds and step.
    last: AtomicI64,
}

// === impl SequenceId ===

impl SequenceId {
    /// Milliseconds since 1970.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        (self.0 >> (STEP_BITS + NODE_BITS)) + EPOCH_MS
    }

    /// Node that made it.
    #[must_use]
    pub const fn node(self) -> i64 {
        (self.0 >> STEP_BITS) & NODE_MASK
    }

    /// Counter within its millisecond.
    #[must_use]
    pub const fn step(self) -> i64 {
        self.0 & STEP_MASK
    }

    /// True if this id comes after the other; equal ids don't. Anything comes after nothing.
    ///
    /// # Errors
    /// The ids are of different nodes.
    pub fn is_newer_than(self, stored: Option<Self>) -> Result<bool, SequenceError> {
        let Some(stored) = stored else {
            return Ok(true);
        };
        if self.node() != stored.node() {
            return Err(SequenceError::Node);
        }
        Ok((self.unix_ms(), self.step()) > (stored.unix_ms(), stored.step()))
    }

    const fn without_node(self) -> i64 {
        ((self.0 >> (STEP_BITS + NODE_BITS)) << STEP_BITS) | self.step()
    }
}

impl FromStr for SequenceId {
    type Err = SequenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| SequenceError::Parse(text.to_owned()))
    }
}

impl fmt::Display for SequenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl SequenceGenerator ===

impl SequenceGenerator {
    /// A generator that has made nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next id, later than all before. More than 4096 in a millisecond borrow from the next.
    pub fn next(&self, now: Timestamp) -> SequenceId {
        let clock = (now.as_millisecond() - EPOCH_MS).max(0) << STEP_BITS;
        let next = |last: i64| clock.max(last + 1);
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            })
            .unwrap_or_else(|last| last);
        let id = next(last);
        SequenceId(
            ((id >> STEP_BITS) << (STEP_BITS + NODE_BITS)) | (NODE << STEP_BITS) | (id & STEP_MASK),
        )
    }

    /// Never again makes an id that isn't later than this one: for a server that has seen a later clock than ours.
    pub fn advance_past(&self, id: SequenceId) {
        self.last.fetch_max(id.without_node(), Ordering::Relaxed);
    }
}
