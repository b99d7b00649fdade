//! Events of transactions whose outcome this server never learnt: the connection broke, or the answer took too long.
//!
//! Such a transaction may have been committed, and then nobody told the streams of this server. Its events are looked for in the
//! tables as if another server had written them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lately::Lately;

/// How long a doubt is kept, at least: until the tables were looked at again, or everything was compared.
const KEPT: Duration = Duration::from_secs(240);
/// Events in doubt, at most; with more of them everything is compared instead.
const MOST: usize = 50_000;

/// What is in doubt. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Doubts(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    events: Lately,
    overflowed: bool,
}

impl Doubts {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            events: Lately::new(KEPT),
            overflowed: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that a transaction is about to write. They are in doubt from when the value is dropped, unless it is settled.
    pub(super) fn about(&self, events: Vec<String>) -> Doubt {
        Doubt {
            doubts: self.clone(),
            events,
        }
    }

    /// Whether nobody knows if this event was written.
    pub(super) fn contain(&self, event: &str) -> bool {
        self.state().events.contains(event)
    }

    /// Whether there were too many to keep since this was last asked.
    pub(super) fn overflowed(&self) -> bool {
        std::mem::take(&mut self.state().overflowed)
    }
}

/// Events whose transaction is on its way.
#[derive(Debug)]
pub(super) struct Doubt {
    doubts: Doubts,
    events: Vec<String>,
}

impl Doubt {
    /// The transaction was committed, and whoever has to know is told.
    pub(super) fn settle(mut self) {
        self.events.clear();
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        let mut state = self.doubts.state();
        for event in self.events.drain(..) {
            if state.events.len() >= MOST {
                // Comparing everything settles these, too.
                state.events = Lately::new(KEPT);
                state.overflowed = true;
            }
            state.events.insert(&event, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_dropped_without_an_answer_is_in_doubt() {
        let doubts = Doubts::new();
        doubts.about(vec!["answered".into()]).settle();
        drop(doubts.about(vec!["lost".into()]));
        let on_its_way = doubts.about(vec!["on-its-way".into()]);
        assert!(doubts.contain("lost") && !doubts.contain("answered"));
        assert!(!doubts.contain("on-its-way"));
        drop(on_its_way);
        assert!(doubts.contain("on-its-way"));
    }

    #[test]
    fn too_many_are_told_of_once() {
        let doubts = Doubts::new();
        drop(doubts.about((0..=MOST).map(|number| number.to_string()).collect()));
        assert!(doubts.overflowed() && !doubts.overflowed());
        drop(doubts.about(vec!["later".into()]));
        assert!(doubts.contain("later") && !doubts.overflowed());
    }
}
