//! What must hold: the invariants as pure functions on a history.
//!
//! Operations are a partial order: one that was answered before another was called came first, and one without an answer may
//! take effect at any later time, or never. Nothing is concluded from anything weaker.
//!
//! - [`writes`]: I2 (an accepted write stays), I8 (specs and statuses leave each other alone)
//! - [`deletions`]: I1, I4, I5, I11
//! - [`delivery`]: I3, I7
//! - [`statuses`]: I6, and I2 for statuses
//! - [`bounds`]: I9, I10, I12, I13
//! - [`sometimes`]: whether the history was interesting at all

pub mod bounds;
pub mod deletions;
pub mod delivery;
pub mod sometimes;
pub mod statuses;
pub mod writes;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::history::{History, Micros, What};
use super::index::Index;

/// The promise that was broken; `docs/fault-runner.md` says what each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are numbers of a list")]
pub enum Invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
    I11,
    I12,
    I13,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// When it could be seen.
    pub at: Micros,
    /// The works concerned.
    pub ids: Vec<String>,
    /// What was seen, and what should have been.
    pub text: String,
}

/// Looks for everything that must not be.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let index = Index::new(history);
    let mut found = Vec::new();
    writes::check(&index, &mut found);
    deletions::check(&index, &mut found);
    delivery::check(&index, &mut found);
    statuses::check(&index, &mut found);
    bounds::check(&index, &mut found);
    for entry in &history.entries {
        if let What::Silent { text } = &entry.what {
            let text = format!("the servers don't answer although every fault is over: {text}");
            found.push(Violation::new(Invariant::I3, entry.at, "", text));
        }
    }
    found.sort_by_key(|violation| (violation.at, violation.invariant));
    found.dedup();
    found
}

impl Violation {
    pub(crate) fn new(invariant: Invariant, at: Micros, id: &str, text: String) -> Self {
        let ids = if id.is_empty() {
            Vec::new()
        } else {
            vec![id.to_owned()]
        };
        Self {
            invariant,
            at,
            ids,
            text,
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.invariant, clock(self.at), self.text)
    }
}

/// Seconds with milliseconds.
#[must_use]
pub fn clock(at: Micros) -> String {
    format!("{}.{:03}s", at / 1_000_000, at / 1000 % 1000)
}
