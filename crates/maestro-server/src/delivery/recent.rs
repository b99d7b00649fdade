//! Documents that passed through a moment ago, so that streams needn't read them back.
//!
//! A stream always reads the row before it sends: what is current is decided by the database alone. Only the large documents
//! stay there when those kept here are still the row's. A create or a status is usually sent within milliseconds after it was
//! written, so a few megabytes are enough, whatever the size of the table.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use event_wire::{Attribute, Event, SequenceId};
use jiff::Timestamp;

use crate::model::{Done, Operation, Resource, ResourceId};
use crate::storage::{Error, Kept, KeptSpec, Store};

/// Bytes that are kept, at most; the oldest go first.
const KEPT_BYTES: usize = 8 * 1024 * 1024;
/// Documents that are remembered, at most, those counted that were replaced.
const KEPT_DOCUMENTS: usize = 8 * 1024;
/// Larger documents aren't kept.
const LARGEST: usize = 512 * 1024;

/// The documents. Bounded.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<ResourceId, Entry>,
    /// What came when: the oldest first. An entry that was replaced meanwhile has another number.
    order: VecDeque<(ResourceId, u64)>,
    next: u64,
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Clone, Debug)]
struct Spec {
    number: u64,
    kept: KeptSpec,
    event: Arc<Event>,
}

#[derive(Clone, Debug)]
struct Status {
    number: u64,
    sequence: SequenceId,
    event: Arc<Event>,
}

/// A row with its documents, wherever they come from.
#[derive(Debug)]
pub(super) struct Found {
    /// The row; documents that were kept here are missing in it.
    pub(super) row: Resource,
    /// What was committed after this may be missing in it.
    pub(super) asked_at: Instant,
    /// The spec, if it was kept here.
    pub(super) spec: Option<Arc<Event>>,
    /// The status, if it was kept here.
    pub(super) status: Option<Arc<Event>>,
}

impl Recent {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the document of an operation that was committed between two moments of this server's clock.
    pub(crate) fn note(
        &self,
        operation: &Operation,
        done: &Done,
        since: Timestamp,
        until: Timestamp,
    ) {
        match (operation, done) {
            (Operation::Create(spec), Done::Created) if is_kept(&spec.event) => {
                let kept = KeptSpec {
                    version: spec.version.max(1),
                    since,
                    until,
                };
                self.state().add_spec(&spec.id, kept, &spec.event);
            }
            (Operation::Status(report), Done::Stored { .. }) if is_kept(&report.event) => {
                if let Some(sequence) = report.sequence {
                    self.state().add_status(&report.id, sequence, &report.event);
                }
            }
            _ => {}
        }
    }

    /// Reads rows, and of their documents only those that aren't here.
    pub(super) async fn rows(
        &self,
        store: &dyn Store,
        ids: &[ResourceId],
        with_status: bool,
    ) -> Result<Vec<Found>, Error> {
        let (kept, entries): (Vec<Kept>, Vec<Entry>) = {
            let state = self.state();
            let kept = |id: &ResourceId| {
                let entry = state.entries.get(id).cloned().unwrap_or_default();
                let kept = Kept {
                    id: id.clone(),
                    spec: entry.spec.as_ref().map(|spec| spec.kept),
                    status: entry.status.as_ref().map(|status| status.sequence),
                };
                (kept, entry)
            };
            ids.iter().map(kept).unzip()
        };
        let rows = store.resources_beside(&kept, with_status).await?;
        let mut entries: HashMap<&ResourceId, Entry> = ids.iter().zip(entries).collect();
        let found = rows.into_iter().map(|partial| {
            let entry = entries.remove(&partial.row.id).unwrap_or_default();
            let spec = entry.spec.filter(|_| partial.spec_is_kept);
            let status = entry.status.filter(|_| partial.status_is_kept);
            Found {
                row: partial.row,
                asked_at: partial.asked_at,
                spec: spec.map(|spec| spec.event),
                status: status.map(|status| status.event),
            }
        });
        Ok(found.collect())
    }
}

impl State {
    fn add_spec(&mut self, id: &ResourceId, kept: KeptSpec, event: &Event) {
        let number = self.number(id, event);
        let spec = Spec {
            number,
            kept,
            event: Arc::new(event.clone()),
        };
        let entry = self.entries.entry(id.clone()).or_default();
        let replaced = entry.spec.replace(spec);
        self.bytes -= replaced.map_or(0, |spec| size(&spec.event));
        self.shrink();
    }

