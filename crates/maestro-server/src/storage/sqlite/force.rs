//! Who is connected, and ending a cluster for good.

use jiff::Timestamp;
use sql_store::sqlite::rusqlite::{Connection, OptionalExtension as _, params};

use super::super::facts::action;
use super::super::force::{Portion, record};
use super::super::{Error, Forced, ForcedOutcome, last_words, now};
use super::facts::note_audit;
use super::{optional_time_of, time_of, time_text};
use crate::model::{Change, ClusterName};

/// Rows that end in one write: other writes wait that long.
const PORTION: usize = 200;

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

/// Ends a portion of the resources, and with the last of them the consumer.
pub(super) fn remove(db: &Connection, forced: &Forced) -> Result<ForcedOutcome, Error> {
    let begun = db
        .prepare_cached("select deleted_at from consumers where id = ?1")?
        .query_row([&forced.id], |row| optional_time_of(row, 0))
        .optional()?;
    let Some(begun) = begun else {
        return Ok(ForcedOutcome::Unknown);
    };
    let Portion { rows, last, .. } = portion(db, forced)?;
    let live = match begun {
        // Only the first portion has to look at all of them: nobody can add any later.
        None => !forced.include_live && count_live(db, forced)? > 0,
        Some(_) => !forced.include_live && rows.iter().any(|row| row.deleted_at.is_none()),
    };
    if live {
        return Ok(ForcedOutcome::Live(count_live(db, forced)?));
    }
    let begun = match begun {
        Some(begun) => {
            if forced.first {
                note_audit(db, &record(forced, true, now()))?;
            }
            begun
        }
        None => begin(db, forced)?,
    };
    let changes = rows
        .into_iter()
        .map(|row| end(db, forced, row, begun))
        .collect::<Result<_, _>>()?;
    if !last {
        return Ok(ForcedOutcome::Portion(changes));
    }
    let resources = bury(db, forced, begun)?;
    Ok(ForcedOutcome::Removed { changes, resources })
}

/// Marks the consumer as ending, and notes who asks for it: creates take it for unknown from here on.
fn begin(db: &Connection, forced: &Forced) -> Result<Timestamp, Error> {
    let begun = now();
    db.execute(
        "update consumers set deleted_at = ?2 where id = ?1",
        params![forced.id, time_text(begun)],
    )?;
    note_audit(db, &record(forced, false, begun))?;
    Ok(begun)
}

fn count_live(db: &Connection, forced: &Forced) -> Result<u64, Error> {
    let live: i64 = db.query_row(
        "select count(*) from resources where consumer_name = ?1 and deleted_at is null",
        [forced.cluster.as_str()],
        |row| row.get(0),
    )?;
    Ok(live.unsigned_abs())
}

/// The next rows, without their specs. Statuses may be large: one comes after the other, until there are enough.
fn portion(db: &Connection, forced: &Forced) -> Result<Portion, Error> {
    let mut statement = db.prepare_cached(
        "select id, source, version, created_at, deleted_at, metadata, status \
         from resources where consumer_name = ?1 order by id",
    )?;
    let mut rows = statement.query([forced.cluster.as_str()])?;
    let mut portion = Portion::default();
    while portion.room(PORTION) > 0 {
        let Some(row) = rows.next()? else {
            portion.last = true;
            break;
        };
        portion.add(last_words::Row {
            id: row.get::<_, String>(0)?.into(),
            source: row.get::<_, String>(1)?.into(),
            version: row.get(2)?,
            created_at: time_of(row, 3)?,
            deleted_at: optional_time_of(row, 4)?,
            metadata: row.get(5)?,
            status: row.get(6)?,
        });
    }
    Ok(portion)
}

/// Writes last words and a tombstone, and removes the row. All tombstones of one ending have its time, so that those who
/// finish it know what went before.
fn end(
    db: &Connection,
    forced: &Forced,
    row: last_words::Row,
    begun: Timestamp,
) -> Result<Change, Error> {
    let now = now();
    let event = uuid::Uuid::new_v4().to_string();
    let words = last_words::of(&row, forced, now)?;
    db.prepare_cached(
        "insert into removals (event, resource_id, payload, status, created_at) \
         select ?2, id, payload, ?3, ?4 from resources where id = ?1",
    )?
    .execute(params![row.id.as_str(), event, words, time_text(now)])?;
    db.prepare_cached(
        "insert or replace into tombstones (id, consumer_name, created_at, removed_at) values (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        row.id.as_str(),
        forced.cluster.as_str(),
        time_text(row.created_at),
        time_text(begun),
    ])?;
    db.prepare_cached("delete from resources where id = ?1")?
        .execute([row.id.as_str()])?;
    Ok(Change::Removed {
        id: row.id,
        source: row.source,
        event,
    })
}

/// Removes the consumer; the audit names all that went with it. Tells how many that were.
fn bury(db: &Connection, forced: &Forced, begun: Timestamp) -> Result<u64, Error> {
    let cluster = forced.cluster.as_str();
    let resources: i64 = db.query_row(
        "insert into audit (id, at, action, consumer_id, consumer_name, who, reason, resources) \
         select ?1, ?2, ?3, ?4, ?5, ?6, ?7, json_group_array(id) from ( \
             select id from tombstones where consumer_name = ?5 and removed_at = ?8 order by id) \
         returning json_array_length(resources)",
        params![
            uuid::Uuid::new_v4().to_string(),
            time_text(now()),
            action::FORCE_REMOVE,
            forced.id,
            cluster,
            forced.who,
            forced.reason,
            time_text(begun),
        ],
        |row| row.get(0),
    )?;
    db.execute(
        "delete from connections where consumer_name = ?1",
        [cluster],
    )?;
    db.execute("delete from consumers where id = ?1", [&forced.id])?;
    Ok(resources.unsigned_abs())
}
