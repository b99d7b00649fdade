//! Values to rows.

use hyperfleet_types::Resource;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::Result;
use crate::{
    domain::Write,
    error::Error,
    store::{COLUMNS, STATUS_COLUMNS, corrupt, name_taken},
};

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| corrupt("value", error))
}

/// A time as text that sorts as the time does.
pub(super) fn sortable(time: Timestamp) -> String {
    format!("{time:.6}")
}

pub(super) fn apply(connection: &Connection, write: &Write) -> Result<(), Error> {
    match write {
        Write::Insert(resource) => match insert(connection, resource) {
            Err(sql_store::Error::Unique { .. }) => return Err(name_taken(resource)),
            result => {
                result?;
                link(connection, resource)?;
            }
        },
        other => change(connection, other)?,
    }
    Ok(())
}

fn insert(connection: &Connection, resource: &Resource) -> Result<()> {
    let owner = resource.owner_references.as_ref();
    connection
        .prepare_cached(&format!(
            "insert into resources ({COLUMNS}, spec) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
        ))?
        .execute(params![
            resource.id,
            resource.kind,
            resource.name,
            resource.href,
            text(&resource.labels)?,
            text(&resource.tenancy)?,
            resource.generation,
            sortable(resource.created_time),
            sortable(resource.updated_time),
            resource.created_by,
            resource.updated_by,
            resource.deleted_time.map(sortable),
            resource.deleted_by,
            owner.map(|owner| &owner.id),
            owner.map(|owner| &owner.kind),
            owner.map(|owner| &owner.href),
            text(&resource.status.conditions)?,
            text(&resource.spec)?,
        ])?;
    Ok(())
}

fn link(connection: &Connection, resource: &Resource) -> Result<()> {
    let mut statement =
        connection.prepare_cached("insert into resource_references (source_id, ref_type, position, target_id) values (?,?,?,?)")?;
    for (ref_type, targets) in &resource.references {
        for (position, target) in targets.iter().enumerate() {
            statement.execute(params![
                resource.id,
                ref_type,
                i64::try_from(position).unwrap_or(i64::MAX),
                target.id
            ])?;
        }
    }
    Ok(())
}

fn change(connection: &Connection, write: &Write) -> Result<()> {
    match write {
        Write::Insert(resource) => insert(connection, resource)?,
        Write::Head(resource) => {
            connection
                .prepare_cached(
                    "update resources set generation = ?, updated_time = ?, updated_by = ?, deleted_time = ?, deleted_by = ? where id = ?",
                )?
                .execute(params![
                    resource.generation,
                    sortable(resource.updated_time),
                    resource.updated_by,
                    resource.deleted_time.map(sortable),
                    resource.deleted_by,
                    resource.id
                ])?;
        }
        Write::Body(resource) => {
            connection
                .prepare_cached("update resources set spec = ?, labels = ? where id = ?")?
                .execute(params![
                    text(&resource.spec)?,
                    text(&resource.labels)?,
                    resource.id
                ])?;
        }
        Write::References(resource) => {
            connection
                .prepare_cached("delete from resource_references where source_id = ?")?
                .execute([&resource.id])?;
            link(connection, resource)?;
        }
        Write::Unlink(id) => {
            connection
                .prepare_cached("delete from resource_references where target_id = ?")?
                .execute([id])?;
        }
        Write::Conditions(id, conditions) => {
            connection
                .prepare_cached("update resources set conditions = ? where id = ?")?
                .execute(params![text(conditions)?, id])?;
        }
        Write::Status(id, status) => {
            connection
                .prepare_cached(&format!(
                    "insert into adapter_statuses (resource_id, {STATUS_COLUMNS}) values (?,?,?,?,?,?,?,?) \
                     on conflict (resource_id, adapter) do update set observed_generation = excluded.observed_generation, \
                     conditions = excluded.conditions, metadata = excluded.metadata, data = excluded.data, \
                     last_report_time = excluded.last_report_time"
                ))?
                .execute(params![
                    id,
                    status.adapter,
                    status.observed_generation,
                    text(&status.conditions)?,
                    status.metadata.as_ref().map(text).transpose()?,
                    text(&status.data)?,
                    sortable(status.created_time),
                    sortable(status.last_report_time),
                ])?;
        }
        Write::Remove(id) => {
            connection
                .prepare_cached("delete from resources where id = ?")?
                .execute([id])?;
        }
    }
    Ok(())
}
