//! Reading resources.

use std::time::Duration;

use jiff::SignedDuration;
use sql_store::postgres::tokio_postgres::Row;
use sql_store::postgres::{Client, GenericClient};

use super::super::{Error, Overdue, Removal, StatusHash, Version, now, reminder_after, spread};
use super::schema::unsettled;
use super::values::{Json, or_epoch};
use crate::model::{ClusterName, Resource, ResourceId, SourceId};

pub(super) async fn resources(
    client: &impl GenericClient,
    ids: &[ResourceId],
) -> Result<Vec<Resource>, Error> {
    let statement = client
        .prepare_cached(
            "select id, source, consumer_name, version, created_at, updated_at, deleted_at, payload, status \
             from resources where id = any($1)",
        )
        .await?;
    let rows = client.query(&statement, &[&texts(ids)]).await?;
    rows.iter().map(resource).collect()
}

fn resource(row: &Row) -> Result<Resource, Error> {
    let text = |index: usize| -> Result<String, Error> {
        Ok(row.try_get::<_, Option<String>>(index)?.unwrap_or_default())
    };
    let payload: Option<Json<String>> = row.try_get(7)?;
    let status: Option<Json<String>> = row.try_get(8)?;
    Ok(Resource {
        id: text(0)?.into(),
        source: text(1)?.into(),
        cluster: text(2)?.into(),
        version: row.try_get(3)?,
        created_at: or_epoch(row.try_get(4)?),
        updated_at: or_epoch(row.try_get(5)?),
        deleted_at: row.try_get(6)?,
        payload: payload.map_or_else(|| "null".to_owned(), |json| json.0),
        // A Go server writes JSON null where there is no status.
        status: status.map(|json| json.0).filter(|json| json != "null"),
    })
}

pub(super) async fn versions(
    client: &Client,
    cluster: &ClusterName,
    after: Option<&ResourceId>,
    limit: usize,
) -> Result<Vec<Version>, Error> {
    let statement = client
        .prepare_cached(
            "select id, version, deleted_at is not null from resources \
             where consumer_name = $1 and id > $2 order by id limit $3",
        )
        .await?;
    let (after, limit) = window(after, limit);
    let rows = client
        .query(&statement, &[&cluster.as_str(), &after, &limit])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Version {
                id: row.try_get::<_, &str>(0)?.into(),
                version: row.try_get(1)?,
                deleting: row.try_get(2)?,
            })
        })
        .collect()
}

pub(super) async fn status_hashes(
    client: &Client,
    source: &SourceId,
    after: Option<&ResourceId>,
    limit: usize,
) -> Result<Vec<StatusHash>, Error> {
    let statement = client
        .prepare_cached(
            "select id, status ->> 'statushash' from resources where source = $1 and id > $2 \
             and status is not null and status <> 'null'::jsonb order by id limit $3",
        )
        .await?;
    let (after, limit) = window(after, limit);
    let rows = client
        .query(&statement, &[&source.as_str(), &after, &limit])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(StatusHash {
                id: row.try_get::<_, &str>(0)?.into(),
                hash: row.try_get(1)?,
            })
        })
        .collect()
}

pub(super) async fn unsettled(
    client: &Client,
    cluster: &ClusterName,
    after: Option<&ResourceId>,
    limit: usize,
) -> Result<Vec<ResourceId>, Error> {
    let statement = client
        .prepare_cached(concat!(
            "select id from resources where consumer_name = $1 and id > $2 and ",
            unsettled!(),
            " order by id limit $3"
        ))
        .await?;
    let (after, limit) = window(after, limit);
    let rows = client
        .query(&statement, &[&cluster.as_str(), &after, &limit])
        .await?;
    rows.iter()
        .map(|row| Ok(row.try_get::<_, &str>(0)?.into()))
        .collect()
}

