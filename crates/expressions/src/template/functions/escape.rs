//! Escaping for HTML, JavaScript and URLs. Several arguments are joined as `print` does.

use std::fmt::Write as _;

use super::super::value::Val;
use super::{Call, printf};

type Outcome<'d> = Result<Val<'d>, String>;

fn joined(arguments: &[Val<'_>]) -> String {
    match arguments {
        [one] if one.as_text().is_some() => one.print(),
        many => printf::sprint(many),
    }
}

pub(super) fn html<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let mut out = String::new();
    for c in joined(&arguments).chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    Ok(Val::owned(out))
}

pub(super) fn js<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let mut out = String::new();
    for c in joined(&arguments).chars() {
        let _ = match c {
            '\\' => out.write_str("\\\\"),
            '\'' => out.write_str("\\'"),
            '"' => out.write_str("\\\""),
            '<' | '>' | '&' | '=' => write!(out, "\\u{:04X}", u32::from(c)),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => write!(out, "\\u{:04X}", u32::from(c)),
            c if c.is_ascii() => out.write_char(c),
            c if go_compat::print::quote_char(c).chars().nth(1) == Some(c) => out.write_char(c),
            c => write!(out, "\\u{:04X}", u32::from(c)),
        };
    }
    Ok(Val::owned(out))
}

pub(super) fn urlquery<'d>(_: &Call, arguments: Vec<Val<'d>>) -> Outcome<'d> {
    let mut out = String::new();
    for byte in joined(&arguments).bytes() {
        let _ = match byte {
            b' ' => out.write_char('+'),
            b'-' | b'_' | b'.' | b'~' => out.write_char(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.write_char(char::from(byte)),
            byte => write!(out, "%{byte:02X}"),
        };
    }
    Ok(Val::owned(out))
}
