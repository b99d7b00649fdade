//! Facts about deliveries.

use jiff::Timestamp;
use sql_store::sqlite::rusqlite::{self, Connection, OptionalExtension as _, Row, params};

use super::super::facts::{
    AUDIT_SHOWN, AuditEntry, Dispatch, Ended, Gauges, LastPresence, PENDING_COUNTED, Pending,
    Presence, RESENDS_KEPT, Resend, Sent, action,
};
use super::super::{Error, now};
use super::{optional_time_of, time_of, time_text};
use crate::model::{ClusterName, ResourceId};

const UNSETTLED: &str = "(deleted_at is not null or observed_version is not version)";

pub(super) fn note_sent(db: &Connection, sent: &[Sent]) -> Result<(), Error> {
    let mut statement = db.prepare_cached(
        "insert into sends (resource_id, version, deleting, event, action, at, times, error, error_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         on conflict (resource_id) do update set version = excluded.version, deleting = excluded.deleting, \
             event = excluded.event, action = excluded.action, at = excluded.at, \
             times = case when sends.version = excluded.version and sends.deleting = excluded.deleting \
                 then sends.times + excluded.times else excluded.times end, \
             error = excluded.error, error_at = excluded.error_at \
         where sends.at <= excluded.at",
    )?;
    for one in sent {
        let error = one.error.as_ref();
        statement.execute(params![
            one.id.as_str(),
            one.version,
            one.deleting,
            one.event,
            &*one.action,
            time_text(one.at),
            one.times,
            error.map(|(_, text)| text),
            error.map(|(at, _)| time_text(*at)),
        ])?;
    }
    Ok(())
}

pub(super) fn note_presence(
    db: &Connection,
    ended: &[Ended],
    streams: &[Presence],
) -> Result<Vec<ClusterName>, Error> {
    let mut statement = db.prepare_cached(
        "insert into connections (consumer_name, last_seen, error, error_at, last_resync) \
         select ?1, ?2, ?3, ?4, ?6 where exists (select 1 from consumers where name = ?1) \
         on conflict (consumer_name) do update set last_seen = max(connections.last_seen, excluded.last_seen), \
             error = coalesce(excluded.error, connections.error), \
             error_at = coalesce(excluded.error_at, connections.error_at), \
             last_resync = coalesce(excluded.last_resync, connections.last_resync), \
             stream = case when connections.stream = ?5 then null else connections.stream end",
    )?;
    for one in ended {
        let error_at = one.error.as_ref().map(|_| time_text(one.at));
        statement.execute(params![
            one.cluster.as_str(),
            time_text(one.at),
            one.error,
            error_at,
            one.stream.to_string(),
            one.resynced.map(time_text),
        ])?;
    }
    let now = time_text(now());
    let mut statement = db.prepare_cached(
        "insert into connections (consumer_name, last_seen, stream, since, last_resync, waiting, orphans) \
         select ?1, ?2, ?3, ?4, ?5, ?6, ?7 where exists (select 1 from consumers where name = ?1) \
         on conflict (consumer_name) do update set last_seen = max(connections.last_seen, excluded.last_seen), \
             stream = excluded.stream, since = excluded.since, \
             last_resync = coalesce(excluded.last_resync, connections.last_resync), waiting = excluded.waiting, \
             orphans = excluded.orphans \
         where connections.stream is null or connections.since is null or connections.since <= excluded.since \
         returning orphans_accepted is not null",
    )?;
    let mut accepted = Vec::new();
    for one in streams {
        let values = params![
            one.cluster.as_str(),
            now,
            one.stream.to_string(),
            time_text(one.since),
            one.resynced.map(time_text),
            i64::try_from(one.waiting).unwrap_or(i64::MAX),
            i64::try_from(one.orphans).unwrap_or(i64::MAX),
        ];
        let found: Option<bool> = statement.query_row(values, |row| row.get(0)).optional()?;
        if found == Some(true) {
            db.prepare_cached(
                "update connections set orphans_accepted = null where consumer_name = ?1",
            )?
            .execute([one.cluster.as_str()])?;
            accepted.push(one.cluster.clone());
        }
    }
    Ok(accepted)
}

pub(super) fn dispatch(db: &Connection, id: &ResourceId) -> Result<Dispatch, Error> {
    let sent = db
        .prepare_cached(
            "select version, deleting, event, action, at, times, error, error_at from sends where resource_id = ?1",
        )?
        .query_row([id.as_str()], |row| {
            let error: Option<String> = row.get(6)?;
            Ok(Sent {
                id: id.clone(),
                version: row.get(0)?,
                deleting: row.get(1)?,
                event: row.get(2)?,
                action: row.get::<_, String>(3)?.into(),
                at: time_of(row, 4)?,
                times: row.get(5)?,
                error: optional_time_of(row, 7)?.zip(error),
            })
        })
        .optional()?;
    let reminders = db
        .prepare_cached("select attempts, due from delivery where resource_id = ?1")?
        .query_row([id.as_str()], |row| Ok((row.get(0)?, time_of(row, 1)?)))
        .optional()?;
    let (reminders, next_reminder) =
        reminders.map_or((0, None), |(attempts, due)| (attempts, Some(due)));
    Ok(Dispatch {
        sent,
        instance: None,
        reminders,
        next_reminder,
    })
}

