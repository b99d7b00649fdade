//! Writing YAML as `sigs.k8s.io/yaml` does: through JSON, keys in natural order, whole floats as integers.

use std::cmp::Ordering;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use super::Error;
use crate::number;

/// Writes one document, two spaces of indentation, lists not indented below their key, long lines not folded.
///
/// Text that another YAML reader could take for something else (`yes`, `1`, `2026-01-01`, `null`) is quoted.
///
/// # Errors
/// If the value has no JSON form.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let failed = |message: String| Error {
        line: 0,
        column: 0,
        path: String::new(),
        message,
    };
    let tree = serde_json::to_value(value).map_err(|error| failed(error.to_string()))?;
    let options = serde_saphyr::ser_options! {
        indent_step: 2,
        compact_list_indent: true,
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(&Ordered(&tree), options)
        .map_err(|error| failed(error.to_string()))
}

/// A tree that serializes with keys in the order of Go's YAML writers.
struct Ordered<'v>(&'v Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut keys: Vec<_> = map.iter().collect();
                keys.sort_by(|(a, _), (b, _)| natural(a, b));
                let mut out = serializer.serialize_map(Some(keys.len()))?;
                for (key, value) in keys {
                    out.serialize_entry(key, &Ordered(value))?;
                }
                out.end()
            }
            Value::Array(items) => {
                let mut out = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    out.serialize_element(&Ordered(item))?;
                }
                out.end()
            }
            Value::Number(number) if number.is_f64() => match number
                .as_f64()
                .map(|value| (value, number::exact_integer(value)))
            {
                Some((_, Some(integer))) => serializer.serialize_i64(integer),
                Some((value, None)) => serializer.serialize_f64(value),
                None => number.serialize(serializer),
            },
            other => other.serialize(serializer),
        }
    }
}

/// Go's YAML key order: runs of digits compare as numbers, letters come after other characters.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for at in 0..a.len().min(b.len()) {
        let (x, y) = (a[at], b[at]);
        if x == y {
            digits = x.is_ascii_digit();
            continue;
        }
        return match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => x.cmp(&y),
            (true, false) if digits => Ordering::Less,
            (false, true) if digits => Ordering::Greater,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => numbers(&a, &b, at).then(x.cmp(&y)),
        };
    }
    a.len().cmp(&b.len())
}

/// Compares the digit runs around the first difference as numbers.
fn numbers(a: &[char], b: &[char], at: usize) -> Ordering {
    let start = (0..at)
        .rev()
        .take_while(|index| a[*index].is_ascii_digit())
        .last()
        .unwrap_or(at);
    let run = |text: &[char]| -> String {
        let digits: String = text
            .iter()
            .skip(start)
            .take_while(|c| c.is_ascii_digit())
            .collect();
        digits.trim_start_matches('0').to_owned()
    };
    if !(a[at].is_ascii_digit() || b[at].is_ascii_digit()) {
        return Ordering::Equal;
    }
    let (a, b) = (run(a), run(b));
    a.len().cmp(&b.len()).then(a.cmp(&b))
}
