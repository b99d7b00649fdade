//! What the database knows about the operations of a transaction, read under locks.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sql_store::postgres::Client;
use sql_store::postgres::tokio_postgres::types::ToSql;
use sql_store::postgres::tokio_postgres::{self, Statement};

use super::super::super::Error;
use super::super::values::{Json, or_epoch};
use crate::lifecycle::{Context, Current};
use crate::model::{ClusterName, Operation, ResourceId};

/// The row as decisions see it, and what writing a status needs of it.
pub(super) struct Row {
    pub(super) current: Current,
    pub(super) deleted_at: Option<Timestamp>,
    pub(super) metadata: Option<String>,
}

#[derive(Default)]
pub(super) struct Known {
    rows: HashMap<ResourceId, Row>,
    /// Rows that are held by somebody else.
    held: HashSet<ResourceId>,
    /// Consumers that are registered, and whether somebody else holds them.
    consumers: HashMap<ClusterName, bool>,
    tombstones: HashMap<ResourceId, Timestamp>,
}

/// What is read.
pub(super) struct Statements {
    rows: Statement,
    consumers: Statement,
    lives: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        // Documents are large: each operation reads only what it looks at. Rows that somebody holds come without a version.
        let rows = client.prepare_cached(
                "select p.id, r.source, r.consumer_name, r.version, r.created_at, r.deleted_at, \
                        case when p.id = any($3) then r.status ->> 'sequenceid' end, \
                        case when p.id = any($3) then r.payload -> 'metadata' end, \
                        case when p.id = any($2) then r.payload end \
                 from (select id from resources where id = any($1)) p left join ( \
                     select id, source, consumer_name, version, created_at, deleted_at, status, payload \
                     from resources where id = any($1) order by id for no key update skip locked) r on r.id = p.id",
            );
        // One that is ending (marked in between, too) takes no more.
        let consumers = client.prepare_cached(
                "select p.name, c.name is null \
                 from (select name from consumers where name = any($1) and deleted_at is null) p left join ( \
                     select name from consumers where name = any($1) and deleted_at is null \
                     order by name for key share skip locked) c on c.name = p.name",
            );
        let lives =
            client.prepare_cached("select id, created_at from tombstones where id = any($1)");
        let (rows, consumers, lives) = tokio::try_join!(rows, consumers, lives)?;
        Ok(Self {
            rows,
            consumers,
            lives,
        })
    }
}

impl Known {
    /// Reads everything in one round trip.
    pub(super) async fn load(
        client: &Client,
        statements: &Statements,
        operations: &[Operation],
    ) -> Result<Self, Error> {
        let (mut ids, mut updates, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        let (mut creates, mut consumers) = (Vec::new(), Vec::new());
        for operation in operations {
            let id = operation.id().as_str();
            ids.push(id);
            match operation {
                Operation::Create(spec) => {
                    creates.push(id);
                    consumers.push(spec.cluster.as_str());
                }
                Operation::Update(_) => updates.push(id),
                Operation::Status(_) => reports.push(id),
                Operation::Delete(_) => {}
            }
        }
        let surroundings = async {
            if creates.is_empty() {
                return Ok((Vec::new(), Vec::new()));
            }
            let consumers: [&(dyn ToSql + Sync); 1] = [&consumers];
            let lives: [&(dyn ToSql + Sync); 1] = [&creates];
            let (registered, dead) = tokio::join!(
                biased;
                client.query(&statements.consumers, &consumers),
                client.query(&statements.lives, &lives),
            );
            Ok::<_, Error>((registered?, dead?))
        };
        let params: [&(dyn ToSql + Sync); 3] = [&ids, &updates, &reports];
        let (rows, surroundings) =
            tokio::join!(biased; client.query(&statements.rows, &params), surroundings);
        let mut known = Self::default();
        for row in rows? {
            known.add(&row)?;
        }
        let (registered, dead) = surroundings?;
        for row in registered {
            let held = row.try_get(1)?;
            known
                .consumers
                .insert(row.try_get::<_, &str>(0)?.into(), held);
        }
        for row in dead {
            known
                .tombstones
                .insert(row.try_get::<_, &str>(0)?.into(), row.try_get(1)?);
        }
        Ok(known)
    }

    fn add(&mut self, row: &tokio_postgres::Row) -> Result<(), Error> {
        let id = ResourceId::from(row.try_get::<_, &str>(0)?);
        let Some(version) = row.try_get::<_, Option<i64>>(3)? else {
            self.held.insert(id);
            return Ok(());
        };
        let text = |index: usize| -> Result<&str, Error> {
            Ok(row.try_get::<_, Option<&str>>(index)?.unwrap_or_default())
        };
        let document = |index: usize| -> Result<Option<String>, Error> {
            Ok(row
                .try_get::<_, Option<Json<String>>>(index)?
                .map(|json| json.0))
        };
        let deleted_at: Option<Timestamp> = row.try_get(5)?;
        let sequence: Option<&str> = row.try_get(6)?;
        let current = Current {
            source: text(1)?.into(),
            cluster: text(2)?.into(),
            version,
            created_at: or_epoch(row.try_get(4)?),
            deleting: deleted_at.is_some(),
            sequence: sequence.and_then(|text| text.parse().ok()),
            payload: document(8)?,
        };
        let metadata = document(7)?;
        self.rows.insert(
            id,
            Row {
                current,
                deleted_at,
                metadata,
            },
        );
        Ok(())
    }

    /// Whether somebody without our locks holds the row, or the consumer that a create needs.
    pub(super) fn is_held(&self, operation: &Operation) -> bool {
        let consumer = match operation {
            Operation::Create(spec) => self.consumers.get(&spec.cluster),
            _ => None,
        };
        self.held.contains(operation.id()) || consumer == Some(&true)
    }

    pub(super) fn row(&self, id: &ResourceId) -> Option<&Row> {
        self.rows.get(id)
    }

    pub(super) fn context(
        &self,
        operation: &Operation,
        now: Timestamp,
        isolate_sources: bool,
    ) -> Context {
        let consumer_exists = match operation {
            Operation::Create(spec) => self.consumers.contains_key(&spec.cluster),
            _ => true,
        };
        let last_life = self.tombstones.get(operation.id()).copied();
        Context {
            now,
            consumer_exists,
            last_life,
            isolate_sources,
        }
    }
}
