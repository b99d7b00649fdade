//! The statements by which changes of others are found.

use sql_store::postgres::Client;
use tokio_stream::StreamExt as _;

use super::super::super::Error;
use super::super::Instance;
use super::super::schema::go_is_here;
use super::{Found, News};
use crate::model::{Change, SpecChange};

/// Ids of a table's events that aren't older than `age` seconds and of which the caller wants to know, the oldest first.
pub(super) async fn ids(
    client: &Client,
    table: &'static str,
    age: f64,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Error> {
    let statement = client
        .prepare_cached(&format!(
            "select id from {table} where created_at >= now() - $1::float8 * interval '1 second' order by created_at"
        ))
        .await?;
    let rows = client.query_raw(&statement, [age]).await?;
    let mut rows = std::pin::pin!(rows);
    let mut ids = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let id: &str = row.try_get(0)?;
        if wanted(id) {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}

/// What agents told other servers since then.
pub(super) async fn words(client: &Client, age: f64, instance: &Instance) -> Result<Found, Error> {
    let statement = client
        .prepare_cached(
            "select id, consumer_name from resyncs where at >= now() - $1::float8 * interval '1 second'",
        )
        .await?;
    let mut found = Found::new();
    for row in client.query(&statement, &[&age]).await? {
        let (id, cluster): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        if !instance.wrote(id) {
            found.push((id.to_owned(), News::Resync(cluster.into())));
        }
    }
    Ok(found)
}

/// What these events say.
pub(super) async fn specs(
    client: &Client,
    ids: &[String],
    instance: &Instance,
    found: &mut Found,
) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "select e.id, r.id, r.consumer_name, e.event_type from events e join resources r on r.id = e.source_id \
             where e.id = any($1) order by e.created_at",
        )
        .await?;
    for row in client.query(&statement, &[&ids]).await? {
        let event: &str = row.try_get(0)?;
        let Some(cluster) = row.try_get::<_, Option<&str>>(2)? else {
            continue;
        };
        if instance.wrote(event) {
            continue;
        }
        let kind = match row.try_get::<_, Option<&str>>(3)? {
            Some("Create") => SpecChange::Created,
            Some("Delete") => SpecChange::Deleted,
            _ => SpecChange::Updated,
        };
        let id = row.try_get::<_, &str>(1)?.into();
        let change = Change::Spec {
            id,
            cluster: cluster.into(),
            kind,
        };
        found.push((event.to_owned(), News::Change(change)));
    }
    Ok(())
}

/// What these status events say.
pub(super) async fn statuses(
    client: &Client,
    ids: &[String],
    instance: &Instance,
    found: &mut Found,
) -> Result<(), Error> {
    // A Go server leaves the source out of updates.
    let statement = client
        .prepare_cached(
            "select s.id, s.resource_id, coalesce(nullif(s.resource_source, ''), r.source), s.status_event_type \
             from status_events s left join resources r on r.id = s.resource_id \
             where s.id = any($1) order by s.created_at",
        )
        .await?;
    for row in client.query(&statement, &[&ids]).await? {
        let event: &str = row.try_get(0)?;
        let (id, source): (Option<&str>, Option<&str>) = (row.try_get(1)?, row.try_get(2)?);
        let (Some(id), Some(source)) = (id, source) else {
            continue;
        };
        if instance.wrote(event) {
            continue;
        }
        let (id, source) = (id.into(), source.into());
        let change = match row.try_get::<_, Option<&str>>(3)? {
            Some("StatusDelete") => Change::Removed {
                id,
                source,
                event: event.to_owned(),
            },
            _ => Change::Status { id, source },
        };
        found.push((event.to_owned(), News::Change(change)));
    }
    Ok(())
}

/// Notes that this server has seen the status events that aren't older than `age` seconds. A Go server keeps status events
/// until every server that is ready has noted that.
pub(super) async fn note_seen(client: &Client, age: f64, instance: &Instance) -> Result<(), Error> {
    let statement = client
        .prepare_cached(concat!(
            "insert into event_instances (event_id, instance_id) \
             select s.id, i.id from status_events s, server_instances i \
             where s.created_at >= now() - $1::float8 * interval '1 second' and i.id = $2 \
                 and not exists (select from event_instances n where n.event_id = s.id and n.instance_id = i.id) \
                 and ",
            go_is_here!()
        ))
        .await?;
    client.execute(&statement, &[&age, &instance.name]).await?;
    Ok(())
}
