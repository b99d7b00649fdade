//! Registered clusters.

use std::collections::BTreeMap;

use sql_store::postgres::Client;
use sql_store::postgres::tokio_postgres::Row;

use super::super::{Error, now};
use super::values::{Json, or_epoch};
use crate::model::{ClusterName, Consumer};

pub(super) const COLUMNS: &str = "id, name, labels, created_at, updated_at";

pub(super) fn consumer(row: &Row) -> Result<Consumer, Error> {
    let labels: Option<Json<String>> = row.try_get(2)?;
    let labels = labels.and_then(|json| serde_json::from_str(&json.0).ok());
    Ok(Consumer {
        id: row.try_get(0)?,
        name: row.try_get::<_, &str>(1)?.into(),
        labels: labels.unwrap_or_default(),
        created_at: or_epoch(row.try_get(3)?),
        updated_at: or_epoch(row.try_get(4)?),
    })
}

pub(super) async fn get(client: &Client, id: &str) -> Result<Option<Consumer>, Error> {
    let sql = format!("select {COLUMNS} from consumers where id = $1");
    let statement = client.prepare_cached(&sql).await?;
    client
        .query_opt(&statement, &[&id])
        .await?
        .as_ref()
        .map(consumer)
        .transpose()
}

/// A consumer that is ending isn't registered any more.
pub(super) async fn is_registered(client: &Client, cluster: &ClusterName) -> Result<bool, Error> {
    let statement = client
        .prepare_cached(
            "select exists (select from consumers where name = $1 and deleted_at is null)",
        )
        .await?;
    Ok(client
        .query_one(&statement, &[&cluster.as_str()])
        .await?
        .try_get(0)?)
}

pub(super) async fn create(client: &Client, consumer: &Consumer) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "insert into consumers (id, name, labels, created_at, updated_at) values ($1, $2, $3, $4, $5)",
        )
        .await?;
    let labels = labels_json(&consumer.labels)?;
    let name = consumer.name.as_str();
    let Consumer {
        id,
        created_at,
        updated_at,
        ..
    } = consumer;
    client
        .execute(&statement, &[id, &name, &labels, created_at, updated_at])
        .await?;
    Ok(())
}

pub(super) async fn update(
    client: &Client,
    id: &str,
    labels: Option<&BTreeMap<String, String>>,
) -> Result<Option<Consumer>, Error> {
    let labels = labels.map(labels_json).transpose()?;
    let sql = format!(
        "update consumers set labels = coalesce($2, labels), updated_at = $3 where id = $1 returning {COLUMNS}"
    );
    let statement = client.prepare_cached(&sql).await?;
    let row = client
        .query_opt(&statement, &[&id, &labels, &now()])
        .await?;
    row.as_ref().map(consumer).transpose()
}

pub(super) async fn delete(client: &Client, id: &str) -> Result<(), Error> {
    let statement = client
        .prepare_cached("delete from consumers where id = $1")
        .await?;
    client.execute(&statement, &[&id]).await?;
    Ok(())
}

fn labels_json(labels: &BTreeMap<String, String>) -> Result<Json<String>, Error> {
    serde_json::to_string(labels)
        .map(Json)
        .map_err(|error| Error::other(error.to_string()))
}
