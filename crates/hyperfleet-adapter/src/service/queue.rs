//! Which cluster runs when: plain data, one owner, no I/O.
//!
//! A key stands for one resource of the API. Runs of one key never overlap; keys take turns in the order in which they
//! became ready. At most one pulse waits per key: a newer one speaks for the older, because a run reads the state of
//! now, not that of the pulse.

mod memory;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use event_broker::Event;
use tokio::time::Instant;

use crate::pipeline::outcome::Touched;
use memory::Memory;

/// The longest wait before a re-run of a resource whose every run writes again.
const MAX_RERUN_DELAY: Duration = Duration::from_secs(30);

/// What a run is for.
pub(super) struct Work<D> {
    pub(super) key: String,
    pub(super) event: Event,
    /// Settled with the outcome; `None` for a re-run.
    pub(super) delivery: Option<D>,
}

/// A pulse that waits for its turn.
struct Waiting<D> {
    event: Event,
    generation: i64,
    delivery: D,
}

struct Slot<D> {
    running: bool,
    queued: bool,
    waiting: Option<Waiting<D>>,
    /// When the next re-run is due.
    rerun_at: Option<Instant>,
}

impl<D> Default for Slot<D> {
    fn default() -> Self {
        Self {
            running: false,
            queued: false,
            waiting: None,
            rerun_at: None,
        }
    }
}

/// How a run ended, as far as the queue cares.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End<'a> {
    /// The objects it looked after.
    pub(super) touched: &'a [Touched],
    /// It changed one of them.
    pub(super) wrote: bool,
    /// The resource does not exist any more.
    pub(super) gone: bool,
    /// It went through all resources.
    pub(super) complete: bool,
}

/// The queue. `D` is a delivery.
pub(super) struct Queue<D> {
    slots: HashMap<String, Slot<D>>,
    ready: VecDeque<String>,
    due: BTreeSet<(Instant, String)>,
    memory: Memory,
    coalesce: Duration,
}

impl<D> Queue<D> {
    pub(super) fn new(coalesce: Duration) -> Self {
        Self {
            slots: HashMap::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            memory: Memory::default(),
            coalesce,
        }
    }

    /// Takes a pulse. A delivery that is spoken for by another one comes back, to be acknowledged.
    pub(super) fn push(
        &mut self,
        key: &str,
        event: Event,
        generation: i64,
        delivery: D,
    ) -> Option<D> {
        let slot = self.slots.entry(key.to_owned()).or_default();
        let new = Waiting {
            event,
            generation,
            delivery,
        };
        let replaced = match slot.waiting.take() {
            // An older pulse that was redelivered late must not hide a newer one.
            Some(waiting) if waiting.generation > new.generation => {
                let back = new.delivery;
                slot.waiting = Some(waiting);
                Some(back)
            }
            waiting => {
                slot.waiting = Some(new);
                waiting.map(|waiting| waiting.delivery)
            }
        };
        self.enqueue(key);
        replaced
    }

    /// An object changed: its owner runs again after the coalescing time.
    pub(super) fn changed(&mut self, touched: &Touched, now: Instant) {
        let Some(key) = self.memory.owner(touched).map(str::to_owned) else {
            return self.memory.unclaimed(touched);
        };
        let writes = self.memory.writes(&key);
        // A resource that is written in every run would otherwise run for ever at full speed.
        let factor = 1u32 << writes.saturating_sub(1).min(16);
        let wait = self
            .coalesce
            .saturating_mul(factor)
            .min(MAX_RERUN_DELAY.max(self.coalesce));
        self.rerun_at(&key, now + wait);
    }

    /// An object from before the start: the resource that it was made for runs once for all its objects, with the pulse of
    /// then, or with that of a run that it had already.
    pub(super) fn found(&mut self, key: &str, event: Event, touched: Touched, now: Instant) {
        self.memory.found(key, event, &touched);
        self.changed(&touched, now);
    }

    /// When [`Queue::wake`] has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Makes everything ready whose time has come.
    pub(super) fn wake(&mut self, now: Instant) {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.due.pop_first() {
                self.enqueue(&key);
            }
        }
    }

    /// The next run, if any key is ready.
    pub(super) fn next(&mut self, now: Instant) -> Option<Work<D>> {
        while let Some(key) = self.ready.pop_front() {
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            slot.queued = false;
            let rerun = slot.rerun_at.filter(|at| *at <= now).is_some();
            if slot.waiting.is_some() || rerun {
                // Any run sees the change that a re-run was waiting for.
                if let Some(at) = slot.rerun_at.take() {
                    self.due.remove(&(at, key.clone()));
                }
            }
            let work = match slot.waiting.take() {
                Some(waiting) => Some(Work {
                    key: key.clone(),
                    event: waiting.event,
                    delivery: Some(waiting.delivery),
                }),
                None if rerun => self.memory.event(&key).map(|event| Work {
                    key: key.clone(),
                    event: event.clone(),
                    delivery: None,
                }),
                None => None,
            };
            match work {
                Some(work) => {
                    slot.running = true;
                    return Some(work);
                }
                None => self.forget_idle(&key),
            }
        }
        None
    }

    /// A run ended.
    pub(super) fn finished(&mut self, key: &str, event: Event, end: &End<'_>, now: Instant) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.running = false;
        }
        if end.gone || (end.complete && end.touched.is_empty()) {
            self.memory.forget(key);
        } else {
            self.memory.remember(key, event, end);
            for touched in self.memory.claim(end.touched) {
                self.changed(&touched, now);
            }
        }
        self.enqueue(key);
        self.forget_idle(key);
    }

    /// A re-run failed for a passing reason: nobody else would repeat it. The wait doubles.
    pub(super) fn retry(&mut self, key: &str, min: Duration, max: Duration, now: Instant) {
        let Some(failures) = self.memory.failed(key) else {
            return;
        };
        let wait = min.saturating_mul(1u32 << failures.min(16)).min(max);
        self.rerun_at(key, now + wait);
    }

    fn rerun_at(&mut self, key: &str, at: Instant) {
        let slot = self.slots.entry(key.to_owned()).or_default();
        if slot.rerun_at.is_none() {
            slot.rerun_at = Some(at);
            self.due.insert((at, key.to_owned()));
        }
    }

    fn enqueue(&mut self, key: &str) {
        if let Some(slot) = self.slots.get_mut(key)
            && !slot.running
            && !slot.queued
        {
            slot.queued = true;
            self.ready.push_back(key.to_owned());
        }
    }

    /// Drops the slot of a key with nothing to do.
    fn forget_idle(&mut self, key: &str) {
        if self.slots.get(key).is_some_and(|slot| {
            !slot.running && !slot.queued && slot.waiting.is_none() && slot.rerun_at.is_none()
        }) {
            self.slots.remove(key);
        }
    }

    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.ready.is_empty() && self.due.is_empty()
    }
}

#[cfg(test)]
mod tests;
