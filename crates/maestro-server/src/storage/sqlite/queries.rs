//! Reading resources, and keeping their side tables.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sql_store::sqlite::rusqlite::{self, Connection, Row, params};

use super::super::facts::{RESENDS_KEPT_FOR, action};
use super::super::{
    Error, Kept, LONGEST_REMINDER, Overdue, Partial, Removal, StatusHash, Version, now,
    reminder_after, spread,
};
use super::{optional_time_of, time_of, time_text};
use crate::model::{ClusterName, Resource, ResourceId, SourceId};

/// Tombstones are kept this long: an agent that was away longer has its unknown ids counted as strangers.
const TOMBSTONES_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// The revision of a row. This process is the only writer: a spec has its version, a status its sequence id, a deletion its
/// time, and a life of an id when it began.
macro_rules! revision {
    () => {
        "concat_ws('/', version, created_at, updated_at, ifnull(deleted_at, ''), ifnull(sequence, ''))"
    };
}
pub(super) use revision;

const COLUMNS: &str = concat!(
    "id, source, consumer_name, version, created_at, updated_at, deleted_at, payload, status, ",
    revision!()
);

fn resource(row: &Row<'_>) -> rusqlite::Result<Resource> {
    Ok(Resource {
        id: row.get::<_, String>(0)?.into(),
        source: row.get::<_, String>(1)?.into(),
        cluster: row.get::<_, String>(2)?.into(),
        version: row.get(3)?,
        created_at: time_of(row, 4)?,
        updated_at: time_of(row, 5)?,
        deleted_at: optional_time_of(row, 6)?,
        payload: row.get(7)?,
        status: row.get(8)?,
        revision: row.get::<_, String>(9)?.into(),
    })
}

pub(super) fn resources(db: &Connection, ids: &[ResourceId]) -> Result<Vec<Resource>, Error> {
    let mut statement =
        db.prepare_cached(&format!("select {COLUMNS} from resources where id = ?1"))?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        for row in statement.query_map([id.as_str()], resource)? {
            found.push(row?);
        }
    }
    Ok(found)
}

