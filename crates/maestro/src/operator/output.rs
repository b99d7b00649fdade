//! What the commands print, as upstream prints it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Failed;

/// Blanks between columns.
const GAP: usize = 3;

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Json,
    Table,
}

const CONSUMER_KEYS: &[&str] = &[
    "id",
    "kind",
    "href",
    "name",
    "labels",
    "created_at",
    "updated_at",
];
const BUNDLE_KEYS: &[&str] = &[
    "id",
    "kind",
    "href",
    "name",
    "consumer_name",
    "version",
    "created_at",
    "updated_at",
    "deleted_at",
    "metadata",
    "manifests",
    "delete_option",
    "manifest_configs",
    "status",
];

/// One consumer.
pub(crate) fn consumer(format: Format, item: &Value) -> Result<String, Failed> {
    if format == Format::Json {
        return json(&known(item, CONSUMER_KEYS));
    }
    Ok(table(&[
        &["FIELD", "VALUE"],
        &["ID", text(item, "id")],
        &["Name", text(item, "name")],
        &["Labels", &labels(item)],
        &["Created", &time(item, "created_at")],
        &["Updated", &time(item, "updated_at")],
    ]))
}

/// A page of consumers.
pub(crate) fn consumers(format: Format, page: &Value) -> Result<String, Failed> {
    if format == Format::Json {
        return json(&list(page, CONSUMER_KEYS));
    }
    let rows = items(page)
        .iter()
        .map(|item| {
            [
                text(item, "id").to_owned(),
                text(item, "name").to_owned(),
                labels(item),
                time(item, "created_at"),
            ]
        })
        .collect::<Vec<_>>();
    Ok(with_header(&["ID", "NAME", "LABELS", "CREATED"], &rows))
}

/// One resource bundle.
pub(crate) fn resource_bundle(format: Format, item: &Value) -> Result<String, Failed> {
    if format == Format::Json {
        return json(&known(item, BUNDLE_KEYS));
    }
    Ok(table(&[
        &["FIELD", "VALUE"],
        &["ID", text(item, "id")],
        &["Name", text(item, "name")],
        &["Consumer", text(item, "consumer_name")],
        &["Version", &version(item)],
        &["Created", &time(item, "created_at")],
        &["Updated", &time(item, "updated_at")],
        &["Status", applied(item.get("status"))],
    ]))
}

/// A page of resource bundles.
pub(crate) fn resource_bundles(format: Format, page: &Value) -> Result<String, Failed> {
    if format == Format::Json {
        return json(&list(page, BUNDLE_KEYS));
    }
    let rows = items(page)
        .iter()
        .map(|item| {
            [
                text(item, "id").to_owned(),
                text(item, "name").to_owned(),
                text(item, "consumer_name").to_owned(),
                version(item),
                time(item, "created_at"),
                applied(item.get("status")).to_owned(),
            ]
        })
        .collect::<Vec<_>>();
    Ok(with_header(
        &["ID", "NAME", "CONSUMER", "VERSION", "CREATED", "STATUS"],
        &rows,
    ))
}

/// The status of a resource bundle.
pub(crate) fn status(format: Format, id: &str, item: &Value) -> Result<String, Failed> {
    let status = item.get("status").filter(|status| !status.is_null());
    if format == Format::Json {
        return json(status.unwrap_or(&Value::Null));
    }
    let mut out = table(&[
        &["FIELD", "VALUE"],
        &["ID", id],
        &["Status", applied(status)],
    ]);
    let conditions = conditions(status);
    if !conditions.is_empty() {
        out.push_str("\nConditions:\n");
    }
    for condition in conditions.iter().filter(|condition| condition.is_object()) {
        let mut rows: Vec<[&str; 2]> = vec![
            ["  Type", text(condition, "type")],
            ["  Status", text(condition, "status")],
        ];
        for (name, key) in [
            ("  Reason", "reason"),
            ("  Message", "message"),
            ("  LastTransitionTime", "lastTransitionTime"),
        ] {
            let value = text(condition, key);
            if !value.is_empty() {
                rows.push([name, value]);
            }
        }
        let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
        out.push_str(&table(&rows));
        out.push('\n');
    }
    Ok(out)
}

fn json(value: &Value) -> Result<String, Failed> {
    go_compat::json::to_string_indented(value, "  ")
        .map(|mut text| {
            text.push('\n');
            text
        })
        .map_err(|error| Failed::new(format!("encode: {error}")))
}

/// The keys that upstream knows; those that are null are left out.
fn known(item: &Value, keys: &[&str]) -> Value {
    let known = keys.iter().filter_map(|key| {
        let value = item.get(*key).filter(|value| !value.is_null())?;
        Some(((*key).to_owned(), value.clone()))
    });
    Value::Object(known.collect::<Map<_, _>>())
}

fn list(page: &Value, keys: &[&str]) -> Value {
    let mut whole = Map::new();
    for key in ["kind", "page", "size", "total"] {
        whole.insert(
            key.to_owned(),
            page.get(key).cloned().unwrap_or(Value::Null),
        );
    }
    let items = items(page).iter().map(|item| known(item, keys)).collect();
    whole.insert("items".to_owned(), Value::Array(items));
    Value::Object(whole)
}

fn items(page: &Value) -> &[Value] {
    page.get("items")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(item: &'a Value, key: &str) -> &'a str {
    item.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn version(item: &Value) -> String {
    let version = item.get("version").and_then(Value::as_i64);
    version.unwrap_or_default().to_string()
}

/// `2026-01-02T15:04:05.123Z` as `2026-01-02 15:04:05`.
fn time(item: &Value, key: &str) -> String {
    let text = text(item, key);
    let seconds = text.get(..19).unwrap_or(text);
    seconds.replacen('T', " ", 1)
}

/// Sorted, where upstream has no order.
fn labels(item: &Value) -> String {
    let labels: BTreeMap<&str, &str> = item
        .get("labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
        .collect();
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

fn conditions(status: Option<&Value>) -> &[Value] {
    status
        .and_then(|status| status.get("conditions")?.as_array())
        .map_or(&[], Vec::as_slice)
}

fn applied(status: Option<&Value>) -> &'static str {
    let applied = conditions(status)
        .iter()
        .find(|condition| text(condition, "type") == "Applied");
    match applied.map(|condition| text(condition, "status")) {
        Some("True") => "Applied",
        Some(_) => "Pending",
        None => "Unknown",
    }
}

fn with_header<const N: usize>(header: &[&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<Vec<&str>> = std::iter::once(header.to_vec())
        .chain(
            rows.iter()
                .map(|row| row.iter().map(String::as_str).collect()),
        )
        .collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    table(&rows)
}

/// Lines with columns; the last one is as wide as it is.
fn table(rows: &[&[&str]]) -> String {
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
                + GAP
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                let width = widths.get(column).copied().unwrap_or_default();
                let blanks = width.saturating_sub(cell.chars().count());
                out.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        out.push('\n');
    }
    out
}
