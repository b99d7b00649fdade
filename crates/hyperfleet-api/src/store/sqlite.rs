use std::{collections::BTreeMap, path::Path, str::FromStr};

use async_trait::async_trait;
use hyperfleet_types::{
    AdapterStatus, ObjectReference, Resource, ResourceCondition, ResourceStatus,
};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};
use search_language::{Dialect, Param};
use serde::{Serialize, de::DeserializeOwned};
use sql_store::{Migration, sqlite::Database};

use super::{Decide, Load, Pending, Query, Reach, Store, corrupt, name_taken};
use crate::{
    domain::{Family, Inbound, Member, Plan, Target, Write},
    error::{Error, Rejection},
    search,
};

type Result<T, E = sql_store::Error> = std::result::Result<T, E>;

const MIGRATIONS: &[Migration] = &[Migration {
    id: "hyperfleet-api-1",
    sql: include_str!("sqlite.sql"),
}];

const COLUMNS: &str = "id, kind, name, href, labels, tenancy, generation, created_time, updated_time, created_by, updated_by, \
                       deleted_time, deleted_by, owner_id, owner_kind, owner_href, conditions";
const STATUS_COLUMNS: &str =
    "adapter, observed_generation, conditions, metadata, data, created_time, last_report_time";

/// Resources in one SQLite file, or in memory. Times are text of a fixed width, so that they sort as times.
#[derive(Debug, Clone)]
pub struct Sqlite {
    database: Database,
}

impl Sqlite {
    /// Opens or creates a file.
    ///
    /// # Errors
    /// When it can't be opened, is in use by another process, or its schema can't be brought up to date.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            database: Database::open(path, MIGRATIONS)?,
        })
    }

    /// A database that is gone with the process.
    ///
    /// # Errors
    /// When the schema can't be made.
    pub fn in_memory() -> Result<Self> {
        Ok(Self {
            database: Database::in_memory(MIGRATIONS)?,
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        Ok(self.database.read(work).await?)
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn change(&self, load: Load, decide: Decide) -> Result<Plan, Error> {
        self.database
            .try_write(move |connection| {
                let plan = decide(load_family(connection, &load)?)?;
                for write in &plan.writes {
                    apply(connection, write)?;
                }
                Ok(plan)
            })
            .await
    }

    async fn get(&self, id: &str) -> Result<Option<Resource>, Error> {
        let id = id.to_owned();
        self.read(move |connection| resource(connection, &id, true))
            .await
    }

    async fn list(&self, query: Query) -> Result<(Vec<Resource>, u64), Error> {
        let (filter, mut values) = filter(&query)?;
        self.read(move |connection| {
            let total: i64 = connection
                .prepare_cached(&format!("select count(*) from resources where {filter}"))?
                .query_row(params_from_iter(&values), |row| row.get(0))?;
            let order: Vec<String> = query
                .order
                .iter()
                .map(|order| format!("{}{}", order.column.name(), if order.descending { " desc" } else { "" }))
                .chain(["id desc".to_owned()])
                .collect();
            let (limit, offset) = (values.len() + 1, values.len() + 2);
            let sql = format!(
                "select {COLUMNS}, spec from resources where {filter} order by {} limit ?{limit} offset ?{offset}",
                order.join(", ")
            );
            values.push(Value::Integer(query.limit.into()));
            values.push(Value::Integer(i64::try_from(query.offset).unwrap_or(i64::MAX)));
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(&values))?;
            let mut resources = Vec::new();
            while let Some(row) = rows.next()? {
                resources.push(read(row, true)?);
            }
            for resource in &mut resources {
                resource.references = references(connection, &resource.id)?;
            }
            Ok((resources, total.unsigned_abs()))
        })
        .await
    }

    async fn statuses(
        &self,
        id: &str,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<AdapterStatus>, u64), Error> {
        let id = id.to_owned();
        self
            .read(move |connection| {
                let total: i64 = connection
                    .prepare_cached("select count(*) from adapter_statuses where resource_id = ?")?
                    .query_row([&id], |row| row.get(0))?;
                let sql = format!(
                    "select {STATUS_COLUMNS} from adapter_statuses where resource_id = ? order by created_time, adapter limit ? offset ?"
                );
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query(params![id, limit, offset])?;
                let mut statuses = Vec::new();
                while let Some(row) = rows.next()? {
                    statuses.push(read_status(row)?);
                }
                Ok((statuses, total.unsigned_abs()))
            })
            .await
    }

    async fn pending(&self) -> Result<Vec<Pending>, Error> {
        self
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "select r.kind, r.deleted_time is not null, json_extract(c.value, '$.last_transition_time') \
                     from resources r, json_each(r.conditions) c \
                     where json_extract(c.value, '$.type') = 'Reconciled' and json_extract(c.value, '$.status') = 'False'",
                )?;
                let mut rows = statement.query([])?;
                let mut pending = Vec::new();
                while let Some(row) = rows.next()? {
                    pending.push(Pending { kind: row.get(0)?, deleting: row.get(1)?, since: time(row.get(2)?)? });
                }
                Ok(pending)
            })
            .await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.read(|connection| Ok(connection.query_row("select 1", [], |_| Ok(()))?))
            .await
    }
}

// === Reading ===

fn filter(query: &Query) -> Result<(String, Vec<Value>), Rejection> {
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

fn load_family(connection: &Connection, load: &Load) -> Result<Family> {
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

fn resource(connection: &Connection, id: &str, spec: bool) -> Result<Option<Resource>> {
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

fn references(connection: &Connection, id: &str) -> Result<BTreeMap<String, Vec<ObjectReference>>> {
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

fn read(row: &Row<'_>, spec: bool) -> Result<Resource> {
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

fn read_status(row: &Row<'_>) -> Result<AdapterStatus> {
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

fn time(text: String) -> Result<Timestamp> {
    Timestamp::from_str(&text).map_err(|error| corrupt("time", error))
}

// === Writing ===

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| corrupt("value", error))
}

/// A time as text that sorts as the time does.
fn sortable(time: Timestamp) -> String {
    format!("{time:.6}")
}

fn apply(connection: &Connection, write: &Write) -> Result<(), Error> {
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
