//! Rows to values.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join4;
use hyperfleet_types::{AdapterStatus, ObjectReference, Resource, ResourceStatus};
use search_language::{Dialect, Param};
use serde::de::DeserializeOwned;
use sql_store::postgres::Transaction;
use tokio_postgres::{
    GenericClient, Row,
    types::{Json, ToSql},
};

use super::Result;
use crate::{
    domain::{Family, Inbound, Member, Target},
    error::Rejection,
    search,
    store::{COLUMNS, Load, Query, Reach, STATUS_COLUMNS, corrupt},
};

/// A parameter.
pub(super) type Value = Box<dyn ToSql + Sync + Send>;

pub(super) fn filter(query: &Query) -> Result<(String, Vec<Value>), Rejection> {
    let mut terms = vec!["true".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut term = |sql: &str, new: &[&String]| {
        let mut sql = sql.to_owned();
        for value in new {
            values.push(Box::new((*value).clone()));
            sql = sql.replacen('#', &values.len().to_string(), 1);
        }
        terms.push(sql);
    };
    if let Some(kind) = &query.kind {
        term("kind = $#", &[kind]);
    }
    if let Some(owner) = &query.owner {
        term("owner_id = $#", &[owner]);
    }
    if let Some((ref_type, target)) = &query.linked {
        term(
            "id in (select source_id from resource_references where ref_type = $# and target_id = $#)",
            &[ref_type, target],
        );
    }
    if let Some(search) = &query.search {
        let fragment = search::render(search, Dialect::Postgres, values.len() + 1)?;
        terms.push(fragment.sql);
        values.extend(fragment.params.into_iter().map(|param| match param {
            Param::Text(text) => Box::new(text) as Value,
            Param::Integer(integer) => Box::new(integer),
            Param::Number(number) => Box::new(number),
            Param::Time(time) => Box::new(time),
        }));
    }
    Ok((terms.join(" and "), values))
}

pub(super) async fn load_family(transaction: &Transaction<'_>, load: &Load) -> Result<Family> {
    let mut family = Family::default();
    let mut resources = Vec::new();
    if let Some(id) = &load.id {
        if load.reach != Reach::Alone {
            // Who the ancestors are never changes, so it is read without locks; the locks are taken from the root down.
            let chain = transaction
                .prepare_cached(
                    "with recursive up (id, owner_id, distance) as (select id, owner_id, 0 from resources where id = $1 \
                     union all select r.id, r.owner_id, distance + 1 from resources r join up on r.id = up.owner_id) \
                     select id from up where distance > 0 order by distance desc",
                )
                .await?;
            for row in transaction.query(&chain, &[id]).await? {
                resources.extend(lock(transaction, row.try_get(0)?, load.specs).await?);
            }
        }
        resources.extend(lock(transaction, id, true).await?);
        if load.reach == Reach::All {
            let sql = format!(
                "select {COLUMNS}{} from resources where owner_id = any($1) order by id for update",
                if load.specs { ", spec" } else { "" }
            );
            let children = transaction.prepare_cached(&sql).await?;
            let mut parents = vec![id.clone()];
            while !parents.is_empty() {
                let rows = transaction.query(&children, &[&parents]).await?;
                let level = rows
                    .iter()
                    .map(|row| read(row, load.specs))
                    .collect::<Result<Vec<_>>>()?;
                parents = level.iter().map(|resource| resource.id.clone()).collect();
                resources.extend(level);
            }
        }
    }
    if !load.targets.is_empty() {
        let sql = "select id, kind, href, deleted_time is not null from resources where id = any($1) order by id for share";
        for row in transaction.query(sql, &[&load.targets]).await? {
            let target = Target {
                kind: row.try_get(1)?,
                href: row.try_get(2)?,
                deleting: row.try_get(3)?,
            };
            family.targets.insert(row.try_get(0)?, target);
        }
    }
    let ids: Vec<&str> = resources
        .iter()
        .map(|resource| resource.id.as_str())
        .collect();
    if ids.is_empty() {
        return Ok(family);
    }
    let (mut references, mut statuses, mut children, mut inbound) = try_join4(
        references(&**transaction, &ids),
        statuses(transaction, &ids),
        children(transaction, &ids),
        inbound(transaction, &ids, load.reach),
    )
    .await?;
    for mut resource in resources {
        let id = resource.id.clone();
        resource.references = references.remove(&id).unwrap_or_default();
        let statuses = statuses.remove(&id).unwrap_or_default();
        let (children, inbound) = (
            children.remove(&id).unwrap_or_default(),
            inbound.remove(&id).unwrap_or_default(),
        );
        family.members.insert(
            id,
            Member {
                resource,
                statuses,
                children,
                inbound,
            },
        );
    }
    Ok(family)
}

async fn lock(transaction: &Transaction<'_>, id: &str, spec: bool) -> Result<Option<Resource>> {
    let sql = format!(
        "select {COLUMNS}{} from resources where id = $1 for update",
        if spec { ", spec" } else { "" }
    );
    let statement = transaction.prepare_cached(&sql).await?;
    transaction
        .query_opt(&statement, &[&id])
        .await?
        .map(|row| read(&row, spec))
        .transpose()
}

/// References by id of their source.
pub(super) type Links = HashMap<String, BTreeMap<String, Vec<ObjectReference>>>;

pub(super) async fn references(client: &impl GenericClient, ids: &[&str]) -> Result<Links> {
    let rows = client
        .query(
            "select f.source_id, f.ref_type, t.id, t.kind, t.href from resource_references f join resources t on t.id = f.target_id \
             where f.source_id = any($1) order by f.source_id, f.ref_type, f.position",
            &[&ids],
        )
        .await?;
    let mut links = Links::new();
    for row in rows {
        let target = ObjectReference {
            id: row.try_get(2)?,
            kind: row.try_get(3)?,
            href: row.try_get(4)?,
        };
        links
            .entry(row.try_get(0)?)
            .or_default()
            .entry(row.try_get(1)?)
            .or_default()
            .push(target);
    }
    Ok(links)
}

async fn statuses(
    transaction: &Transaction<'_>,
    ids: &[&str],
) -> Result<HashMap<String, Vec<AdapterStatus>>> {
    let sql = format!(
        "select {STATUS_COLUMNS}, resource_id from adapter_statuses where resource_id = any($1) order by created_time, adapter"
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let mut statuses: HashMap<String, Vec<AdapterStatus>> = HashMap::new();
    for row in transaction.query(&statement, &[&ids]).await? {
        statuses
            .entry(row.try_get("resource_id")?)
            .or_default()
            .push(read_status(&row)?);
    }
    Ok(statuses)
}

async fn children(transaction: &Transaction<'_>, ids: &[&str]) -> Result<HashMap<String, u64>> {
    let sql = "select owner_id, count(*) from resources where owner_id = any($1) group by owner_id";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&ids]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs())))
        .collect()
}

