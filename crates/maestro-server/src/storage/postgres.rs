//! PostgreSQL with upstream's schema, migration ids, notification channels and advisory locks, so that a Go server can
//! share the database or take it over (`docs/protocol/maestro-storage.md`).

mod apply;
mod changes;
mod consumers;
mod doubts;
mod facts;
mod force;
mod horizon;
mod keep;
mod lately;
mod lists;
mod locks;
mod queries;
mod reminders;
mod resyncs;
mod schema;
mod unit;
mod values;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sql_store::postgres::{Client, Config, ConfigError, Pool, migrate};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::doubts::Doubts;
use super::facts::{
    AuditEntry, Dispatch, Ended, Facts, Gauges, LastPresence, Pending, Presence, Resend, Sent,
};
use super::{
    Batch, Error, Forced, ForcedOutcome, Foreign, Kept, Listed, Overdue, Page, Partial, Query,
    Removal, Slot, StatusHash, Store, Version,
};
use crate::model::{ClusterName, Consumer, Resource, ResourceId, SourceId};

/// Connections for transactions; the writer has two on their way, the rest is for consumers and upkeep.
const WRITE_CONNECTIONS: usize = 6;
/// Connections for reads, at most; reads never wait for writes.
const READ_CONNECTIONS: usize = 16;

/// PostgreSQL compiles a plan that seems dear to machine code each time that it runs: a tenth of a second or more before the
/// first row, which no statement of ours is worth.
const UNCOMPILED: &str = "set jit = off";

/// All statements but those of searches know an index. Without this, plans that were made while a table was new scan it
/// until it is analyzed. Where there is no index after all, the plan seems as dear as can be, and would be compiled.
const BY_INDEX: &str = "set jit = off; set enable_seqscan = off";

/// Consumers and resources in PostgreSQL.
pub struct Postgres {
    writes: Pool,
    reads: Pool,
    searches: Pool,
    instance: Instance,
    walk: reminders::Walk,
    foreign: Mutex<Option<mpsc::Receiver<Foreign>>>,
    /// Whether changes of other servers have been listened to.
    listening: Arc<AtomicBool>,
    stop: CancellationToken,
}

/// This server among those on one database.
#[derive(Clone, Debug)]
struct Instance {
    name: String,
    /// A server that wasn't heard of for three of these is not ready.
    heartbeat: Duration,
    /// Starts the ids of events that this process wrote, to tell them from those of others.
    tag: [u8; 4],
    /// Whether a Go server used the database lately.
    go: Arc<AtomicBool>,
    /// Events of which this process doesn't know whether it wrote them.
    doubts: Doubts,
}

impl Instance {
    /// A random event id that starts with the tag.
    fn event_id(&self) -> String {
        let mut bytes = Uuid::new_v4().into_bytes();
        for (byte, tag) in bytes.iter_mut().zip(self.tag) {
            *byte = tag;
        }
        Uuid::from_bytes(bytes).to_string()
    }

    /// Whether this process wrote an event and told its streams.
    fn wrote(&self, event: &str) -> bool {
        let tag = u32::from_be_bytes(self.tag);
        event.starts_with(&format!("{tag:08x}")) && !self.doubts.contain(event)
    }
}

impl Postgres {
    /// Opens the database and brings its schema up to date; waits as long as the database doesn't answer.
    ///
    /// # Errors
    /// When it refuses us, or the schema can't be brought up to date.
    pub async fn open(
        config: &Config,
        connections: usize,
        name: &str,
        heartbeat: Duration,
    ) -> Result<Self, OpenError> {
        let writes = connections.clamp(2, WRITE_CONNECTIONS);
        let reads = connections
            .saturating_sub(writes)
            .clamp(1, READ_CONNECTIONS);
        let searches = (reads / 4).max(1);
        let known = config.clone().on_connect(BY_INDEX);
        let writes = Pool::connect(&known.clone().pool_size(writes))?;
        let searching = config.clone().on_connect(UNCOMPILED);
        let searching = Pool::connect(&searching.pool_size(searches))?;
        let reads = Pool::connect(&known.pool_size(reads.saturating_sub(searches)))?;
        loop {
            writes
                .wait_until_available(&CancellationToken::new())
                .await?;
            match migrate(&writes, "migrations", schema::LOCK_KEY, schema::STEPS).await {
                Ok(applied) => {
                    if !applied.is_empty() {
                        tracing::info!(
                            steps = applied.len(),
                            "Brought the database schema up to date."
                        );
                    }
                    break;
                }
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "The schema could not be brought up to date; trying again.");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Two batches are on their way at once; the first ones shall not wait for connections.
        if let Ok((one, two)) = tokio::try_join!(writes.get(), writes.get()) {
            let warm = tokio::try_join!(apply::warm_up(&one), apply::warm_up(&two));
            if let Err(error) = warm {
                tracing::debug!(%error, "Connections could not be prepared; they are when they are needed.");
            }
        }
        let [a, b, c, d, ..] = *Uuid::new_v4().as_bytes();
        let instance = Instance {
            name: name.to_owned(),
            heartbeat,
            tag: [a, b, c, d],
            go: Arc::default(),
            doubts: Doubts::new(),
        };
        let stop = CancellationToken::new();
        let listening = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&listening);
        let foreign = changes::watch(config, &reads, &instance, heard, stop.clone())?;
        Ok(Self {
            writes,
            reads,
            searches: searching,
            instance,
            walk: reminders::Walk::default(),
            foreign: Mutex::new(Some(foreign)),
            listening,
            stop,
        })
    }

