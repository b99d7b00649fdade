//! Configuration in layers: defaults < file < environment < flags.
//!
//! Each layer is a JSON tree (or single values of one); later layers overwrite earlier ones key by key, lists are
//! replaced whole. The merged tree is decoded into the service's own type, and an error says which key is wrong
//! and which layer the value came from.
//!
//! ```
//! # #[derive(serde::Deserialize)] #[serde(deny_unknown_fields)] struct Log { level: String }
//! # #[derive(serde::Deserialize)] #[serde(deny_unknown_fields)] struct Config { log: Log }
//! use service_runtime::config::Layers;
//! let config: Config = Layers::new(serde_json::json!({"log": {"level": "info"}}))
//!     .env("HYPERFLEET_", &[("LOG_LEVEL", "log.level")])
//!     .set("log.level", "debug".into())
//!     .build()?;
//! assert_eq!(config.log.level, "debug");
//! # Ok::<(), service_runtime::config::Error>(())
//! ```

mod locate;
mod merge;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use merge::redact;

/// Largest configuration file, bytes.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Where a value came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// The built-in default.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// A flag or another explicit setting.
    Flag(String),
}

/// Why a configuration could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("read configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML (or JSON, which is YAML too).
    #[error("{}{}: {message}", path.display(), Position(*line, *column))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line from 1, if known.
        line: Option<usize>,
        /// Column from 1, if known.
        column: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// The file is YAML, but not a mapping of keys.
    #[error("{}: must be a mapping of keys to values, is {found}", path.display())]
    NotAMapping {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A value does not fit, a key is unknown or a required one is missing.
    #[error("{key}: {message} (from {origin}{})", Position(*line, None))]
    Value {
        /// The full key, for example `clients.broker.topic`.
        key: String,
        /// What is wrong.
        message: String,
        /// The layer of the value.
        origin: Source,
        /// The line, from 1, if the layer is a file and the key was found there.
        line: Option<usize>,
    },
}

/// The layers of one configuration, lowest first.
#[derive(Debug)]
pub struct Layers {
    tree: Value,
    /// Where each explicitly set path came from; a path covers everything below it.
    sources: BTreeMap<Vec<String>, Source>,
    /// The texts of the files, to find lines in.
    texts: Vec<(PathBuf, String)>,
    error: Option<Error>,
}

// === impl Layers ===

impl Layers {
    /// Starts with the defaults. Their types also decide how environment values are read: where the default is a
    /// number or a boolean, text is converted; where it is a list, commas separate.
    pub fn new(defaults: Value) -> Self {
        Self {
            tree: defaults,
            sources: BTreeMap::new(),
            texts: Vec::new(),
            error: None,
        }
    }

