//! Operations on resources, inside of one transaction.

use event_wire::attribute::name;
use event_wire::{Event, stored};
use jiff::Timestamp;
use sql_store::sqlite::rusqlite::{Connection, OptionalExtension as _, params};

use super::super::metadata::with_times;
use super::super::{Batch, Error, Slot, now};
use super::{optional_time_of, time_of, time_text};
use crate::lifecycle::{Context, Current, Verdict, decide};
use crate::model::{Change, Done, Operation, Refusal, Report, ResourceId, Spec, SpecChange};

pub(super) fn run(db: &Connection, batch: &Batch) -> Result<Vec<Slot>, Error> {
    let now = now();
    batch
        .operations
        .iter()
        .map(|operation| one(db, operation, now, batch.isolate_sources))
        .collect()
}

/// The row as decisions see it, and what writing a status needs of it.
struct Row {
    current: Current,
    deleted_at: Option<Timestamp>,
    metadata: Option<String>,
}

fn one(
    db: &Connection,
    operation: &Operation,
    now: Timestamp,
    isolate_sources: bool,
) -> Result<Slot, Error> {
    let row = load(db, operation)?;
    let mut context = Context {
        now,
        consumer_exists: true,
        last_life: None,
        isolate_sources,
    };
    if let (Operation::Create(spec), None) = (operation, &row) {
        context.consumer_exists = super::consumers::is_registered(db, &spec.cluster)?;
        context.last_life = last_life(db, spec)?;
    }
    let verdict = decide(operation, row.as_ref().map(|row| &row.current), &context);
    write(db, operation, row.as_ref(), verdict, now)
}

fn load(db: &Connection, operation: &Operation) -> Result<Option<Row>, Error> {
    // Payloads are large: only updates look at them.
    let payload = if matches!(operation, Operation::Update(_)) {
        "payload"
    } else {
        "null"
    };
    let sql = format!(
        "select source, consumer_name, version, created_at, deleted_at, sequence, metadata, {payload} \
         from resources where id = ?1"
    );
    let row = db
        .prepare_cached(&sql)?
        .query_row([operation.id().as_str()], |row| {
            let deleted_at = optional_time_of(row, 4)?;
            Ok(Row {
                current: Current {
                    source: row.get::<_, String>(0)?.into(),
                    cluster: row.get::<_, String>(1)?.into(),
                    version: row.get(2)?,
                    created_at: time_of(row, 3)?,
                    deleting: deleted_at.is_some(),
                    sequence: row
                        .get::<_, Option<String>>(5)?
                        .and_then(|text| text.parse().ok()),
                    payload: row.get(7)?,
                },
                deleted_at,
                metadata: row.get(6)?,
            })
        })
        .optional()?;
    Ok(row)
}

fn last_life(db: &Connection, spec: &Spec) -> Result<Option<Timestamp>, Error> {
    let mut statement = db.prepare_cached("select created_at from tombstones where id = ?1")?;
    Ok(statement
        .query_row([spec.id.as_str()], |row| time_of(row, 0))
        .optional()?)
}

fn write(
    db: &Connection,
    operation: &Operation,
    row: Option<&Row>,
    verdict: Verdict,
    now: Timestamp,
) -> Result<Slot, Error> {
    let (outcome, change) = match (verdict, operation, row) {
        (
            Verdict::Insert {
                version,
                created_at,
            },
            Operation::Create(spec),
            _,
        ) => {
            match insert(db, spec, version, created_at) {
                Ok(()) => (
                    Ok(Done::Created),
                    spec_change(operation, row, SpecChange::Created),
                ),
                // The name is the id, so this is the primary key in other words.
                Err(Error::Unique { .. }) => (Err(Refusal::AlreadyExists), None),
                Err(error) => return Err(error),
            }
        }
        (Verdict::Replace { version }, Operation::Update(spec), _) => {
            replace(db, spec, version, now)?;
            (
                Ok(Done::Updated),
                spec_change(operation, row, SpecChange::Updated),
            )
        }
        (Verdict::MarkDeleting, ..) => {
            db.prepare_cached("update resources set deleted_at = ?2 where id = ?1")?
                .execute(params![operation.id().as_str(), time_text(now)])?;
            forget_reminders(db, operation.id())?;
            (
                Ok(Done::Deleting),
                spec_change(operation, row, SpecChange::Deleted),
            )
        }
        (Verdict::StoreStatus, Operation::Status(report), Some(row)) => {
            store_status(db, report, row, now)?;
            let (id, source) = (report.id.clone(), row.current.source.clone());
            (
                Ok(row.current.stored()),
                Some(Change::Status { id, source }),
            )
        }
        (Verdict::Remove, Operation::Status(report), Some(row)) => {
            let event = remove(db, report, row, now)?;
            let (id, source) = (report.id.clone(), row.current.source.clone());
            (
                Ok(Done::Removed),
                Some(Change::Removed { id, source, event }),
            )
        }
        (Verdict::Nothing(done), ..) => {
            let change = done
                .wants_resend()
                .then(|| spec_change(operation, row, SpecChange::Updated));
            (Ok(done), change.flatten())
        }
        (Verdict::Refuse(refusal), ..) => (Err(refusal), None),
        (verdict, ..) => {
            return Err(Error::other(format!(
                "the verdict {verdict:?} doesn't fit its operation"
            )));
        }
    };
    Ok(Slot::Decided { outcome, change })
}

