//! What the server asks of its database. Two implementations pass one contract suite (`tests/it/storage.rs`):
//! PostgreSQL with the upstream schema, and SQLite.
//!
//! Implementations hold no rules of their own: they lock rows, ask [`crate::lifecycle::decide`], and write what it says,
//! one transaction per call.

pub mod facts;
mod force;
mod last_words;
pub(crate) mod metadata;
pub mod postgres;
pub mod search;
pub mod sqlite;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_wire::SequenceId;
use jiff::Timestamp;
pub use sql_store::Error;
use tokio::sync::mpsc;

use crate::model::{
    Change, ClusterName, Consumer, Done, Operation, Refusal, Resource, ResourceId, Revision,
    SourceId,
};

/// A database that holds consumers and resources.
#[async_trait]
pub trait Store: facts::Facts + 'static {
    /// A sign of life.
    async fn ping(&self) -> Result<(), Error>;

    /// Runs operations on different resources in one transaction and tells what became of each, in their order.
    /// When it returns an error, nothing was written, or (only if the connection broke during the commit) perhaps all.
    async fn apply(&self, batch: Batch) -> Result<Vec<Slot>, Error>;

    /// A resource by id.
    async fn resource(&self, id: &ResourceId) -> Result<Option<Resource>, Error> {
        Ok(self.resources(std::slice::from_ref(id)).await?.pop())
    }

    /// The resources with these ids, those that exist, in any order.
    async fn resources(&self, ids: &[ResourceId]) -> Result<Vec<Resource>, Error>;

    /// As [`Store::resources`], without the documents that the caller has, and without statuses unless they are asked for.
    async fn resources_beside(
        &self,
        kept: &[Kept],
        with_status: bool,
    ) -> Result<Vec<Partial>, Error>;

    /// What a cluster should have: rows with an id after `after`, ordered by id, at most `limit`.
    async fn versions(
        &self,
        cluster: &ClusterName,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Version>, Error>;

    /// The statuses of a source: rows with an id after `after` that have a status, ordered by id, at most `limit`.
    async fn status_hashes(
        &self,
        source: &SourceId,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<StatusHash>, Error>;

    /// Rows of these clusters that an agent hasn't settled although it had `grace` to do so, or whose next reminder is
    /// due; at most `limit`. Each is noted as reminded of now, the next reminder comes after [`reminder_after`].
    async fn overdue(
        &self,
        clusters: &[ClusterName],
        grace: Duration,
        limit: usize,
    ) -> Result<Vec<Overdue>, Error>;

    /// Rows of one cluster that an agent hasn't settled: deleting, or without a status of their version. Ids after
    /// `after`, ordered by id, at most `limit`.
    async fn unsettled(
        &self,
        cluster: &ClusterName,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<ResourceId>, Error>;

    /// Which of these ids belonged to resources of the cluster that are gone.
    async fn tombstones(
        &self,
        cluster: &ClusterName,
        ids: &[ResourceId],
    ) -> Result<Vec<ResourceId>, Error>;

    /// Whose the resources with these ids are, those that exist, in any order.
    async fn clusters_of(
        &self,
        ids: &[ResourceId],
    ) -> Result<Vec<(ResourceId, ClusterName)>, Error>;

    /// The final statuses that were kept under these event ids.
    async fn removals(&self, events: &[String]) -> Result<Vec<Removal>, Error>;

    /// How many resources match, and which are in the window.
    async fn list_resources(&self, query: &Query) -> Result<Page<Listed>, Error>;

    /// How many consumers match, and those in the window.
    async fn list_consumers(&self, query: &Query) -> Result<Page<Consumer>, Error>;

    /// A consumer by id.
    async fn consumer(&self, id: &str) -> Result<Option<Consumer>, Error>;

    /// Whether a cluster is registered, and isn't ending.
    async fn is_registered(&self, cluster: &ClusterName) -> Result<bool, Error>;

    /// Registers a consumer. [`Error::Unique`] when the name is taken.
    async fn create_consumer(&self, consumer: &Consumer) -> Result<(), Error>;

    /// Replaces the labels of a consumer, or only its time of change; `None` when there is no such consumer.
    async fn update_consumer(
        &self,
        id: &str,
        labels: Option<BTreeMap<String, String>>,
    ) -> Result<Option<Consumer>, Error>;

    /// Removes a consumer, if it exists. [`Error::ForeignKey`] when it has resources.
    async fn delete_consumer(&self, id: &str) -> Result<(), Error>;

    /// When a cluster's agent was last connected to any server.
    async fn last_seen(&self, cluster: &ClusterName) -> Result<Option<Timestamp>, Error>;

    /// Ends a consumer for good, a portion at a time: some of its resources get a final status and go, and with the last of
    /// them the consumer goes and an audit entry stays. To be asked again until nothing is left; whoever asks goes on where
    /// the last one stopped, and another audit entry says who began or went on. From the first portion on nobody can add
    /// resources, and the cluster isn't registered any more.
    async fn force_remove(&self, forced: &Forced) -> Result<ForcedOutcome, Error>;

    /// Says that this server is alive.
    async fn heartbeat(&self) -> Result<(), Error>;

    /// Closes events that no other server has to handle; `clusters` have their agent connected here.
    async fn close_events(&self, clusters: &[ClusterName]) -> Result<(), Error> {
        let _ = clusters;
        Ok(())
    }

    /// Removes what nobody needs any more: events and final statuses older than `events_kept`, and old tombstones.
    async fn purge(&self, clusters: &[ClusterName], events_kept: Duration) -> Result<(), Error>;

    /// Passes on what a cluster's agent said that it has (its text form) to the server that holds the agent's stream.
    async fn forward_resync(&self, cluster: &ClusterName, versions: &str) -> Result<(), Error> {
        let _ = (cluster, versions);
        Ok(())
    }

    /// The newest word that was passed on for a cluster.
    async fn forwarded_resync(&self, cluster: &ClusterName) -> Result<Option<String>, Error> {
        let _ = cluster;
        Ok(None)
    }

    /// Says that this server leaves.
    async fn farewell(&self) -> Result<(), Error>;

    /// Changes that other servers made on the same database; `None` when nobody else can.
    fn foreign_changes(&self) -> Option<mpsc::Receiver<Foreign>>;
}

/// Operations for one transaction, and the rules that they are decided by.
#[derive(Clone, Debug)]
pub struct Batch {
    /// At most one per resource.
    pub operations: Arc<[Operation]>,
    /// Whether a source may only touch what it published.
    pub isolate_sources: bool,
}

/// What became of one operation of a batch.
#[derive(Debug)]
pub enum Slot {
    /// Another server works on the row: try again with the next batch.
    Busy,
    /// It was decided, and committed if there was something to write.
    Decided {
        /// The answer for the caller.
        outcome: Result<Done, Refusal>,
        /// What the streams should look at.
        change: Option<Change>,
    },
}

/// A row that is asked for, and which documents of it the caller has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which resource.
    pub id: ResourceId,
    /// The spec that the caller has.
    pub spec: Option<KeptSpec>,
    /// Sequence id of the status that the caller has.
    pub status: Option<SequenceId>,
}

/// Names the spec of a new resource that its writer has: by its version, and the life of the id by when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptSpec {
    /// Its version.
    pub version: i64,
    /// It was created at this time or later …
    pub since: Timestamp,
    /// … and not after this.
    pub until: Timestamp,
}

