//! Which cluster runs when: plain data, one owner, no I/O.
//!
//! A key stands for one resource of the API. Runs of one key never overlap; keys take turns in the order in which they
//! became ready. At most one pulse waits per key: a newer one speaks for the older, because a run reads the state of
//! now, not that of the pulse.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use event_broker::Event;
use tokio::time::Instant;

use crate::pipeline::outcome::Touched;

/// Resources whose objects are remembered for re-runs. Beyond, the next pulse is what notices a change.
const MAX_REMEMBERED: usize = 50_000;
/// Changes of objects that no run has claimed yet.
const MAX_UNCLAIMED: usize = 256;
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

/// What is known about a resource between runs, for re-runs only.
struct Memory {
    event: Event,
    touched: BTreeSet<Touched>,
    /// Runs in a row that wrote something.
    writes: u32,
    /// Re-runs in a row that failed for a passing reason.
    failures: u32,
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
    memory: HashMap<String, Memory>,
    owners: BTreeMap<Touched, String>,
    /// Objects that changed before a run said that it looks after them: the oldest are forgotten first.
    unclaimed: VecDeque<Touched>,
    coalesce: Duration,
}

impl<D> Queue<D> {
    pub(super) fn new(coalesce: Duration) -> Self {
        Self {
            slots: HashMap::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            memory: HashMap::new(),
            owners: BTreeMap::new(),
            unclaimed: VecDeque::new(),
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
        let Some(key) = self.owners.get(touched).cloned() else {
            // Perhaps the run that makes it is still under way.
            if !self.unclaimed.contains(touched) {
                self.unclaimed.truncate(MAX_UNCLAIMED - 1);
                self.unclaimed.push_front(touched.clone());
            }
            return;
        };
        let writes = self.memory.get(&key).map_or(0, |memory| memory.writes);
        // A resource that is written in every run would otherwise run for ever at full speed.
        let factor = 1u32 << writes.saturating_sub(1).min(16);
        let wait = self
            .coalesce
            .saturating_mul(factor)
            .min(MAX_RERUN_DELAY.max(self.coalesce));
        self.rerun_at(&key, now + wait);
    }

    /// An object from before the start: the resource that it was made for runs once, with the pulse of then, unless it had
    /// a run already.
    pub(super) fn found(&mut self, key: &str, event: Event, touched: Touched, now: Instant) {
        if self.memory.contains_key(key) || self.memory.len() >= MAX_REMEMBERED {
            return self.changed(&touched, now);
        }
        self.owners.insert(touched.clone(), key.to_owned());
        let memory = Memory {
            event,
            touched: BTreeSet::from([touched]),
            writes: 0,
            failures: 0,
        };
        self.memory.insert(key.to_owned(), memory);
        self.rerun_at(key, now + self.coalesce);
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
                None if rerun => self.memory.get(&key).map(|memory| Work {
                    key: key.clone(),
                    event: memory.event.clone(),
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
            self.forget(key);
        } else {
            self.remember(key, event, end);
            let changed: Vec<Touched> = self
                .unclaimed
                .iter()
                .filter(|changed| end.touched.contains(changed))
                .cloned()
                .collect();
            self.unclaimed
                .retain(|unclaimed| !changed.contains(unclaimed));
            for touched in changed {
                self.changed(&touched, now);
            }
        }
        self.enqueue(key);
        self.forget_idle(key);
    }

    /// A re-run failed for a passing reason: nobody else would repeat it. The wait doubles.
    pub(super) fn retry(&mut self, key: &str, min: Duration, max: Duration, now: Instant) {
        let Some(memory) = self.memory.get_mut(key) else {
            return;
        };
        let wait = min.saturating_mul(1u32 << memory.failures.min(16)).min(max);
        memory.failures = memory.failures.saturating_add(1);
        self.rerun_at(key, now + wait);
    }

    fn rerun_at(&mut self, key: &str, at: Instant) {
        let slot = self.slots.entry(key.to_owned()).or_default();
        if slot.rerun_at.is_none() {
            slot.rerun_at = Some(at);
            self.due.insert((at, key.to_owned()));
        }
    }

    fn remember(&mut self, key: &str, event: Event, end: &End<'_>) {
        if self.memory.len() >= MAX_REMEMBERED && !self.memory.contains_key(key) {
            return;
        }
        let mut touched: BTreeSet<Touched> = end.touched.iter().cloned().collect();
        let old = self.memory.remove(key);
        if let Some(old) = &old {
            if end.complete {
                for gone in old.touched.difference(&touched) {
                    self.owners.remove(gone);
                }
            } else {
                // A run that stopped early has not seen everything.
                touched.extend(old.touched.iter().cloned());
            }
        }
        if touched.is_empty() {
            return;
        }
        for touched in &touched {
            self.owners.insert(touched.clone(), key.to_owned());
        }
        let writes = if end.wrote {
            old.as_ref()
                .map_or(0, |memory| memory.writes)
                .saturating_add(1)
        } else {
            0
        };
        let failures = if end.complete {
            0
        } else {
            old.as_ref().map_or(0, |memory| memory.failures)
        };
        self.memory.insert(
            key.to_owned(),
            Memory {
                event,
                touched,
                writes,
                failures,
            },
        );
    }

    fn forget(&mut self, key: &str) {
        if let Some(memory) = self.memory.remove(key) {
            for touched in memory.touched {
                self.owners.remove(&touched);
            }
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
mod tests {
    use kube_access::Gvk;
    use serde_json::json;

    use super::*;

    const COALESCE: Duration = Duration::from_millis(250);

    fn event(generation: i64) -> Event {
        Event::new("s", "t", json!({"generation": generation}))
    }

    fn object(name: &str) -> Touched {
        Touched {
            target: None,
            gvk: Gvk::new("v1", "ConfigMap"),
            namespace: None,
            name: name.into(),
        }
    }

    fn push(queue: &mut Queue<u32>, key: &str, generation: i64, delivery: u32) -> Option<u32> {
        queue.push(key, event(generation), generation, delivery)
    }

    fn next(queue: &mut Queue<u32>, now: Instant) -> Option<(String, Option<u32>)> {
        queue.next(now).map(|work| (work.key, work.delivery))
    }

    #[test]
    fn one_run_per_key_and_keys_take_turns() {
        let now = Instant::now();
        let mut queue = Queue::new(COALESCE);
        assert_eq!(push(&mut queue, "a", 1, 1), None);
        assert_eq!(push(&mut queue, "b", 1, 2), None);
        assert_eq!(next(&mut queue, now), Some(("a".into(), Some(1))));
        // The next pulse for a busy key waits, and does not hold up others.
        assert_eq!(push(&mut queue, "a", 1, 3), None);
        assert_eq!(next(&mut queue, now), Some(("b".into(), Some(2))));
        assert_eq!(next(&mut queue, now), None);
        queue.finished(
            "a",
            event(1),
            &End {
                touched: &[],
                wrote: false,
                gone: false,
                complete: true,
            },
            Instant::now(),
        );
        assert_eq!(next(&mut queue, now), Some(("a".into(), Some(3))));
        queue.finished(
            "a",
            event(1),
            &End {
                touched: &[],
                wrote: false,
                gone: false,
                complete: true,
            },
            Instant::now(),
        );
        queue.finished(
            "b",
            event(1),
            &End {
                touched: &[],
                wrote: false,
                gone: false,
                complete: true,
            },
            Instant::now(),
        );
        assert_eq!(next(&mut queue, now), None);
        assert!(queue.is_idle());
    }

    #[test]
    fn the_newest_pulse_speaks_for_the_others() {
        let now = Instant::now();
        let mut queue = Queue::new(COALESCE);
        assert_eq!(push(&mut queue, "a", 2, 1), None);
        assert_eq!(push(&mut queue, "a", 3, 2), Some(1));
        assert_eq!(
            push(&mut queue, "a", 1, 3),
            Some(3),
            "an old pulse that comes late does not replace a newer one"
        );
        assert_eq!(next(&mut queue, now), Some(("a".into(), Some(2))));
    }

    #[test]
    fn changes_within_the_coalescing_time_cause_one_run() {
        let start = Instant::now();
        let mut queue: Queue<u32> = Queue::new(COALESCE);
        push(&mut queue, "a", 1, 1);
        next(&mut queue, start).unwrap();
        queue.finished(
            "a",
            event(1),
            &End {
                touched: &[object("x")],
                wrote: false,
                gone: false,
                complete: true,
            },
            Instant::now(),
        );
        assert_eq!(next(&mut queue, start), None);
        for millis in [0, 100, 200] {
            queue.changed(&object("x"), start + Duration::from_millis(millis));
        }
        queue.changed(&object("unknown"), start);
        assert_eq!(queue.next_due(), Some(start + COALESCE));
        queue.wake(start);
        assert_eq!(next(&mut queue, start), None);
        let due = start + COALESCE;
        queue.wake(due);
        assert_eq!(next(&mut queue, due), Some(("a".into(), None)));
        assert_eq!(queue.next_due(), None);
        // A change during the run causes another one.
        queue.changed(&object("x"), due);
        queue.finished(
            "a",
            event(1),
            &End {
                touched: &[object("x")],
                wrote: false,
                gone: false,
                complete: true,
            },
            Instant::now(),
        );
        queue.wake(due + COALESCE);
        assert_eq!(next(&mut queue, due + COALESCE), Some(("a".into(), None)));
        // The resource is gone: its objects concern nobody.
        queue.finished(
            "a",
            event(1),
            &End {
                touched: &[],
                wrote: false,
                gone: true,
                complete: true,
            },
            Instant::now(),
        );
        queue.changed(&object("x"), due);
        assert_eq!(queue.next_due(), None);
        assert_eq!(next(&mut queue, due), None);
        assert!(queue.is_idle());
    }

    #[test]
    fn a_change_during_the_first_run_is_not_missed() {
        let start = Instant::now();
        let mut queue: Queue<u32> = Queue::new(COALESCE);
        push(&mut queue, "a", 1, 1);
        next(&mut queue, start).unwrap();
        // The agent is faster than the report of the run that made the object.
        queue.changed(&object("x"), start);
        assert_eq!(queue.next_due(), None);
        queue.finished(
            "a",
            event(1),
            &End {
                touched: &[object("x")],
                wrote: true,
                gone: false,
                complete: true,
            },
            start,
        );
        assert_eq!(queue.next_due(), Some(start + COALESCE));
    }

    #[test]
    fn a_run_that_failed_forgets_nothing_and_a_failed_rerun_is_repeated() {
        let start = Instant::now();
        let mut queue: Queue<u32> = Queue::new(COALESCE);
        push(&mut queue, "a", 1, 1);
        next(&mut queue, start).unwrap();
        let complete = End {
            touched: &[object("x")],
            complete: true,
            ..End::default()
        };
        queue.finished("a", event(1), &complete, start);
        queue.changed(&object("x"), start);
        let mut now = start + COALESCE;
        let mut waits = Vec::new();
        for _ in 0..4 {
            queue.wake(now);
            assert_eq!(next(&mut queue, now), Some(("a".into(), None)));
            queue.finished("a", event(1), &End::default(), now);
            queue.retry("a", Duration::from_secs(1), Duration::from_secs(5), now);
            let due = queue.next_due().unwrap();
            waits.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 5]);
        queue.wake(now);
        next(&mut queue, now).unwrap();
        queue.finished("a", event(1), &complete, now);
        queue.changed(&object("x"), now);
        assert_eq!(queue.next_due(), Some(now + COALESCE));
    }

    #[test]
    fn a_pulse_takes_the_place_of_a_rerun() {
        let start = Instant::now();
        let mut queue: Queue<u32> = Queue::new(COALESCE);
        push(&mut queue, "a", 1, 1);
        next(&mut queue, start).unwrap();
        queue.finished(
            "a",
            event(1),
            &End {
                touched: &[object("x")],
                wrote: false,
                gone: false,
                complete: true,
            },
            Instant::now(),
        );
        queue.changed(&object("x"), start);
        push(&mut queue, "a", 1, 2);
        assert_eq!(next(&mut queue, start), Some(("a".into(), Some(2))));
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn an_object_that_is_written_every_time_slows_its_reruns_down() {
        let mut now = Instant::now();
        let mut queue: Queue<u32> = Queue::new(COALESCE);
        push(&mut queue, "a", 1, 1);
        next(&mut queue, now).unwrap();
        let mut waits = Vec::new();
        for _ in 0..10 {
            queue.finished(
                "a",
                event(1),
                &End {
                    touched: &[object("x")],
                    wrote: true,
                    gone: false,
                    complete: true,
                },
                Instant::now(),
            );
            queue.changed(&object("x"), now);
            let due = queue.next_due().unwrap();
            waits.push((due - now).as_millis());
            now = due;
            queue.wake(now);
            next(&mut queue, now).unwrap();
        }
        assert_eq!(waits[..4], [250, 500, 1000, 2000]);
        assert_eq!(waits[9], MAX_RERUN_DELAY.as_millis());
    }
}
