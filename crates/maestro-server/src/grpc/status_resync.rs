//! Status resyncs: at most one at a time for a source, and few at a time for all. Requests that come meanwhile are joined, so that a
//! flood of them costs no more than the list that they make together.

use std::collections::{HashMap, HashSet, hash_map::Entry};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_wire::payload::StatusHashList;
use manifestwork::hash;
use tokio::sync::Semaphore;

use super::{Context, MAX_ID};
use crate::model::{ResourceId, SourceId};
use crate::storage;
use crate::telemetry::Way;

/// Rows compared at once.
const PAGE: usize = 1000;
/// Sources that are compared at once; the others wait for their turn.
const AT_ONCE: usize = 3;
/// Hashes that may wait, of all sources together: some 100 MB with ids as they are, 300 MB with the longest.
const MAX_WAITING: usize = 500_000;
/// Longest hash that is kept, bytes: twice that of a SHA-256. No status has a longer one.
const MAX_HASH: usize = 128;
/// Before a comparison is tried again, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Before a comparison is tried again, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Requests that wait, and sources that are being compared. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusResyncs {
    inner: Arc<Mutex<Inner>>,
    turns: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: HashMap<SourceId, Known>,
    running: HashSet<SourceId>,
}

/// Too much waits already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a source says that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it wants all statuses.
    Nothing,
    /// These, by their hash. `None` where it can't be that of a status, or where two requests differ: one of them is wrong.
    Hashes(HashMap<ResourceId, Option<String>>),
}

/// The right to compare a source's statuses, and the duty to do so until nothing waits.
#[derive(Debug)]
pub struct Turn {
    resyncs: StatusResyncs,
    source: SourceId,
    ended: bool,
}

// === impl StatusResyncs ===

impl Default for StatusResyncs {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl StatusResyncs {
    /// Takes a request. Whoever gets a turn has to run it; without one, somebody runs already and will come to this request.
    ///
    /// # Errors
    /// When too much waits.
    pub fn ask(&self, source: &SourceId, known: Known) -> Result<Option<Turn>, Full> {
        let mut inner = self.inner();
        let waiting: usize = inner.waiting.values().map(Known::len).sum();
        if waiting + known.len() > MAX_WAITING {
            return Err(Full);
        }
        match inner.waiting.entry(source.clone()) {
            Entry::Occupied(mut entry) => entry.get_mut().join(known),
            Entry::Vacant(entry) => {
                entry.insert(known);
            }
        }
        let first = inner.running.insert(source.clone());
        Ok(first.then(|| Turn {
            resyncs: self.clone(),
            source: source.clone(),
            ended: false,
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl From<StatusHashList> for Known {
    /// Entries that no resource can have are left out: a source that says only such things has asked for nothing.
    fn from(list: StatusHashList) -> Self {
        if list.status_hashes.is_empty() {
            return Self::Nothing;
        }
        let possible = list
            .status_hashes
            .into_iter()
            .filter(|entry| entry.resource_id.len() <= MAX_ID);
        let entries = possible.map(|entry| {
            let hash = Some(entry.status_hash).filter(|hash| hash.len() <= MAX_HASH);
            (ResourceId::from(entry.resource_id), hash)
        });
        Self::Hashes(entries.collect())
    }
}

impl Known {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 1,
            Self::Hashes(hashes) => hashes.len(),
        }
    }

    /// What answers both requests.
    fn join(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Nothing, _) => {}
            (_, Self::Nothing) => *self = Self::Nothing,
            (Self::Hashes(hashes), Self::Hashes(others)) => {
                for (id, hash) in others {
                    match hashes.entry(id) {
                        Entry::Occupied(mut known) if *known.get() != hash => {
                            known.insert(None);
                        }
                        Entry::Occupied(_) => {}
                        Entry::Vacant(new) => {
                            new.insert(hash);
                        }
                    }
                }
            }
        }
    }

    /// Whether the source needs this row's status.
    fn lacks(&self, row: &storage::StatusHash) -> bool {
        match self {
            Self::Nothing => true,
            Self::Hashes(hashes) => hashes.get(&row.id).is_some_and(|known| {
                let stored = row.hash.as_deref().unwrap_or(hash::NO_STATUS);
                known.as_deref() != Some(stored)
            }),
        }
    }
}

// === impl Turn ===

impl Turn {
    /// The request that waits, or the end: after `None`, the next request gets a turn of its own.
    fn next(&mut self) -> Option<Known> {
        let mut inner = self.resyncs.inner();
        let known = inner.waiting.remove(&self.source);
        if known.is_none() {
            inner.running.remove(&self.source);
            self.ended = true;
        }
        known
    }

