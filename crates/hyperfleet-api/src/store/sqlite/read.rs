//! Rows to values.

use std::{collections::BTreeMap, str::FromStr};

use hyperfleet_types::{
    AdapterStatus, ObjectReference, Resource, ResourceCondition, ResourceStatus,
};
use jiff::Timestamp;
use rusqlite::{Connection, Row, types::Value};
use search_language::{Dialect, Param};
use serde::de::DeserializeOwned;

use super::{Result, write::sortable};
use crate::{
    domain::{Family, Inbound, Member, Target},
    error::Rejection,
    search,
    store::{COLUMNS, Load, Query, Reach, STATUS_COLUMNS, corrupt},
};

pub(super) fn filter(query: &Query) -> Result<(String, Vec<Value>), Rejection> {
    let mut terms = vec!["true".to_owned()];
    let mut values = Vec::new();
    let mut term = |sql: &str, new: &[&String]| {
        let mut sql = sql.to_owned();
        for value in new {
            values.push(Value::Text((*value).clone()));
            sql = sql.replacen('#', &values.len().to_string(), 1);
        }
        terms.push(sql);
    };
    if let Some(kind) = &query.kind {
        term("kind = ?#", &[kind]);
    }
    if let Some(owner) = &query.owner {
        term("owner_id = ?#", &[owner]);
    }
    if let Some((ref_type, target)) = &query.linked {
        term(
            "id in (select source_id from resource_references where ref_type = ?# and target_id = ?#)",
            &[ref_type, target],
        );
    }
    if let Some(search) = &query.search {
        let fragment = search::render(search, Dialect::Sqlite, values.len() + 1)?;
        terms.push(fragment.sql);
        values.extend(fragment.params.into_iter().map(|param| match param {
            Param::Text(text) => Value::Text(text),
            Param::Integer(integer) => Value::Integer(integer),
            Param::Number(number) => Value::Real(number),
            Param::Time(time) => Value::Text(sortable(time)),
        }));
    }
    Ok((terms.join(" and "), values))
}

