//! Logic, comparison, and looking into lists, maps and text.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::super::value::Val;
use super::{Call, int_of};

/// Only reached through a pipeline's last operand; see the executor for the rest.
pub(super) fn and<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    pick(arguments, false)
}

pub(super) fn or<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    pick(arguments, true)
}

/// The first value with that truth, else the last.
fn pick<'d>(arguments: Vec<Val<'d>>, truth: bool) -> Result<Val<'d>, String> {
    let mut last = Val::nil();
    for value in arguments {
        last = value;
        if last.is_true() == truth {
            break;
        }
    }
    Ok(last)
}

pub(super) fn not<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    Ok(Val::owned(!arguments.first().is_some_and(Val::is_true)))
}

/// `eq a b c …`: true if a equals any of the others.
pub(super) fn eq<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [first, others @ ..] = arguments.as_slice() else {
        return Err("missing argument for comparison".to_owned());
    };
    for other in others {
        if equal(first, other)? {
            return Ok(Val::owned(true));
        }
    }
    Ok(Val::owned(false))
}

pub(super) fn ne<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    match arguments.as_slice() {
        [left, right] => Ok(Val::owned(!equal(left, right)?)),
        _ => Err("missing argument for comparison".to_owned()),
    }
}

pub(super) fn lt<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    ordered(&arguments, |ordering| ordering == Ordering::Less)
}

pub(super) fn le<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    ordered(&arguments, |ordering| ordering != Ordering::Greater)
}

pub(super) fn gt<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    ordered(&arguments, |ordering| ordering == Ordering::Greater)
}

pub(super) fn ge<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    ordered(&arguments, |ordering| ordering != Ordering::Less)
}

fn equal(left: &Val<'_>, right: &Val<'_>) -> Result<bool, String> {
    match (left, right) {
        (Val::Time(left), Val::Time(right)) => return Ok(left == right),
        (left, right) if left.is_nil() || right.is_nil() => {
            return Ok(left.is_nil() && right.is_nil());
        }
        _ => {}
    }
    for value in [left, right] {
        if matches!(value.json(), Some(Value::Array(_) | Value::Object(_))) {
            return Err(format!("non-comparable type {}", value.type_name()));
        }
    }
    Ok(order(left, right)? == Ordering::Equal)
}

fn ordered<'d>(arguments: &[Val<'d>], holds: impl Fn(Ordering) -> bool) -> Result<Val<'d>, String> {
    let [left, right] = arguments else {
        return Err("missing argument for comparison".to_owned());
    };
    if [left, right].iter().any(|value| {
        matches!(
            value.json(),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_))
        )
    }) {
        return Err("invalid type for comparison".to_owned());
    }
    Ok(Val::owned(holds(order(left, right)?)))
}

/// Text with text, truth with truth, numbers with numbers: JSON doesn't tell 5 from 5.0, so neither does this.
fn order(left: &Val<'_>, right: &Val<'_>) -> Result<Ordering, String> {
    let incompatible = || "incompatible types for comparison".to_owned();
    if let (Val::Time(left), Val::Time(right)) = (left, right) {
        return Ok(left.cmp(right));
    }
    match (left.json(), right.json()) {
        (Some(Value::String(left)), Some(Value::String(right))) => {
            Ok(left.as_str().cmp(right.as_str()))
        }
        (Some(Value::Bool(left)), Some(Value::Bool(right))) => Ok(left.cmp(right)),
        (Some(Value::Number(left)), Some(Value::Number(right))) => {
            numbers(left, right).ok_or_else(incompatible)
        }
        _ => Err(incompatible()),
    }
}

