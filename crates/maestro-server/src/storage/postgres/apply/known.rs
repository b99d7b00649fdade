//! What the database knows about the operations of a transaction, read under locks.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sql_store::postgres::Transaction;

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
    consumers: HashSet<ClusterName>,
    tombstones: HashMap<ResourceId, Timestamp>,
}

impl Known {
    pub(super) async fn load(
        transaction: &Transaction<'_>,
        operations: &[Operation],
        free: &[bool],
    ) -> Result<Self, Error> {
        let mut known = Self::default();
        let (mut ids, mut updates, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        let (mut creates, mut consumers) = (Vec::new(), Vec::new());
        for (operation, _) in operations.iter().zip(free).filter(|(_, free)| **free) {
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
        known.rows(transaction, &ids, &updates, &reports).await?;
        if !creates.is_empty() {
            known
                .surroundings(transaction, &creates, &consumers)
                .await?;
        }
        Ok(known)
    }

    async fn rows(
        &mut self,
        transaction: &Transaction<'_>,
        ids: &[&str],
        updates: &[&str],
        reports: &[&str],
    ) -> Result<(), Error> {
        // Documents are large: each operation reads only what it looks at.
        let statement = transaction
            .prepare_cached(
                "select id, source, consumer_name, version, created_at, deleted_at, \
                        case when id = any($3) then status ->> 'sequenceid' end, \
                        case when id = any($3) then payload -> 'metadata' end, \
                        case when id = any($2) then payload end \
                 from resources where id = any($1) order by id for update",
            )
            .await?;
        for row in transaction
            .query(&statement, &[&ids, &updates, &reports])
            .await?
        {
            let id = ResourceId::from(row.try_get::<_, &str>(0)?);
            let deleted_at: Option<Timestamp> = row.try_get(5)?;
            let sequence: Option<&str> = row.try_get(6)?;
            let current = Current {
                source: row
                    .try_get::<_, Option<&str>>(1)?
                    .unwrap_or_default()
                    .into(),
                cluster: row
                    .try_get::<_, Option<&str>>(2)?
                    .unwrap_or_default()
                    .into(),
                version: row.try_get(3)?,
                created_at: or_epoch(row.try_get(4)?),
                deleting: deleted_at.is_some(),
                sequence: sequence.and_then(|text| text.parse().ok()),
                payload: row
                    .try_get::<_, Option<Json<String>>>(8)?
                    .map(|json| json.0),
            };
            let metadata = row
                .try_get::<_, Option<Json<String>>>(7)?
                .map(|json| json.0);
            self.rows.insert(
                id,
                Row {
                    current,
                    deleted_at,
                    metadata,
                },
            );
        }
        Ok(())
    }

    /// What creates need: consumers, held so that they can't vanish, and former lives of the ids.
    async fn surroundings(
        &mut self,
        transaction: &Transaction<'_>,
        creates: &[&str],
        consumers: &[&str],
    ) -> Result<(), Error> {
        let registered = transaction
            .prepare_cached(
                "select name from consumers where name = any($1) order by name for key share",
            )
            .await?;
        for row in transaction.query(&registered, &[&consumers]).await? {
            self.consumers.insert(row.try_get::<_, &str>(0)?.into());
        }
        let dead = transaction
            .prepare_cached("select id, created_at from tombstones where id = any($1)")
            .await?;
        for row in transaction.query(&dead, &[&creates]).await? {
            self.tombstones
                .insert(row.try_get::<_, &str>(0)?.into(), row.try_get(1)?);
        }
        Ok(())
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
            Operation::Create(spec) => self.consumers.contains(&spec.cluster),
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
