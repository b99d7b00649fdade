mod read;
mod write;

use std::path::Path;

use async_trait::async_trait;
use hyperfleet_types::{AdapterStatus, Resource};
use rusqlite::{Connection, params, params_from_iter, types::Value};
use sql_store::{Migration, sqlite::Database};

use super::{COLUMNS, Decide, Load, Pending, Query, STATUS_COLUMNS, Store};
use crate::{domain::Plan, error::Error};

type Result<T, E = sql_store::Error> = std::result::Result<T, E>;

const MIGRATIONS: &[Migration] = &[Migration {
    id: "hyperfleet-api-1",
    sql: include_str!("sqlite/schema.sql"),
}];

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
                let plan = decide(read::load_family(connection, &load)?)?;
                for write in &plan.writes {
                    write::apply(connection, write)?;
                }
                Ok(plan)
            })
            .await
    }

    async fn get(&self, id: &str) -> Result<Option<Resource>, Error> {
        let id = id.to_owned();
        self.read(move |connection| read::resource(connection, &id, true))
            .await
    }

    async fn list(&self, query: Query) -> Result<(Vec<Resource>, u64), Error> {
        let (filter, mut values) = read::filter(&query)?;
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
                resources.push(read::read(row, true)?);
            }
            for resource in &mut resources {
                resource.references = read::references(connection, &resource.id)?;
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
                    statuses.push(read::read_status(row)?);
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
                    pending.push(Pending { kind: row.get(0)?, deleting: row.get(1)?, since: read::time(row.get(2)?)? });
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
