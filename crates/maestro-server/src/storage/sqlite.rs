//! SQLite: one file (or memory), one process, one writer.

mod apply;
mod consumers;
mod facts;
mod force;
mod lists;
mod queries;
mod schema;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sql_store::sqlite::Database;
use sql_store::sqlite::rusqlite::{self, Connection};
use tokio::sync::mpsc;

use super::facts::{
    AuditEntry, Dispatch, Ended, Facts, Gauges, LastPresence, Pending, Presence, Resend, Sent,
};
use super::{
    Batch, Error, Forced, ForcedOutcome, Foreign, Kept, Listed, Overdue, Page, Partial, Query,
    Removal, Slot, StatusHash, Store, Version,
};
use crate::model::{ClusterName, Consumer, Resource, ResourceId, SourceId};

/// Consumers and resources in SQLite.
#[derive(Clone, Debug)]
pub struct Sqlite {
    database: Database,
}

impl Sqlite {
    /// Opens or creates the file and brings its schema up to date.
    ///
    /// # Errors
    /// When it can't be used, or a running server uses it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            database: Database::open(path, schema::STEPS)?,
        })
    }

    /// A database that lives as long as this value.
    ///
    /// # Errors
    /// When memory is short.
    pub fn in_memory() -> Result<Self, Error> {
        Ok(Self {
            database: Database::in_memory(schema::STEPS)?,
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database.read(work).await
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn ping(&self) -> Result<(), Error> {
        self.read(|db| Ok(db.query_row("select 1", [], |_| Ok(()))?))
            .await
    }

    async fn apply(&self, batch: Batch) -> Result<Vec<Slot>, Error> {
        self.database.write(move |db| apply::run(db, &batch)).await
    }

    async fn resources(&self, ids: &[ResourceId]) -> Result<Vec<Resource>, Error> {
        let ids = ids.to_vec();
        self.read(move |db| queries::resources(db, &ids)).await
    }

    async fn resources_beside(
        &self,
        kept: &[Kept],
        with_status: bool,
    ) -> Result<Vec<Partial>, Error> {
        let kept = kept.to_vec();
        self.read(move |db| queries::resources_beside(db, &kept, with_status))
            .await
    }

    async fn versions(
        &self,
        cluster: &ClusterName,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Version>, Error> {
        let (cluster, after) = (cluster.clone(), after.cloned());
        self.read(move |db| queries::versions(db, &cluster, after.as_ref(), limit))
            .await
    }

    async fn status_hashes(
        &self,
        source: &SourceId,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<StatusHash>, Error> {
        let (source, after) = (source.clone(), after.cloned());
        self.read(move |db| queries::status_hashes(db, &source, after.as_ref(), limit))
            .await
    }

    async fn overdue(
        &self,
        clusters: &[ClusterName],
        grace: Duration,
        limit: usize,
    ) -> Result<Vec<Overdue>, Error> {
        let clusters = clusters.to_vec();
        let found = self
            .read({
                let clusters = clusters.clone();
                move |db| queries::overdue(db, &clusters, grace, limit)
            })
            .await?;
        if !found.is_empty() {
            let noted = found.clone();
            self.database
                .write(move |db| queries::note_reminders(db, &noted, grace))
                .await?;
        }
        Ok(found)
    }

    async fn unsettled(
        &self,
        cluster: &ClusterName,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<ResourceId>, Error> {
        let (cluster, after) = (cluster.clone(), after.cloned());
        self.read(move |db| queries::unsettled(db, &cluster, after.as_ref(), limit))
            .await
    }

    async fn tombstones(
        &self,
        cluster: &ClusterName,
        ids: &[ResourceId],
    ) -> Result<Vec<ResourceId>, Error> {
        let (cluster, ids) = (cluster.clone(), ids.to_vec());
        self.read(move |db| queries::tombstones(db, &cluster, &ids))
            .await
    }

    async fn clusters_of(
        &self,
        ids: &[ResourceId],
    ) -> Result<Vec<(ResourceId, ClusterName)>, Error> {
        let ids = ids.to_vec();
        self.read(move |db| queries::clusters_of(db, &ids)).await
    }

    async fn removals(&self, events: &[String]) -> Result<Vec<Removal>, Error> {
        let events = events.to_vec();
        self.read(move |db| queries::removals(db, &events)).await
    }

    async fn list_resources(&self, query: &Query) -> Result<Page<Listed>, Error> {
        let query = query.clone();
        self.read(move |db| lists::resources(db, &query)).await
    }

    async fn list_consumers(&self, query: &Query) -> Result<Page<Consumer>, Error> {
        let query = query.clone();
        self.read(move |db| lists::consumers(db, &query)).await
    }

    async fn consumer(&self, id: &str) -> Result<Option<Consumer>, Error> {
        let id = id.to_owned();
        self.read(move |db| consumers::get(db, &id)).await
    }

    async fn is_registered(&self, cluster: &ClusterName) -> Result<bool, Error> {
        let cluster = cluster.clone();
        self.read(move |db| consumers::is_registered(db, &cluster))
            .await
    }

    async fn create_consumer(&self, consumer: &Consumer) -> Result<(), Error> {
        let consumer = consumer.clone();
        self.database
            .write(move |db| consumers::create(db, &consumer))
            .await
    }

    async fn update_consumer(
        &self,
        id: &str,
        labels: Option<BTreeMap<String, String>>,
    ) -> Result<Option<Consumer>, Error> {
        let id = id.to_owned();
        self.database
            .write(move |db| consumers::update(db, &id, labels.as_ref()))
            .await
    }

    async fn delete_consumer(&self, id: &str) -> Result<(), Error> {
        let id = id.to_owned();
        self.database
            .write(move |db| consumers::delete(db, &id))
            .await
    }

    async fn last_seen(&self, cluster: &ClusterName) -> Result<Option<Timestamp>, Error> {
        let cluster = cluster.clone();
        self.read(move |db| force::last_seen(db, &cluster)).await
    }

    async fn force_remove(&self, forced: &Forced) -> Result<ForcedOutcome, Error> {
        let forced = forced.clone();
        self.database
            .write(move |db| force::remove(db, &forced))
            .await
    }

    async fn heartbeat(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn purge(&self, _: &[ClusterName], events_kept: Duration) -> Result<(), Error> {
        self.database
            .write(move |db| queries::purge(db, events_kept))
            .await
    }

    async fn farewell(&self) -> Result<(), Error> {
        Ok(())
    }

    fn foreign_changes(&self) -> Option<mpsc::Receiver<Foreign>> {
        None
    }
}

#[async_trait]
impl Facts for Sqlite {
    async fn note_sent(&self, sent: Vec<Sent>) -> Result<(), Error> {
        self.database
            .write(move |db| facts::note_sent(db, &sent))
            .await
    }

    async fn note_presence(
        &self,
        ended: &[Ended],
        streams: &[Presence],
    ) -> Result<Vec<ClusterName>, Error> {
        let (ended, streams) = (ended.to_vec(), streams.to_vec());
        self.database
            .write(move |db| facts::note_presence(db, &ended, &streams))
            .await
    }

    async fn dispatch(&self, id: &ResourceId) -> Result<Dispatch, Error> {
        let id = id.clone();
        self.read(move |db| facts::dispatch(db, &id)).await
    }

    async fn presence(&self, cluster: &ClusterName) -> Result<Option<LastPresence>, Error> {
        let cluster = cluster.clone();
        self.read(move |db| facts::presence(db, &cluster)).await
    }

    async fn consumer_id(&self, cluster: &ClusterName) -> Result<Option<String>, Error> {
        let cluster = cluster.clone();
        self.read(move |db| facts::consumer_id(db, &cluster)).await
    }

    async fn pending(&self, cluster: &ClusterName) -> Result<Pending, Error> {
        let cluster = cluster.clone();
        self.read(move |db| facts::pending(db, &cluster)).await
    }

    async fn resend(&self, id: &ResourceId, who: &str) -> Result<Option<Resend>, Error> {
        let (id, who) = (id.clone(), who.to_owned());
        self.database
            .write(move |db| facts::resend(db, &id, &who))
            .await
    }

    async fn accept_orphans(&self, cluster: &ClusterName) -> Result<(), Error> {
        let cluster = cluster.clone();
        self.database
            .write(move |db| facts::accept_orphans(db, &cluster))
            .await
    }

    async fn note_audit(&self, entry: &AuditEntry) -> Result<(), Error> {
        let entry = entry.clone();
        self.database
            .write(move |db| facts::note_audit(db, &entry))
            .await
    }

    async fn audit(&self, consumer: &str) -> Result<Vec<AuditEntry>, Error> {
        let consumer = consumer.to_owned();
        self.read(move |db| facts::audit(db, &consumer)).await
    }

    async fn forget_sent(&self) -> Result<(), Error> {
        self.database.write(facts::forget_sent).await
    }

    async fn gauges(&self) -> Result<Gauges, Error> {
        self.read(facts::gauges).await
    }
}

/// Times are text of a fixed width, so that their order is that of the text and searches can compare them.
fn time_text(time: Timestamp) -> String {
    go_compat::time::rfc3339_micro(time)
}

fn time_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    parse_time(&text, column)
}

fn optional_time_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| parse_time(&text, column)).transpose()
}

fn parse_time(text: &str, column: usize) -> rusqlite::Result<Timestamp> {
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::<jiff::Error>::new(error),
        )
    })
}
