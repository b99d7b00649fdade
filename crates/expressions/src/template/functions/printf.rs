//! `print`, `println` and `printf` with the verbs of Go's `fmt`.

use std::fmt::Write as _;

use go_compat::{number, print};
use serde_json::Value;

use super::super::MAX_OUTPUT_BYTES;
use super::super::value::Val;
use super::{Call, text_of};

type Outcome<'d> = Result<Val<'d>, String>;

/// Largest width or precision; larger ones are `%!(BADWIDTH)` and `%!(BADPREC)`, as in Go but earlier.
const MAX_WIDTH: usize = 10_000;

/// `fmt.Sprint`: a blank between two operands when neither is text.
pub(super) fn sprint(arguments: &[Val<'_>]) -> String {
    let mut out = String::new();
    let mut after_text = true;
    for (at, value) in arguments.iter().enumerate() {
        let is_text = value.as_text().is_some();
        if at > 0 && !is_text && !after_text {
            out.push(' ');
        }
        out.push_str(&value.print());
        after_text = is_text;
    }
    out
}

pub(super) fn print<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    Ok(Val::owned(sprint(&arguments)))
}

pub(super) fn println<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let words: Vec<String> = arguments.iter().map(Val::print).collect();
    Ok(Val::owned(words.join(" ") + "\n"))
}

pub(super) fn printf<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let [pattern, values @ ..] = arguments.as_slice() else {
        return Ok(Val::owned(""));
    };
    Ok(Val::owned(format(text_of(pattern)?, values)?))
}

/// Flags, width and precision of one verb.
#[derive(Clone, Copy, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

fn format(pattern: &str, values: &[Val<'_>]) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if out.len() > MAX_OUTPUT_BYTES {
            return Err(format!("result is longer than {MAX_OUTPUT_BYTES} bytes"));
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.peek().copied() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => break,
            }
            chars.next();
        }
        spec.width = size(
            &mut chars,
            values,
            &mut next,
            &mut out,
            "WIDTH",
            &mut spec.minus,
        );
        if chars.peek() == Some(&'.') {
            chars.next();
            let mut negative = false;
            let precision = size(
                &mut chars,
                values,
                &mut next,
                &mut out,
                "PREC",
                &mut negative,
            );
            spec.precision = if negative {
                None
            } else {
                Some(precision.unwrap_or(0))
            };
        }
        // Padding with zeros goes to the left only.
        spec.zero = spec.zero && !spec.minus;
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.get(next) {
                None => {
                    let _ = write!(out, "%!{verb}(MISSING)");
                }
                Some(value) => {
                    next += 1;
                    verb_text(&mut out, value, verb, spec);
                }
            },
        }
    }
    if let Some(extra) = values.get(next..).filter(|extra| !extra.is_empty()) {
        let extra: Vec<String> = extra
            .iter()
            .map(|value| {
                if value.is_nil() {
                    "<nil>".to_owned()
                } else {
                    format!("{}={}", value.type_name(), value.print())
                }
            })
            .collect();
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    Ok(out)
}

/// A number, or `*` for the next argument.
fn size(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    values: &[Val<'_>],
    next: &mut usize,
    out: &mut String,
    what: &str,
    negative: &mut bool,
) -> Option<usize> {
    if chars.peek() == Some(&'*') {
        chars.next();
        let value = values
            .get(*next)
            .and_then(Val::json)
            .and_then(Value::as_i64);
        *next += 1;
        let size = value
            .and_then(|value| usize::try_from(value.unsigned_abs()).ok())
            .filter(|size| *size <= MAX_WIDTH);
        if size.is_none() {
            let _ = write!(out, "%!(BAD{what})");
        }
        *negative = *negative || value.is_some_and(|value| value < 0);
        return size;
    }
    let mut size: Option<usize> = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        size = Some(
            size.unwrap_or(0)
                .saturating_mul(10)
                .saturating_add(digit as usize),
        );
    }
    if size.is_some_and(|size| size > MAX_WIDTH) {
        let _ = write!(out, "%!(BAD{what})");
        return None;
    }
    size
}

/// One value with one verb; lists and maps apply it to their elements.
fn verb_text(out: &mut String, value: &Val<'_>, verb: char, spec: Spec) {
    let json = match (verb, value) {
        ('T', value) => {
            return pad(
                out,
                value.type_name(),
                Spec {
                    zero: false,
                    ..spec
                },
            );
        }
        ('v' | 's' | 'q', Val::Time(_)) => return text(out, &value.print(), verb, spec),
        (verb, Val::Time(_)) => {
            let _ = write!(out, "%!{verb}(time.Time={})", value.print());
            return;
        }
        (_, Val::Json(json)) => json.as_ref(),
    };
    json_text(out, json, verb, spec);
}

