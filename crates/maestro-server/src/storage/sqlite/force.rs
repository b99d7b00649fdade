//! Who is connected, and ending a cluster for good.

use jiff::Timestamp;
use sql_store::sqlite::rusqlite::{Connection, OptionalExtension as _, params};

use super::super::facts::{AuditEntry, action};
use super::super::{Error, Forced, ForcedOutcome, last_words, now};
use super::{facts, queries, time_of, time_text};
use crate::model::{Change, ClusterName, ResourceId};

pub(super) fn last_seen(
    db: &Connection,
    cluster: &ClusterName,
) -> Result<Option<Timestamp>, Error> {
    let mut statement =
        db.prepare_cached("select last_seen from connections where consumer_name = ?1")?;
    Ok(statement
        .query_row([cluster.as_str()], |row| time_of(row, 0))
        .optional()?)
}

pub(super) fn remove(db: &Connection, forced: &Forced) -> Result<ForcedOutcome, Error> {
    let now = now();
    let cluster = forced.cluster.as_str();
    let live: i64 = db.query_row(
        "select count(*) from resources where consumer_name = ?1 and deleted_at is null",
        [cluster],
        |row| row.get(0),
    )?;
    if live > 0 && !forced.include_live {
        return Ok(ForcedOutcome::Live(live.unsigned_abs()));
    }
    let ids: Vec<ResourceId> = db
        .prepare("select id from resources where consumer_name = ?1 order by id")?
        .query_map([cluster], |row| Ok(row.get::<_, String>(0)?.into()))?
        .collect::<Result<_, _>>()?;
    let mut changes = Vec::with_capacity(ids.len());
    for id in &ids {
        // One row at a time: memory follows the row, not the cluster.
        for row in queries::resources(db, std::slice::from_ref(id))? {
            let event = uuid::Uuid::new_v4().to_string();
            let words = last_words::of(&row, forced, now)?;
            db.prepare_cached(
                "insert into removals (event, resource_id, payload, status, created_at) values (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![event, id.as_str(), row.payload, words, time_text(now)])?;
            db.prepare_cached(
                "insert or replace into tombstones (id, consumer_name, created_at, removed_at) values (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id.as_str(), cluster, time_text(row.created_at), time_text(now)])?;
            changes.push(Change::Removed {
                id: id.clone(),
                source: row.source,
                event,
            });
        }
    }
    db.execute("delete from resources where consumer_name = ?1", [cluster])?;
    db.execute(
        "delete from connections where consumer_name = ?1",
        [cluster],
    )?;
    db.execute("delete from consumers where id = ?1", [&forced.id])?;
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
    facts::note_audit(db, &entry)?;
    Ok(ForcedOutcome::Removed(changes))
}
