//! Dropping the fields that a path names, as server-side apply's `ignoreFields` does.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Error, JsonPath, Missing};

/// Removes the last name of `path` from every map that the rest of the path finds; returns how many were removed.
///
/// The path is cut after its last dot: `.spec.containers[?(@.name=="c1")].image` removes `image` from the containers that
/// match. Elements of lists are never removed. A path that finds nothing removes nothing.
///
/// # Errors
/// If the part before the last dot doesn't parse, or can't be evaluated over this value.
pub fn remove_field(path: &str, value: &mut Value) -> Result<usize, Error> {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = JsonPath::parse_path(parent)?;
    let found: BTreeSet<usize> = parent
        .find(value, Missing::Allow)?
        .iter()
        .filter_map(|result| match result {
            Cow::Borrowed(value) if value.is_object() => Some(address(value)),
            _ => None,
        })
        .collect();
    let mut pointers = Vec::new();
    locate(value, &found, &mut String::new(), &mut pointers);
    let mut removed = 0;
    for pointer in pointers {
        if let Some(Value::Object(map)) = value.pointer_mut(&pointer) {
            removed += usize::from(map.remove(name).is_some());
        }
    }
    Ok(removed)
}

/// Identity of a value inside of a document that doesn't change meanwhile.
fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

/// Collects JSON pointers of the values that were found, deepest first.
fn locate(
    value: &Value,
    found: &BTreeSet<usize>,
    pointer: &mut String,
    pointers: &mut Vec<String>,
) {
    let length = pointer.len();
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                locate(child, found, pointer, pointers);
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                locate(child, found, pointer, pointers);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
    if found.contains(&address(value)) {
        pointers.push(pointer.clone());
    }
}
