//! Reading resources.

use std::time::Instant;

use jiff::Timestamp;
use sql_store::postgres::tokio_postgres::Row;
use sql_store::postgres::{Client, GenericClient};

use super::super::{Error, Kept, KeptSpec, Partial, Removal, StatusHash, Version};
use super::schema::waiting;
use super::values::{Json, or_epoch};
use crate::model::{ClusterName, Resource, ResourceId, SourceId};

/// The revision of a row. Whoever writes a row leaves another `xmin`, also where neither version nor time of change tell of it;
/// these stand beside it, because transaction ids begin anew after a failover that lost some, and after four billion.
macro_rules! revision {
    ($row:literal) => {
        concat!(
            "concat_ws('/', ",
            $row,
            ".xmin, ",
            $row,
            ".version, extract(epoch from ",
            $row,
            ".created_at), extract(epoch from ",
            $row,
            ".updated_at))"
        )
    };
}
pub(super) use revision;

pub(super) async fn resources(
    client: &impl GenericClient,
    ids: &[ResourceId],
) -> Result<Vec<Resource>, Error> {
    let statement = client
        .prepare_cached(concat!(
            "select id, source, consumer_name, version, created_at, updated_at, deleted_at, payload, status, ",
            revision!("resources"),
            " from resources where id = any($1)"
        ))
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
        revision: row.try_get::<_, &str>(9)?.into(),
    })
}

/// Documents are large, and turning one into text costs more than all the rest of a read.
pub(super) async fn resources_beside(
    client: &Client,
    kept: &[Kept],
    with_status: bool,
) -> Result<Vec<Partial>, Error> {
    let statement = client
        .prepare_cached(concat!(
            "select r.id, r.source, r.consumer_name, r.version, r.created_at, r.updated_at, r.deleted_at, \
                    case when k.spec is not true then r.payload end, \
                    case when $6 and k.status is not true then r.status end, ",
            revision!("r"),
            ", coalesce(k.spec, false), coalesce(k.status, false) \
             from unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::text[]) \
                 as t (id, kept, since, until, sequence) \
             join resources r on r.id = t.id \
             cross join lateral (select t.kept = r.version and r.created_at between t.since and t.until as spec, \
                 case when $6 and t.sequence is not null then r.status ->> 'sequenceid' = t.sequence end as status \
                 offset 0) k"
        ))
        .await?;
    let spec = |part: fn(&KeptSpec) -> Timestamp| -> Vec<Option<Timestamp>> {
        let part = |kept: &Kept| kept.spec.as_ref().map(part);
        kept.iter().map(part).collect()
    };
    let ids: Vec<&str> = kept.iter().map(|kept| kept.id.as_str()).collect();
    let versions: Vec<Option<i64>> = kept
        .iter()
        .map(|kept| kept.spec.map(|spec| spec.version))
        .collect();
    let (since, until) = (spec(|spec| spec.since), spec(|spec| spec.until));
    let sequences: Vec<Option<String>> = kept
        .iter()
        .map(|kept| kept.status.map(|sequence| sequence.to_string()))
        .collect();
    let asked_at = Instant::now();
    let rows = client
        .query(
            &statement,
            &[&ids, &versions, &since, &until, &sequences, &with_status],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Partial {
                spec_is_kept: row.try_get(10)?,
                status_is_kept: row.try_get(11)?,
                row: resource(row)?,
                asked_at,
            })
        })
        .collect()
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
            "select id from resources where ",
            waiting!(),
            " = $1 and id > $2 order by id limit $3"
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

pub(super) async fn clusters_of(
    client: &Client,
    ids: &[ResourceId],
) -> Result<Vec<(ResourceId, ClusterName)>, Error> {
    let statement = client
        .prepare_cached("select id, coalesce(consumer_name, '') from resources where id = any($1)")
        .await?;
    let rows = client.query(&statement, &[&texts(ids)]).await?;
    rows.iter()
        .map(|row| {
            let (id, cluster): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            Ok((id.into(), cluster.into()))
        })
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
