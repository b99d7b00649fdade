//! Searched and ordered lists.

use search_language::{Dialect, Fragment};
use sql_store::postgres::Client;
use sql_store::postgres::tokio_postgres::Row;
use sql_store::postgres::tokio_postgres::types::ToSql;

use super::super::search::Table;
use super::super::{Error, Listed, Page, Query};
use super::consumers;
use super::queries::revision;
use super::values::{boxed, references};
use crate::model::Consumer;

pub(super) async fn resources(client: &Client, query: &Query) -> Result<Page<Listed>, Error> {
    let columns = concat!("id, ", revision!("resources"));
    let listed = |row: &Row| {
        Ok(Listed {
            id: row.try_get::<_, &str>(0)?.into(),
            revision: row.try_get::<_, &str>(1)?.into(),
        })
    };
    page(
        client,
        Table::Resources,
        "resources",
        columns,
        query,
        listed,
    )
    .await
}

pub(super) async fn consumers(client: &Client, query: &Query) -> Result<Page<Consumer>, Error> {
    page(
        client,
        Table::Consumers,
        "consumers",
        consumers::COLUMNS,
        query,
        consumers::consumer,
    )
    .await
}

/// Counts what matches and reads the window, both with the same condition.
async fn page<T>(
    client: &Client,
    table: Table,
    name: &str,
    columns: &str,
    query: &Query,
    read: impl Fn(&Row) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let Fragment { sql, params } = query.selection.condition(table, Dialect::Postgres)?;
    let condition = if sql.is_empty() {
        String::new()
    } else {
        format!("where {sql}")
    };
    let mut params: Vec<Box<dyn ToSql + Sync + Send>> = params.into_iter().map(boxed).collect();
    let count = format!("select count(*) from {name} {condition}");
    let total: i64 = client
        .query_one(&count, &references(&params))
        .await?
        .try_get(0)?;
    let total = total.unsigned_abs();
    if query.limit == 0 {
        return Ok(Page {
            total,
            items: Vec::new(),
        });
    }
    let (limit, offset) = (params.len() + 1, params.len() + 2);
    for number in [query.limit, query.offset] {
        params.push(Box::new(i64::try_from(number).unwrap_or(i64::MAX)));
    }
    let order = query.selection.order();
    let list = format!(
        "select {columns} from {name} {condition} order by {order} limit ${limit}::bigint offset ${offset}::bigint"
    );
    let rows = client.query(&list, &references(&params)).await?;
    let items = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Page { total, items })
}
