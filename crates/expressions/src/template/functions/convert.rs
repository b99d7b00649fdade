//! Numbers, text, JSON and base64 from and to each other.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use go_compat::json;
use serde_json::{Number, Value};

use super::super::value::Val;
use super::{Call, take, text_of};

/// `int V`: whole part of a number, or decimal text; anything else is 0.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn int<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [value] = take(arguments)?;
    Ok(match value.json() {
        Some(Value::Number(number)) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Val::owned(value),
            (None, Some(value), _) => Val::owned(value),
            (None, None, Some(value)) => Val::owned(value as i64),
            _ => Val::owned(0),
        },
        Some(Value::String(text)) => Val::owned(text.parse::<i64>().unwrap_or(0)),
        _ => Val::owned(0),
    })
}

/// `float V`: a number, or text that is one; anything else is 0.
pub(super) fn float<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [value] = take(arguments)?;
    let float = match value.json() {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse::<f64>().ok(),
        _ => None,
    };
    Ok(Number::from_f64(float.unwrap_or(0.0))
        .map_or_else(|| Val::owned(0), |number| Val::owned(Value::Number(number))))
}

/// `string V`: what `%v` prints.
pub(super) fn string<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [value] = take(arguments)?;
    Ok(Val::owned(value.print()))
}

pub(super) fn to_json<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [value] = take(arguments)?;
    let text = match &value {
        Val::Json(value) => json::to_string_sorted(value),
        Val::Time(time) => {
            json::to_string_sorted(&Value::String(go_compat::time::rfc3339_nano(*time)))
        }
    };
    Ok(Val::owned(text))
}

pub(super) fn from_json<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [text] = take(arguments)?;
    let value: Value = serde_json::from_str(text_of(&text)?).map_err(|error| error.to_string())?;
    Ok(Val::owned(value))
}

pub(super) fn b64enc<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [text] = take(arguments)?;
    Ok(Val::owned(BASE64_STANDARD.encode(text_of(&text)?)))
}

pub(super) fn b64dec<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Result<Val<'d>, String> {
    let [text] = take(arguments)?;
    // The text may be a secret: errors don't repeat it.
    let bytes = BASE64_STANDARD
        .decode(text_of(&text)?)
        .map_err(|_| "text is not base64".to_owned())?;
    String::from_utf8(bytes)
        .map(Val::owned)
        .map_err(|_| "decoded bytes are not text".to_owned())
}
