//! The tree operations below the layers.

use serde_json::{Map, Value};

/// What replaces a secret in a shown configuration.
const REDACTED: &str = "**REDACTED**";

/// Replaces the value of every key for which `is_secret` says so, at any depth. Empty and null values stay, so that
/// a reader sees that nothing was set.
pub fn redact(tree: &mut Value, is_secret: &dyn Fn(&str) -> bool) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
                if is_secret(key) && !empty {
                    *value = REDACTED.into();
                } else {
                    redact(value, is_secret);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, is_secret)),
        _ => {}
    }
}

/// Parses a configuration file; the error is line, column, message.
pub(super) fn parse(text: &str) -> Result<Value, (Option<usize>, Option<usize>, String)> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let known = |number: usize| Some(number).filter(|number| *number > 0);
    go_compat::yaml::from_str_config(text)
        .map_err(|error| (known(error.line), known(error.column), error.message))
}

/// Merges `from` into `into`: mappings key by key, everything else replaced. Reports each replaced path.
pub(super) fn overlay(
    into: &mut Value,
    from: Value,
    path: &mut Vec<String>,
    replaced: &mut dyn FnMut(&[String]),
) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                path.push(key.clone());
                overlay(
                    into.entry(key).or_insert(Value::Null),
                    value,
                    path,
                    replaced,
                );
                path.pop();
            }
        }
        (into, from) => {
            *into = from;
            replaced(path);
        }
    }
}

/// Sets the value at `path`, making mappings on the way; a scalar in the way is replaced by a mapping.
pub(super) fn put(tree: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *tree = value;
        return;
    };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    if let Value::Object(map) = tree {
        put(map.entry(first.clone()).or_insert(Value::Null), rest, value);
    }
}

/// The value at a dotted key.
pub(super) fn get<'v>(tree: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(tree, |value, part| value.get(part))
}

/// The value at a path; list positions are decimal.
pub(super) fn get_mut<'v>(tree: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(tree, |value, part| match value {
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        other => other.get_mut(part),
    })
}

/// Reads an environment text the way the default's type asks for.
pub(super) fn typed_like(default: Option<&Value>, text: String) -> Value {
    match default {
        Some(Value::Bool(_) | Value::Number(_)) => scalar(&text).unwrap_or(Value::String(text)),
        Some(Value::Array(_)) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect(),
        _ => Value::String(text),
    }
}

/// Converts a text to its scalar in place; `false` if it is not a text or has no other reading.
pub(super) fn read_as_scalar(value: &mut Value) -> bool {
    let converted = value.as_str().and_then(scalar);
    match converted {
        Some(converted) => {
            *value = converted;
            true
        }
        None => false,
    }
}

fn scalar(text: &str) -> Option<Value> {
    match text.to_ascii_lowercase().as_str() {
        "true" => return Some(true.into()),
        "false" => return Some(false.into()),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(Value::from)
}

/// The path of a decoding error; for an unknown field, the field itself.
pub(super) fn path_of(error: &serde_path_to_error::Error<serde_json::Error>) -> Vec<String> {
    use serde_path_to_error::Segment;
    let mut path: Vec<String> = error
        .path()
        .iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect();
    let text = error.inner().to_string();
    for prefix in ["unknown field `", "missing field `"] {
        let name = text
            .strip_prefix(prefix)
            .and_then(|rest| rest.split('`').next());
        if let Some(name) = name.filter(|name| path.last().is_none_or(|last| last != name)) {
            path.push(name.to_owned());
        }
    }
    path
}

/// The message of a decoding error, in words for an operator.
pub(super) fn message_of(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let text = error.inner().to_string();
    if text.starts_with("missing field `") {
        return "is required".into();
    }
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let known = rest.split_once("`, ").map_or("", |(_, known)| known);
        return if known.is_empty() {
            "unknown key".into()
        } else {
            format!("unknown key, {known}")
        };
    }
    text
}

/// What a value is, for a message.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
