//! What a transaction writes, one statement for each kind of change.

use std::collections::HashSet;

use event_wire::attribute::name;
use event_wire::stored;
use jiff::Timestamp;
use sql_store::postgres::Client;
use sql_store::postgres::tokio_postgres::Statement;

use super::super::super::metadata::with_times;
use super::super::super::{Error, Slot};
use super::super::Instance;
use super::super::schema::{closed, go_is_here};
use super::super::values::Json;
use super::known::Row;
use crate::lifecycle::Verdict;
use crate::model::{Change, ClusterName, Done, Operation, Report, ResourceId, SpecChange};

#[derive(Default)]
pub(super) struct Plan {
    inserted: Inserted,
    replaced: Replaced,
    marked: Marked,
    stored: Stored,
    removed: Removed,
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
    events: Vec<String>,
}

#[derive(Default)]
struct Marked {
    ids: Vec<String>,
    events: Vec<String>,
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
                self.replaced.events.push(instance.event_id());
                let cluster = &row.current.cluster;
                (
                    Ok(Done::Updated),
                    Some(spec_change(id, cluster, SpecChange::Updated)),
                )
            }
            (Verdict::MarkDeleting, _, Some(row)) => {
                self.marked.ids.push(id.to_string());
                self.marked.events.push(instance.event_id());
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
                    Ok(row.current.stored()),
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

    /// Ids of the events that it writes.
    pub(super) fn events(&self) -> Vec<String> {
        let all = [
            &self.inserted.events,
            &self.replaced.events,
            &self.marked.events,
            &self.stored.events,
            &self.removed.events,
        ];
        all.into_iter().flatten().cloned().collect()
    }

    /// Writes everything in one round trip. Returns ids that could not be inserted because somebody had just done so
    /// without our locks.
    pub(super) async fn write(
        &self,
        client: &Client,
        statements: &Statements,
        now: Timestamp,
    ) -> Result<HashSet<ResourceId>, Error> {
        let (inserted, replaced, marked, stored, removed) = tokio::join!(
            biased;
            self.inserted.write(client, &statements.insert),
            self.replaced.write(client, &statements.replace, now),
            self.marked.write(client, &statements.mark, now),
            self.stored.write(client, &statements.store, now),
            self.removed.write(client, &statements.remove),
        );
        replaced?;
        marked?;
        stored?;
        removed?;
        inserted
    }
}

impl Inserted {
    async fn write(
        &self,
        client: &Client,
        statement: &Statement,
    ) -> Result<HashSet<ResourceId>, Error> {
        let Self {
            ids,
            sources,
            clusters,
            versions,
            created,
            payloads,
            events,
        } = self;
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let rows = client
            .query(
                statement,
                &[ids, sources, clusters, versions, created, payloads, events],
            )
            .await?;
        let mut taken: HashSet<ResourceId> = ids.iter().map(|id| id.as_str().into()).collect();
        for row in rows {
            taken.remove(row.try_get::<_, &str>(0)?);
        }
        Ok(taken)
    }
}

impl Replaced {
    async fn write(
        &self,
        client: &Client,
        statement: &Statement,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Self {
            ids,
            versions,
            payloads,
            events,
        } = self;
        if !ids.is_empty() {
            client
                .execute(statement, &[ids, versions, payloads, events, &now])
                .await?;
        }
        Ok(())
    }
}

impl Marked {
    async fn write(
        &self,
        client: &Client,
        statement: &Statement,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Self { ids, events } = self;
        if !ids.is_empty() {
            client.execute(statement, &[ids, events, &now]).await?;
        }
        Ok(())
    }
}

impl Stored {
    async fn write(
        &self,
        client: &Client,
        statement: &Statement,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Self {
            ids,
            sources,
            statuses,
            events,
        } = self;
        if !ids.is_empty() {
            client
                .execute(statement, &[ids, sources, statuses, events, &now])
                .await?;
        }
        Ok(())
    }
}

impl Removed {
    async fn write(&self, client: &Client, statement: &Statement) -> Result<(), Error> {
        let Self {
            ids,
            statuses,
            events,
        } = self;
        if !ids.is_empty() {
            client.execute(statement, &[ids, statuses, events]).await?;
        }
        Ok(())
    }
}

