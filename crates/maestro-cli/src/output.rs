//! What goes to standard output.

pub mod text;
pub mod views;

use std::io::Write;

use jsonpath::{JsonPath, Missing};
use maestro_client::Bundle;
use manifestwork::conditions;
use serde::Serialize;

use crate::{ExitCode, Failure};

/// Form of the output.
#[derive(Debug, Clone)]
pub enum Format {
    /// YAML with sorted keys.
    Yaml,
    /// JSON with two blanks of indentation.
    Json,
    /// A table for people.
    Table,
    /// Text for people.
    Text,
    /// Names only, one a line.
    Name,
    /// A ManifestWork that can be applied again.
    ManifestWork,
    /// A Kubernetes JSONPath template.
    JsonPath(Box<JsonPath>),
}

impl Format {
    /// Reads `--output`.
    ///
    /// # Errors
    /// An unknown format or a malformed template.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        Ok(match text {
            "yaml" => Self::Yaml,
            "json" => Self::Json,
            "table" | "wide" => Self::Table,
            "text" => Self::Text,
            "name" => Self::Name,
            "manifestwork" => Self::ManifestWork,
            _ => match text.strip_prefix("jsonpath=") {
                Some(template) => {
                    let path = JsonPath::parse(template)
                        .or_else(|error| JsonPath::parse_relaxed(template).map_err(|_| error))
                        .map_err(|error| Failure::usage(format!("--output jsonpath: {error}")))?;
                    Self::JsonPath(Box::new(path))
                }
                None => {
                    return Err(Failure::usage(format!(
                        "invalid argument {text:?} for \"--output\" flag: must be yaml, json, table, text, name, manifestwork or jsonpath=TEMPLATE"
                    )));
                }
            },
        })
    }

    /// The format that was asked for, or a default.
    ///
    /// # Errors
    /// As [`Format::parse`].
    pub fn choose(asked: Option<&str>, default: Self) -> Result<Self, Failure> {
        asked.map_or(Ok(default), Self::parse)
    }
}

/// Prints an object as data.
///
/// # Errors
/// Standard output can't be written.
pub fn print_data<T: Serialize>(value: &T, format: &Format) -> Result<(), Failure> {
    print(&data(value, format)?)
}

/// An object as data; text formats fall back to YAML.
///
/// # Errors
/// A template that doesn't fit the object.
pub fn data<T: Serialize>(value: &T, format: &Format) -> Result<String, Failure> {
    let wrong = |error: String| {
        Failure::new(
            ExitCode::Failed,
            "OutputFailed",
            format!("failed to write the output: {error}"),
        )
    };
    match format {
        Format::Json => go_compat::json::to_string_indented(value, "  ")
            .map(|text| text + "\n")
            .map_err(|error| wrong(error.to_string())),
        Format::JsonPath(path) => {
            let tree = serde_json::to_value(value).map_err(|error| wrong(error.to_string()))?;
            let text = path
                .render(&tree, Missing::Error)
                .map_err(|error| Failure::usage(format!("--output jsonpath: {error}")))?;
            Ok(text + "\n")
        }
        _ => {
            // Over a tree: keys come sorted.
            let tree = serde_json::to_value(value).map_err(|error| wrong(error.to_string()))?;
            go_compat::yaml::to_string(&tree)
                .map(|text| text + "\n")
                .map_err(|error| wrong(error.to_string()))
        }
    }
}

/// Writes text to standard output. A reader that has gone away is no error.
///
/// # Errors
/// Standard output can't be written.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(
            ExitCode::Failed,
            "OutputFailed",
            format!("failed to write the output: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Bundles as a table.
#[must_use]
pub fn table(bundles: &[Bundle], now: jiff::Timestamp) -> String {
    let header = [
        "NAME",
        "VERSION",
        "APPLIED",
        "AVAILABLE",
        "MANIFESTS",
        "AGE",
    ]
    .map(str::to_owned);
    let rows = bundles.iter().map(|bundle| {
        let state = |name: &str| {
            let status = bundle.status.as_ref();
            let found = status.and_then(|status| conditions::find(&status.conditions, name));
            found
                .map_or("-", |condition| condition.status.as_str())
                .to_owned()
        };
        let deleting = if bundle.is_deleting() {
            " (deleting)"
        } else {
            ""
        };
        [
            format!("{}{deleting}", bundle.work_name()),
            bundle.version.to_string(),
            state("Applied"),
            state("Available"),
            bundle.manifests.len().to_string(),
            bundle
                .created_at
                .map_or_else(|| "-".to_owned(), |time| age(time, now)),
        ]
    });
    columns(std::iter::once(header).chain(rows).collect())
}

/// Rows with aligned columns, three blanks apart.
fn columns<const N: usize>(rows: Vec<[String; N]>) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut out = String::new();
    for row in rows {
        let line: String = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}   "))
            .collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// How long ago, in one unit.
#[must_use]
pub fn age(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