pub(super) fn load_family(connection: &Connection, load: &Load) -> Result<Family> {
    let mut family = Family::default();
    if let Some(id) = &load.id
        && let Some(resource) = resource(connection, id, true)?
    {
        let mut up = resource
            .owner_references
            .as_ref()
            .map(|owner| owner.id.clone());
        let mut down = vec![id.clone()];
        add(connection, &mut family, resource, load.reach)?;
        while let Some(id) = up.take().filter(|_| load.reach != Reach::Alone) {
            let Some(resource) = self::resource(connection, &id, load.specs)? else {
                break;
            };
            up = resource
                .owner_references
                .as_ref()
                .map(|owner| owner.id.clone());
            add(connection, &mut family, resource, load.reach)?;
        }
        while let Some(parent) = down.pop().filter(|_| load.reach == Reach::All) {
            let sql = format!(
                "select {COLUMNS}{} from resources where owner_id = ?",
                if load.specs { ", spec" } else { "" }
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([&parent])?;
            while let Some(row) = rows.next()? {
                let child = read(row, load.specs)?;
                down.push(child.id.clone());
                add(connection, &mut family, child, load.reach)?;
            }
        }
    }
    for id in &load.targets {
        if let Some(resource) = resource(connection, id, false)? {
            let Resource {
                kind,
                href,
                deleted_time,
                ..
            } = resource;
            family.targets.insert(
                id.clone(),
                Target {
                    kind,
                    href,
                    deleting: deleted_time.is_some(),
                },
            );
        }
    }
    Ok(family)
}

fn add(
    connection: &Connection,
    family: &mut Family,
    mut resource: Resource,
    reach: Reach,
) -> Result<()> {
    let id = resource.id.clone();
    resource.references = references(connection, &id)?;
    let children: i64 = connection
        .prepare_cached("select count(*) from resources where owner_id = ?")?
        .query_row([&id], |row| row.get(0))?;
    let mut statuses = Vec::new();
    let sql = format!(
        "select {STATUS_COLUMNS} from adapter_statuses where resource_id = ? order by created_time, adapter"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([&id])?;
    while let Some(row) = rows.next()? {
        statuses.push(read_status(row)?);
    }
    let mut inbound = Vec::new();
    if reach == Reach::All {
        let mut statement = connection.prepare_cached(
            "select distinct s.id, s.kind, s.name from resource_references f join resources s on s.id = f.source_id \
             where f.target_id = ? and s.deleted_time is null order by s.id",
        )?;
        let mut rows = statement.query([&id])?;
        while let Some(row) = rows.next()? {
            inbound.push(Inbound {
                id: row.get(0)?,
                kind: row.get(1)?,
                name: row.get(2)?,
            });
        }
    }
    family.members.insert(
        id,
        Member {
            resource,
            statuses,
            children: children.unsigned_abs(),
            inbound,
        },
    );
    Ok(())
}

pub(super) fn resource(connection: &Connection, id: &str, spec: bool) -> Result<Option<Resource>> {
    let sql = format!(
        "select {COLUMNS}{} from resources where id = ?",
        if spec { ", spec" } else { "" }
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut resource = read(row, spec)?;
    resource.references = references(connection, id)?;
    Ok(Some(resource))
}

pub(super) fn references(
    connection: &Connection,
    id: &str,
) -> Result<BTreeMap<String, Vec<ObjectReference>>> {
    let mut statement = connection.prepare_cached(
        "select f.ref_type, t.id, t.kind, t.href from resource_references f join resources t on t.id = f.target_id \
         where f.source_id = ? order by f.ref_type, f.position",
    )?;
    let mut rows = statement.query([id])?;
    let mut references: BTreeMap<String, Vec<ObjectReference>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let target = ObjectReference {
            id: row.get(1)?,
            kind: row.get(2)?,
            href: row.get(3)?,
        };
        references.entry(row.get(0)?).or_default().push(target);
    }
    Ok(references)
}

pub(super) fn read(row: &Row<'_>, spec: bool) -> Result<Resource> {
    let optional_time = |text: Option<String>| text.map(time).transpose();
    let owner: Option<String> = row.get("owner_id")?;
    Ok(Resource {
        id: row.get("id")?,
        kind: row.get("kind")?,
        name: row.get("name")?,
        href: row.get("href")?,
        spec: if spec {
            json("spec", row.get("spec")?)?
        } else {
            serde_json::Map::new()
        },
        labels: json("labels", row.get("labels")?)?,
        tenancy: json("tenancy", row.get("tenancy")?)?,
        generation: row.get("generation")?,
        created_time: time(row.get("created_time")?)?,
        updated_time: time(row.get("updated_time")?)?,
        created_by: row.get("created_by")?,
        updated_by: row.get("updated_by")?,
        deleted_time: optional_time(row.get("deleted_time")?)?,
        deleted_by: row.get("deleted_by")?,
        owner_references: match owner {
            Some(id) => Some(ObjectReference {
                id,
                kind: row.get("owner_kind")?,
                href: row.get("owner_href")?,
            }),
            None => None,
        },
        references: BTreeMap::new(),
        status: ResourceStatus {
            conditions: json::<Vec<ResourceCondition>>("conditions", row.get("conditions")?)?,
        },
    })
}

pub(super) fn read_status(row: &Row<'_>) -> Result<AdapterStatus> {
    let metadata: Option<String> = row.get("metadata")?;
    Ok(AdapterStatus {
        adapter: row.get("adapter")?,
        observed_generation: row.get("observed_generation")?,
        conditions: json("conditions", row.get("conditions")?)?,
        metadata: metadata.map(|text| json("metadata", text)).transpose()?,
        data: json("data", row.get("data")?)?,
        created_time: time(row.get("created_time")?)?,
        last_report_time: time(row.get("last_report_time")?)?,
    })
}

fn json<T: DeserializeOwned>(what: &str, text: String) -> Result<T> {
    serde_json::from_str(&text).map_err(|error| corrupt(what, error))
}

pub(super) fn time(text: String) -> Result<Timestamp> {
    Timestamp::from_str(&text).map_err(|error| corrupt("time", error))
}