/// A file has one server: what it wrote about streams before it started counts for nothing, and those that are open are
/// its own. So nobody is ever connected elsewhere.
pub(super) fn presence(
    db: &Connection,
    cluster: &ClusterName,
) -> Result<Option<LastPresence>, Error> {
    let mut statement = db.prepare_cached(
        "select last_seen, last_resync, error, error_at from connections where consumer_name = ?1",
    )?;
    Ok(statement
        .query_row([cluster.as_str()], |row| {
            let error: Option<String> = row.get(2)?;
            Ok(LastPresence {
                instance: None,
                since: None,
                last_seen: time_of(row, 0)?,
                last_resync: optional_time_of(row, 1)?,
                waiting: 0,
                orphans: 0,
                last_error: optional_time_of(row, 3)?.zip(error),
            })
        })
        .optional()?)
}

pub(super) fn consumer_id(db: &Connection, cluster: &ClusterName) -> Result<Option<String>, Error> {
    let mut statement = db.prepare_cached("select id from consumers where name = ?1")?;
    Ok(statement
        .query_row([cluster.as_str()], |row| row.get(0))
        .optional()?)
}

pub(super) fn pending(db: &Connection, cluster: &ClusterName) -> Result<Pending, Error> {
    let mut statement = db.prepare_cached(&format!(
        "with p as (select id, deleted_at, coalesce(deleted_at, updated_at) as since from resources \
             where consumer_name = ?1 and {UNSETTLED} limit ?2) \
         select count(*), count(deleted_at), (select id from p order by since, id limit 1), min(since) from p"
    ))?;
    let counted = i64::try_from(PENDING_COUNTED).unwrap_or(i64::MAX);
    Ok(
        statement.query_row(params![cluster.as_str(), counted], |row| {
            let oldest: Option<String> = row.get(2)?;
            Ok(Pending {
                total: row.get::<_, i64>(0)?.unsigned_abs(),
                deleting: row.get::<_, i64>(1)?.unsigned_abs(),
                oldest: oldest.map(ResourceId::from).zip(optional_time_of(row, 3)?),
            })
        })?,
    )
}

pub(super) fn resend(db: &Connection, id: &ResourceId, who: &str) -> Result<Option<Resend>, Error> {
    let found: Option<(String, i64, bool, String)> = db
        .prepare_cached(
            "select r.consumer_name, r.version, r.deleted_at is not null, c.id from resources r \
             join consumers c on c.name = r.consumer_name where r.id = ?1",
        )?
        .query_row([id.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((cluster, version, deleting, consumer)) = found else {
        return Ok(None);
    };
    let entry = AuditEntry {
        id: uuid::Uuid::new_v4().to_string(),
        at: now(),
        action: action::RESEND.to_owned(),
        consumer,
        cluster: cluster.as_str().into(),
        who: who.to_owned(),
        reason: String::new(),
        resources: vec![id.to_string()],
    };
    note_audit(db, &entry)?;
    db.prepare_cached(
        "delete from audit where id in (select id from audit where consumer_id = ?1 and action = ?2 \
         order by at desc, id limit -1 offset ?3)",
    )?
    .execute(params![entry.consumer, action::RESEND, RESENDS_KEPT])?;
    Ok(Some(Resend {
        cluster: cluster.into(),
        version,
        deleting,
    }))
}

pub(super) fn accept_orphans(db: &Connection, cluster: &ClusterName) -> Result<(), Error> {
    db.prepare_cached("update connections set orphans_accepted = ?2 where consumer_name = ?1")?
        .execute([cluster.as_str(), &time_text(now())])?;
    Ok(())
}

pub(super) fn note_audit(db: &Connection, entry: &AuditEntry) -> Result<(), Error> {
    let resources =
        serde_json::to_string(&entry.resources).map_err(|error| Error::other(error.to_string()))?;
    db.prepare_cached(
        "insert into audit (id, at, action, consumer_id, consumer_name, who, reason, resources) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        entry.id,
        time_text(entry.at),
        entry.action,
        entry.consumer,
        entry.cluster.as_str(),
        entry.who,
        entry.reason,
        resources,
    ])?;
    Ok(())
}

pub(super) fn audit(db: &Connection, consumer: &str) -> Result<Vec<AuditEntry>, Error> {
    let mut statement = db.prepare_cached(
        "select id, at, action, consumer_id, consumer_name, who, reason, resources from audit \
         where consumer_id = ?1 or consumer_name = ?1 order by at desc, id limit ?2",
    )?;
    let rows = statement.query_map(params![consumer, AUDIT_SHOWN], entry)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let resources: String = row.get(7)?;
    Ok(AuditEntry {
        id: row.get(0)?,
        at: time_of(row, 1)?,
        action: row.get(2)?,
        consumer: row.get(3)?,
        cluster: row.get::<_, String>(4)?.into(),
        who: row.get(5)?,
        reason: row.get(6)?,
        resources: serde_json::from_str(&resources).unwrap_or_default(),
    })
}

pub(super) fn forget_sent(db: &Connection) -> Result<(), Error> {
    db.execute(
        "delete from sends where resource_id in (select s.resource_id from sends s where not exists \
         (select 1 from resources r where r.id = s.resource_id) limit 50000)",
        [],
    )?;
    Ok(())
}

pub(super) fn gauges(db: &Connection) -> Result<Gauges, Error> {
    let mut statement = db.prepare_cached(&format!(
        "select min(coalesce(deleted_at, updated_at)) from (select deleted_at, updated_at from resources \
         where {UNSETTLED} limit ?1)"
    ))?;
    let counted = i64::try_from(PENDING_COUNTED).unwrap_or(i64::MAX);
    let oldest: Option<Timestamp> =
        statement.query_row([counted], |row| optional_time_of(row, 0))?;
    Ok(Gauges {
        queue_usage: None,
        oldest_unsettled: oldest,
    })
}
