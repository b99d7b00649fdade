//! Where operations wait: one queue per source and per cluster, taken in turn.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use super::WriteError;
use crate::model::{ClusterName, Done, Operation, ResourceId, SourceId};

/// Operations in one transaction, at most.
const BATCH_ROWS: usize = 500;
/// Bytes in one transaction, at most (but always one operation).
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that wait in one lane, at most (but always one operation); further callers wait outside.
const LANE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that wait in all lanes together.
const TOTAL_BYTES: usize = 64 * 1024 * 1024;
/// How far behind a blocked operation a lane is searched for one that can go.
const LOOK_AHEAD: usize = 64;

/// Whose operations wait together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Specs and deletions of a source.
    Source(SourceId),
    /// Statuses of a cluster.
    Cluster(ClusterName),
    /// Deletions over REST.
    Operator,
}

/// An operation and who waits for it.
pub(super) struct Waiting {
    pub(super) operation: Operation,
    pub(super) answer: oneshot::Sender<Result<Done, WriteError>>,
    /// Since when another server holds its row.
    pub(super) busy_since: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    /// There may be something to take.
    work: Notify,
    /// There may be room again.
    room: Notify,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Lane, Queue>,
    /// Lanes that hold something, the next one first.
    turns: VecDeque<Lane>,
    bytes: usize,
    /// Resources of transactions on their way.
    in_flight: HashSet<ResourceId>,
    /// Nobody takes any more: what is pushed is dropped, and its caller notices.
    closed: bool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

impl Lanes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Operations that wait, and their bytes.
    pub(super) fn depth(&self) -> (usize, usize) {
        let state = self.state();
        let operations = state.lanes.values().map(|queue| queue.waiting.len()).sum();
        (operations, state.bytes)
    }

    /// Adds an operation, waiting while its lane (or all lanes together) are full.
    pub(super) async fn push(&self, lane: Lane, waiting: Waiting) {
        loop {
            // Registered before looking, so that room made in between isn't missed.
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut state = self.state();
                if state.closed {
                    return;
                }
                if state.has_room(&lane, waiting.operation.size()) {
                    state.add(lane, waiting, false);
                    break;
                }
            }
            room.await;
        }
        self.work.notify_one();
    }

    /// Returns an operation to the head of its lane.
    pub(super) fn put_back(&self, lane: Lane, waiting: Waiting) {
        self.state().add(lane, waiting, true);
        self.work.notify_one();
    }

    /// Drops what waits and what will be pushed.
    pub(super) fn close(&self) {
        *self.state() = State {
            closed: true,
            ..State::default()
        };
        self.room.notify_waiters();
    }

    /// The next operations for one transaction; waits until there are any.
    pub(super) async fn take(&self) -> Vec<(Lane, Waiting)> {
        loop {
            let work = self.work.notified();
            let (taken, more) = {
                let mut state = self.state();
                let taken = state.take();
                (taken, !state.turns.is_empty())
            };
            if !taken.is_empty() {
                self.room.notify_waiters();
                if more {
                    self.work.notify_one();
                }
                return taken;
            }
            work.await;
        }
    }

    /// The transaction that held this resource has ended.
    pub(super) fn finished(&self, id: &ResourceId) {
        let mut state = self.state();
        state.in_flight.remove(id);
        let more = !state.turns.is_empty();
        drop(state);
        if more {
            self.work.notify_one();
        }
    }
}

impl State {
    fn has_room(&self, lane: &Lane, size: usize) -> bool {
        let in_lane = self.lanes.get(lane).map_or(0, |queue| queue.bytes);
        (in_lane == 0 || in_lane + size <= LANE_BYTES)
            && (self.bytes == 0 || self.bytes + size <= TOTAL_BYTES)
    }

    fn add(&mut self, lane: Lane, waiting: Waiting, first: bool) {
        let size = waiting.operation.size();
        self.bytes += size;
        let queue = self.lanes.entry(lane.clone()).or_default();
        if queue.waiting.is_empty() {
            self.turns.push_back(lane);
        }
        queue.bytes += size;
        if first {
            queue.waiting.push_front(waiting);
        } else {
            queue.waiting.push_back(waiting);
        }
    }