fn spec_change(operation: &Operation, row: Option<&Row>, kind: SpecChange) -> Option<Change> {
    let cluster = match (operation, row) {
        (_, Some(row)) => row.current.cluster.clone(),
        (Operation::Create(spec), None) => spec.cluster.clone(),
        _ => return None,
    };
    Some(Change::Spec {
        id: operation.id().clone(),
        cluster,
        kind,
    })
}

fn insert(db: &Connection, spec: &Spec, version: i64, created_at: Timestamp) -> Result<(), Error> {
    let mut statement = db.prepare_cached(
        "insert into resources (id, name, source, consumer_name, version, created_at, updated_at, metadata, payload) \
         values (?1, ?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)",
    )?;
    statement.execute(params![
        spec.id.as_str(),
        spec.source.as_str(),
        spec.cluster.as_str(),
        version,
        time_text(created_at),
        metadata_of(&spec.event),
        json_of(&spec.event)?,
    ])?;
    Ok(())
}

fn replace(db: &Connection, spec: &Spec, version: i64, now: Timestamp) -> Result<(), Error> {
    let mut statement = db.prepare_cached(
        "update resources set version = ?2, updated_at = ?3, metadata = ?4, payload = ?5 where id = ?1",
    )?;
    statement.execute(params![
        spec.id.as_str(),
        version,
        time_text(now),
        metadata_of(&spec.event),
        json_of(&spec.event)?,
    ])?;
    forget_reminders(db, &spec.id)
}

fn store_status(db: &Connection, report: &Report, row: &Row, now: Timestamp) -> Result<(), Error> {
    let mut statement = db.prepare_cached(
        "update resources set status = ?2, sequence = ?3, observed_version = ?4, status_hash = ?5, updated_at = ?6 \
         where id = ?1",
    )?;
    statement.execute(params![
        report.id.as_str(),
        status_json(report, row)?,
        report.sequence.map(|id| id.to_string()),
        report.version,
        report.event.status_hash().ok().flatten(),
        time_text(now),
    ])?;
    Ok(())
}

fn remove(db: &Connection, report: &Report, row: &Row, now: Timestamp) -> Result<String, Error> {
    let event = uuid::Uuid::new_v4().to_string();
    db.prepare_cached(
        "insert into removals (event, resource_id, payload, status, created_at) \
         select ?2, id, payload, ?3, ?4 from resources where id = ?1",
    )?
    .execute(params![
        report.id.as_str(),
        event,
        status_json(report, row)?,
        time_text(now)
    ])?;
    db.prepare_cached(
        "insert or replace into tombstones (id, consumer_name, created_at, removed_at) values (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        report.id.as_str(),
        row.current.cluster.as_str(),
        time_text(row.current.created_at),
        time_text(now),
    ])?;
    db.prepare_cached("delete from resources where id = ?1")?
        .execute([report.id.as_str()])?;
    Ok(event)
}

/// A new version or a deletion starts with fresh patience.
fn forget_reminders(db: &Connection, id: &ResourceId) -> Result<(), Error> {
    db.prepare_cached("delete from delivery where resource_id = ?1")?
        .execute([id.as_str()])?;
    Ok(())
}

/// A status is kept with the metadata of its spec, so that sources see their own names again.
fn status_json(report: &Report, row: &Row) -> Result<String, Error> {
    let metadata = row.metadata.as_deref().unwrap_or_default();
    let mut event = report.event.clone();
    event.set(
        name::METADATA,
        with_times(metadata, row.current.created_at, row.deleted_at),
    );
    json_of(&event)
}

fn metadata_of(event: &Event) -> Option<&str> {
    event.metadata_text().ok().flatten()
}

fn json_of(event: &Event) -> Result<String, Error> {
    stored::to_string(event).map_err(|error| Error::other(error.to_string()))
}
