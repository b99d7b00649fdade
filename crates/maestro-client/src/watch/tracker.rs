//! What a watch has told so far, and what there is to tell next. Pure.

use std::collections::{BTreeMap, VecDeque};

use event_wire::SequenceId;
use jiff::Timestamp;
use manifestwork::{
    Condition, ManifestWork, ObjectMeta, conditions,
    constants::{SEQUENCE_ID_ANNOTATION, condition::DELETED},
};

use super::{WatchEvent, WatchOptions};

/// Ends of works that are remembered, so that a late report doesn't bring one back.
const MAX_ENDED: usize = 10_000;

/// What a watch has told so far.
pub(super) struct Tracker {
    consumer: Option<String>,
    options: WatchOptions,
    known: BTreeMap<String, Known>,
    ended: BTreeMap<String, Ended>,
    /// Oldest first.
    ended_order: VecDeque<String>,
    round: u64,
}

/// The last that was told about a work.
struct Known {
    position: Position,
    deleting: bool,
    /// What is needed to tell its end.
    metadata: ObjectMeta,
    /// The last list that it was in.
    round: u64,
}

/// Where in its history a work is.
#[derive(Clone, Copy)]
struct Position {
    /// Creation time: tells one life of a name from the next.
    life: Option<Timestamp>,
    version: i64,
    sequence: Option<SequenceId>,
}

struct Ended {
    position: Position,
    /// True if the agent's last report was seen: nothing of this life comes after it.
    confirmed: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Order {
    Older,
    Same,
    Newer,
    AnotherLife,
}

impl Position {
    fn of(work: &ManifestWork) -> Self {
        let sequence = work
            .metadata
            .annotations
            .get(SEQUENCE_ID_ANNOTATION)
            .and_then(|text| text.parse().ok());
        Self {
            life: work.metadata.creation_timestamp,
            version: work.metadata.generation,
            sequence,
        }
    }

    /// How this position stands to one that was told before.
    fn against(&self, told: &Self) -> Order {
        if let (Some(life), Some(before)) = (self.life, told.life)
            && life != before
        {
            return if life > before {
                Order::AnotherLife
            } else {
                Order::Older
            };
        }
        match self.version.cmp(&told.version) {
            std::cmp::Ordering::Less => return Order::Older,
            std::cmp::Ordering::Greater => return Order::Newer,
            std::cmp::Ordering::Equal => {}
        }
        match (self.sequence, told.sequence) {
            (Some(sequence), Some(before)) if sequence == before => Order::Same,
            // Ids of different nodes have no order: take what comes.
            (Some(sequence), before) if sequence.is_newer_than(before).unwrap_or(true) => {
                Order::Newer
            }
            (None, None) => Order::Same,
            _ => Order::Older,
        }
    }
}

impl Tracker {
    pub(super) fn new(consumer: Option<&str>, options: WatchOptions) -> Self {
        Self {
            consumer: consumer.map(str::to_owned),
            options,
            known: BTreeMap::new(),
            ended: BTreeMap::new(),
            ended_order: VecDeque::new(),
            round: 0,
        }
    }

    /// Begins a list; every work that exists must be passed to [`Tracker::listed`] before [`Tracker::end_list`].
    pub(super) fn begin_list(&mut self) {
        self.round += 1;
    }

    /// A work that exists.
    pub(super) fn listed(&mut self, work: ManifestWork) -> Vec<WatchEvent> {
        let round = self.round;
        if let Some(known) = self.known.get_mut(&work.metadata.uid) {
            known.round = round;
        }
        // A list is read after everything that was told: it is right about what exists.
        self.forget_end(&work.metadata.uid);
        self.alive(work)
    }

    /// Ends a list: what was told and isn't there any more is gone.
    pub(super) fn end_list(&mut self) -> Vec<WatchEvent> {
        let round = self.round;
        let gone: Vec<String> = self
            .known
            .iter()
            .filter(|(_, known)| known.round != round)
            .map(|(id, _)| id.clone())
            .collect();
        gone.iter().filter_map(|id| self.ended_unseen(id)).collect()
    }

    /// A status report from the stream.
    pub(super) fn reported(&mut self, work: ManifestWork) -> Vec<WatchEvent> {
        let position = Position::of(&work);
        let id = work.metadata.uid.clone();
        if work.is_deleted() {
            return self.report_of_end(id, position, work);
        }
        if let Some(ended) = self.ended.get(&id) {
            let revived = match position.against(&ended.position) {
                Order::AnotherLife => true,
                // Made anew within the same second: versions begin again, sequence ids go on.
                _ if ended.confirmed => match (position.sequence, ended.position.sequence) {
                    (Some(sequence), Some(last)) => {
                        position
                            .life
                            .is_none_or(|life| Some(life) == ended.position.life)
                            && sequence.is_newer_than(Some(last)).unwrap_or(false)
                    }
                    _ => false,
                },
                _ => false,
            };
            if !revived {
                return Vec::new();
            }
            self.forget_end(&id);
        }
        self.alive(work)
    }

