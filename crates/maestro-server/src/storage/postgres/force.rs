//! Who is connected, and ending a cluster for good.

use jiff::Timestamp;
use sql_store::postgres::tokio_postgres::Row;
use sql_store::postgres::{Client, Transaction};

use super::super::facts::action;
use super::super::force::{Portion, record};
use super::super::{Error, Forced, ForcedOutcome, last_words, now};
use super::Instance;
use super::facts::note_audit;
use super::values::{Json, or_epoch};
use crate::model::{Change, ClusterName};

/// Rows that end in one transaction, so that it takes a fraction of a second however many the cluster has.
const PORTION: usize = 250;
/// Rows that are read at once: with the statuses in hand, what a portion holds in memory.
const AT_ONCE: usize = 8;

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

/// Ends a portion of the resources, and with the last of them the consumer.
pub(super) async fn remove(
    client: &mut Client,
    forced: &Forced,
    instance: &Instance,
) -> Result<ForcedOutcome, Error> {
    let transaction = client.transaction().await?;
    let begun = match begin(&transaction, forced).await? {
        Begun::At(begun) => begun,
        Begun::Not(outcome) => return Ok(outcome),
    };
    let Portion { rows, last, .. } = portion(&transaction, forced).await?;
    let live = rows.iter().any(|row| row.deleted_at.is_none());
    if live && !forced.include_live {
        // Somebody without our rules added it since, or the one who asked first included such.
        return Ok(ForcedOutcome::Live(count_live(&transaction, forced).await?));
    }
    let (changes, events) = end(&transaction, forced, rows, begun, instance).await?;
    let outcome = if last {
        let resources = bury(&transaction, forced, begun).await?;
        ForcedOutcome::Removed { changes, resources }
    } else {
        ForcedOutcome::Portion(changes)
    };
    let doubt = instance.doubts.about(events);
    transaction.commit().await?;
    doubt.settle();
    Ok(outcome)
}

enum Begun {
    /// When the first portion went.
    At(Timestamp),
    Not(ForcedOutcome),
}

/// Marks the consumer as ending, unless it is, and notes who asks for it. Nobody adds a resource from here on: creates hold
/// the row of the consumer while they are on their way, and pass over one that is marked.
async fn begin(transaction: &Transaction<'_>, forced: &Forced) -> Result<Begun, Error> {
    let row = transaction
        .query_opt(
            "select deleted_at from consumers where id = $1 for update",
            &[&forced.id],
        )
        .await?;
    let Some(row) = row else {
        return Ok(Begun::Not(ForcedOutcome::Unknown));
    };
    if let Some(begun) = row.try_get(0)? {
        if forced.first {
            note_audit(transaction, &record(forced, true, now())).await?;
        }
        return Ok(Begun::At(begun));
    }
    if !forced.include_live {
        let live = count_live(transaction, forced).await?;
        if live > 0 {
            return Ok(Begun::Not(ForcedOutcome::Live(live)));
        }
    }
    let begun = now();
    transaction
        .execute(
            "update consumers set deleted_at = $2 where id = $1",
            &[&forced.id, &begun],
        )
        .await?;
    note_audit(transaction, &record(forced, false, begun)).await?;
    Ok(Begun::At(begun))
}

async fn count_live(transaction: &Transaction<'_>, forced: &Forced) -> Result<u64, Error> {
    let row = transaction
        .query_one(
            "select count(*) from resources where consumer_name = $1 and deleted_at is null",
            &[&forced.cluster.as_str()],
        )
        .await?;
    Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
}

/// The next rows, without their specs. Statuses may be large: they come a few at a time, until there are enough.
async fn portion(transaction: &Transaction<'_>, forced: &Forced) -> Result<Portion, Error> {
    let statement = transaction
        .prepare_cached(
            "select id, source, version, created_at, deleted_at, payload -> 'metadata', nullif(status, 'null') \
             from resources where consumer_name = $1 order by id limit $2 for update",
        )
        .await?;
    let limit = i64::try_from(PORTION).unwrap_or(i64::MAX);
    let cursor = transaction
        .bind(&statement, &[&forced.cluster.as_str(), &limit])
        .await?;
    let mut portion = Portion::default();
    loop {
        let wanted = portion.room(PORTION).min(AT_ONCE);
        if wanted == 0 {
            return Ok(portion);
        }
        let most = i32::try_from(wanted).unwrap_or(i32::MAX);
        let rows = transaction.query_portal(&cursor, most).await?;
        for row in &rows {
            portion.add(last_row(row)?);
        }
        if rows.len() < wanted {
            portion.last = true;
            return Ok(portion);
        }
    }
}

