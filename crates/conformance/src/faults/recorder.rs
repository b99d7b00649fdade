//! Where everybody writes down what they do and see, with one clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::history::{Call, Entry, History, Limits, Micros, Number, Outcome, What};

/// The record of a round. Clones write into the same one.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    numbers: AtomicU64,
    entries: Mutex<Vec<Entry>>,
}

impl Recorder {
    /// An empty record that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            numbers: AtomicU64::new(1),
            entries: Mutex::default(),
        }))
    }

    /// A number that nobody else has: for an operation or a stream.
    #[must_use]
    pub fn number(&self) -> Number {
        self.0.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Micros {
        Micros::try_from(self.0.started.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    /// Writes something down, with the time of now.
    pub fn add(&self, what: What) {
        let mut entries = self
            .0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that the order of the entries is that of their times.
        let at = self.now();
        entries.push(Entry { at, what });
    }

    /// Writes down that an operation begins; its number.
    pub fn invoke(&self, actor: &str, call: Call) -> Number {
        let op = self.number();
        self.invoke_as(op, actor, call);
        op
    }

    /// The same with a number that was drawn before.
    pub fn invoke_as(&self, op: Number, actor: &str, call: Call) {
        let actor = actor.to_owned();
        self.add(What::Invoke { op, actor, call });
    }

    /// Writes down how an operation ended.
    pub fn finish(&self, op: Number, outcome: Outcome) {
        self.add(What::Return { op, outcome });
    }

    /// Everything so far.
    #[must_use]
    pub fn history(&self, limits: &Limits) -> History {
        let entries = self
            .0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        History {
            limits: limits.clone(),
            entries: entries.clone(),
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}
