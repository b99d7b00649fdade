mod read;
mod write;

use async_trait::async_trait;
use futures::future::try_join;
use hyperfleet_types::{AdapterStatus, Resource};
use sql_store::{
    Migration,
    postgres::{Config, Pool, migrate},
};
use tokio_postgres::{Row, types::ToSql};

use super::{COLUMNS, Decide, Load, Pending, Query, STATUS_COLUMNS, Store};
use crate::{domain::Plan, error::Error};

type Result<T, E = sql_store::Error> = std::result::Result<T, E>;

const MIGRATIONS: &[Migration] = &[Migration {
    id: "hyperfleet-api-1",
    sql: include_str!("postgres/schema.sql"),
}];
/// Where applied migrations are noted.
const MIGRATIONS_TABLE: &str = "hyperfleet_migrations";
/// Advisory lock around migrations: several servers that start together migrate once.
const MIGRATIONS_LOCK: i64 = 0x6879_7065_7266_6c74;
/// How often a change is tried that concurrent transactions get in the way of.
const ATTEMPTS: u32 = 4;

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
                let plan = decide(read::load_family(&transaction, load).await?)?;
                for write in &plan.writes {
                    write::apply(&transaction, write).await?;
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
            let mut resource = read::read(&row, true)?;
            let mut references = read::references(&**client, &[id]).await?;
            resource.references = references.remove(id).unwrap_or_default();
            Ok::<_, sql_store::Error>(Some(resource))
        };
        Ok(self.pool.bounded(read).await?)
    }

    async fn list(&self, query: Query) -> Result<(Vec<Resource>, u64), Error> {
        let (filter, values) = read::filter(&query)?;
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
                .map(|row| read::read(row, true))
                .collect::<Result<Vec<_>>>()?;
            let ids: Vec<&str> = resources
                .iter()
                .map(|resource| resource.id.as_str())
                .collect();
            let mut references = read::references(&**client, &ids).await?;
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
            let statuses = rows
                .iter()
                .map(read::read_status)
                .collect::<Result<Vec<_>>>()?;
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
