//! Conversions of params with a `type`.

use serde_json::{Number, Value};

use crate::config::task::ParamType;

/// Converts a value, or says why it can't be.
pub(crate) fn convert(value: &Value, kind: ParamType) -> Result<Value, String> {
    match kind {
        ParamType::String => Ok(Value::String(to_text(value))),
        ParamType::Int => to_int(value).map(Value::from),
        ParamType::Float => to_float(value).and_then(|number| {
            Number::from_f64(number)
                .map(Value::Number)
                .ok_or_else(|| format!("{number} is no JSON number"))
        }),
        ParamType::Bool => to_bool(value).map(Value::Bool),
    }
}

/// Texts as they are, numbers in plain notation, everything else as JSON.
fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// Numbers are cut toward zero.
fn to_int(value: &Value) -> Result<i64, String> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Ok(integer),
            None => number.as_f64().map_or_else(
                || Err(out_of_range(number)),
                |float| truncate(float).ok_or_else(|| out_of_range(number)),
            ),
        },
        Value::Bool(flag) => Ok(i64::from(*flag)),
        Value::String(text) => text
            .parse::<i64>()
            .ok()
            .or_else(|| text.parse::<f64>().ok().and_then(truncate))
            .ok_or_else(|| format!("cannot convert string '{text}' to int")),
        other => Err(format!("cannot convert {} to int", kind(other))),
    }
}

fn out_of_range(number: &Number) -> String {
    format!("cannot convert {number} to int: out of range")
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "cutting the fraction is the rule; the range is checked"
)]
fn truncate(float: f64) -> Option<i64> {
    let cut = float.trunc();
    // 2^63 is exact as a float; beyond it a cast would saturate.
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0)
        .contains(&cut)
        .then_some(cut as i64)
}

fn to_float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Number(number) => number
            .as_f64()
            .ok_or_else(|| format!("cannot convert {number} to float")),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::String(text) => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or_else(|| format!("cannot convert string '{text}' to float64")),
        other => Err(format!("cannot convert {} to float64", kind(other))),
    }
}

fn to_bool(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) => match text.as_str() {
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            other => match other.to_lowercase().as_str() {
                "yes" | "y" | "on" => Ok(true),
                "no" | "n" | "off" => Ok(false),
                _ => Err(format!("cannot convert string '{text}' to bool")),
            },
        },
        other => Err(format!("cannot convert {} to bool", kind(other))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
        _ => "a value",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conversions_follow_the_table() {
        let cases = [
            (json!("42"), ParamType::Int, Some(json!(42))),
            (json!(3.9), ParamType::Int, Some(json!(3))),
            (json!(-3.9), ParamType::Int, Some(json!(-3))),
            (json!("3.9"), ParamType::Int, Some(json!(3))),
            (json!(true), ParamType::Int, Some(json!(1))),
            (json!("x"), ParamType::Int, None),
            (json!(1e300), ParamType::Int, None),
            (json!("3.25"), ParamType::Float, Some(json!(3.25))),
            (json!(true), ParamType::Float, Some(json!(1.0))),
            (json!("NaN"), ParamType::Float, None),
            (json!(42), ParamType::String, Some(json!("42"))),
            (json!(3.25), ParamType::String, Some(json!("3.25"))),
            (json!(1e6), ParamType::String, Some(json!("1000000"))),
            (json!(true), ParamType::String, Some(json!("true"))),
            (json!("maybe"), ParamType::Bool, None),
            (json!(0), ParamType::Bool, Some(json!(false))),
            (json!(2), ParamType::Bool, Some(json!(true))),
            (json!([]), ParamType::Bool, None),
        ];
        for (value, kind, expected) in cases {
            assert_eq!(convert(&value, kind).ok(), expected, "{value} {kind:?}");
        }
        for text in ["yes", "on", "y", "1", "TRUE", "Yes"] {
            assert_eq!(
                convert(&json!(text), ParamType::Bool),
                Ok(json!(true)),
                "{text}"
            );
        }
        for text in ["no", "off", "n", "0", "", "N"] {
            assert_eq!(
                convert(&json!(text), ParamType::Bool),
                Ok(json!(false)),
                "{text}"
            );
        }
        assert_eq!(
            convert(&json!("x"), ParamType::Int).unwrap_err(),
            "cannot convert string 'x' to int"
        );
    }
}