fn numbers(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |number: &Number| {
        number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// `len`: bytes of text, elements of a list, entries of a map.
pub(super) fn len<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    match arguments.first().and_then(Val::json) {
        Some(Value::String(text)) => Ok(Val::owned(text.len())),
        Some(Value::Array(items)) => Ok(Val::owned(items.len())),
        Some(Value::Object(map)) => Ok(Val::owned(map.len())),
        Some(Value::Null) => Err("len of nil pointer".to_owned()),
        _ => Err(format!(
            "len of type {}",
            arguments.first().map_or("<nil>", Val::type_name)
        )),
    }
}

/// `index x 1 "a"`: x[1]["a"]. A missing key is nil, an index out of range is an error.
pub(super) fn index<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let mut arguments = arguments.into_iter();
    let mut value = arguments.next().unwrap_or_else(Val::nil);
    for key in arguments {
        value = element(&value, &key)?;
    }
    Ok(value)
}

fn element<'d>(value: &Val<'d>, key: &Val<'_>) -> Result<Val<'d>, String> {
    let position = |length: usize| {
        let index = match key.json() {
            Some(Value::Null) => return Err("cannot index slice/array with nil".to_owned()),
            Some(Value::Number(_)) => int_of(key)?,
            _ => {
                return Err(format!(
                    "cannot index slice/array with type {}",
                    key.type_name()
                ));
            }
        };
        usize::try_from(index)
            .ok()
            .filter(|at| *at < length)
            .ok_or_else(|| format!("index out of range: {index}"))
    };
    match value {
        Val::Json(Cow::Borrowed(Value::Array(items))) => Ok(items
            .get(position(items.len())?)
            .map_or_else(Val::nil, Val::borrowed)),
        Val::Json(Cow::Borrowed(Value::Object(map))) => {
            Ok(map.get(map_key(key)?).map_or_else(Val::nil, Val::borrowed))
        }
        Val::Json(json) => match json.as_ref() {
            Value::Array(items) => Ok(items
                .get(position(items.len())?)
                .cloned()
                .map_or_else(Val::nil, Val::owned)),
            Value::Object(map) => Ok(map
                .get(map_key(key)?)
                .cloned()
                .map_or_else(Val::nil, Val::owned)),
            Value::String(text) => Ok(text
                .as_bytes()
                .get(position(text.len())?)
                .map_or_else(Val::nil, |byte| Val::owned(*byte))),
            Value::Null => Err("index of untyped nil".to_owned()),
            _ => Err(format!("can't index item of type {}", value.type_name())),
        },
        Val::Time(_) => Err("can't index item of type time.Time".to_owned()),
    }
}

fn map_key<'a>(key: &'a Val<'_>) -> Result<&'a str, String> {
    key.as_text()
        .ok_or_else(|| format!("value has type {}; should be string", key.type_name()))
}

/// `slice x 1 3`: x[1:3] of a list or of the bytes of text.
pub(super) fn slice<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [value, bounds @ ..] = arguments.as_slice() else {
        return Err("slice of untyped nil".to_owned());
    };
    let length = match value.json() {
        Some(Value::Array(items)) => items.len(),
        Some(Value::String(_)) if bounds.len() > 2 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Some(Value::String(text)) => text.len(),
        Some(Value::Null) => return Err("slice of untyped nil".to_owned()),
        _ => return Err(format!("can't slice item of type {}", value.type_name())),
    };
    let mut range = [0, length];
    let mut limit = length;
    for (at, bound) in bounds.iter().enumerate() {
        let bound = int_of(bound)?;
        let bound = usize::try_from(bound)
            .ok()
            .filter(|bound| *bound <= length)
            .ok_or_else(|| format!("index out of range: {bound}"))?;
        match range.get_mut(at) {
            Some(slot) => *slot = bound,
            None => limit = bound,
        }
    }
    let [start, end] = range;
    if start > end || end > limit {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    match value.json() {
        Some(Value::Array(items)) => Ok(Val::owned(
            items.get(start..end).unwrap_or_default().to_vec(),
        )),
        Some(Value::String(text)) => text
            .get(start..end)
            .map(Val::owned)
            .ok_or_else(|| format!("slice {start}:{end} cuts a character of the text")),
        _ => Ok(Val::nil()),
    }
}
