//! Signs of life, and removing what nobody needs any more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sql_store::postgres::Client;

use super::super::facts::{RESENDS_KEPT_FOR, action};
use super::super::{Error, now};
use super::Instance;
use super::schema::go_is_here;
use crate::model::ClusterName;

/// An agent that was away longer has its unknown ids counted as strangers.
const TOMBSTONES_KEPT: &str = "90 days";
/// Servers that weren't heard of for so long are gone.
const INSTANCES_KEPT: &str = "1 day";
/// Events that a Go server never handled, although one was there, are kept no longer than this.
const UNHANDLED_KEPT: &str = "1 day";
/// What an agent said is answered within seconds or not at all.
const RESYNCS_KEPT: &str = "10 minutes";
/// Rows removed or closed at once, so that no transaction is long; what is left, or held by another server, goes next
/// time.
const PORTION: i64 = 20_000;
/// How far back new events are looked at between two full looks, in seconds.
const LATELY: f64 = 10.0;

pub(super) async fn heartbeat(
    client: &Client,
    instance: &Instance,
    ready: bool,
) -> Result<(), Error> {
    // The same time in both tables tells this server from a Go server of the same name.
    let alive = client
        .prepare_cached(
            "with mine as (insert into replicas (id, last_seen) values ($1, $2) \
                 on conflict (id) do update set last_seen = excluded.last_seen) \
             insert into server_instances (id, created_at, updated_at, last_heartbeat, ready) values ($1, $2, $2, $2, $3) \
             on conflict (id) do update set updated_at = $2, last_heartbeat = $2, ready = $3, deleted_at = null",
        )
        .await?;
    client
        .execute(&alive, &[&instance.name, &now(), &ready])
        .await?;
    // Go servers judge each other by this flag; nobody else takes it away from one that died.
    let patience = instance.heartbeat.as_secs_f64() * 3.0;
    let silent = client
        .prepare_cached(
            "update server_instances set ready = false \
             where ready and last_heartbeat < now() - $1 * interval '1 second'",
        )
        .await?;
    client.execute(&silent, &[&patience]).await?;
    Ok(())
}

/// Closes events that nobody else has to handle: while no Go server is there, all; otherwise those of clusters whose agent
/// is connected here and those whose resource is gone. Go servers pass over closed events.
pub(super) async fn close_events(
    client: &Client,
    instance: &Instance,
    clusters: &[ClusterName],
) -> Result<(), Error> {
    close(client, instance, clusters, LATELY).await
}

async fn close(
    client: &Client,
    instance: &Instance,
    clusters: &[ClusterName],
    seconds: f64,
) -> Result<(), Error> {
    let statement = client
        .prepare_cached(concat!(
            "with here as (select ",
            go_is_here!(),
            " as go), closed as (update events set reconciled_date = now() where id = any(array( \
                 select e.id from here, events e left join resources r on r.id = e.source_id \
                 where e.reconciled_date is null and e.created_at > now() - $2 * interval '1 second' \
                     and (not here.go or r.id is null \
                         or (r.consumer_name = any($1) and e.created_at < now() - interval '1 second')) \
                 limit $3 for update of e skip locked))) \
             select go from here"
        ))
        .await?;
    let names: Vec<&str> = clusters.iter().map(ClusterName::as_str).collect();
    let row = client
        .query_one(&statement, &[&names, &seconds, &PORTION])
        .await?;
    instance.go.store(row.try_get(0)?, Ordering::Relaxed);
    Ok(())
}

/// Removes events older than `events_kept`, and what else has had its time.
pub(super) async fn purge(
    client: &Client,
    instance: &Instance,
    clusters: &[ClusterName],
    events_kept: Duration,
) -> Result<(), Error> {
    const ALL: f64 = 1e9;
    close(client, instance, clusters, ALL).await?;
    let kept = events_kept.as_secs_f64();
    let old = "created_at < now() - $1 * interval '1 second'";
    let unhandled = format!("created_at < now() - interval '{UNHANDLED_KEPT}'");
    // A Go server that is ready wants to have seen each status event.
    let seen = "not exists (select from server_instances i where i.ready \
        and not exists (select from replicas o where o.id = i.id and o.last_seen >= i.last_heartbeat) \
        and not exists (select from event_instances n where n.event_id = status_events.id and n.instance_id = i.id))";
    for (table, wanted) in [
        ("events", "reconciled_date is not null"),
        ("status_events", seen),
    ] {
        let sql = format!(
            "delete from {table} where id = any(array( \
             select id from {table} where {old} and ({wanted} or {unhandled}) limit $2 \
             for update skip locked))"
        );
        client.execute(&sql, &[&kept, &PORTION]).await?;
    }
    for (table, key, column, kept) in [
        ("tombstones", "id", "removed_at", TOMBSTONES_KEPT),
        ("server_instances", "id", "last_heartbeat", INSTANCES_KEPT),
        ("replicas", "id", "last_seen", INSTANCES_KEPT),
        ("resyncs", "consumer_name", "at", RESYNCS_KEPT),
    ] {
        let sql = format!(
            "delete from {table} where {key} = any(array( \
             select {key} from {table} where {column} < now() - interval '{kept}' limit $1 for update skip locked))"
        );
        client.execute(&sql, &[&PORTION]).await?;
    }
    // A consumer that is registered again begins anew.
    let strangers = "delete from connections where consumer_name = any(array( \
         select c.consumer_name from connections c \
         where not exists (select from consumers n where n.name = c.consumer_name) limit $1 \
         for update of c skip locked))";
    client.execute(strangers, &[&PORTION]).await?;
    client
        .execute(
            "delete from audit where id = any(array(select id from audit where action = $1 \
             and at < now() - $2 * interval '1 second' limit $3 for update skip locked))",
            &[&action::RESEND, &RESENDS_KEPT_FOR.as_secs_f64(), &PORTION],
        )
        .await?;
    Ok(())
}
