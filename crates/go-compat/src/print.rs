//! Values as Go's `fmt` package prints them with `%v`: `map[a:1 b:[x y]]`, `<nil>`.
//!
//! Numbers keep what JSON said: integers print as integers, whole floats too (see [`number::format_value`]).

use std::fmt::Write as _;

use serde_json::{Number, Value};

use crate::number;

/// `fmt.Sprint(value)` for a value that came from JSON. Null prints as `<nil>`, also inside of lists and maps.
#[must_use]
pub fn sprint(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let mut out = String::new();
            write_value(&mut out, other);
            out
        }
    }
}

/// Appends what [`sprint`] gives.
pub fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => out.push_str(&number_text(value)),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                let _ = write!(out, "{key}:");
                write_value(out, item);
            }
            out.push(']');
        }
    }
}

/// A JSON number as text: integers exactly, floats as `%v` but whole ones as integers.
#[must_use]
pub fn number_text(value: &Number) -> String {
    match value.as_f64() {
        Some(float) if value.is_f64() => number::format_value(float),
        _ => value.to_string(),
    }
}

/// The Go type that a decoded JSON value has in Kubernetes clients, for error texts.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Text as `strconv.Quote` (`%q`) writes it.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        write_escaped(&mut out, c, '"');
    }
    out.push('"');
    out
}

/// A character as `strconv.QuoteRune` writes it.
#[must_use]
pub fn quote_char(c: char) -> String {
    let mut out = String::from("'");
    write_escaped(&mut out, c, '\'');
    out.push('\'');
    out
}

fn write_escaped(out: &mut String, c: char, quote: char) {
    let _ = match c {
        '\\' => out.write_str("\\\\"),
        _ if c == quote => write!(out, "\\{c}"),
        '\u{7}' => out.write_str("\\a"),
        '\u{8}' => out.write_str("\\b"),
        '\u{c}' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\u{b}' => out.write_str("\\v"),
        _ if is_printable(c) => out.write_char(c),
        _ if u32::from(c) < 0x80 => write!(out, "\\x{:02x}", u32::from(c)),
        _ if u32::from(c) < 0x1_0000 => write!(out, "\\u{:04x}", u32::from(c)),
        _ => write!(out, "\\U{:08x}", u32::from(c)),
    };
}

/// What Go calls printable: letters, marks, numbers, punctuation, symbols, and the ASCII space.
///
/// Rust's escaping of text draws the same line but for spaces; the versions of Unicode may differ by a few years.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    if c.is_whitespace() || c.is_control() {
        return false;
    }
    // Marks are escaped only where they would combine with the quote, so another character goes before.
    let pair: String = ['a', c].iter().collect();
    pair.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_print_as_percent_v() {
        for (value, text) in [
            (json!(null), "<nil>"),
            (json!("a b"), "a b"),
            (json!(1_000_000), "1000000"),
            (json!(1_000_000.0), "1000000"),
            (json!(2.5), "2.5"),
            (json!(true), "true"),
            (json!(["x", 1, null, []]), "[x 1 <nil> []]"),
            (
                json!({"b": 1, "a": {"c": [true]}, "e": {}}),
                "map[a:map[c:[true]] b:1 e:map[]]",
            ),
        ] {
            assert_eq!(sprint(&value), text);
        }
    }

    #[test]
    fn quoting_is_that_of_strconv() {
        assert_eq!(
            quote("a'\"b\\c\n\t\u{1}\u{7f}é\u{a0}\u{200b}😀"),
            "\"a'\\\"b\\\\c\\n\\t\\x01\\x7fé\\u00a0\\u200b😀\""
        );
        assert_eq!(quote_char('\''), "'\\''");
    }
}
