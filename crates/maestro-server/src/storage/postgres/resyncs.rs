//! What agents say that they have, on its way to the server that holds the stream. The list may be longer than a
//! notification can carry, so it is stored and only its arrival is announced.

use sql_store::postgres::Client;

use super::super::Error;
use super::Instance;
use crate::model::ClusterName;

/// Where it is announced: `<id of the word> <name of the consumer>`.
pub(super) const CHANNEL: &str = "maestro_resyncs";

/// Keeps the newest word of a cluster's agent and announces it. Clusters that aren't registered have nothing to get.
pub(super) async fn forward(
    client: &Client,
    instance: &Instance,
    cluster: &ClusterName,
    versions: &str,
) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "with kept as (insert into resyncs (consumer_name, id, at, versions) \
                 select name, $2, now(), $3 from consumers where name = $1 \
                 on conflict (consumer_name) do update set id = $2, at = now(), versions = $3 returning id, consumer_name) \
             select pg_notify('maestro_resyncs', id || ' ' || consumer_name)::text from kept",
        )
        .await?;
    let id = instance.event_id();
    client
        .execute(&statement, &[&cluster.as_str(), &id, &versions])
        .await?;
    Ok(())
}

pub(super) async fn forwarded(
    client: &Client,
    cluster: &ClusterName,
) -> Result<Option<String>, Error> {
    let statement = client
        .prepare_cached("select versions from resyncs where consumer_name = $1")
        .await?;
    let row = client.query_opt(&statement, &[&cluster.as_str()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
