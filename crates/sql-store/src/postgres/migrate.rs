use std::collections::HashSet;

use super::pool::Pool;
use crate::{Error, Migration};

/// Applies the steps that `table` doesn't list yet, in order, in one transaction under the advisory lock `lock_key`:
/// of several processes that start together one migrates, the others wait and find nothing to do; a crash leaves the
/// old schema.
///
/// Returns the ids of the steps that were applied. Ids in the table that aren't in the list are left alone.
///
/// # Errors
/// Of the first step that fails; nothing was changed then.
pub async fn migrate(
    pool: &Pool,
    table: &str,
    lock_key: i64,
    steps: &[Migration],
) -> Result<Vec<&'static str>, Error> {
    let table = super::listen::quoted(table);
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    transaction
        .query("select pg_advisory_xact_lock($1)", &[&lock_key])
        .await?;
    transaction
        .batch_execute(&format!(
            "create table if not exists {table} (id varchar(255) primary key)"
        ))
        .await?;
    let rows = transaction
        .query(&format!("select id from {table}"), &[])
        .await?;
    let known: HashSet<String> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    let mut applied = Vec::new();
    for step in steps.iter().filter(|step| !known.contains(step.id)) {
        transaction.batch_execute(step.sql).await?;
        transaction
            .execute(
                &format!("insert into {table} (id) values ($1)"),
                &[&step.id],
            )
            .await?;
        applied.push(step.id);
    }
    transaction.commit().await?;
    Ok(applied)
}
