//! A first-come-first-served queue of works with a bound on how many are served at a time.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Works that wait for a turn; each waits at most once.
#[derive(Debug)]
pub(super) struct Queue {
    order: VecDeque<Arc<str>>,
    waiting: HashSet<Arc<str>>,
    running: usize,
    limit: usize,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            order: VecDeque::new(),
            waiting: HashSet::new(),
            running: 0,
            limit: limit.max(1),
        }
    }

    /// Joins the end of the queue, unless it stands there already.
    pub(super) fn push(&mut self, id: &Arc<str>) {
        if self.waiting.insert(Arc::clone(id)) {
            self.order.push_back(Arc::clone(id));
        }
    }

    /// The next one, if there is room. The caller says with [`Queue::began`] whether it took the turn.
    pub(super) fn pop(&mut self) -> Option<Arc<str>> {
        if self.running >= self.limit {
            return None;
        }
        let id = self.order.pop_front()?;
        self.waiting.remove(&id);
        Some(id)
    }

    pub(super) fn began(&mut self) {
        self.running += 1;
    }

    pub(super) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    pub(super) fn waiting(&self) -> usize {
        self.order.len()
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }
}