    /// One operation of each lane in turn, until the transaction is full or nothing more can go.
    fn take(&mut self) -> Vec<(Lane, Waiting)> {
        let mut taken: Vec<(Lane, Waiting)> = Vec::new();
        let mut bytes = 0;
        let mut blocked = VecDeque::new();
        while let Some(lane) = self.turns.pop_front() {
            let Some(queue) = self.lanes.get_mut(&lane) else {
                continue;
            };
            let Some(at) = next(queue, &self.in_flight) else {
                blocked.push_back(lane);
                continue;
            };
            let size = queue
                .waiting
                .get(at)
                .map_or(0, |waiting| waiting.operation.size());
            if taken.len() >= BATCH_ROWS || (!taken.is_empty() && bytes + size > BATCH_BYTES) {
                self.turns.push_front(lane);
                break;
            }
            let Some(waiting) = queue.waiting.remove(at) else {
                continue;
            };
            bytes += size;
            queue.bytes = queue.bytes.saturating_sub(size);
            self.bytes = self.bytes.saturating_sub(size);
            self.in_flight.insert(waiting.operation.id().clone());
            if queue.waiting.is_empty() {
                self.lanes.remove(&lane);
            } else {
                self.turns.push_back(lane.clone());
            }
            taken.push((lane, waiting));
        }
        self.turns.append(&mut blocked);
        taken
    }
}

/// The first operation of a lane whose resource is free, and not waited for by an earlier one of the lane.
fn next(queue: &Queue, in_flight: &HashSet<ResourceId>) -> Option<usize> {
    let mut passed = HashSet::new();
    for (at, waiting) in queue.waiting.iter().take(LOOK_AHEAD).enumerate() {
        let id = waiting.operation.id();
        if !in_flight.contains(id) && !passed.contains(id) {
            return Some(at);
        }
        passed.insert(id);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Delete;

    fn push(state: &mut State, source: &str, id: &str) {
        let (answer, _) = oneshot::channel();
        let operation = Operation::Delete(Delete {
            id: id.into(),
            source: Some(source.into()),
        });
        state.add(
            Lane::Source(source.into()),
            Waiting {
                operation,
                answer,
                busy_since: None,
            },
            false,
        );
    }

    fn ids(taken: &[(Lane, Waiting)]) -> Vec<&str> {
        taken
            .iter()
            .map(|(_, waiting)| waiting.operation.id().as_str())
            .collect()
    }

    #[test]
    fn lanes_take_turns() {
        let mut state = State::default();
        for number in 0..2000 {
            push(&mut state, "flood", &format!("f{number}"));
        }
        push(&mut state, "calm", "c0");
        push(&mut state, "calm", "c1");
        let taken = state.take();
        assert_eq!(taken.len(), BATCH_ROWS);
        assert_eq!(ids(&taken)[..4], ["f0", "c0", "f1", "c1"]);
    }

    #[test]
    fn attributes_fill_lanes_and_transactions() {
        use crate::model::Spec;
        use event_wire::{Action, Event, EventType, Stamp, Subresource};
        let kind = EventType::manifest_bundles(Subresource::Spec, Action::CreateRequest);
        let mut event = Event::new(kind, "s", Stamp::now());
        for number in 0..7 {
            event.set(&format!("x{number}"), "x".repeat(500_000));
        }
        let operation = |number: usize| {
            Operation::Create(Spec {
                id: format!("r{number}").into(),
                source: "s".into(),
                cluster: "c".into(),
                version: 0,
                event: event.clone(),
            })
        };
        let mut state = State::default();
        for number in 0..3 {
            let (answer, _) = oneshot::channel();
            let waiting = Waiting {
                operation: operation(number),
                answer,
                busy_since: None,
            };
            state.add(Lane::Source("s".into()), waiting, false);
        }
        assert!(!state.has_room(&Lane::Source("s".into()), 1));
        assert_eq!(state.take().len(), 1, "one fills a transaction");
        let rest = state.bytes;
        assert!((7_000_000..7_100_000).contains(&rest), "{rest}");
    }

    #[test]
    fn operations_on_one_resource_wait_for_each_other_in_order() {
        let mut state = State::default();
        for id in ["a", "a", "b", "a"] {
            push(&mut state, "s", id);
        }
        push(&mut state, "t", "a");
        let first = state.take();
        assert_eq!(ids(&first), ["a", "b"]);
        assert!(state.take().is_empty());
        state.in_flight.clear();
        let second = state.take();
        assert_eq!(ids(&second), ["a"]);
        assert_eq!(
            second[0].0,
            Lane::Source("t".into()),
            "the lane that waited longest"
        );
        state.in_flight.clear();
        assert_eq!(ids(&state.take()), ["a"]);
        state.in_flight.clear();
        assert_eq!(ids(&state.take()), ["a"]);
        assert!(state.lanes.is_empty() && state.turns.is_empty() && state.bytes == 0);
    }
}