/// Finds rows that want a reminder, the same share for each cluster, and notes that they had it.
pub(super) async fn overdue(
    client: &Client,
    clusters: &[ClusterName],
    grace: Duration,
    limit: usize,
) -> Result<Vec<Overdue>, Error> {
    let now = now();
    let settled_by = now - SignedDuration::try_from(grace).unwrap_or(SignedDuration::ZERO);
    let names: Vec<&str> = clusters.iter().map(ClusterName::as_str).collect();
    let share = i64::try_from((limit / clusters.len().max(1)).max(1)).unwrap_or(i64::MAX);
    let statement = client
        .prepare_cached(concat!(
            "select due.* from unnest($1::text[]) as c (name) cross join lateral ( \
                 select r.id, r.consumer_name, coalesce(d.attempts, 0), r.deleted_at is not null \
                 from (select id, consumer_name, updated_at, deleted_at from resources \
                     where consumer_name = c.name and ",
            unsettled!(),
            ") r left join delivery d on d.resource_id = r.id \
                 where coalesce(r.deleted_at, r.updated_at) <= $2 and (d.due is null or d.due <= $3) limit $4) due"
        ))
        .await?;
    let rows = client
        .query(&statement, &[&names, &settled_by, &now, &share])
        .await?;
    let found = rows
        .iter()
        .map(|row| {
            Ok(Overdue {
                id: row.try_get::<_, &str>(0)?.into(),
                cluster: row.try_get::<_, &str>(1)?.into(),
                attempts: u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0),
                deleting: row.try_get(3)?,
            })
        })
        .collect::<Result<Vec<Overdue>, Error>>()?;
    if !found.is_empty() {
        note_reminders(client, &found, grace).await?;
    }
    Ok(found)
}

async fn note_reminders(
    client: &Client,
    reminded: &[Overdue],
    grace: Duration,
) -> Result<(), Error> {
    let now = now();
    let (mut ids, mut attempts, mut dues) = (Vec::new(), Vec::new(), Vec::new());
    for (number, row) in reminded.iter().enumerate() {
        let pause = reminder_after(grace, row.attempts + 1, spread(number));
        ids.push(row.id.as_str());
        attempts.push(i32::try_from(row.attempts + 1).unwrap_or(i32::MAX));
        dues.push(now + SignedDuration::try_from(pause).unwrap_or(SignedDuration::ZERO));
    }
    // The rows are locked first, so that none of them vanishes under the foreign key.
    let statement = client
        .prepare_cached(
            "with alive as (select id from resources where id = any($1) order by id for key share) \
             insert into delivery (resource_id, attempts, due) \
             select t.id, t.attempts, t.due from unnest($1::text[], $2::int[], $3::timestamptz[]) as t (id, attempts, due) \
             join alive on alive.id = t.id \
             on conflict (resource_id) do update set attempts = excluded.attempts, due = excluded.due",
        )
        .await?;
    client
        .execute(&statement, &[&ids, &attempts, &dues])
        .await?;
    Ok(())
}

pub(super) async fn tombstones(
    client: &Client,
    cluster: &ClusterName,
    ids: &[ResourceId],
) -> Result<Vec<ResourceId>, Error> {
    let statement = client
        .prepare_cached("select id from tombstones where id = any($1) and consumer_name = $2")
        .await?;
    let rows = client
        .query(&statement, &[&texts(ids), &cluster.as_str()])
        .await?;
    rows.iter()
        .map(|row| Ok(row.try_get::<_, &str>(0)?.into()))
        .collect()
}

pub(super) async fn removals(client: &Client, events: &[String]) -> Result<Vec<Removal>, Error> {
    let statement = client
        .prepare_cached(
            "select id, resource_id, payload, status from status_events \
             where id = any($1) and status_event_type = 'StatusDelete'",
        )
        .await?;
    let rows = client.query(&statement, &[&events]).await?;
    rows.iter()
        .map(|row| {
            Ok(Removal {
                event: row.try_get(0)?,
                id: row.try_get::<_, &str>(1)?.into(),
                payload: row.try_get::<_, Json<String>>(2)?.0,
                status: row.try_get::<_, Json<String>>(3)?.0,
            })
        })
        .collect()
}

fn window(after: Option<&ResourceId>, limit: usize) -> (&str, i64) {
    (
        after.map_or("", ResourceId::as_str),
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
}

fn texts(ids: &[ResourceId]) -> Vec<&str> {
    ids.iter().map(ResourceId::as_str).collect()
}