    fn add_status(&mut self, id: &ResourceId, sequence: SequenceId, event: &Event) {
        let number = self.number(id, event);
        let status = Status {
            number,
            sequence,
            event: Arc::new(event.clone()),
        };
        let entry = self.entries.entry(id.clone()).or_default();
        let replaced = entry.status.replace(status);
        self.bytes -= replaced.map_or(0, |status| size(&status.event));
        self.shrink();
    }

    fn number(&mut self, id: &ResourceId, event: &Event) -> u64 {
        self.next += 1;
        self.bytes += size(event);
        self.order.push_back((id.clone(), self.next));
        self.next
    }

    /// Drops the oldest until the rest fits.
    fn shrink(&mut self) {
        while (self.bytes > KEPT_BYTES || self.order.len() > KEPT_DOCUMENTS)
            && let Some((id, number)) = self.order.pop_front()
        {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            if let Some(spec) = entry.spec.take_if(|spec| spec.number == number) {
                self.bytes -= size(&spec.event);
            }
            if let Some(status) = entry.status.take_if(|status| status.number == number) {
                self.bytes -= size(&status.event);
            }
            if entry.spec.is_none() && entry.status.is_none() {
                self.entries.remove(&id);
            }
        }
    }
}

/// Bytes that an event takes, roughly.
fn size(event: &Event) -> usize {
    /// The places in the maps.
    const OVERHEAD: usize = 512;
    OVERHEAD + event.size()
}

/// Whether a document is kept: not when it is large, or when the stored form would tell other types of its attributes.
fn is_kept(event: &Event) -> bool {
    size(event) <= LARGEST
        && event
            .extensions
            .values()
            .all(|value| matches!(value, Attribute::String(_) | Attribute::Int(_)))
}

#[cfg(test)]
mod tests {
    use event_wire::{Action, EventType, Stamp, Subresource};

    use super::*;

    fn event(bytes: usize) -> Event {
        let kind = EventType::manifest_bundles(Subresource::Spec, Action::CreateRequest);
        let mut event = Event::new(kind, "s", Stamp::now());
        event.data = Some(vec![b' '; bytes].into());
        event
    }

    fn kept(version: i64) -> KeptSpec {
        let now = Timestamp::now();
        KeptSpec {
            version,
            since: now,
            until: now,
        }
    }

    #[test]
    fn the_oldest_documents_go_first() {
        let mut state = State::default();
        for number in 0..100 {
            let id = ResourceId::from(format!("r{number}"));
            state.add_spec(&id, kept(1), &event(200 * 1024));
            state.add_status(&id, "1".parse().unwrap(), &event(1024));
            assert!(state.bytes <= KEPT_BYTES);
        }
        assert!(!state.entries.contains_key("r0"));
        assert!(state.entries["r99"].spec.is_some() && state.entries["r99"].status.is_some());
    }

    #[test]
    fn attributes_are_bytes_that_are_kept() {
        let attributes = |count: usize, bytes: usize| {
            let mut event = event(10);
            for number in 0..count {
                event.set(&format!("x{number}"), "x".repeat(bytes));
            }
            event
        };
        assert!(is_kept(&attributes(10, 40)));
        assert!(!is_kept(&attributes(7, 500_000)), "as large as a message");
        let mut state = State::default();
        for number in 0..100 {
            let id = ResourceId::from(format!("r{number}"));
            state.add_spec(&id, kept(1), &attributes(1, 200 * 1024));
        }
        assert!(state.entries.len() <= KEPT_BYTES / (200 * 1024));
    }

    #[test]
    fn what_is_replaced_is_not_counted_twice() {
        let mut state = State::default();
        let id = ResourceId::from("a");
        for version in 1..=20_000 {
            state.add_spec(&id, kept(version), &event(1024));
        }
        assert_eq!(state.bytes, size(&event(1024)));
        assert!(state.order.len() <= KEPT_DOCUMENTS);
        let newest = state.entries[&id].spec.as_ref();
        assert_eq!(newest.map(|spec| spec.kept.version), Some(20_000));
    }
}
