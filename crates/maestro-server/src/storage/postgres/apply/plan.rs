//! What a transaction writes, one statement for each kind of change.

use std::collections::HashSet;

use event_wire::attribute::name;
use event_wire::stored;
use jiff::Timestamp;
use sql_store::postgres::Transaction;

use super::super::super::metadata::with_times;
use super::super::super::{Error, Slot};
use super::super::Instance;
use super::super::values::Json;
use super::known::Row;
use crate::lifecycle::Verdict;
use crate::model::{Change, ClusterName, Done, Operation, Report, ResourceId, SpecChange};

#[derive(Default)]
pub(super) struct Plan {
    inserted: Inserted,
    replaced: Replaced,
    marked: Vec<String>,
    stored: Stored,
    removed: Removed,
    events: Events,
}

#[derive(Default)]
struct Inserted {
    ids: Vec<String>,
    sources: Vec<String>,
    clusters: Vec<String>,
    versions: Vec<i64>,
    created: Vec<Timestamp>,
    payloads: Vec<Json<String>>,
    events: Vec<String>,
}

#[derive(Default)]
struct Replaced {
    ids: Vec<String>,
    versions: Vec<i64>,
    payloads: Vec<Json<String>>,
}

#[derive(Default)]
struct Stored {
    ids: Vec<String>,
    sources: Vec<String>,
    statuses: Vec<Json<String>>,
    events: Vec<String>,
}

#[derive(Default)]
struct Removed {
    ids: Vec<String>,
    statuses: Vec<Json<String>>,
    events: Vec<String>,
}

/// Rows for the table `events` that don't depend on an insert.
#[derive(Default)]
struct Events {
    ids: Vec<String>,
    resources: Vec<String>,
    kinds: Vec<&'static str>,
}

impl Events {
    fn add(&mut self, id: String, resource: &ResourceId, kind: &'static str) {
        self.ids.push(id);
        self.resources.push(resource.to_string());
        self.kinds.push(kind);
    }
}

impl Plan {
    /// Notes what to write for one operation; tells its outcome if the transaction commits.
    pub(super) fn add(
        &mut self,
        operation: &Operation,
        row: Option<&Row>,
        verdict: Verdict,
        instance: &Instance,
    ) -> Result<Slot, Error> {
        let id = operation.id();
        let (outcome, change) = match (verdict, operation, row) {
            (
                Verdict::Insert {
                    version,
                    created_at,
                },
                Operation::Create(spec),
                _,
            ) => {
                self.inserted.ids.push(id.to_string());
                self.inserted.sources.push(spec.source.to_string());
                self.inserted.clusters.push(spec.cluster.to_string());
                self.inserted.versions.push(version);
                self.inserted.created.push(created_at);
                self.inserted
                    .payloads
                    .push(json(stored::to_string(&spec.event))?);
                self.inserted.events.push(instance.event_id());
                (
                    Ok(Done::Created),
                    Some(spec_change(id, &spec.cluster, SpecChange::Created)),
                )
            }
            (Verdict::Replace { version }, Operation::Update(spec), Some(row)) => {
                self.replaced.ids.push(id.to_string());
                self.replaced.versions.push(version);
                self.replaced
                    .payloads
                    .push(json(stored::to_string(&spec.event))?);
                self.events.add(instance.event_id(), id, "Update");
                let cluster = &row.current.cluster;
                (
                    Ok(Done::Updated),
                    Some(spec_change(id, cluster, SpecChange::Updated)),
                )
            }
            (Verdict::MarkDeleting, _, Some(row)) => {
                self.marked.push(id.to_string());
                self.events.add(instance.event_id(), id, "Delete");
                let cluster = &row.current.cluster;
                (
                    Ok(Done::Deleting),
                    Some(spec_change(id, cluster, SpecChange::Deleted)),
                )
            }
            (Verdict::StoreStatus, Operation::Status(report), Some(row)) => {
                self.stored.ids.push(id.to_string());
                self.stored.sources.push(row.current.source.to_string());
                self.stored.statuses.push(status_json(report, row)?);
                self.stored.events.push(instance.event_id());
                let source = row.current.source.clone();
                (
                    Ok(Done::Stored),
                    Some(Change::Status {
                        id: id.clone(),
                        source,
                    }),
                )
            }
            (Verdict::Remove, Operation::Status(report), Some(row)) => {
                let event = instance.event_id();
                self.removed.ids.push(id.to_string());
                self.removed.statuses.push(status_json(report, row)?);
                self.removed.events.push(event.clone());
                let source = row.current.source.clone();
                (
                    Ok(Done::Removed),
                    Some(Change::Removed {
                        id: id.clone(),
                        source,
                        event,
                    }),
                )
            }
            (Verdict::Nothing(done), _, row) => {
                let again = row.filter(|_| done.wants_resend());
                let change =
                    again.map(|row| spec_change(id, &row.current.cluster, SpecChange::Updated));
                (Ok(done), change)
            }
            (Verdict::Refuse(refusal), ..) => (Err(refusal), None),
            (verdict, ..) => {
                let text = format!("the verdict {verdict:?} doesn't fit its operation");
                return Err(Error::other(text));
            }
        };
        Ok(Slot::Decided { outcome, change })
    }

