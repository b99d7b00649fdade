//! Signs of life, and removing what nobody needs any more.

use sql_store::postgres::Client;

use super::super::{Error, now};
use super::Instance;

/// Events are only read by Go servers, and by our own after a gap; whoever was away longer compares everything.
const EVENTS_KEPT: &str = "15 minutes";
/// An agent that was away longer has its unknown ids counted as strangers.
const TOMBSTONES_KEPT: &str = "90 days";
/// Servers that weren't heard of for so long are gone.
const INSTANCES_KEPT: &str = "1 day";

pub(super) async fn heartbeat(
    client: &Client,
    instance: &Instance,
    ready: bool,
) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "insert into server_instances (id, created_at, updated_at, last_heartbeat, ready) values ($1, $2, $2, $2, $3) \
             on conflict (id) do update set updated_at = $2, last_heartbeat = $2, ready = $3",
        )
        .await?;
    client
        .execute(&statement, &[&instance.name, &now(), &ready])
        .await?;
    // Go servers judge each other by this flag; nobody else takes it away from one that died.
    let patience = instance.heartbeat.as_secs_f64() * 3.0;
    let statement = client
        .prepare_cached(
            "update server_instances set ready = false \
             where ready and last_heartbeat < now() - $1 * interval '1 second'",
        )
        .await?;
    client.execute(&statement, &[&patience]).await?;
    Ok(())
}

pub(super) async fn purge(client: &Client) -> Result<(), Error> {
    for (table, column, kept) in [
        ("events", "created_at", EVENTS_KEPT),
        ("status_events", "created_at", EVENTS_KEPT),
        ("tombstones", "removed_at", TOMBSTONES_KEPT),
        ("server_instances", "last_heartbeat", INSTANCES_KEPT),
    ] {
        // In portions, so that no transaction is long; what is left goes next time.
        let sql = format!(
            "delete from {table} where ctid = any(array( \
             select ctid from {table} where {column} < now() - interval '{kept}' limit 50000))"
        );
        client.execute(&sql, &[]).await?;
    }
    Ok(())
}
