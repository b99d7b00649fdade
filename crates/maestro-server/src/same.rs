//! Whether two JSON texts are the same value. Numbers are compared as they are written, digit by digit: trees of 64-bit
//! floats would take neighbours for equals.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Deeper texts count as different.
const MAX_DEPTH: usize = 128;

/// Compares two texts; what isn't JSON is only the same as itself.
#[must_use]
pub fn same_json(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    let parse = |text| serde_json::from_slice::<&RawValue>(text);
    matches!((parse(one), parse(other)), (Ok(one), Ok(other)) if same(one.get(), other.get(), MAX_DEPTH))
}

fn same(one: &str, other: &str, depth: usize) -> bool {
    if one == other {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            type Object<'a> = BTreeMap<String, &'a RawValue>;
            both::<Object<'_>>(one, other).is_some_and(|(one, other)| {
                one.len() == other.len()
                    && one
                        .iter()
                        .zip(&other)
                        .all(|((a, x), (b, y))| a == b && same(x.get(), y.get(), depth))
            })
        }
        (Some(b'['), Some(b'[')) => {
            both::<Vec<&RawValue>>(one, other).is_some_and(|(one, other)| {
                one.len() == other.len()
                    && one
                        .iter()
                        .zip(&other)
                        .all(|(x, y)| same(x.get(), y.get(), depth))
            })
        }
        (Some(b'"'), Some(b'"')) => {
            both::<Cow<'_, str>>(one, other).is_some_and(|(one, other)| one == other)
        }
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => {
            matches!((Decimal::of(one), Decimal::of(other)), (Some(one), Some(other)) if one == other)
        }
        _ => false,
    }
}

fn both<'a, T: serde::Deserialize<'a>>(one: &'a str, other: &'a str) -> Option<(T, T)> {
    Some((
        serde_json::from_str(one).ok()?,
        serde_json::from_str(other).ok()?,
    ))
}

/// A number as written: its digits without zeros at either end, and the power of ten of the last one.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let mut exponent: i64 = exponent.trim_start_matches('+').parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let digits = [whole, fraction].concat();
        let shorter = digits.trim_end_matches('0');
        exponent = exponent.checked_add(i64::try_from(digits.len() - shorter.len()).ok()?)?;
        let digits = shorter.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            exponent = 0;
        }
        Some(Self {
            negative: negative && !digits.is_empty(),
            digits,
            exponent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_and_not_texts() {
        for (one, other, expected) in [
            (
                r#"{"a":1,"b":[true,null]}"#,
                r#"{ "b" : [true, null], "a": 1.0 }"#,
                true,
            ),
            (r#"{"a":"\u00e9"}"#, r#"{"a":"é"}"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            (r#"{"a":1}"#, r#"{"b":1}"#, false),
            ("[1,2]", "[2,1]", false),
            ("1e2", "100", true),
            ("1.50E-3", "0.0015", true),
            ("-0", "0.0", true),
            ("-1", "1", false),
            ("1e400", "1e401", false),
            ("0.30000000000000004", "0.30000000000000003", false),
            ("9007199254740993", "9007199254740992", false),
            ("12345678901234567890123", "12345678901234567890124", false),
            ("1", "true", false),
        ] {
            assert_eq!(
                same_json(one.as_bytes(), other.as_bytes()),
                expected,
                "{one} {other}"
            );
        }
        assert!(same_json(b"not JSON", b"not JSON"));
        assert!(!same_json(b"not JSON", b"1"));
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(200), "]".repeat(200));
        assert!(!same_json(deep("1").as_bytes(), deep("2").as_bytes()));
    }
}