/// A row without the documents that its reader has.
#[derive(Clone, Debug)]
pub struct Partial {
    /// The row; `payload` is empty if the reader has the spec, `status` if it has the status or didn't ask.
    pub row: Resource,
    /// Just before the database was asked. What was committed later may be missing, however long the answer took.
    pub asked_at: Instant,
    /// The reader's spec is the row's.
    pub spec_is_kept: bool,
    /// The reader's status is the row's.
    pub status_is_kept: bool,
}

/// One row as a resync sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Which resource.
    pub id: ResourceId,
    /// Its version.
    pub version: i64,
    /// Whether its deletion was asked for.
    pub deleting: bool,
}

/// One status as a resync sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusHash {
    /// Which resource.
    pub id: ResourceId,
    /// The hash that the agent sent with it; `None` when it sent none.
    pub hash: Option<String>,
}

/// A row that wants a reminder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Which resource.
    pub id: ResourceId,
    /// Whose.
    pub cluster: ClusterName,
    /// How many reminders it had before this one.
    pub attempts: u32,
    /// Whether its deletion was asked for.
    pub deleting: bool,
}

/// The last words of a resource.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Id of the status event.
    pub event: String,
    /// Which resource.
    pub id: ResourceId,
    /// Its spec, in the stored form.
    pub payload: String,
    /// Its final status, in the stored form.
    pub status: String,
}