    /// Adds a YAML or JSON file. An empty file changes nothing. Problems are reported by [`build`](Self::build).
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match read(path) {
            Ok((tree, text)) => {
                self.texts.push((path.to_owned(), text));
                self.overlay(tree, &Source::File(path.to_owned()))
            }
            Err(error) => self.fail(error),
        }
    }

    /// Adds process environment variables: for `("LOG_LEVEL", "log.level")` and the prefix `HYPERFLEET_` the variable
    /// `HYPERFLEET_LOG_LEVEL` sets the key `log.level`. Unset and empty variables change nothing.
    pub fn env(self, prefix: &str, table: &[(&str, &str)]) -> Self {
        self.env_from(prefix, table, |name| std::env::var(name).ok())
    }

    /// As [`env`](Self::env), from any source of variables.
    pub fn env_from(
        mut self,
        prefix: &str,
        table: &[(&str, &str)],
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Self {
        for (variable, key) in table {
            let name = format!("{prefix}{variable}");
            if let Some(text) = lookup(&name).filter(|text| !text.is_empty()) {
                let value = merge::typed_like(merge::get(&self.tree, key), text);
                self = self.put(key, value, Source::Env(name));
            }
        }
        self
    }

    /// Sets one key (`a.b.c`), as a flag of the command line does.
    pub fn set(self, key: &str, value: Value) -> Self {
        self.put(key, value, Source::Flag(key.to_owned()))
    }

    /// Sets one key from the named flag, if the flag was given.
    pub fn flag(self, flag: &str, key: &str, value: Option<Value>) -> Self {
        match value {
            Some(value) => self.put(key, value, Source::Flag(flag.to_owned())),
            None => self,
        }
    }

    /// Adds a whole tree from `source`.
    pub fn overlay(mut self, tree: Value, source: &Source) -> Self {
        merge::overlay(&mut self.tree, tree, &mut Vec::new(), &mut |path| {
            self.sources.retain(|known, _| !known.starts_with(path));
            self.sources.insert(path.to_vec(), source.clone());
        });
        self
    }

    /// The merged tree, for showing it (see [`redact`]).
    pub fn tree(&self) -> &Value {
        &self.tree
    }

    /// Decodes the merged tree. Use `#[serde(deny_unknown_fields)]`, so that a misspelt key is an error.
    ///
    /// # Errors
    /// The first problem of the lowest layer that could not be read, or the first value that does not fit.
    pub fn build<T: DeserializeOwned>(mut self) -> Result<T, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        // A variable has no type: where text did not fit, its scalar reading gets a chance. Each round converts
        // one value, so this ends.
        loop {
            let error = match serde_path_to_error::deserialize::<_, T>(&self.tree) {
                Ok(config) => return Ok(config),
                Err(error) => error,
            };
            let path = merge::path_of(&error);
            let origin = self.origin(&path);
            let from_env = matches!(origin, Source::Env(_));
            if from_env && merge::get_mut(&mut self.tree, &path).is_some_and(merge::read_as_scalar)
            {
                continue;
            }
            let key = if path.is_empty() {
                "configuration".into()
            } else {
                path.join(".")
            };
            let line = match &origin {
                Source::File(file) => {
                    let text = self.texts.iter().rev().find(|(known, _)| known == file);
                    text.and_then(|(_, text)| locate::line_of(text, &path))
                }
                _ => None,
            };
            return Err(Error::Value {
                key,
                message: merge::message_of(&error),
                origin,
                line,
            });
        }
    }

    fn put(mut self, key: &str, value: Value, source: Source) -> Self {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        merge::put(&mut self.tree, &path, value);
        self.sources.retain(|known, _| !known.starts_with(&path));
        self.sources.insert(path, source);
        self
    }

    fn fail(mut self, error: Error) -> Self {
        self.error.get_or_insert(error);
        self
    }

    /// The layer of the value at `path`, or of the nearest value above or below it that some layer set.
    fn origin(&self, path: &[String]) -> Source {
        let above = (0..=path.len())
            .rev()
            .find_map(|length| self.sources.get(&path[..length]));
        let below = || {
            self.sources
                .iter()
                .find(|(known, _)| known.starts_with(path))
                .map(|(_, source)| source)
        };
        above.or_else(below).cloned().unwrap_or(Source::Default)
    }
}

fn read(path: &Path) -> Result<(Value, String), Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        let message = format!("is {size} bytes, more than the {MAX_FILE_BYTES} allowed");
        return Err(Error::Syntax {
            path: path.to_owned(),
            line: None,
            column: None,
            message,
        });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let tree = merge::parse(&text).map_err(|(line, column, message)| Error::Syntax {
        path: path.to_owned(),
        line,
        column,
        message,
    })?;
    match tree {
        Value::Object(_) => Ok((tree, text)),
        Value::Null => Ok((Value::Object(serde_json::Map::new()), text)),
        other => Err(Error::NotAMapping {
            path: path.to_owned(),
            found: merge::kind(&other),
        }),
    }
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the built-in defaults"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// `:line:column`, as far as known.
struct Position(Option<usize>, Option<usize>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for number in [self.0, self.1].into_iter().map_while(|number| number) {
            write!(f, ":{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
