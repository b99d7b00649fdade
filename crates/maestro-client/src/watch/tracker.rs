//! What a watch has told so far, and what there is to tell next. Pure.
//!
//! Works are told apart by uid. A name that is used again has the same uid, so that a uid has several lives; a life is known by
//! its creation time. Reports of statuses know it by the second, lists exactly.

mod position;

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use manifestwork::{
    Condition, ManifestWork, ObjectMeta, conditions, constants::condition::DELETED,
};

use super::{WatchEvent, WatchOptions};
use position::{Order, Position, is_older_life, within_the_same_second};

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

/// A work whose end was told.
struct Ended {
    position: Position,
    how: How,
}

/// How the end of a work was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// The agent's last report came: nothing of this life comes after it.
    Confirmed,
    /// It was no longer in a list. If labels are asked for, it may as well have lost them.
    Missing,
    /// It was seen with other labels: it exists.
    Relabelled,
}

/// What a report leads to.
#[derive(Debug)]
pub(super) enum Heard {
    /// These are to be told.
    Tell(Vec<WatchEvent>),
    /// It may be about a work that came back into view, or an overtaken one of a work that is gone. The server knows:
    /// pass what it has under this uid to [`Tracker::listed`], or nothing.
    Ask(String),
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

    /// A work that exists, and when exactly it was created.
    pub(super) fn listed(
        &mut self,
        work: ManifestWork,
        born: Option<Timestamp>,
    ) -> Vec<WatchEvent> {
        let round = self.round;
        let id = work.metadata.uid.as_str();
        let position = Position::of(&work, born);
        let mut events = Vec::new();
        match self.known.get_mut(id) {
            // Versions of a life never fall, and a list is read after everything that was told.
            Some(known) if known.position.lived_before(&position) => {
                events.extend(self.ended_unseen(id));
            }
            Some(known) => known.round = round,
            None => {}
        }
        // For the same reason it is right about what exists.
        if self.in_scope(&work) {
            self.forget_end(id);
        } else if let Some(ended) = self.ended.get_mut(id) {
            *ended = Ended {
                position,
                how: How::Relabelled,
            };
        }
        events.extend(self.alive(work, position));
        events
    }

    /// What was told and isn't in this list so far.
    pub(super) fn unlisted(&self) -> Vec<String> {
        self.known
            .iter()
            .filter(|(_, known)| known.round != self.round)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Ends a list: what was told and isn't there any more is gone.
    pub(super) fn end_list(&mut self) -> Vec<WatchEvent> {
        let gone = self.unlisted();
        gone.iter().filter_map(|id| self.ended_unseen(id)).collect()
    }

    /// A status report from the stream.
    pub(super) fn reported(&mut self, work: ManifestWork) -> Heard {
        let position = Position::of(&work, None);
        let id = work.metadata.uid.clone();
        if work.is_deleted() {
            return Heard::Tell(self.report_of_end(id, position, work));
        }
        if let Some(ended) = self.ended.get(&id) {
            if !self.in_scope(&work) {
                return Heard::Tell(Vec::new());
            }
            let revived = match (position.against(&ended.position), ended.how) {
                (Order::AnotherLife, _) | (Order::Newer, How::Relabelled) => true,
                (Order::Newer, How::Missing) if !self.options.label_selector.is_empty() => {
                    return Heard::Ask(id);
                }
                (_, How::Confirmed) => within_the_same_second(&position, &ended.position),
                _ => false,
            };
            if !revived {
                return Heard::Tell(Vec::new());
            }
            self.forget_end(&id);
        }
        Heard::Tell(self.alive(work, position))
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
                    ended.how = How::Confirmed;
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
                how: How::Confirmed,
            },
        );
        vec![WatchEvent::Deleted(Box::new(work))]
    }

    fn alive(&mut self, work: ManifestWork, mut position: Position) -> Vec<WatchEvent> {
        let id = work.metadata.uid.clone();
        let order = self
            .known
            .get(&id)
            .map(|known| position.against(&known.position));
        if order == Some(Order::Older) {
            return Vec::new();
        }
        if !self.in_scope(&work) {
            // It has left the view; if it comes back it is new.
            if self.known.remove(&id).is_none() {
                return Vec::new();
            }
            let ended = Ended {
                position,
                how: How::Relabelled,
            };
            self.remember_end(id, ended);
            return vec![WatchEvent::Deleted(Box::new(work))];
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
        if order != Some(Order::AnotherLife) {
            let born = self.known.get(&id).and_then(|known| known.position.born);
            position.born = position.born.or(born);
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
                how: How::Missing,
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

#[cfg(test)]
mod tests;
