use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use futures::future::{try_join, try_join4};
use hyperfleet_types::{AdapterStatus, ObjectReference, Resource, ResourceStatus};
use search_language::{Dialect, Param};
use serde::{Serialize, de::DeserializeOwned};
use sql_store::{
    Migration,
    postgres::{Config, Pool, Transaction, migrate},
};
use tokio_postgres::{
    GenericClient, Row,
    types::{Json, ToSql},
};

use super::{Decide, Load, Pending, Query, Reach, Store, corrupt, name_taken};
use crate::{
    domain::{Family, Inbound, Member, Plan, Target, Write},
    error::{Error, Rejection},
    search,
};

type Result<T, E = sql_store::Error> = std::result::Result<T, E>;

const MIGRATIONS: &[Migration] = &[Migration {
    id: "hyperfleet-api-1",
    sql: include_str!("postgres.sql"),
}];
/// Where applied migrations are noted.
const MIGRATIONS_TABLE: &str = "hyperfleet_migrations";
/// Advisory lock around migrations: several servers that start together migrate once.
const MIGRATIONS_LOCK: i64 = 0x6879_7065_7266_6c74;
/// How often a change is tried that concurrent transactions get in the way of.
const ATTEMPTS: u32 = 4;

const COLUMNS: &str = "id, kind, name, href, labels, tenancy, generation, created_time, updated_time, created_by, updated_by, \
                       deleted_time, deleted_by, owner_id, owner_kind, owner_href, conditions";
const STATUS_COLUMNS: &str =
    "adapter, observed_generation, conditions, metadata, data, created_time, last_report_time";

/// Resources in PostgreSQL; several servers may share it.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: Pool,
}

impl Postgres {
    /// Makes the pool; touches no network. Call [`Postgres::migrate`] before the first use.
    ///
    /// # Errors
    /// Settings that can't be used, in words.
    pub fn new(config: &Config) -> Result<Self, sql_store::postgres::ConfigError> {
        Ok(Self {
            pool: Pool::connect(config)?,
        })
    }

    /// Waits for the database and brings the schema up to date.
    ///
    /// # Errors
    /// What waiting won't cure, or a migration that fails.
    pub async fn migrate(&self, shutdown: &tokio_util::sync::CancellationToken) -> Result<()> {
        self.pool.wait_until_available(shutdown).await?;
        migrate(&self.pool, MIGRATIONS_TABLE, MIGRATIONS_LOCK, MIGRATIONS).await?;
        Ok(())
    }

    async fn try_change(&self, load: &Load, decide: &Decide) -> Result<Plan, Error> {
        self.pool
            .bounded(async {
                let mut client = self.pool.get().await?;
                let transaction = client.transaction().await.map_err(sql_store::Error::from)?;
                let plan = decide(load_family(&transaction, load).await?)?;
                for write in &plan.writes {
                    apply(&transaction, write).await?;
                }
                transaction.commit().await.map_err(sql_store::Error::from)?;
                Ok(plan)
            })
            .await
    }
}

