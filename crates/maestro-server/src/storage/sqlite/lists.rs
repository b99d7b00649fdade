//! Searched and ordered lists.

use search_language::{Dialect, Fragment, Param};
use sql_store::sqlite::rusqlite::{self, Connection, Row, ToSql, params_from_iter, types::Value};

use super::super::search::Table;
use super::super::{Error, Listed, Page, Query};
use super::queries::revision;
use super::{consumers, time_text};
use crate::model::Consumer;

pub(super) fn resources(db: &Connection, query: &Query) -> Result<Page<Listed>, Error> {
    let columns = concat!("id, ", revision!());
    page(db, Table::Resources, "resources", columns, query, |row| {
        Ok(Listed {
            id: row.get::<_, String>(0)?.into(),
            revision: row.get::<_, String>(1)?.into(),
        })
    })
}

pub(super) fn consumers(db: &Connection, query: &Query) -> Result<Page<Consumer>, Error> {
    page(
        db,
        Table::Consumers,
        "consumers",
        consumers::COLUMNS,
        query,
        consumers::consumer,
    )
}

fn page<T>(
    db: &Connection,
    table: Table,
    name: &str,
    columns: &str,
    query: &Query,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Page<T>, Error> {
    let Fragment { sql, params } = query.selection.condition(table, Dialect::Sqlite)?;
    let condition = if sql.is_empty() {
        String::new()
    } else {
        format!("where {sql}")
    };
    let mut values: Vec<Value> = params.into_iter().map(value).collect();
    let total: i64 = db
        .prepare_cached(&format!("select count(*) from {name} {condition}"))?
        .query_row(params_from_iter(references(&values)), |row| row.get(0))?;
    if query.limit == 0 {
        return Ok(Page {
            total: total.unsigned_abs(),
            items: Vec::new(),
        });
    }
    let (limit, offset) = (values.len() + 1, values.len() + 2);
    for number in [query.limit, query.offset] {
        values.push(Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)));
    }
    let order = query.selection.order();
    let mut statement = db.prepare_cached(&format!(
        "select {columns} from {name} {condition} order by {order} limit ?{limit} offset ?{offset}"
    ))?;
    let rows = statement.query_map(params_from_iter(references(&values)), read)?;
    Ok(Page {
        total: total.unsigned_abs(),
        items: rows.collect::<Result<_, _>>()?,
    })
}

fn references(values: &[Value]) -> impl Iterator<Item = &dyn ToSql> {
    values.iter().map(|value| value as &dyn ToSql)
}

fn value(param: Param) -> Value {
    match param {
        Param::Text(text) => Value::Text(text),
        Param::Integer(number) => Value::Integer(number),
        Param::Number(number) => Value::Real(number),
        Param::Time(time) => Value::Text(time_text(time)),
    }
}
