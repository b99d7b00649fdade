//! YAML in the two dialects that Go programs read, and one way to write it.
//!
//! Configuration is read by `gopkg.in/yaml.v3` (only `true` and `false` are booleans); Kubernetes documents are read by
//! `sigs.k8s.io/yaml` (`yes`, `no`, `on`, `off`, `y`, `n` are booleans too). Both read `017` as octal. Duplicate keys, alias
//! bombs and deep nesting are errors with a position in both profiles.
//!
//! Dates stay text in both profiles. yaml.v3 turns an untyped `2026-01-01` into a time, which then appears in JSON as
//! `2026-01-01T00:00:00Z`; nothing depends on that.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::Options;

mod write;

pub use write::to_string;

/// Largest text accepted, in bytes (16 MiB).
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Deepest nesting of mappings and sequences. Schemas of large CRDs reach about 40.
pub const MAX_DEPTH: usize = 64;
/// Most nodes (mappings, sequences, scalars) of all documents together, before aliases are expanded.
pub const MAX_NODES: usize = 1_000_000;
/// Most nodes that aliases may add.
pub const MAX_ALIAS_NODES: usize = 100_000;
/// Most documents in one text.
pub const MAX_DOCUMENTS: usize = 10_000;

/// What is wrong with a YAML text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", self.prefix())]
pub struct Error {
    /// Line, from 1; 0 when unknown.
    pub line: usize,
    /// Column in characters, from 1; 0 when unknown.
    pub column: usize,
    /// Path of the key, such as `spec.params[2].name`; empty at the root or when the text is not well formed.
    pub path: String,
    /// What is wrong, without position and path.
    pub message: String,
}

/// Reads one document of a configuration file (yaml.v3).
///
/// An empty text is read as null. Several documents are an error.
///
/// # Errors
/// Syntax, limits, or a value that doesn't fit `T`.
pub fn from_str_config<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    read(text, config_options())
}

/// Reads one Kubernetes document (sigs.k8s.io/yaml).
///
/// An empty text is read as null. Several documents are an error.
///
/// # Errors
/// Syntax, limits, or a value that doesn't fit `T`.
pub fn from_str_k8s<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    read(text, k8s_options())
}

/// Reads all Kubernetes documents of a text; empty ones are left out.
///
/// # Errors
/// Syntax or limits, in any document.
pub fn documents_k8s(text: &str) -> Result<Vec<Value>, Error> {
    documents(text, k8s_options())
}

/// Reads all documents of a configuration text; empty ones are left out.
///
/// # Errors
/// Syntax or limits, in any document.
pub fn documents_config(text: &str) -> Result<Vec<Value>, Error> {
    documents(text, config_options())
}

fn documents(text: &str, options: Options) -> Result<Vec<Value>, Error> {
    check_size(text)?;
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| Error::from_saphyr(&error, String::new()))
}

fn read<T: DeserializeOwned>(text: &str, options: Options) -> Result<T, Error> {
    check_size(text)?;
    let mut path = String::new();
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            path = error.path().to_string();
            error.into_inner()
        })
    })
    .map_err(|error| {
        Error::from_saphyr(
            &error,
            if path == "." {
                String::new()
            } else {
                path.clone()
            },
        )
    })
}

fn check_size(text: &str) -> Result<(), Error> {
    if text.len() > MAX_BYTES {
        return Err(Error {
            line: 0,
            column: 0,
            path: String::new(),
            message: format!(
                "YAML text has {} bytes, the limit is {MAX_BYTES}",
                text.len()
            ),
        });
    }
    Ok(())
}

fn config_options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_documents: MAX_DOCUMENTS,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIAS_NODES },
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

fn k8s_options() -> Options {
    let mut options = config_options();
    options.strict_booleans = false;
    options
}

// === impl Error ===

impl Error {
    fn from_saphyr(error: &serde_saphyr::Error, path: String) -> Self {
        let location = error.location();
        let coordinate = |value: Option<u64>| {
            value
                .and_then(|value| usize::try_from(value).ok())
                .unwrap_or(0)
        };
        Self {
            line: coordinate(location.map(|location| location.line())),
            column: coordinate(location.map(|location| location.column())),
            path,
            message: message_of(error),
        }
    }

    fn prefix(&self) -> String {
        let mut prefix = String::new();
        if self.line > 0 {
            prefix = format!("line {}, column {}: ", self.line, self.column);
        }
        if !self.path.is_empty() {
            prefix.push_str(&self.path);
            prefix.push_str(": ");
        }
        prefix
    }
}

/// The error's text without the position that the library puts at its end.
fn message_of(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let position = error
        .location()
        .map(|location| format!(" at line {}, column {}", location.line(), location.column()));
    let text = position
        .and_then(|position| text.strip_suffix(&position))
        .unwrap_or(text);
    text.trim().to_owned()
}

#[cfg(test)]
mod tests;