    /// Writes everything. Returns ids that could not be inserted because somebody had just done so without our locks.
    pub(super) async fn write(
        &self,
        transaction: &Transaction<'_>,
        now: Timestamp,
    ) -> Result<HashSet<ResourceId>, Error> {
        let taken = self.insert(transaction).await?;
        self.change(transaction, now).await?;
        self.store_statuses(transaction, now).await?;
        self.remove(transaction, now).await?;
        Ok(taken)
    }

    async fn insert(&self, transaction: &Transaction<'_>) -> Result<HashSet<ResourceId>, Error> {
        let Inserted {
            ids,
            sources,
            clusters,
            versions,
            created,
            payloads,
            events,
        } = &self.inserted;
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let statement = transaction
            .prepare_cached(
                "with t as (select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], \
                     $6::jsonb[], $7::text[]) as t (id, source, consumer_name, version, created_at, payload, event)), \
                 new as (insert into resources (id, name, source, consumer_name, version, type, created_at, updated_at, \
                     payload) select id, id, source, consumer_name, version, '', created_at, created_at, payload from t \
                     on conflict do nothing returning id), \
                 noted as (insert into events (id, created_at, updated_at, source, source_id, event_type) \
                     select t.event, t.created_at, t.created_at, 'Resources', t.id, 'Create' from t join new using (id) \
                     returning id, source_id) \
                 select source_id, pg_notify('events', id)::text from noted",
            )
            .await?;
        let rows = transaction
            .query(
                &statement,
                &[ids, sources, clusters, versions, created, payloads, events],
            )
            .await?;
        let mut taken: HashSet<ResourceId> = ids.iter().map(|id| id.as_str().into()).collect();
        for row in rows {
            taken.remove(row.try_get::<_, &str>(0)?);
        }
        Ok(taken)
    }

