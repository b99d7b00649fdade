//! Registered clusters.

use std::collections::BTreeMap;

use sql_store::sqlite::rusqlite::{self, Connection, OptionalExtension as _, Row, params};

use super::super::{Error, now};
use super::{time_of, time_text};
use crate::model::{ClusterName, Consumer};

pub(super) const COLUMNS: &str = "id, name, labels, created_at, updated_at";

pub(super) fn consumer(row: &Row<'_>) -> rusqlite::Result<Consumer> {
    let labels: Option<String> = row.get(2)?;
    Ok(Consumer {
        id: row.get(0)?,
        name: row.get::<_, String>(1)?.into(),
        labels: labels
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default(),
        created_at: time_of(row, 3)?,
        updated_at: time_of(row, 4)?,
    })
}

pub(super) fn get(db: &Connection, id: &str) -> Result<Option<Consumer>, Error> {
    let mut statement =
        db.prepare_cached(&format!("select {COLUMNS} from consumers where id = ?1"))?;
    Ok(statement.query_row([id], consumer).optional()?)
}

/// A consumer that is ending isn't registered any more.
pub(super) fn is_registered(db: &Connection, cluster: &ClusterName) -> Result<bool, Error> {
    let mut statement = db.prepare_cached(
        "select exists (select 1 from consumers where name = ?1 and deleted_at is null)",
    )?;
    Ok(statement.query_row([cluster.as_str()], |row| row.get(0))?)
}

pub(super) fn create(db: &Connection, consumer: &Consumer) -> Result<(), Error> {
    db.prepare_cached(
        "insert into consumers (id, name, labels, created_at, updated_at) values (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        consumer.id,
        consumer.name.as_str(),
        labels_json(&consumer.labels)?,
        time_text(consumer.created_at),
        time_text(consumer.updated_at),
    ])?;
    Ok(())
}

pub(super) fn update(
    db: &Connection,
    id: &str,
    labels: Option<&BTreeMap<String, String>>,
) -> Result<Option<Consumer>, Error> {
    let now = time_text(now());
    match labels {
        Some(labels) => db
            .prepare_cached("update consumers set labels = ?2, updated_at = ?3 where id = ?1")?
            .execute(params![id, labels_json(labels)?, now])?,
        None => db
            .prepare_cached("update consumers set updated_at = ?2 where id = ?1")?
            .execute(params![id, now])?,
    };
    get(db, id)
}

pub(super) fn delete(db: &Connection, id: &str) -> Result<(), Error> {
    db.prepare_cached("delete from consumers where id = ?1")?
        .execute([id])?;
    Ok(())
}

fn labels_json(labels: &BTreeMap<String, String>) -> Result<String, Error> {
    serde_json::to_string(labels).map_err(|error| Error::other(error.to_string()))
}
