//! What a stream still has to look at, as plain data.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::model::{ResourceId, SpecChange};
use crate::telemetry::event_type;

/// Why a resource is looked at; decides the action word of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Created,
    Updated,
    Deleted,
    /// The agent lacks it, by its own words or by its silence.
    Resync,
}

impl Why {
    /// The word for it in metrics.
    pub(super) fn event_type(self) -> &'static str {
        match self {
            Self::Created => event_type(SpecChange::Created),
            Self::Updated => event_type(SpecChange::Updated),
            Self::Deleted => event_type(SpecChange::Deleted),
            Self::Resync => "Resync",
        }
    }
}

/// Resources that an agent stream has to look at: each once, fresh changes and backlog in turn.
#[derive(Debug, Default)]
pub(super) struct SpecAgenda {
    entries: HashMap<ResourceId, Entry>,
    fresh: VecDeque<ResourceId>,
    backlog: VecDeque<ResourceId>,
    backlog_is_next: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    why: Why,
    fresh: bool,
}

impl SpecAgenda {
    /// Something happened to a resource just now.
    pub(super) fn add_fresh(&mut self, id: ResourceId, why: Why) {
        let entry = self
            .entries
            .entry(id.clone())
            .or_insert(Entry { why, fresh: false });
        // An agent that hasn't heard of the creation hears of it now, whatever happened since.
        if !(entry.why == Why::Created && why == Why::Updated) {
            entry.why = why;
        }
        if !entry.fresh {
            // If it waits in the backlog, it is passed over there.
            entry.fresh = true;
            self.fresh.push_back(id);
        }
    }

    /// A resource should be sent again.
    pub(super) fn add_backlog(&mut self, id: ResourceId) {
        if !self.entries.contains_key(&id) {
            self.entries.insert(
                id.clone(),
                Entry {
                    why: Why::Resync,
                    fresh: false,
                },
            );
            self.backlog.push_back(id);
        }
    }

    /// The next resource to look at.
    pub(super) fn next(&mut self) -> Option<(ResourceId, Why)> {
        for _ in 0..2 {
            self.backlog_is_next = !self.backlog_is_next;
            let fresh = self.backlog_is_next;
            let queue = if fresh {
                &mut self.fresh
            } else {
                &mut self.backlog
            };
            while let Some(id) = queue.pop_front() {
                if self
                    .entries
                    .get(&id)
                    .is_some_and(|entry| entry.fresh == fresh)
                    && let Some(entry) = self.entries.remove(&id)
                {
                    return Some((id, entry.why));
                }
            }
        }
        None
    }

    /// Whether something newer than what was taken is known about a resource.
    pub(super) fn contains(&self, id: &ResourceId) -> bool {
        self.entries.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Something that a source stream has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StatusEntry {
    /// The resource has a new status.
    Updated(ResourceId),
    /// The resource is gone; its last words are kept under this event id.
    Removed(String),
}

/// Statuses that a source stream has to look at, in order. Updates of a resource coalesce, removals don't.
#[derive(Debug, Default)]
pub(super) struct StatusAgenda {
    queue: VecDeque<StatusEntry>,
    updated: HashSet<ResourceId>,
    removed: usize,
}

impl StatusAgenda {
    pub(super) fn add_update(&mut self, id: ResourceId) {
        if self.updated.insert(id.clone()) {
            self.queue.push_back(StatusEntry::Updated(id));
        }
    }

    pub(super) fn add_removal(&mut self, event: String) {
        self.removed += 1;
        self.queue.push_back(StatusEntry::Removed(event));
    }

    pub(super) fn next(&mut self) -> Option<StatusEntry> {
        let entry = self.queue.pop_front()?;
        match &entry {
            StatusEntry::Updated(id) => {
                self.updated.remove(id);
            }
            StatusEntry::Removed(_) => self.removed -= 1,
        }
        Some(entry)
    }

    /// Puts entries back that couldn't be looked at, in their order.
    pub(super) fn put_back(&mut self, entries: Vec<StatusEntry>) {
        for entry in entries.into_iter().rev() {
            match &entry {
                StatusEntry::Updated(id) if !self.updated.insert(id.clone()) => continue,
                StatusEntry::Updated(_) => {}
                StatusEntry::Removed(_) => self.removed += 1,
            }
            self.queue.push_front(entry);
        }
    }

    pub(super) fn contains_update(&self, id: &ResourceId) -> bool {
        self.updated.contains(id)
    }

    /// How many removals wait: the part that a slow source can make grow.
    pub(super) fn removals(&self) -> usize {
        self.removed
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(agenda: &mut SpecAgenda) -> Vec<(String, Why)> {
        std::iter::from_fn(|| agenda.next())
            .map(|(id, why)| (id.to_string(), why))
            .collect()
    }

    #[test]
    fn fresh_changes_and_backlog_alternate_and_nothing_comes_twice() {
        let mut agenda = SpecAgenda::default();
        for id in ["b1", "b2", "b3"] {
            agenda.add_backlog(id.into());
        }
        agenda.add_fresh("f1".into(), Why::Created);
        agenda.add_fresh("b2".into(), Why::Deleted);
        agenda.add_fresh("f1".into(), Why::Updated);
        agenda.add_backlog("f1".into());
        assert_eq!(agenda.len(), 4);
        let order = drain(&mut agenda);
        let expected = [
            ("f1", Why::Created),
            ("b1", Why::Resync),
            ("b2", Why::Deleted),
            ("b3", Why::Resync),
        ];
        assert_eq!(order, expected.map(|(id, why)| (id.to_owned(), why)));
        assert_eq!(agenda.len(), 0);
    }

    #[test]
    fn a_deletion_is_never_forgotten_for_an_older_change() {
        let mut agenda = SpecAgenda::default();
        agenda.add_fresh("a".into(), Why::Created);
        agenda.add_fresh("a".into(), Why::Deleted);
        assert_eq!(drain(&mut agenda), [("a".to_owned(), Why::Deleted)]);
    }

    #[test]
    fn status_updates_coalesce_and_removals_keep_their_place() {
        let mut agenda = StatusAgenda::default();
        agenda.add_update("a".into());
        agenda.add_update("a".into());
        agenda.add_removal("event".into());
        agenda.add_update("b".into());
        let taken: Vec<_> = std::iter::from_fn(|| agenda.next()).collect();
        let expected = [
            StatusEntry::Updated("a".into()),
            StatusEntry::Removed("event".into()),
            StatusEntry::Updated("b".into()),
        ];
        assert_eq!(taken, expected);
        agenda.add_update("b".into());
        agenda.put_back(taken);
        assert_eq!((agenda.len(), agenda.removals()), (3, 1));
        assert_eq!(agenda.next(), Some(StatusEntry::Updated("a".into())));
    }
}