    fn report_of_end(
        &mut self,
        id: String,
        position: Position,
        work: ManifestWork,
    ) -> Vec<WatchEvent> {
        match self.known.get(&id) {
            Some(known) if is_older_life(&position, &known.position) => return Vec::new(),
            Some(_) => {}
            None => {
                if let Some(ended) = self.ended.get_mut(&id)
                    && !matches!(position.against(&ended.position), Order::AnotherLife)
                {
                    // Told already, by comparison. Now it is known which report was the last.
                    ended.confirmed = true;
                    ended.position.sequence = position.sequence.or(ended.position.sequence);
                    return Vec::new();
                }
                if !self.in_scope(&work) {
                    return Vec::new();
                }
            }
        }
        self.known.remove(&id);
        self.remember_end(
            id,
            Ended {
                position,
                confirmed: true,
            },
        );
        vec![WatchEvent::Deleted(Box::new(work))]
    }

    fn alive(&mut self, work: ManifestWork) -> Vec<WatchEvent> {
        let id = work.metadata.uid.clone();
        let position = Position::of(&work);
        let order = self
            .known
            .get(&id)
            .map(|known| position.against(&known.position));
        if order == Some(Order::Older) {
            return Vec::new();
        }
        if !self.in_scope(&work) {
            // It has left the view; if it comes back it is new.
            return match self.known.remove(&id) {
                Some(_) => vec![WatchEvent::Deleted(Box::new(work))],
                None => Vec::new(),
            };
        }
        let mut events = Vec::new();
        let deleting = work.metadata.is_deleting();
        match order {
            None => events.push(WatchEvent::Added(Box::new(work.clone()))),
            Some(Order::AnotherLife) => {
                events.extend(self.ended_unseen(&id));
                self.forget_end(&id);
                events.push(WatchEvent::Added(Box::new(work.clone())));
            }
            Some(Order::Newer) => events.push(WatchEvent::Modified(Box::new(work.clone()))),
            _ => {
                let was_deleting = self.known.get(&id).is_some_and(|known| known.deleting);
                if deleting && !was_deleting {
                    events.push(WatchEvent::Modified(Box::new(work.clone())));
                }
            }
        }
        let mut metadata = work.metadata;
        metadata.managed_fields.clear();
        let round = self.round;
        let known = Known {
            position,
            deleting,
            metadata,
            round,
        };
        match self.known.entry(id) {
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                // A deletion that has begun doesn't end by a report that doesn't know of it.
                let deleting =
                    known.deleting || (entry.get().deleting && order != Some(Order::AnotherLife));
                entry.insert(Known { deleting, ..known });
            }
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(known);
            }
        }
        events
    }

    /// The end of a work that nobody reported.
    fn ended_unseen(&mut self, id: &str) -> Option<WatchEvent> {
        let known = self.known.remove(id)?;
        self.remember_end(
            id.to_owned(),
            Ended {
                position: known.position,
                confirmed: false,
            },
        );
        let mut work = ManifestWork {
            metadata: known.metadata,
            ..ManifestWork::default()
        };
        let mut condition = Condition::new(
            DELETED,
            true,
            "NotFound",
            "The work no longer exists on the server",
        );
        condition.observed_generation = work.metadata.generation;
        conditions::set(&mut work.status.conditions, condition, Timestamp::now());
        Some(WatchEvent::Deleted(Box::new(work)))
    }

    fn in_scope(&self, work: &ManifestWork) -> bool {
        self.consumer
            .as_ref()
            .is_none_or(|consumer| *consumer == work.metadata.namespace)
            && self
                .options
                .name
                .as_ref()
                .is_none_or(|name| *name == work.metadata.name)
            && self.options.label_selector.matches(&work.metadata.labels)
    }

    fn remember_end(&mut self, id: String, ended: Ended) {
        if self.ended.insert(id.clone(), ended).is_none() {
            self.ended_order.push_back(id);
        }
        while self.ended_order.len() > MAX_ENDED {
            if let Some(oldest) = self.ended_order.pop_front() {
                self.ended.remove(&oldest);
            }
        }
    }

    fn forget_end(&mut self, id: &str) {
        if self.ended.remove(id).is_some() {
            self.ended_order.retain(|other| other != id);
        }
    }
}

fn is_older_life(position: &Position, told: &Position) -> bool {
    matches!((position.life, told.life), (Some(life), Some(before)) if life < before)
}

#[cfg(test)]
mod tests;