#[async_trait]
impl Store for Postgres {
    async fn change(&self, load: Load, decide: Decide) -> Result<Plan, Error> {
        let mut attempt = 1;
        loop {
            match self.try_change(&load, &decide).await {
                Err(Error::Store(sql_store::Error::Serialization(cause))) if attempt < ATTEMPTS => {
                    tracing::debug!(attempt, error = %cause, "a concurrent transaction got in the way, starting over");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn get(&self, id: &str) -> Result<Option<Resource>, Error> {
        let read = async {
            let client = self.pool.get().await?;
            let sql = format!("select {COLUMNS}, spec from resources where id = $1");
            let statement = client.prepare_cached(&sql).await?;
            let Some(row) = client.query_opt(&statement, &[&id]).await? else {
                return Ok(None);
            };
            let mut resource = read(&row, true)?;
            let mut references = references(&**client, &[id]).await?;
            resource.references = references.remove(id).unwrap_or_default();
            Ok::<_, sql_store::Error>(Some(resource))
        };
        Ok(self.pool.bounded(read).await?)
    }

    async fn list(&self, query: Query) -> Result<(Vec<Resource>, u64), Error> {
        let (filter, values) = filter(&query)?;
        let read = async {
            let order: Vec<String> = query
                .order
                .iter()
                // NULLs first when ascending, as in SQLite.
                .map(|order| {
                    format!(
                        "{} {}",
                        order.column.name(),
                        if order.descending {
                            "desc nulls last"
                        } else {
                            "asc nulls first"
                        }
                    )
                })
                .chain(["id desc".to_owned()])
                .collect();
            let (limit, offset) = (
                i64::from(query.limit),
                i64::try_from(query.offset).unwrap_or(i64::MAX),
            );
            let sql = format!(
                "select {COLUMNS}, spec from resources where {filter} order by {} limit {limit} offset {offset}",
                order.join(", ")
            );
            let count = format!("select count(*) from resources where {filter}");
            let client = self.pool.get().await?;
            let values: Vec<&(dyn ToSql + Sync)> =
                values.iter().map(|value| &**value as _).collect();
            let (rows, count) = try_join(
                client.query(&sql, &values),
                client.query_one(&count, &values),
            )
            .await?;
            let mut resources = rows
                .iter()
                .map(|row| read(row, true))
                .collect::<Result<Vec<_>>>()?;
            let ids: Vec<&str> = resources
                .iter()
                .map(|resource| resource.id.as_str())
                .collect();
            let mut references = references(&**client, &ids).await?;
            for resource in &mut resources {
                resource.references = references.remove(&resource.id).unwrap_or_default();
            }
            Ok::<_, sql_store::Error>((resources, count.try_get::<_, i64>(0)?.unsigned_abs()))
        };
        Ok(self.pool.bounded(read).await?)
    }

    async fn statuses(
        &self,
        id: &str,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<AdapterStatus>, u64), Error> {
        let read = async {
            let client = self.pool.get().await?;
            let (limit, offset) = (i64::from(limit), i64::try_from(offset).unwrap_or(i64::MAX));
            let sql = format!(
                "select {STATUS_COLUMNS} from adapter_statuses where resource_id = $1 order by created_time, adapter limit $2 offset $3"
            );
            let page = client.prepare_cached(&sql).await?;
            let count = client
                .prepare_cached("select count(*) from adapter_statuses where resource_id = $1")
                .await?;
            let parameters: [&(dyn ToSql + Sync); 3] = [&id, &limit, &offset];
            let (rows, count) = try_join(
                client.query(&page, &parameters),
                client.query_one(&count, &[&id]),
            )
            .await?;
            let statuses = rows.iter().map(read_status).collect::<Result<Vec<_>>>()?;
            Ok::<_, sql_store::Error>((statuses, count.try_get::<_, i64>(0)?.unsigned_abs()))
        };
        Ok(self.pool.bounded(read).await?)
    }

    async fn pending(&self) -> Result<Vec<Pending>, Error> {
        let read = async {
            let client = self.pool.get().await?;
            let rows = client
                .query(
                    "select r.kind, r.deleted_time is not null, (c ->> 'last_transition_time')::timestamptz \
                     from resources r, jsonb_array_elements(r.conditions) c where c ->> 'type' = 'Reconciled' and c ->> 'status' = 'False'",
                    &[],
                )
                .await?;
            let pending = |row: &Row| {
                Ok(Pending {
                    kind: row.try_get(0)?,
                    deleting: row.try_get(1)?,
                    since: row.try_get(2)?,
                })
            };
            rows.iter().map(pending).collect::<Result<Vec<_>>>()
        };
        Ok(self.pool.bounded(read).await?)
    }

    fn usage(&self) -> Option<(usize, usize)> {
        Some(self.pool.usage())
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(self.pool.ping().await?)
    }
}

// === Reading ===

type Value = Box<dyn ToSql + Sync + Send>;

fn filter(query: &Query) -> Result<(String, Vec<Value>), Rejection> {
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

async fn load_family(transaction: &Transaction<'_>, load: &Load) -> Result<Family> {
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

type Links = HashMap<String, BTreeMap<String, Vec<ObjectReference>>>;

async fn references(client: &impl GenericClient, ids: &[&str]) -> Result<Links> {
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

fn read(row: &Row, spec: bool) -> Result<Resource> {
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

fn read_status(row: &Row) -> Result<AdapterStatus> {
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

// === Writing ===

async fn apply(transaction: &Transaction<'_>, write: &Write) -> Result<(), Error> {
    match write {
        Write::Insert(resource) => match insert(transaction, resource).await {
            Err(sql_store::Error::Unique { .. }) => return Err(name_taken(resource)),
            result => {
                result?;
                link(transaction, resource).await?;
            }
        },
        other => change(transaction, other).await?,
    }
    Ok(())
}

async fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<()> {
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, values).await?;
    Ok(())
}

fn jsonb<T: Serialize + std::fmt::Debug + Sync>(value: &T) -> Json<&T> {
    Json(value)
}

async fn insert(transaction: &Transaction<'_>, resource: &Resource) -> Result<()> {
    let owner = resource.owner_references.as_ref();
    let sql = format!(
        "insert into resources ({COLUMNS}, spec) values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)"
    );
    execute(
        transaction,
        &sql,
        &[
            &resource.id,
            &resource.kind,
            &resource.name,
            &resource.href,
            &jsonb(&resource.labels),
            &jsonb(&resource.tenancy),
            &resource.generation,
            &resource.created_time,
            &resource.updated_time,
            &resource.created_by,
            &resource.updated_by,
            &resource.deleted_time,
            &resource.deleted_by,
            &owner.map(|owner| &owner.id),
            &owner.map(|owner| &owner.kind),
            &owner.map(|owner| &owner.href),
            &jsonb(&resource.status.conditions),
            &jsonb(&resource.spec),
        ],
    )
    .await
}

async fn link(transaction: &Transaction<'_>, resource: &Resource) -> Result<()> {
    for (ref_type, targets) in &resource.references {
        for (position, target) in targets.iter().enumerate() {
            let position = i32::try_from(position).unwrap_or(i32::MAX);
            let sql = "insert into resource_references (source_id, ref_type, position, target_id) values ($1, $2, $3, $4)";
            execute(
                transaction,
                sql,
                &[&resource.id, ref_type, &position, &target.id],
            )
            .await?;
        }
    }
    Ok(())
}

async fn change(transaction: &Transaction<'_>, write: &Write) -> Result<()> {
    match write {
        Write::Insert(resource) => insert(transaction, resource).await,
        Write::Head(resource) => {
            let sql = "update resources set generation = $1, updated_time = $2, updated_by = $3, deleted_time = $4, deleted_by = $5 \
                       where id = $6";
            let Resource {
                id,
                generation,
                updated_time,
                updated_by,
                deleted_time,
                deleted_by,
                ..
            } = &**resource;
            execute(
                transaction,
                sql,
                &[
                    generation,
                    updated_time,
                    updated_by,
                    deleted_time,
                    deleted_by,
                    id,
                ],
            )
            .await
        }
        Write::Body(resource) => {
            let sql = "update resources set spec = $1, labels = $2 where id = $3";
            execute(
                transaction,
                sql,
                &[
                    &jsonb(&resource.spec),
                    &jsonb(&resource.labels),
                    &resource.id,
                ],
            )
            .await
        }
        Write::References(resource) => {
            execute(
                transaction,
                "delete from resource_references where source_id = $1",
                &[&resource.id],
            )
            .await?;
            link(transaction, resource).await
        }
        Write::Unlink(id) => {
            execute(
                transaction,
                "delete from resource_references where target_id = $1",
                &[id],
            )
            .await
        }
        Write::Conditions(id, conditions) => {
            execute(
                transaction,
                "update resources set conditions = $1 where id = $2",
                &[&jsonb(conditions), id],
            )
            .await
        }
        Write::Status(id, status) => {
            let sql = format!(
                "insert into adapter_statuses (resource_id, {STATUS_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8) \
                 on conflict (resource_id, adapter) do update set observed_generation = excluded.observed_generation, \
                 conditions = excluded.conditions, metadata = excluded.metadata, data = excluded.data, \
                 last_report_time = excluded.last_report_time"
            );
            let AdapterStatus {
                adapter,
                observed_generation,
                created_time,
                last_report_time,
                ..
            } = &**status;
            let metadata = status.metadata.as_ref().map(jsonb);
            let (conditions, data) = (jsonb(&status.conditions), jsonb(&status.data));
            execute(
                transaction,
                &sql,
                &[
                    id,
                    adapter,
                    observed_generation,
                    &conditions,
                    &metadata,
                    &data,
                    created_time,
                    last_report_time,
                ],
            )
            .await
        }
        Write::Remove(id) => {
            execute(transaction, "delete from resources where id = $1", &[id]).await
        }
    }
}
