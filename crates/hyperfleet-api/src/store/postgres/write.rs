//! Values to rows.

use hyperfleet_types::{AdapterStatus, Resource};
use serde::Serialize;
use sql_store::postgres::Transaction;
use tokio_postgres::types::{Json, ToSql};

use super::Result;
use crate::{
    domain::Write,
    error::Error,
    store::{COLUMNS, STATUS_COLUMNS, name_taken},
};

pub(super) async fn apply(transaction: &Transaction<'_>, write: &Write) -> Result<(), Error> {
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
