//! Tables: objects as the rows that `kubectl get` prints.

mod builtin;

use std::sync::Arc;

use jiff::Timestamp;
use jsonpath::{JsonPath, Missing};
use serde_json::{Value, json};

use super::read::{in_version_value, partial_of};
use crate::failure::{Cause, Failure};
use crate::object::Object;
use crate::resource::{PrinterColumn, Resource};
use crate::time::age;

/// What rows carry of their objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Metadata.
    #[default]
    Metadata,
    /// Everything.
    Object,
}

impl Include {
    /// Parses `includeObject`.
    ///
    /// # Errors
    /// 422 for other values.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => {
                let known = ["Metadata".into(), "None".into(), "Object".into()];
                let cause = Cause::not_supported("includeObject", &other.into(), &known);
                Err(Failure::invalid_options("TableOptions", &[cause]))
            }
        }
    }
}

/// A column of a table.
struct Column {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
}

impl Column {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format,
            "description": self.description, "priority": self.priority,
        })
    }
}

/// A `Table` of objects. `metadata` is that of the list, if it is one.
pub fn table(
    resource: &Resource,
    objects: &[Arc<Object>],
    revision: u64,
    metadata: Option<Value>,
    include: Include,
    now: Timestamp,
) -> Value {
    let printer = Printer::of(resource);
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let value = in_version_value(object, resource);
            let mut row = json!({"cells": printer.cells(&value, now)});
            let carried = match include {
                Include::None => Value::Null,
                Include::Metadata => partial_of(&value),
                Include::Object => value,
            };
            row["object"] = carried;
            row
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata.unwrap_or_else(|| json!({"resourceVersion": revision.to_string()})),
        "columnDefinitions": printer.columns().iter().map(Column::to_json).collect::<Vec<_>>(),
        "rows": rows,
    })
}

/// How the rows of one type are made.
enum Printer<'a> {
    BuiltIn(&'a str),
    Custom(Vec<(&'a PrinterColumn, Option<JsonPath>)>),
}

impl<'a> Printer<'a> {
    fn of(resource: &'a Resource) -> Self {
        match &resource.columns {
            None => Self::BuiltIn(&resource.kind),
            Some(columns) => Self::Custom(
                columns
                    .iter()
                    .map(|column| (column, JsonPath::parse_relaxed(&column.json_path).ok()))
                    .collect(),
            ),
        }
    }

    fn columns(&self) -> Vec<Column> {
        match self {
            Self::BuiltIn(kind) => builtin::columns(kind),
            Self::Custom(columns) => std::iter::once(name_column())
                .chain(columns.iter().map(|(column, _)| Column {
                    name: column.name.clone(),
                    kind: column.kind.clone(),
                    format: column.format.clone(),
                    description: column.description.clone(),
                    priority: column.priority,
                }))
                .collect(),
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let name = object
            .pointer("/metadata/name")
            .cloned()
            .unwrap_or(Value::Null);
        match self {
            Self::BuiltIn(kind) => builtin::cells(kind, object, now),
            Self::Custom(columns) => std::iter::once(name)
                .chain(
                    columns
                        .iter()
                        .map(|(column, path)| custom_cell(object, column, path.as_ref(), now)),
                )
                .collect(),
        }
    }
}

fn name_column() -> Column {
    Column {
        name: "Name".to_owned(),
        kind: "string".to_owned(),
        format: "name".to_owned(),
        description: "Name must be unique within a namespace.".to_owned(),
        priority: 0,
    }
}

/// The first result of the column's path, as its type wants it.
fn custom_cell(
    object: &Value,
    column: &PrinterColumn,
    path: Option<&JsonPath>,
    now: Timestamp,
) -> Value {
    let Some(found) =
        path.and_then(|path| path.find(object, Missing::Allow).ok()?.into_iter().next())
    else {
        return Value::Null;
    };
    let value = found.into_owned();
    match column.kind.as_str() {
        "integer" => value.as_i64().map_or(Value::Null, Value::from),
        "number" => value.as_f64().map_or(Value::Null, Value::from),
        "boolean" => value.as_bool().map_or(Value::Null, Value::from),
        "date" => value
            .as_str()
            .map_or(Value::Null, |text| age(text, now).into()),
        _ => match value {
            Value::Null => Value::Null,
            Value::String(text) => text.into(),
            other => other.to_string().into(),
        },
    }
}