/// What is written: one statement for each kind of change, with its event and the notification.
pub(super) struct Statements {
    insert: Statement,
    replace: Statement,
    mark: Statement,
    store: Statement,
    remove: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let insert = client.prepare_cached(concat!(
                "with t as (select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], \
                     $6::jsonb[], $7::text[]) as t (id, source, consumer_name, version, created_at, payload, event)), \
                 new as (insert into resources (id, name, source, consumer_name, version, type, created_at, updated_at, \
                     payload) select id, id, source, consumer_name, version, '', created_at, created_at, payload from t \
                     on conflict do nothing returning id), \
                 noted as (insert into events (id, created_at, updated_at, source, source_id, event_type, reconciled_date) \
                     select t.event, now(), now(), 'Resources', t.id, 'Create', ",
                closed!(),
                " from t join new using (id) returning id, source_id) \
                 select source_id, pg_notify('events', id)::text from noted"
            ));
        // A new version or a deletion starts with fresh patience.
        let replace = client.prepare_cached(concat!(
                "with t as (select * from unnest($1::text[], $2::bigint[], $3::jsonb[], $4::text[]) \
                     as t (id, version, payload, event)), \
                 new as (update resources r set version = t.version, updated_at = $5, payload = t.payload \
                     from t where r.id = t.id), \
                 calmed as (delete from delivery where resource_id = any($1)), \
                 noted as (insert into events (id, created_at, updated_at, source, source_id, event_type, reconciled_date) \
                     select t.event, now(), now(), 'Resources', t.id, 'Update', ",
                closed!(),
                " from t returning id) select pg_notify('events', id)::text from noted"
            ));
        let mark = client.prepare_cached(concat!(
                "with new as (update resources set deleted_at = $3 where id = any($1)), \
                 calmed as (delete from delivery where resource_id = any($1)), \
                 noted as (insert into events (id, created_at, updated_at, source, source_id, event_type, reconciled_date) \
                     select t.event, now(), now(), 'Resources', t.id, 'Delete', ",
                closed!(),
                " from unnest($1::text[], $2::text[]) as t (id, event) returning id) \
                 select pg_notify('events', id)::text from noted"
            ));
        let store = client.prepare_cached(
                "with t as (select * from unnest($1::text[], $2::text[], $3::jsonb[], $4::text[]) \
                     as t (id, source, status, event)), \
                 new as (update resources r set status = t.status, updated_at = $5 from t where r.id = t.id), \
                 noted as (insert into status_events (id, created_at, updated_at, resource_id, resource_source, \
                     resource_type, status_event_type) \
                     select t.event, now(), now(), t.id, t.source, '', 'StatusUpdate' from t returning id) \
                 select pg_notify('status_events', id)::text from noted",
            );
        // The end of resources: their last words are kept for the sources, their ids for resyncs.
        let remove = client.prepare_cached(
                "with t as (select * from unnest($1::text[], $2::jsonb[], $3::text[]) as t (id, status, event)), \
                 gone as (delete from resources where id = any($1) \
                     returning id, source, type, consumer_name, created_at, payload), \
                 buried as (insert into tombstones (id, consumer_name, created_at, removed_at) \
                     select id, coalesce(consumer_name, ''), coalesce(created_at, now()), now() from gone \
                     on conflict (id) do update set consumer_name = excluded.consumer_name, \
                         created_at = excluded.created_at, removed_at = excluded.removed_at), \
                 noted as (insert into status_events (id, created_at, updated_at, resource_id, resource_source, \
                     resource_type, payload, status, status_event_type) \
                     select t.event, now(), now(), g.id, g.source, g.type, g.payload, t.status, 'StatusDelete' \
                     from t join gone g using (id) returning id) \
                 select pg_notify('status_events', id)::text from noted",
            );
        let (insert, replace, mark, store, remove) =
            tokio::try_join!(insert, replace, mark, store, remove)?;
        Ok(Self {
            insert,
            replace,
            mark,
            store,
            remove,
        })
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
