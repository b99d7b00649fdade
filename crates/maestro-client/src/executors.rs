//! Executors: the part of a work that upstream's REST API doesn't show. A change that was made on what the API shows would take the
//! executor away, so what was sent or reported is remembered, and a report is asked for where nothing is.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use event_wire::{Stamp, codec::source, payload::StatusHash};
use lru::LruCache;
use manifestwork::{Executor, ManifestWork};

use crate::{
    Client,
    watch::feed::{Feed, Interest},
};

/// Works whose executor is remembered at most.
const MAX_REMEMBERED: usize = 10_000;
/// How long a report may take.
const REPORT_WAIT: Duration = Duration::from_secs(5);

/// What is known about executors: by resource id the version, and its executor or that it has none. Who was seen longest ago
/// makes room.
pub(crate) struct Executors {
    known: Mutex<Known>,
}

type Known = LruCache<String, (i64, Option<Executor>)>;

// === impl Executors ===

impl Default for Executors {
    fn default() -> Self {
        Self {
            // One with a bound would take all of its room at once.
            known: Mutex::new(LruCache::unbounded()),
        }
    }
}

impl Executors {
    /// A version of a work was sent or seen as a whole.
    pub(crate) fn remember(&self, work: &ManifestWork, version: i64) {
        let mut known = self.lock();
        known.put(
            work.metadata.uid.clone(),
            (version, work.spec.executor.clone()),
        );
        if known.len() > MAX_REMEMBERED {
            known.pop_lru();
        }
    }

    /// A work has ended, or nobody knows which version it has: the next life of its id begins with version 1 again.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().pop(id);
    }

    /// The executor of a work at its version; none if that version was never seen.
    pub(crate) fn of(&self, work: &ManifestWork) -> Option<Option<Executor>> {
        let known = self.lock();
        let (version, executor) = known.peek(&work.metadata.uid)?;
        (*version == work.metadata.generation).then(|| executor.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the server to report the status of a work once more: reports carry the whole spec. Nothing if none comes in time, as for a
/// work that no agent has reported about yet.
pub(crate) async fn by_report(client: &Client, work: &ManifestWork) -> Option<Option<Executor>> {
    let metadata = &work.metadata;
    let interest = Interest {
        consumer: Some(metadata.namespace.clone()),
        name: Some(metadata.name.clone()),
    };
    let ask = async {
        let mut member = Feed::join(client, interest);
        let subscription = member.open().await.ok()?;
        let unlike_any = StatusHash {
            resource_id: metadata.uid.clone(),
            status_hash: "unknown".to_owned(),
        };
        let request =
            source::status_resync_request(client.source_id(), vec![unlike_any], Stamp::now());
        let published = client.shared.grpc.publish(&request, &metadata.name).await;
        published.ok()?;
        loop {
            let report = member.next(subscription).await.ok()?;
            if report.metadata.generation == metadata.generation
                && !report.spec.workload.manifests.is_empty()
            {
                return Some(report.spec.executor.clone());
            }
        }
    };
    tokio::time::timeout(REPORT_WAIT, ask).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_seen_longest_ago_makes_room() {
        let executors = Executors::default();
        let work = |number: usize| {
            let mut work = ManifestWork::new("c1", "w");
            work.metadata.uid = format!("id-{number}");
            work.metadata.generation = 1;
            work
        };
        let known = |number| executors.of(&work(number)).is_some();
        for number in 0..MAX_REMEMBERED {
            executors.remember(&work(number), 1);
        }
        // Seen again: no longer the oldest.
        executors.remember(&work(0), 1);
        executors.remember(&work(MAX_REMEMBERED), 1);
        assert!(known(0) && !known(1) && known(2) && known(MAX_REMEMBERED));
        executors.forget("id-2");
        executors.remember(&work(MAX_REMEMBERED + 1), 1);
        assert!(!known(2) && known(3), "there was room");
        assert_eq!(executors.lock().len(), MAX_REMEMBERED);
    }
}