    /// New versions and deletions.
    async fn change(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<(), Error> {
        let Replaced {
            ids,
            versions,
            payloads,
        } = &self.replaced;
        if !ids.is_empty() {
            let statement = transaction
                .prepare_cached(
                    "update resources r set version = t.version, updated_at = $4, payload = t.payload \
                     from unnest($1::text[], $2::bigint[], $3::jsonb[]) as t (id, version, payload) where r.id = t.id",
                )
                .await?;
            transaction
                .execute(&statement, &[ids, versions, payloads, &now])
                .await?;
        }
        if !self.marked.is_empty() {
            let statement = transaction
                .prepare_cached("update resources set deleted_at = $2 where id = any($1)")
                .await?;
            transaction
                .execute(&statement, &[&self.marked, &now])
                .await?;
        }
        let Events {
            ids,
            resources,
            kinds,
        } = &self.events;
        if ids.is_empty() {
            return Ok(());
        }
        // A new version or a deletion starts with fresh patience.
        let statement = transaction
            .prepare_cached("delete from delivery where resource_id = any($1)")
            .await?;
        transaction.execute(&statement, &[resources]).await?;
        let statement = transaction
            .prepare_cached(
                "with noted as (insert into events (id, created_at, updated_at, source, source_id, event_type) \
                 select t.id, $4, $4, 'Resources', t.resource, t.kind \
                 from unnest($1::text[], $2::text[], $3::text[]) as t (id, resource, kind) returning id) \
                 select pg_notify('events', id) from noted",
            )
            .await?;
        transaction
            .execute(&statement, &[ids, resources, kinds, &now])
            .await?;
        Ok(())
    }

    async fn store_statuses(
        &self,
        transaction: &Transaction<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Stored {
            ids,
            sources,
            statuses,
            events,
        } = &self.stored;
        if ids.is_empty() {
            return Ok(());
        }
        let update = transaction
            .prepare_cached(
                "update resources r set status = t.status, updated_at = $3 \
                 from unnest($1::text[], $2::jsonb[]) as t (id, status) where r.id = t.id",
            )
            .await?;
        transaction.execute(&update, &[ids, statuses, &now]).await?;
        let notify = transaction
            .prepare_cached(
                "with noted as (insert into status_events (id, created_at, updated_at, resource_id, resource_source, \
                     resource_type, status_event_type) \
                 select t.id, $4, $4, t.resource, t.source, '', 'StatusUpdate' \
                 from unnest($1::text[], $2::text[], $3::text[]) as t (id, resource, source) returning id) \
                 select pg_notify('status_events', id) from noted",
            )
            .await?;
        transaction
            .execute(&notify, &[events, ids, sources, &now])
            .await?;
        Ok(())
    }

    /// The end of resources: their last words are kept for the sources, their ids for resyncs.
    async fn remove(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<(), Error> {
        let Removed {
            ids,
            statuses,
            events,
        } = &self.removed;
        if ids.is_empty() {
            return Ok(());
        }
        let keep = transaction
            .prepare_cached(
                "with noted as (insert into status_events (id, created_at, updated_at, resource_id, resource_source, \
                     resource_type, payload, status, status_event_type) \
                 select t.event, $4, $4, r.id, r.source, r.type, r.payload, t.status, 'StatusDelete' \
                 from unnest($1::text[], $2::text[], $3::jsonb[]) as t (event, id, status) \
                 join resources r on r.id = t.id returning id) \
                 select pg_notify('status_events', id) from noted",
            )
            .await?;
        transaction
            .execute(&keep, &[events, ids, statuses, &now])
            .await?;
        let bury = transaction
            .prepare_cached(
                "insert into tombstones (id, consumer_name, created_at, removed_at) \
                 select id, coalesce(consumer_name, ''), coalesce(created_at, $2), $2 from resources where id = any($1) \
                 on conflict (id) do update set consumer_name = excluded.consumer_name, \
                     created_at = excluded.created_at, removed_at = excluded.removed_at",
            )
            .await?;
        transaction.execute(&bury, &[ids, &now]).await?;
        let delete = transaction
            .prepare_cached("delete from resources where id = any($1)")
            .await?;
        transaction.execute(&delete, &[ids]).await?;
        Ok(())
    }
}

fn spec_change(id: &ResourceId, cluster: &ClusterName, kind: SpecChange) -> Change {
    Change::Spec {
        id: id.clone(),
        cluster: cluster.clone(),
        kind,
    }
}

/// A status is kept with the metadata of its spec, so that sources see their own names again.
fn status_json(report: &Report, row: &Row) -> Result<Json<String>, Error> {
    let metadata = row.metadata.as_deref().unwrap_or_default();
    let mut event = report.event.clone();
    event.set(
        name::METADATA,
        with_times(metadata, row.current.created_at, row.deleted_at),
    );
    json(stored::to_string(&event))
}

fn json(text: Result<String, event_wire::Error>) -> Result<Json<String>, Error> {
    text.map(Json)
        .map_err(|error| Error::other(error.to_string()))
}
