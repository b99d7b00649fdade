//! Operators of precondition conditions, as pure functions.

use serde_json::Value;

use crate::config::task::{Condition, Operator};

/// What a condition found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) met: bool,
    /// `field op expected (actual: v)`, for the reason when it is not met.
    pub(crate) details: String,
}

/// Evaluates a condition over all names. `Err` is a wrong use of an operator, not a mismatch.
pub(crate) fn evaluate(condition: &Condition, data: &Value) -> Result<Finding, String> {
    // A missing field is null: the operators say what that means.
    let actual = condition.field.find(data).unwrap_or(Value::Null);
    let met = apply(condition.operator, &actual, &condition.expected)
        .map_err(|error| format!("field {:?}: {error}", condition.field.text()))?;
    let expected = match condition.operator {
        Operator::Exists | Operator::NotExists => String::new(),
        _ => format!(" {}", plain(&condition.expected)),
    };
    let details = format!(
        "{} {}{expected} (actual: {})",
        condition.field.text(),
        condition.operator.as_str(),
        plain(&actual)
    );
    Ok(Finding { met, details })
}

fn apply(operator: Operator, actual: &Value, expected: &Value) -> Result<bool, String> {
    Ok(match operator {
        Operator::Equals => equal(actual, expected),
        Operator::NotEquals => !equal(actual, expected),
        Operator::In => is_in(actual, expected)?,
        Operator::NotIn => !is_in(actual, expected)?,
        Operator::Contains => contains(actual, expected)?,
        Operator::GreaterThan => compare(actual, expected)?.is_gt(),
        Operator::LessThan => compare(actual, expected)?.is_lt(),
        Operator::GreaterThanOrEqual => compare(actual, expected)?.is_ge(),
        Operator::LessThanOrEqual => compare(actual, expected)?.is_le(),
        Operator::Exists => exists(actual),
        Operator::NotExists => !exists(actual),
    })
}

/// Deep equality; numbers by value, so that 5 equals 5.0.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn is_in(actual: &Value, expected: &Value) -> Result<bool, String> {
    let Value::Array(items) = expected else {
        return Err(format!(
            "expected value must be a list, is {}",
            kind(expected)
        ));
    };
    Ok(items.iter().any(|item| equal(actual, item)))
}

fn contains(actual: &Value, expected: &Value) -> Result<bool, String> {
    match actual {
        Value::String(text) => match expected {
            Value::String(needle) => Ok(text.contains(needle)),
            other => Err(format!("a text can't contain {}", kind(other))),
        },
        Value::Array(items) => Ok(items.iter().any(|item| equal(item, expected))),
        Value::Object(map) => match expected {
            Value::String(key) => Ok(map.contains_key(key)),
            other => Err(format!("the keys of a map are texts, not {}", kind(other))),
        },
        other => Err(format!(
            "contains works on a text, a list or a map, not on {}",
            kind(other)
        )),
    }
}

fn compare(actual: &Value, expected: &Value) -> Result<std::cmp::Ordering, String> {
    let number = |value: &Value| match value {
        Value::Number(number) => number
            .as_f64()
            .ok_or_else(|| format!("{number} is out of range")),
        other => Err(format!("only numbers can be compared, not {}", kind(other))),
    };
    if let (Some(a), Some(b)) = (actual.as_i64(), expected.as_i64()) {
        return Ok(a.cmp(&b));
    }
    let (a, b) = (number(actual)?, number(expected)?);
    a.partial_cmp(&b).ok_or_else(|| "not a number".to_owned())
}

/// Not null, not blank, not an empty list or map; 0 and false exist.
fn exists(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(operator: &str, actual: Value, expected: Value) -> Result<bool, String> {
        apply(Operator::parse(operator).unwrap(), &actual, &expected)
    }

    #[test]
    fn equality() {
        for (a, b, expected) in [
            (json!("a"), json!("a"), true),
            (json!("a"), json!("b"), false),
            (json!(null), json!(null), true),
            (json!(null), json!("a"), false),
            (json!(5), json!(5.0), true),
            (json!({"x": [1, 2]}), json!({"x": [1.0, 2]}), true),
            (json!("5"), json!(5), false),
        ] {
            assert_eq!(
                check("equals", a.clone(), b.clone()),
                Ok(expected),
                "{a} {b}"
            );
            assert_eq!(check("notEquals", a, b), Ok(!expected));
        }
    }

    #[test]
    fn membership() {
        assert_eq!(check("in", json!("a"), json!(["a", "b"])), Ok(true));
        assert_eq!(check("in", json!("c"), json!(["a", "b"])), Ok(false));
        assert_eq!(check("in", json!(2), json!([1, 2.0])), Ok(true));
        assert_eq!(check("in", json!(null), json!(["a"])), Ok(false));
        assert_eq!(check("notIn", json!("a"), json!(["a"])), Ok(false));
        assert!(check("in", json!("a"), json!("a")).is_err());
    }

    #[test]
    fn containing() {
        assert_eq!(check("contains", json!("hello"), json!("ell")), Ok(true));
        assert_eq!(check("contains", json!(["a", "b"]), json!("b")), Ok(true));
        assert_eq!(check("contains", json!({"k": 1}), json!("k")), Ok(true));
        assert_eq!(check("contains", json!({"k": 1}), json!("x")), Ok(false));
        for actual in [json!(5), json!(null), json!(true)] {
            assert!(check("contains", actual, json!("x")).is_err());
        }
        assert!(check("contains", json!("5"), json!(5)).is_err());
    }

    #[test]
    fn ordering() {
        for (a, b, gt, lt) in [
            (json!(2), json!(1), true, false),
            (json!(-1), json!(0), false, true),
            (json!(1.5), json!(1), true, false),
            (json!(1), json!(1.0), false, false),
        ] {
            assert_eq!(check("greaterThan", a.clone(), b.clone()), Ok(gt));
            assert_eq!(check("lessThan", a.clone(), b.clone()), Ok(lt));
            assert_eq!(check("greaterThanOrEqual", a.clone(), b.clone()), Ok(!lt));
            assert_eq!(check("lessThanOrEqual", a, b), Ok(!gt));
        }
        assert!(check("greaterThan", json!("2"), json!(1)).is_err());
        assert!(check("lessThan", json!(null), json!(1)).is_err());
    }

    #[test]
    fn existence() {
        for (value, expected) in [
            (json!("x"), true),
            (json!(0), true),
            (json!(false), true),
            (json!(""), false),
            (json!(null), false),
            (json!([]), false),
            (json!({}), false),
        ] {
            assert_eq!(
                check("exists", value.clone(), Value::Null),
                Ok(expected),
                "{value}"
            );
            assert_eq!(check("notExists", value, Value::Null), Ok(!expected));
        }
    }
}
