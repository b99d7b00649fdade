//! JSON to CEL values and back.

use std::collections::HashMap;

use ::cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull,
    CelOptional, CelString, CelTimestamp, CelType, CelUInt,
};
use ::cel::common::value::Val;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use go_compat::time;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

pub(super) fn null<'v>() -> Box<dyn Val + 'v> {
    Box::new(CelNull)
}

/// Integers become `int` (`uint` above the range of 64 signed bits), other numbers `double`; text is borrowed.
pub(super) fn from_json<'v>(value: &'v Value) -> Box<dyn Val + 'v> {
    match value {
        Value::Null => null(),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Box::new(CelInt::from(integer)),
            (None, Some(integer)) => Box::new(CelUInt::from(integer)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => {
            let items: Vec<Box<dyn Val + 'v>> = items.iter().map(from_json).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(map) => {
            let entries: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = map
                .iter()
                .map(|(key, value)| {
                    (
                        CelMapKey::String(CelString::from(key.as_str())),
                        from_json(value),
                    )
                })
                .collect();
            Box::new(CelMap::from(entries))
        }
    }
}

/// As [`from_json`], without borrowing.
pub(super) fn from_json_owned<'v>(value: Value) -> Box<dyn Val + 'v> {
    match value {
        Value::String(text) => Box::new(CelString::from(text)),
        Value::Array(items) => {
            let items: Vec<Box<dyn Val + 'v>> = items.into_iter().map(from_json_owned).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(map) => {
            let entries: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = map
                .into_iter()
                .map(|(key, value)| {
                    (
                        CelMapKey::String(CelString::from(key)),
                        from_json_owned(value),
                    )
                })
                .collect();
            Box::new(CelMap::from(entries))
        }
        Value::Null => null(),
        Value::Bool(value) => Box::new(CelBool::from(value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Box::new(CelInt::from(integer)),
            (None, Some(integer)) => Box::new(CelUInt::from(integer)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
    }
}

/// Times become RFC 3339 text, durations nanoseconds, bytes base64, types their name, absent optionals null.
///
/// # Errors
/// Numbers that JSON can't hold, and map keys that collide as text.
pub(super) fn to_json(value: &dyn Val) -> Result<Value, String> {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(Value::String(text.inner().to_owned()));
    }
    if let Some(value) = value.downcast_ref::<CelBool>() {
        return Ok(Value::Bool(*value.inner()));
    }
    if let Some(value) = value.downcast_ref::<CelInt>() {
        return Ok(Value::from(*value.inner()));
    }
    if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let mut object = Map::new();
        for (key, value) in map.inner() {
            if object
                .insert(key_text(key), to_json(value.as_ref())?)
                .is_some()
            {
                return Err(format!(
                    "map has the key {:?} twice when written as JSON",
                    key_text(key)
                ));
            }
        }
        return Ok(Value::Object(object));
    }
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        return list
            .inner()
            .iter()
            .map(|item| to_json(item.as_ref()))
            .collect();
    }
    if value.downcast_ref::<CelNull>().is_some() {
        return Ok(Value::Null);
    }
    if let Some(value) = value.downcast_ref::<CelDouble>() {
        let value = *value.inner();
        // Go writes 3.0 as 3, and so do all readers after us.
        if let Some(integer) = go_compat::number::exact_integer(value) {
            return Ok(Value::from(integer));
        }
        return Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| format!("{} has no JSON form", go_compat::number::format_g(value)));
    }
    if let Some(value) = value.downcast_ref::<CelUInt>() {
        return Ok(Value::from(*value.inner()));
    }
    if let Some(optional) = value.downcast_ref::<CelOptional<'_>>() {
        return optional.inner().map_or(Ok(Value::Null), to_json);
    }
    if let Some(value) = value.downcast_ref::<CelTimestamp>() {
        return timestamp_of(value)
            .map(|time| Value::String(time::rfc3339_nano(time)))
            .ok_or_else(|| "time is out of range".to_owned());
    }
    if let Some(value) = value.downcast_ref::<CelDuration>() {
        return value
            .inner()
            .num_nanoseconds()
            .map(Value::from)
            .ok_or_else(|| "duration is out of range".to_owned());
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        return Ok(Value::String(BASE64_STANDARD.encode(bytes.inner())));
    }
    if let Some(value) = value.downcast_ref::<CelType>() {
        return Ok(Value::String(value.name().to_owned()));
    }
    Err(format!(
        "a value of type {} has no JSON form",
        value.get_type().name()
    ))
}

pub(super) fn timestamp_of(value: &CelTimestamp) -> Option<Timestamp> {
    let time = value.inner();
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).ok()?;
    Timestamp::new(time.timestamp(), nanos).ok()
}

pub(super) fn key_text(key: &CelMapKey<'_>) -> String {
    match key {
        CelMapKey::String(text) => text.inner().to_owned(),
        CelMapKey::Int(value) => value.inner().to_string(),
        CelMapKey::UInt(value) => value.inner().to_string(),
        CelMapKey::Bool(value) => value.inner().to_string(),
    }
}

/// Number of values and of 64-byte pieces of text in a value: what it costs to copy.
pub(super) fn weight(value: &dyn Val) -> u64 {
    let text = |length: usize| 1 + u64::try_from(length / 64).unwrap_or(u64::MAX);
    if let Some(value) = value.downcast_ref::<CelString<'_>>() {
        text(value.inner().len())
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        list.inner()
            .iter()
            .fold(1, |sum, item| sum.saturating_add(weight(item.as_ref())))
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        map.inner().values().fold(1, |sum, item| {
            sum.saturating_add(1).saturating_add(weight(item.as_ref()))
        })
    } else if let Some(value) = value.downcast_ref::<CelBytes<'_>>() {
        text(value.inner().len())
    } else if let Some(optional) = value.downcast_ref::<CelOptional<'_>>() {
        optional.inner().map_or(1, weight)
    } else {
        1
    }
}