async fn inbound(
    transaction: &Transaction<'_>,
    ids: &[&str],
    reach: Reach,
) -> Result<HashMap<String, Vec<Inbound>>> {
    let mut inbound: HashMap<String, Vec<Inbound>> = HashMap::new();
    if reach != Reach::All {
        return Ok(inbound);
    }
    let sql = "select distinct f.target_id, s.id, s.kind, s.name from resource_references f join resources s on s.id = f.source_id \
               where f.target_id = any($1) and s.deleted_time is null order by s.id";
    for row in transaction.query(sql, &[&ids]).await? {
        let source = Inbound {
            id: row.try_get(1)?,
            kind: row.try_get(2)?,
            name: row.try_get(3)?,
        };
        inbound.entry(row.try_get(0)?).or_default().push(source);
    }
    Ok(inbound)
}

pub(super) fn read(row: &Row, spec: bool) -> Result<Resource> {
    let owner: Option<String> = row.try_get("owner_id")?;
    Ok(Resource {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        href: row.try_get("href")?,
        spec: if spec {
            json(row, "spec")?
        } else {
            serde_json::Map::new()
        },
        labels: json(row, "labels")?,
        tenancy: json(row, "tenancy")?,
        generation: row.try_get("generation")?,
        created_time: row.try_get("created_time")?,
        updated_time: row.try_get("updated_time")?,
        created_by: row.try_get("created_by")?,
        updated_by: row.try_get("updated_by")?,
        deleted_time: row.try_get("deleted_time")?,
        deleted_by: row.try_get("deleted_by")?,
        owner_references: match owner {
            Some(id) => Some(ObjectReference {
                id,
                kind: row.try_get("owner_kind")?,
                href: row.try_get("owner_href")?,
            }),
            None => None,
        },
        references: BTreeMap::new(),
        status: ResourceStatus {
            conditions: json(row, "conditions")?,
        },
    })
}

pub(super) fn read_status(row: &Row) -> Result<AdapterStatus> {
    let metadata: Option<Json<_>> = row.try_get("metadata")?;
    Ok(AdapterStatus {
        adapter: row.try_get("adapter")?,
        observed_generation: row.try_get("observed_generation")?,
        conditions: json(row, "conditions")?,
        metadata: metadata.map(|Json(metadata)| metadata),
        data: json(row, "data")?,
        created_time: row.try_get("created_time")?,
        last_report_time: row.try_get("last_report_time")?,
    })
}

fn json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T> {
    let Json(value) = row
        .try_get::<_, Json<T>>(column)
        .map_err(|error| corrupt(column, error))?;
    Ok(value)
}