    /// Brings the schema up to date, and nothing else; the answer is the ids of the steps that were needed. Doesn't wait.
    ///
    /// # Errors
    /// When the database doesn't answer or refuses us, or a step fails.
    pub async fn migrate(config: &Config) -> Result<Vec<&'static str>, OpenError> {
        let pool = Pool::connect(&config.clone().pool_size(1))?;
        let applied = migrate(&pool, "migrations", schema::LOCK_KEY, schema::STEPS).await;
        pool.close();
        Ok(applied?)
    }

    /// Runs reads on a connection of their pool.
    async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let client = self.reads.get().await?;
        self.reads.bounded(work(&client)).await
    }

    /// Runs a search on a connection of their pool.
    async fn search<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let client = self.searches.get().await?;
        self.searches.bounded(work(&client)).await
    }

    /// Runs writes on a connection of their pool.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut client = self.writes.get().await?;
        self.writes.bounded(work(&mut client)).await
    }
}

/// Why the database can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database refuses.
    #[error(transparent)]
    Database(#[from] Error),
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop.cancel();
        self.writes.close();
        self.reads.close();
        self.searches.close();
    }
}

#[async_trait]
impl Store for Postgres {
    async fn ping(&self) -> Result<(), Error> {
        self.reads.ping().await?;
        match self.listening.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Error::unavailable(
                "not yet listening for changes of other servers",
            )),
        }
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Slot>, Error> {
        let client = self.writes.get().await?;
        self.writes
            .bounded(apply::run(client, &batch, &self.instance))
            .await
    }

    async fn resources(&self, ids: &[ResourceId]) -> Result<Vec<Resource>, Error> {
        self.read(async |client| queries::resources(client, ids).await)
            .await
    }

    async fn resources_beside(
        &self,
        kept: &[Kept],
        with_status: bool,
    ) -> Result<Vec<Partial>, Error> {
        self.read(async |client| queries::resources_beside(client, kept, with_status).await)
            .await
    }

    async fn versions(
        &self,
        cluster: &ClusterName,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Version>, Error> {
        self.read(async |client| queries::versions(client, cluster, after, limit).await)
            .await
    }

    async fn status_hashes(
        &self,
        source: &SourceId,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<StatusHash>, Error> {
        self.read(async |client| queries::status_hashes(client, source, after, limit).await)
            .await
    }

    async fn overdue(
        &self,
        clusters: &[ClusterName],
        grace: Duration,
        limit: usize,
    ) -> Result<Vec<Overdue>, Error> {
        self.write(async |client| {
            reminders::overdue(client, &self.walk, clusters, grace, limit).await
        })
        .await
    }

    async fn unsettled(
        &self,
        cluster: &ClusterName,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<ResourceId>, Error> {
        self.read(async |client| queries::unsettled(client, cluster, after, limit).await)
            .await
    }

    async fn tombstones(
        &self,
        cluster: &ClusterName,
        ids: &[ResourceId],
    ) -> Result<Vec<ResourceId>, Error> {
        self.read(async |client| queries::tombstones(client, cluster, ids).await)
            .await
    }

    async fn clusters_of(
        &self,
        ids: &[ResourceId],
    ) -> Result<Vec<(ResourceId, ClusterName)>, Error> {
        self.read(async |client| queries::clusters_of(client, ids).await)
            .await
    }

    async fn removals(&self, events: &[String]) -> Result<Vec<Removal>, Error> {
        self.read(async |client| queries::removals(client, events).await)
            .await
    }

    async fn list_resources(&self, query: &Query) -> Result<Page<Listed>, Error> {
        self.search(async |client| lists::resources(client, query).await)
            .await
    }

    async fn list_consumers(&self, query: &Query) -> Result<Page<Consumer>, Error> {
        self.search(async |client| lists::consumers(client, query).await)
            .await
    }

    async fn consumer(&self, id: &str) -> Result<Option<Consumer>, Error> {
        self.read(async |client| consumers::get(client, id).await)
            .await
    }

    async fn is_registered(&self, cluster: &ClusterName) -> Result<bool, Error> {
        self.read(async |client| consumers::is_registered(client, cluster).await)
            .await
    }

    async fn create_consumer(&self, consumer: &Consumer) -> Result<(), Error> {
        self.write(async |client| consumers::create(client, consumer).await)
            .await
    }

    async fn update_consumer(
        &self,
        id: &str,
        labels: Option<BTreeMap<String, String>>,
    ) -> Result<Option<Consumer>, Error> {
        self.write(async |client| consumers::update(client, id, labels.as_ref()).await)
            .await
    }

    async fn delete_consumer(&self, id: &str) -> Result<(), Error> {
        self.write(async |client| consumers::delete(client, id).await)
            .await
    }

    async fn last_seen(&self, cluster: &ClusterName) -> Result<Option<Timestamp>, Error> {
        self.read(async |client| force::last_seen(client, cluster).await)
            .await
    }

    async fn force_remove(&self, forced: &Forced) -> Result<ForcedOutcome, Error> {
        self.write(async |client| force::remove(client, forced, &self.instance).await)
            .await
    }

    async fn heartbeat(&self) -> Result<(), Error> {
        self.write(async |client| keep::heartbeat(client, &self.instance, true).await)
            .await
    }

    async fn close_events(&self, clusters: &[ClusterName]) -> Result<(), Error> {
        self.write(async |client| keep::close_events(client, &self.instance, clusters).await)
            .await
    }

    async fn purge(&self, clusters: &[ClusterName], events_kept: Duration) -> Result<(), Error> {
        self.write(async |client| keep::purge(client, &self.instance, clusters, events_kept).await)
            .await
    }

    async fn forward_resync(&self, cluster: &ClusterName, versions: &str) -> Result<(), Error> {
        self.write(async |client| resyncs::forward(client, &self.instance, cluster, versions).await)
            .await
    }

    async fn forwarded_resync(&self, cluster: &ClusterName) -> Result<Option<String>, Error> {
        self.read(async |client| resyncs::forwarded(client, cluster).await)
            .await
    }

    async fn farewell(&self) -> Result<(), Error> {
        self.write(async |client| keep::heartbeat(client, &self.instance, false).await)
            .await
    }

    fn foreign_changes(&self) -> Option<mpsc::Receiver<Foreign>> {
        self.foreign
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[async_trait]
impl Facts for Postgres {
    async fn note_sent(&self, sent: Vec<Sent>) -> Result<(), Error> {
        self.write(async |client| facts::note_sent(client, &sent, &self.instance).await)
            .await
    }

    async fn note_presence(
        &self,
        ended: &[Ended],
        streams: &[Presence],
    ) -> Result<Vec<ClusterName>, Error> {
        self.write(async |client| {
            facts::note_presence(client, ended, streams, &self.instance).await
        })
        .await
    }

    async fn dispatch(&self, id: &ResourceId) -> Result<Dispatch, Error> {
        self.read(async |client| facts::dispatch(client, id).await)
            .await
    }

    async fn presence(&self, cluster: &ClusterName) -> Result<Option<LastPresence>, Error> {
        self.read(async |client| facts::presence(client, cluster).await)
            .await
    }

    async fn consumer_id(&self, cluster: &ClusterName) -> Result<Option<String>, Error> {
        self.read(async |client| facts::consumer_id(client, cluster).await)
            .await
    }

    async fn pending(&self, cluster: &ClusterName) -> Result<Pending, Error> {
        self.read(async |client| facts::pending(client, cluster).await)
            .await
    }

    async fn resend(&self, id: &ResourceId, who: &str) -> Result<Option<Resend>, Error> {
        self.write(async |client| facts::resend(client, id, who, &self.instance).await)
            .await
    }

    async fn accept_orphans(&self, cluster: &ClusterName) -> Result<(), Error> {
        self.write(async |client| facts::accept_orphans(client, cluster).await)
            .await
    }

    async fn note_audit(&self, entry: &AuditEntry) -> Result<(), Error> {
        self.write(async |client| facts::note_audit(&*client, entry).await)
            .await
    }

    async fn audit(&self, consumer: &str) -> Result<Vec<AuditEntry>, Error> {
        self.read(async |client| facts::audit(client, consumer).await)
            .await
    }

    async fn forget_sent(&self) -> Result<(), Error> {
        self.write(async |client| facts::forget_sent(client).await)
            .await
    }

    async fn gauges(&self) -> Result<Gauges, Error> {
        self.read(async |client| facts::gauges(client).await).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I7: statements that run every few seconds were compiled each time, and those beside them waited for it.
    #[tokio::test]
    async fn no_statement_is_compiled() {
        let server = testkit::postgres::Server::shared().await.unwrap();
        let database = server.database().await.unwrap();
        let config = Config::from_url(&database.url()).unwrap();
        let opened = Box::pin(Postgres::open(&config, 8, "test", Duration::from_secs(5))).await;
        let store = opened.unwrap();
        for (pool, by_index) in [
            (&store.writes, true),
            (&store.reads, true),
            (&store.searches, false),
        ] {
            let client = pool.get().await.unwrap();
            let setting = async |name: &str| -> String {
                let sql = format!("show {name}");
                client.query_one(&sql, &[]).await.unwrap().get(0)
            };
            assert_eq!(setting("jit").await, "off");
            let scans = if by_index { "off" } else { "on" };
            assert_eq!(setting("enable_seqscan").await, scans);
        }
    }
}