    /// Compares until nothing waits. While the database is away, it is tried again, for as long as one of the streams is open that were
    /// open when it began.
    pub async fn run(mut self, context: &Context) {
        let turns = Arc::clone(&self.resyncs.turns);
        while let Ok(_turn) = turns.acquire().await
            && let Some(known) = self.next()
        {
            send_changed_until_done(context, &self.source, &known).await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.ended {
            let mut inner = self.resyncs.inner();
            inner.running.remove(&self.source);
            inner.waiting.remove(&self.source);
        }
    }
}

async fn send_changed_until_done(context: &Context, source: &SourceId, known: &Known) {
    let streams = || -> Vec<_> {
        let streams = context.hub.sources_of(source).into_iter();
        streams.map(|stream| stream.id).collect()
    };
    let asked = streams();
    let mut pause = FIRST_PAUSE;
    // The statuses go out on the streams of this server: without one, nobody would get them.
    while streams().iter().any(|stream| asked.contains(stream)) {
        let result = send_changed(context, source, known).await;
        let flow = context.telemetry.flow();
        flow.synced(Way::Status, result.is_ok());
        match result {
            Ok(()) => return,
            Err(error @ storage::Error::Unavailable(_)) => {
                tracing::warn!(%source, %error, "Can't compare statuses now; it is tried again.");
            }
            Err(error) => {
                tracing::warn!(%source, %error, "Can't compare statuses; the source has to ask again.");
                return;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn send_changed(
    context: &Context,
    source: &SourceId,
    known: &Known,
) -> Result<(), storage::Error> {
    let mut after = None;
    loop {
        let store = &context.store;
        let page = store.status_hashes(source, after.as_ref(), PAGE).await?;
        let full = page.len() == PAGE;
        after = page.last().map(|row| row.id.clone());
        let lacking = page.into_iter().filter(|row| known.lacks(row));
        let ids: Vec<ResourceId> = lacking.map(|row| row.id).collect();
        for stream in context.hub.sources_of(source) {
            stream.add_updates(ids.iter().cloned());
        }
        if !full {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(entries: &[(&str, Option<&str>)]) -> Known {
        let owned = |(id, hash): &(&str, Option<&str>)| {
            (ResourceId::from(*id), hash.map(ToOwned::to_owned))
        };
        Known::Hashes(entries.iter().map(owned).collect())
    }

    #[test]
    fn a_flood_of_requests_is_one_comparison() {
        let (resyncs, source) = (StatusResyncs::default(), SourceId::from("s1"));
        let mut turn = resyncs.ask(&source, Known::Nothing).unwrap().unwrap();
        assert_eq!(turn.next(), Some(Known::Nothing));
        for _ in 0..10_000 {
            let turn = resyncs.ask(&source, hashes(&[("a", Some("1"))])).unwrap();
            assert!(turn.is_none(), "somebody runs already");
        }
        assert_eq!(turn.next(), Some(hashes(&[("a", Some("1"))])));
        assert_eq!(turn.next(), None);
        let other = SourceId::from("s2");
        assert!(resyncs.ask(&other, Known::Nothing).unwrap().is_some());
        assert!(resyncs.ask(&source, Known::Nothing).unwrap().is_some());
    }

    #[test]
    fn joined_requests_answer_both() {
        let mut known = hashes(&[("a", Some("1")), ("b", Some("1"))]);
        known.join(hashes(&[("b", Some("2")), ("c", Some("1"))]));
        let joined = [("a", Some("1")), ("b", None), ("c", Some("1"))];
        assert_eq!(known, hashes(&joined));
        let row = |id: &str, hash: &str| storage::StatusHash {
            id: id.into(),
            hash: Some(hash.to_owned()),
        };
        assert!(!known.lacks(&row("a", "1")));
        assert!(known.lacks(&row("a", "2")));
        assert!(known.lacks(&row("b", "1")), "one of the two is wrong");
        assert!(!known.lacks(&row("d", "1")), "nobody asked");
        known.join(Known::Nothing);
        assert_eq!(known, Known::Nothing);
        known.join(hashes(&[("a", Some("1"))]));
        assert!(known.lacks(&row("d", "1")));
    }

    /// The limit counts entries: each of them must be small.
    #[test]
    fn what_no_resource_can_have_takes_no_memory() {
        let entry = |id: &str, hash: &str| event_wire::payload::StatusHash {
            resource_id: id.to_owned(),
            status_hash: hash.to_owned(),
        };
        let long = "x".repeat(1_000_000);
        let list = StatusHashList {
            status_hashes: vec![entry(&long, "1"), entry("a", &long), entry("b", "2")],
        };
        let known = hashes(&[("a", None), ("b", Some("2"))]);
        assert_eq!(Known::from(list), known);
        let list = StatusHashList {
            status_hashes: vec![entry(&long, "1")],
        };
        assert_eq!(Known::from(list), hashes(&[]));
    }

    #[test]
    fn what_waits_is_bounded_and_a_turn_that_is_dropped_blocks_nobody() {
        let resyncs = StatusResyncs::default();
        let many = |from: usize| {
            let ids = from..from + MAX_WAITING / 2;
            let hash = Some(String::new());
            let entries = ids.map(|id| (ResourceId::from(id.to_string()), hash.clone()));
            Known::Hashes(entries.collect())
        };
        let source = SourceId::from("s1");
        let turn = resyncs.ask(&source, many(0)).unwrap();
        let second = resyncs.ask(&SourceId::from("s2"), many(0)).unwrap();
        assert_eq!(resyncs.ask(&source, many(0)).unwrap_err(), Full);
        drop(turn);
        assert!(resyncs.ask(&source, many(0)).unwrap().is_some());
        drop(second);
    }
}