fn last_row(row: &Row) -> Result<last_words::Row, Error> {
    let source: Option<&str> = row.try_get(1)?;
    let document = |index: usize| -> Result<Option<String>, Error> {
        let json: Option<Json<String>> = row.try_get(index)?;
        Ok(json.map(|json| json.0))
    };
    Ok(last_words::Row {
        id: row.try_get::<_, &str>(0)?.into(),
        source: source.unwrap_or_default().into(),
        version: row.try_get(2)?,
        created_at: or_epoch(row.try_get(3)?),
        deleted_at: row.try_get(4)?,
        metadata: document(5)?,
        status: document(6)?,
    })
}

/// Writes last words and tombstones, and removes the rows. All tombstones of one ending have its time, so that those who
/// finish it know what went before.
async fn end(
    transaction: &Transaction<'_>,
    forced: &Forced,
    rows: Vec<last_words::Row>,
    begun: Timestamp,
    instance: &Instance,
) -> Result<(Vec<Change>, Vec<String>), Error> {
    let now = now();
    let (mut ids, mut words) = (Vec::new(), Vec::new());
    let (mut events, mut changes) = (Vec::new(), Vec::new());
    for row in rows {
        let event = instance.event_id();
        words.push(Json(last_words::of(&row, forced, now)?));
        ids.push(row.id.to_string());
        changes.push(Change::Removed {
            id: row.id,
            source: row.source,
            event: event.clone(),
        });
        events.push(event);
    }
    let statement = transaction
        .prepare_cached(
            "with t as (select * from unnest($1::text[], $2::jsonb[], $3::text[]) as t (id, status, event)), \
             gone as (delete from resources where id = any($1) \
                 returning id, source, type, consumer_name, created_at, payload), \
             buried as (insert into tombstones (id, consumer_name, created_at, removed_at) \
                 select id, consumer_name, coalesce(created_at, $4), $4 from gone \
                 on conflict (id) do update set consumer_name = excluded.consumer_name, \
                     created_at = excluded.created_at, removed_at = excluded.removed_at), \
             noted as (insert into status_events (id, created_at, updated_at, resource_id, resource_source, \
                 resource_type, payload, status, status_event_type) \
                 select t.event, now(), now(), g.id, g.source, g.type, g.payload, t.status, 'StatusDelete' \
                 from t join gone g using (id) returning id) \
             select pg_notify('status_events', id)::text from noted",
        )
        .await?;
    transaction
        .execute(&statement, &[&ids, &words, &events, &begun])
        .await?;
    Ok((changes, events))
}

/// Removes the consumer; the audit names all that went with it. Tells how many that were.
async fn bury(
    transaction: &Transaction<'_>,
    forced: &Forced,
    begun: Timestamp,
) -> Result<u64, Error> {
    let cluster = forced.cluster.as_str();
    let audit = transaction
        .query_one(
            "insert into audit (id, at, action, consumer_id, consumer_name, who, reason, resources) \
             select $1, $2, $3, $4, $5, $6, $7, coalesce(jsonb_agg(t.id order by t.id), '[]') \
             from tombstones t where t.consumer_name = $5 and t.removed_at = $8 \
             returning jsonb_array_length(resources)",
            &[
                &uuid::Uuid::new_v4().to_string(),
                &now(),
                &action::FORCE_REMOVE,
                &forced.id,
                &cluster,
                &forced.who,
                &forced.reason,
                &begun,
            ],
        )
        .await?;
    let resources = u64::try_from(audit.try_get::<_, i32>(0)?).unwrap_or_default();
    transaction
        .execute(
            "delete from connections where consumer_name = $1",
            &[&cluster],
        )
        .await?;
    transaction
        .execute("delete from consumers where id = $1", &[&forced.id])
        .await?;
    Ok(resources)
}
