//! The configuration file: sections of settings, checked against the flags, all mistakes at once.

use std::fmt;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use service_runtime::config::MAX_FILE_BYTES;

use super::{Kind, Origin, Origins, kind, section, settings};

/// Reads the file. `schema` has all flags that may stand in it.
///
/// # Errors
/// Everything that is wrong, each with file, line and column.
pub(super) fn read(path: &Path, schema: &Command) -> Result<Origins, Vec<String>> {
    let name = path.display().to_string();
    let text = std::fs::metadata(path)
        .and_then(|about| {
            if about.len() > MAX_FILE_BYTES {
                return Err(std::io::Error::other(format!(
                    "is larger than {MAX_FILE_BYTES} bytes"
                )));
            }
            std::fs::read_to_string(path)
        })
        .map_err(|error| vec![format!("read the configuration file {name}: {error}")])?;
    parse(&name, &text, schema)
}

fn parse(name: &str, text: &str, schema: &Command) -> Result<Origins, Vec<String>> {
    let root: Node = go_compat::yaml::from_str_config(text).map_err(|error| {
        vec![format!(
            "{name}:{}:{}: {}",
            error.line, error.column, error.message
        )]
    })?;
    let mut reader = Reader {
        name,
        text,
        schema,
        origins: Origins::new(),
        problems: Vec::new(),
    };
    match root.0.value {
        Value::Null => {}
        Value::Map(sections) => {
            for (key, value) in sections {
                reader.section(&key, value);
            }
        }
        _ => reader.problem(
            &root.0.referenced,
            "the file must have sections with settings in them".to_owned(),
        ),
    }
    match reader.problems.is_empty() {
        true => Ok(reader.origins),
        false => Err(reader.problems),
    }
}

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    schema: &'a Command,
    origins: Origins,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, at: &serde_saphyr::Location, message: String) {
        let place = format!("{}:{}:{}", self.name, at.line(), at.column());
        self.problems.push(format!("{place}: {message}"));
    }

    fn section(&mut self, key: &Spanned<String>, value: Node) {
        let mut known: Vec<String> = Vec::new();
        for (_, arg) in settings(self.schema) {
            let name = section(arg);
            if !known.contains(&name) {
                known.push(name);
            }
        }
        if !known.contains(&key.value) {
            let message = match self.home(&key.value) {
                Some(home) => format!("`{}` belongs into the section `{home}`", key.value),
                None => format!(
                    "unknown section `{}`; there are {}",
                    key.value,
                    known.join(", ")
                ),
            };
            return self.problem(&key.referenced, message);
        }
        match value.0.value {
            Value::Null => {}
            Value::Map(entries) => {
                for (name, value) in entries {
                    self.setting(&key.value, &name, value);
                }
            }
            other => self.problem(
                &value.0.referenced,
                format!(
                    "the section `{}` must hold settings, is {}",
                    key.value,
                    other.describe()
                ),
            ),
        }
    }

    fn setting(&mut self, in_section: &str, key: &Spanned<String>, value: Node) {
        let found = settings(self.schema)
            .find(|(long, arg)| *long == key.value && section(arg) == in_section)
            .map(|(_, arg)| arg.clone());
        let Some(arg) = found else {
            let message = match self.home(&key.value) {
                Some(home) => format!(
                    "`{}` belongs into the section `{home}`, not `{in_section}`",
                    key.value
                ),
                None => {
                    let known: Vec<&str> = settings(self.schema)
                        .filter(|(_, arg)| section(arg) == in_section)
                        .map(|(long, _)| long)
                        .collect();
                    format!(
                        "unknown key `{}`; `{in_section}` has {}",
                        key.value,
                        known.join(", ")
                    )
                }
            };
            return self.problem(&key.referenced, message);
        };
        let at = value.0.referenced;
        match self.values(&arg, value) {
            Ok(values) => {
                let origin = Origin {
                    place: format!("file {}:{}", self.name, key.referenced.line()),
                    values,
                };
                self.origins.insert(key.value.clone(), origin);
            }
            Err(message) => self.problem(&at, format!("{in_section}.{}: {message}", key.value)),
        }
    }

    /// The section that has the key.
    fn home(&self, key: &str) -> Option<String> {
        settings(self.schema)
            .find(|(long, _)| *long == key)
            .map(|(_, arg)| section(arg))
    }

    fn values(&self, arg: &Arg, node: Node) -> Result<Vec<String>, String> {
        let several = matches!(arg.get_action(), ArgAction::Append);
        let values = match node.0.value {
            Value::List(items) if several => items
                .into_iter()
                .map(|item| self.scalar(arg, item))
                .collect::<Result<Vec<_>, _>>()?,
            _ => vec![self.scalar(arg, node)?],
        };
        for value in &values {
            accepted(self.schema, arg, value)?;
        }
        Ok(values)
    }

    fn scalar(&self, arg: &Arg, node: Node) -> Result<String, String> {
        let span = node.0.referenced.span();
        let kind = kind(arg);
        match (kind, node.0.value) {
            (_, Value::Null) => Err("has no value; leave it out to get the default".to_owned()),
            (Kind::Bool, Value::Bool(flag)) => Ok(flag.to_string()),
            (Kind::Number | Kind::Other, Value::Number(number)) => {
                Ok(written(self.text, &span).unwrap_or(number))
            }
            (Kind::Text | Kind::Other, Value::Text(text)) => Ok(text),
            (Kind::Text, Value::Number(_) | Value::Bool(_)) => {
                Err("must be a text; put it in quotes".to_owned())
            }
            (Kind::Bool, other) => Err(format!("must be true or false, is {}", other.describe())),
            (Kind::Number, other) => Err(format!("must be a number, is {}", other.describe())),
            (Kind::Text | Kind::Other, other) => {
                Err(format!("must be a text, is {}", other.describe()))
            }
        }
    }
}

/// Whether the flag itself takes the value; else why not.
pub(super) fn accepted(schema: &Command, arg: &Arg, value: &str) -> Result<(), String> {
    let Some(long) = arg.get_long() else {
        return Ok(());
    };
    let flag = format!("--{long}={value}");
    let command = schema
        .clone()
        .mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    let Err(error) = command.try_get_matches_from([schema.get_name(), flag.as_str()]) else {
        return Ok(());
    };
    match error.kind() {
        ErrorKind::ValueValidation => Err(std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), ToString::to_string)),
        ErrorKind::InvalidValue => Err(match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(known)) => format!("must be one of {}", known.join(", ")),
            _ => "has no value; leave it out to get the default".to_owned(),
        }),
        // What depends on other flags is checked when all are known.
        _ => Ok(()),
    }
}

/// The number as the file has it; `None` behind an alias.
fn written(text: &str, span: &serde_saphyr::Span) -> Option<String> {
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    let slice = text.get(start..end)?.trim();
    (!slice.is_empty() && !slice.starts_with(['*', '&', '!'])).then(|| slice.to_owned())
}

/// A value at its place.
struct Node(Spanned<Value>);

enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl Value {
    fn describe(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<Value>::deserialize(deserializer).map(Node)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}
