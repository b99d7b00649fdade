//! Who is connected, and ending a cluster for good.

use jiff::Timestamp;
use sql_store::postgres::Client;

use super::super::facts::{AuditEntry, action};
use super::super::{Error, Forced, ForcedOutcome, last_words, now};
use super::values::Json;
use super::{Instance, facts, queries};
use crate::model::{Change, ClusterName, ResourceId};

/// Rows whose last words are written at once.
const PAGE: usize = 50;

pub(super) async fn last_seen(
    client: &Client,
    cluster: &ClusterName,
) -> Result<Option<Timestamp>, Error> {
    let statement = client
        .prepare_cached("select last_seen from connections where consumer_name = $1")
        .await?;
    let row = client.query_opt(&statement, &[&cluster.as_str()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

pub(super) async fn remove(
    client: &mut Client,
    forced: &Forced,
    instance: &Instance,
) -> Result<ForcedOutcome, Error> {
    let now = now();
    let cluster = forced.cluster.as_str();
    let transaction = client.transaction().await?;
    // Nobody adds a resource from here on: creates hold the row of the consumer.
    transaction
        .execute(
            "select id from consumers where id = $1 for update",
            &[&forced.id],
        )
        .await?;
    let rows = transaction
        .query(
            "select id, deleted_at is null from resources where consumer_name = $1 order by id for update",
            &[&cluster],
        )
        .await?;
    let (mut ids, mut live) = (Vec::<ResourceId>::with_capacity(rows.len()), 0_u64);
    for row in rows {
        ids.push(row.try_get::<_, &str>(0)?.into());
        live += u64::from(row.try_get::<_, bool>(1)?);
    }
    if live > 0 && !forced.include_live {
        return Ok(ForcedOutcome::Live(live));
    }
    let mut changes = Vec::with_capacity(ids.len());
    let mut written = Vec::with_capacity(ids.len());
    for page in ids.chunks(PAGE) {
        let (mut names, mut events, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for row in queries::resources(&transaction, page).await? {
            let event = instance.event_id();
            words.push(Json(last_words::of(&row, forced, now)?));
            names.push(row.id.to_string());
            events.push(event.clone());
            written.push(event.clone());
            changes.push(Change::Removed {
                id: row.id,
                source: row.source,
                event,
            });
        }
        transaction
            .execute(
                "with noted as (insert into status_events (id, created_at, updated_at, resource_id, resource_source, \
                     resource_type, payload, status, status_event_type) \
                 select t.event, $4, $4, r.id, r.source, r.type, r.payload, t.status, 'StatusDelete' \
                 from unnest($1::text[], $2::text[], $3::jsonb[]) as t (event, id, status) \
                 join resources r on r.id = t.id returning id) \
                 select pg_notify('status_events', id) from noted",
                &[&events, &names, &words, &now],
            )
            .await?;
    }
    transaction
        .execute(
            "insert into tombstones (id, consumer_name, created_at, removed_at) \
             select id, consumer_name, coalesce(created_at, $2), $2 from resources where consumer_name = $1 \
             on conflict (id) do update set consumer_name = excluded.consumer_name, \
                 created_at = excluded.created_at, removed_at = excluded.removed_at",
            &[&cluster, &now],
        )
        .await?;
    transaction
        .execute(
            "delete from resources where consumer_name = $1",
            &[&cluster],
        )
        .await?;
    transaction
        .execute(
            "delete from connections where consumer_name = $1",
            &[&cluster],
        )
        .await?;
    transaction
        .execute("delete from consumers where id = $1", &[&forced.id])
        .await?;
    let entry = AuditEntry {
        id: uuid::Uuid::new_v4().to_string(),
        at: now,
        action: action::FORCE_REMOVE.to_owned(),
        consumer: forced.id.clone(),
        cluster: forced.cluster.clone(),
        who: forced.who.clone(),
        reason: forced.reason.clone(),
        resources: ids.iter().map(ResourceId::to_string).collect(),
    };
    facts::note_audit(&transaction, &entry).await?;
    let doubt = instance.doubts.about(written);
    transaction.commit().await?;
    doubt.settle();
    Ok(ForcedOutcome::Removed(changes))
}