fn json_text(out: &mut String, value: &Value, verb: char, spec: Spec) {
    match value {
        Value::Null if verb == 'v' => pad(
            out,
            "<nil>",
            Spec {
                zero: false,
                ..spec
            },
        ),
        Value::Null => {
            let _ = write!(out, "%!{verb}(<nil>)");
        }
        Value::String(value) => match verb {
            'v' | 's' | 'q' | 'x' | 'X' => text(out, value, verb, spec),
            _ => bad(out, verb, "string", value),
        },
        Value::Bool(value) => match verb {
            'v' | 't' => pad(
                out,
                if *value { "true" } else { "false" },
                Spec {
                    zero: false,
                    ..spec
                },
            ),
            _ => bad(out, verb, "bool", &value.to_string()),
        },
        Value::Number(number) => match (
            number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from)),
            number.as_f64(),
        ) {
            (Some(value), _) => integer(out, value, verb, spec),
            (None, Some(value)) => float(out, value, verb, spec),
            (None, None) => bad(out, verb, "float64", &number.to_string()),
        },
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                json_text(out, item, verb, spec);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                json_text(out, &Value::String(key.clone()), verb, spec);
                out.push(':');
                json_text(out, item, verb, spec);
            }
            out.push(']');
        }
    }
}

fn bad(out: &mut String, verb: char, kind: &str, value: &str) {
    let _ = write!(out, "%!{verb}({kind}={value})");
}

fn text(out: &mut String, value: &str, verb: char, spec: Spec) {
    let cut: String = match spec.precision {
        Some(precision) => value.chars().take(precision).collect(),
        None => value.to_owned(),
    };
    let text = match verb {
        'q' if spec.sharp && !cut.contains(|c: char| c == '`' || (c.is_control() && c != '\t')) => {
            format!("`{cut}`")
        }
        'q' => print::quote(&cut),
        'x' => cut.bytes().map(|byte| format!("{byte:02x}")).collect(),
        'X' => cut.bytes().map(|byte| format!("{byte:02X}")).collect(),
        _ => cut,
    };
    pad(
        out,
        &text,
        Spec {
            zero: spec.zero && verb != 'q',
            ..spec
        },
    );
}

fn integer(out: &mut String, value: i128, verb: char, spec: Spec) {
    let magnitude = value.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), "0b"),
        'o' => (format!("{magnitude:o}"), "0"),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), "0x"),
        'X' => (format!("{magnitude:X}"), "0X"),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(value)
                .ok()
                .and_then(char::from_u32)
                .unwrap_or('\u{fffd}');
            let text = match verb {
                'c' => c.to_string(),
                'q' => print::quote_char(c),
                _ => format!("U+{:04X}", magnitude),
            };
            return pad(
                out,
                &text,
                Spec {
                    zero: false,
                    ..spec
                },
            );
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => return bad(out, verb, "int", &value.to_string()),
        _ => return bad(out, verb, "int", &value.to_string()),
    };
    let mut digits = digits;
    if let Some(precision) = spec.precision {
        if precision == 0 && value == 0 {
            digits.clear();
        }
        digits = format!("{digits:0>precision$}");
    }
    let sign = sign(value < 0, spec);
    let prefix = if spec.sharp || verb == 'O' {
        prefix
    } else {
        ""
    };
    // Zeros fill up to the width behind sign and prefix, unless a precision says how many digits there are.
    if let (true, Some(width), None) = (spec.zero, spec.width, spec.precision) {
        let room = width.saturating_sub(sign.len() + prefix.len());
        digits = format!("{digits:0>room$}");
    }
    pad(
        out,
        &format!("{sign}{prefix}{digits}"),
        Spec {
            zero: false,
            ..spec
        },
    );
}

fn sign(negative: bool, spec: Spec) -> &'static str {
    if negative {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    }
}

fn float(out: &mut String, value: f64, verb: char, spec: Spec) {
    let magnitude = value.abs();
    let digits = match (verb, spec.precision) {
        ('v', None) => number::format_value(magnitude),
        ('g' | 'G', None) => number::format_g(magnitude),
        ('v' | 'g' | 'G', Some(precision)) => number::format_g_precision(magnitude, precision),
        ('f' | 'F', precision) => number::format_f(magnitude, precision.unwrap_or(6)),
        ('e' | 'E', precision) => number::format_e(magnitude, precision.unwrap_or(6)),
        _ => return bad(out, verb, "float64", &number::format_value(value)),
    };
    let mut digits = if matches!(verb, 'E' | 'G') {
        digits.to_uppercase()
    } else {
        digits
    };
    let sign = sign(value.is_sign_negative(), spec);
    if let (true, Some(width)) = (spec.zero, spec.width) {
        let room = width.saturating_sub(sign.len());
        digits = format!("{digits:0>room$}");
    }
    pad(
        out,
        &format!("{sign}{digits}"),
        Spec {
            zero: false,
            ..spec
        },
    );
}

/// Fills up to the width, counted in characters.
fn pad(out: &mut String, text: &str, spec: Spec) {
    let width = spec.width.unwrap_or(0);
    let _ = match (spec.minus, spec.zero) {
        (true, _) => write!(out, "{text:<width$}"),
        (false, true) => write!(out, "{text:0>width$}"),
        (false, false) => write!(out, "{text:>width$}"),
    };
}