/// An operator's word that a cluster has ended.
#[derive(Clone, Debug)]
pub struct Forced {
    /// Id of the consumer.
    pub id: String,
    /// Its name.
    pub cluster: ClusterName,
    /// Why; kept for the audit and told to the sources.
    pub reason: String,
    /// Who; kept for the audit.
    pub who: String,
    /// Whether resources go whose deletion nobody asked for.
    pub include_live: bool,
    /// Whether this asks for the first portion of a request: the audit notes who begins, or goes on with what was begun.
    pub first: bool,
}

/// What became of a forced removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForcedOutcome {
    /// There is no such consumer (any more).
    Unknown,
    /// So many resources are live; nothing was removed.
    Live(u64),
    /// A portion is gone, and there may be more; the changes are for the sources.
    Portion(Vec<Change>),
    /// Everything is gone.
    Removed {
        /// The last portion, for the sources.
        changes: Vec<Change>,
        /// How many resources went since the first portion, whoever asked.
        resources: u64,
    },
}

/// A window on a list.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Which rows, in which order.
    pub selection: search::Selection,
    /// Rows before the window.
    pub offset: u64,
    /// Rows in the window.
    pub limit: u64,
}

/// A window and the number of rows that match in total.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// All rows that match.
    pub total: u64,
    /// Those in the window.
    pub items: Vec<T>,
}

/// A resource in the window of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which resource.
    pub id: ResourceId,
    /// The state of its row when the list was made.
    pub revision: Revision,
}

/// What is heard of other servers on the same database.
#[derive(Clone, Debug)]
pub enum Foreign {
    /// Another server committed these.
    Changes(Vec<Change>),
    /// The agent of this cluster told another server what it has.
    Resync(ClusterName),
    /// This server heard nothing for so long that changes are lost: everything has to be compared.
    Gap,
}

/// No reminder is planned further ahead than this.
const LONGEST_REMINDER: Duration = Duration::from_secs(600);

/// Reminders of an unsettled row: after `first`, then twice as long each time, but never rarer than every 10 minutes, for
/// as long as it takes. `noise` in 0..1 spreads them by up to a fifth.
#[must_use]
pub fn reminder_after(first: Duration, attempts: u32, noise: f64) -> Duration {
    let pause = first
        .saturating_mul(1 << attempts.min(10))
        .min(LONGEST_REMINDER);
    pause.mul_f64(1.0 - 0.2 * noise.clamp(0.0, 1.0))
}

/// Numbers in 0..1 that are far apart for neighbours (golden ratio): jitter without randomness.
fn spread(number: usize) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let product = number as f64 * GOLDEN;
    product.fract()
}

/// Now, as exact as both databases store it.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminders_start_early_and_never_stop() {
        let first = Duration::from_secs(20);
        let seconds = |attempts| reminder_after(first, attempts, 0.0).as_secs();
        assert_eq!(
            [0, 1, 2, 5, 6, 4_000_000].map(seconds),
            [20, 40, 80, 600, 600, 600]
        );
        assert_eq!(reminder_after(first, 0, 1.0), Duration::from_secs(16));
    }
}