/// Pages of documents that the reader has aren't even read.
pub(super) fn resources_beside(
    db: &Connection,
    kept: &[Kept],
    with_status: bool,
) -> Result<Vec<Partial>, Error> {
    let mut statement = db.prepare_cached(concat!(
        "select id, source, consumer_name, version, created_at, updated_at, deleted_at, \
                case when version is ?2 and created_at between ?3 and ?4 then '' else payload end, \
                case when ?6 and (?5 is null or sequence is not ?5) then status end, ",
        revision!(),
        ", version is ?2 and created_at between ?3 and ?4, ?6 and ?5 is not null and sequence is ?5 \
         from resources where id = ?1"
    ))?;
    let asked_at = Instant::now();
    let mut found = Vec::with_capacity(kept.len());
    for kept in kept {
        let spec = kept.spec.as_ref();
        let parameters = params![
            kept.id.as_str(),
            spec.map(|spec| spec.version),
            // Without a spec: a time that is none, which is between nothing.
            spec.map_or_else(String::new, |spec| time_text(spec.since)),
            spec.map_or_else(String::new, |spec| time_text(spec.until)),
            kept.status.map(|sequence| sequence.to_string()),
            with_status,
        ];
        let rows = statement.query_map(parameters, |row| {
            Ok(Partial {
                spec_is_kept: row.get(10)?,
                status_is_kept: row.get(11)?,
                row: resource(row)?,
                asked_at,
            })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

pub(super) fn versions(
    db: &Connection,
    cluster: &ClusterName,
    after: Option<&ResourceId>,
    limit: usize,
) -> Result<Vec<Version>, Error> {
    let mut statement = db.prepare_cached(
        "select id, version, deleted_at is not null from resources \
         where consumer_name = ?1 and id > ?2 order by id limit ?3",
    )?;
    let rows = statement.query_map(window(cluster.as_str(), after, limit), |row| {
        Ok(Version {
            id: row.get::<_, String>(0)?.into(),
            version: row.get(1)?,
            deleting: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn status_hashes(
    db: &Connection,
    source: &SourceId,
    after: Option<&ResourceId>,
    limit: usize,
) -> Result<Vec<StatusHash>, Error> {
    let mut statement = db.prepare_cached(
        "select id, status_hash from resources \
         where source = ?1 and id > ?2 and status is not null order by id limit ?3",
    )?;
    let rows = statement.query_map(window(source.as_str(), after, limit), |row| {
        Ok(StatusHash {
            id: row.get::<_, String>(0)?.into(),
            hash: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn window<'a>(
    owner: &'a str,
    after: Option<&'a ResourceId>,
    limit: usize,
) -> (&'a str, &'a str, i64) {
    (
        owner,
        after.map_or("", ResourceId::as_str),
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
}

pub(super) fn overdue(
    db: &Connection,
    clusters: &[ClusterName],
    grace: Duration,
    limit: usize,
) -> Result<Vec<Overdue>, Error> {
    let now = now();
    let span = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::ZERO);
    let settled_by = time_text(now - span(grace));
    // The clock was set back: times that lie ahead of it would come no sooner than it is right again.
    let (ahead, far_ahead) = (
        time_text(now + span(grace)),
        time_text(now + span(LONGEST_REMINDER)),
    );
    let now = time_text(now);
    let mut statement = db.prepare_cached(
        "select r.id, coalesce(d.attempts, 0), r.deleted_at is not null \
         from resources r left join delivery d on d.resource_id = r.id \
         where r.consumer_name = ?1 and (r.deleted_at is not null or r.observed_version is not r.version) \
           and (coalesce(r.deleted_at, r.updated_at) <= ?2 or coalesce(r.deleted_at, r.updated_at) > ?5) \
           and (d.due is null or d.due <= ?3 or d.due > ?6) \
         limit ?4",
    )?;
    let mut found = Vec::new();
    // The same share for each cluster, so that a large backlog of one doesn't hide the others.
    let share = i64::try_from((limit / clusters.len().max(1)).max(1)).unwrap_or(i64::MAX);
    for cluster in clusters {
        let parameters = params![cluster.as_str(), settled_by, now, share, ahead, far_ahead];
        let rows = statement.query_map(parameters, |row| {
            Ok(Overdue {
                id: row.get::<_, String>(0)?.into(),
                cluster: cluster.clone(),
                attempts: row.get(1)?,
                deleting: row.get(2)?,
            })
        })?;
        for row in rows {
            found.push(row?);
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

pub(super) fn note_reminders(
    db: &Connection,
    reminded: &[Overdue],
    grace: Duration,
) -> Result<(), Error> {
    let now = now();
    let mut statement = db.prepare_cached(
        "insert or replace into delivery (resource_id, attempts, due) \
         select id, ?2, ?3 from resources where id = ?1",
    )?;
    for (number, row) in reminded.iter().enumerate() {
        let pause = reminder_after(grace, row.attempts + 1, spread(number));
        let due = now + SignedDuration::try_from(pause).unwrap_or(SignedDuration::ZERO);
        statement.execute(params![row.id.as_str(), row.attempts + 1, time_text(due)])?;
    }
    Ok(())
}

pub(super) fn unsettled(
    db: &Connection,
    cluster: &ClusterName,
    after: Option<&ResourceId>,
    limit: usize,
) -> Result<Vec<ResourceId>, Error> {
    let mut statement = db.prepare_cached(
        "select id from resources where consumer_name = ?1 and id > ?2 \
         and (deleted_at is not null or observed_version is not version) order by id limit ?3",
    )?;
    let rows = statement.query_map(window(cluster.as_str(), after, limit), |row| {
        Ok(row.get::<_, String>(0)?.into())
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn tombstones(
    db: &Connection,
    cluster: &ClusterName,
    ids: &[ResourceId],
) -> Result<Vec<ResourceId>, Error> {
    let mut statement = db.prepare_cached(
        "select exists (select 1 from tombstones where id = ?1 and consumer_name = ?2)",
    )?;
    let mut found = Vec::new();
    for id in ids {
        if statement.query_row([id.as_str(), cluster.as_str()], |row| row.get(0))? {
            found.push(id.clone());
        }
    }
    Ok(found)
}

pub(super) fn clusters_of(
    db: &Connection,
    ids: &[ResourceId],
) -> Result<Vec<(ResourceId, ClusterName)>, Error> {
    let mut statement = db.prepare_cached("select consumer_name from resources where id = ?1")?;
    let mut found = Vec::new();
    for id in ids {
        for cluster in statement.query_map([id.as_str()], |row| row.get::<_, String>(0))? {
            found.push((id.clone(), cluster?.into()));
        }
    }
    Ok(found)
}

pub(super) fn removals(db: &Connection, events: &[String]) -> Result<Vec<Removal>, Error> {
    let mut statement = db.prepare_cached(
        "select event, resource_id, payload, status from removals where event = ?1",
    )?;
    let mut found = Vec::with_capacity(events.len());
    for event in events {
        let rows = statement.query_map([event], |row| {
            Ok(Removal {
                event: row.get(0)?,
                id: row.get::<_, String>(1)?.into(),
                payload: row.get(2)?,
                status: row.get(3)?,
            })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

pub(super) fn purge(db: &Connection, removals_kept: Duration) -> Result<(), Error> {
    let now = now();
    let before = |kept: Duration| -> String {
        time_text(now.saturating_sub(kept).unwrap_or(Timestamp::MIN))
    };
    db.prepare_cached("delete from removals where created_at < ?1")?
        .execute([before(removals_kept)])?;
    db.prepare_cached("delete from tombstones where removed_at < ?1")?
        .execute([before(TOMBSTONES_KEPT)])?;
    // A consumer that is registered again begins anew.
    db.prepare_cached(
        "delete from connections where consumer_name not in (select name from consumers)",
    )?
    .execute([])?;
    db.prepare_cached("delete from audit where action = ?1 and at < ?2")?
        .execute([action::RESEND, &before(RESENDS_KEPT_FOR)])?;
    Ok(())
}
