//! JSON text byte for byte as Go's `encoding/json` writes it.
//!
//! Three things differ from serde_json's own writer: floats (see [`number::format_json`]), the characters that are
//! escaped inside strings (`<`, `>`, `&`, U+2028 and U+2029, unless HTML escaping is off), and embedded raw JSON, which
//! Go compacts. Maps are sorted by key and structs keep their order of declaration in both worlds.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CharEscape, Formatter};

use crate::number;

/// Whether `<`, `>` and `&` in strings are written as `\u003c`, `\u003e` and `\u0026`.
///
/// On is `json.Marshal`; off is an `Encoder` with `SetEscapeHTML(false)`. The two line separators U+2028 and U+2029
/// are escaped either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapeHtml {
    /// As `json.Marshal`.
    #[default]
    On,
    /// As an encoder with `SetEscapeHTML(false)`.
    Off,
}

/// A value that has no JSON form: a map key that is not a string, or a failing `Serialize` implementation.
#[derive(Debug, thiserror::Error)]
#[error("value can't be written as JSON: {0}")]
pub struct Error(#[from] serde_json::Error);

/// Compact JSON as `json.Marshal` writes it.
///
/// # Errors
/// If the value has no JSON form.
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    to_string_with(value, EscapeHtml::On)
}

/// Compact JSON with HTML escaping on or off.
///
/// # Errors
/// If the value has no JSON form.
pub fn to_string_with<T: Serialize + ?Sized>(
    value: &T,
    escape: EscapeHtml,
) -> Result<String, Error> {
    let bytes = to_vec_with(value, escape)?;
    // The writer emits UTF-8 only; a lossy conversion never changes anything.
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// As [`to_string`], in bytes.
///
/// # Errors
/// If the value has no JSON form.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    to_vec_with(value, EscapeHtml::On)
}

/// As [`to_string_with`], in bytes.
///
/// # Errors
/// If the value has no JSON form.
pub fn to_vec_with<T: Serialize + ?Sized>(value: &T, escape: EscapeHtml) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, GoFormatter { escape });
    value.serialize(&mut serializer)?;
    Ok(out)
}

/// A JSON tree, keys sorted. Total: a tree always has a JSON form.
#[must_use]
pub fn to_string_sorted(value: &Value) -> String {
    to_string(value).unwrap_or_default()
}

/// Indented JSON as `json.MarshalIndent(value, "", indent)` writes it.
///
/// # Errors
/// If the value has no JSON form.
pub fn to_string_indented<T: Serialize + ?Sized>(value: &T, indent: &str) -> Result<String, Error> {
    let compact = to_string(value)?;
    let mut out = String::with_capacity(compact.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
    };
    let mut chars = compact.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == '"' {
                in_string = false;
            }
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                if matches!(chars.peek(), Some('}' | ']')) {
                    out.extend(chars.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// Removes white space outside of strings from JSON text, without building a tree.
///
/// The text must be valid JSON (a database's `jsonb`, a raw fragment); anything else comes back without its white
/// space and is no more valid than before.
#[must_use]
pub fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // White space and quotes are ASCII, so cutting at them never splits a character.
    while let Some(at) = rest.find(['"', ' ', '\n', '\r', '\t']) {
        out.push_str(&rest[..at]);
        if rest.as_bytes()[at] == b'"' {
            let end = string_end(&rest[at..]);
            out.push_str(&rest[at..at + end]);
            rest = &rest[at + end..];
        } else {
            rest = &rest[at + 1..];
        }
    }
    out.push_str(rest);
    out
}

/// Length of the string literal that `text` starts with, both quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The `Formatter` behind this module, for callers that drive a serde_json `Serializer` themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoFormatter {
    escape: EscapeHtml,
}

impl GoFormatter {
    /// A formatter with the given escaping.
    #[must_use]
    pub fn new(escape: EscapeHtml) -> Self {
        Self { escape }
    }
}

// === impl GoFormatter ===

impl Formatter for GoFormatter {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(
            number::format_json(value)
                .as_deref()
                .unwrap_or("null")
                .as_bytes(),
        )
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        writer.write_all(
            number::format_json_f32(value)
                .as_deref()
                .unwrap_or("null")
                .as_bytes(),
        )
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut start = 0;
        for (at, c) in fragment.char_indices() {
            let replacement = match c {
                '<' if self.escape == EscapeHtml::On => "\\u003c",
                '>' if self.escape == EscapeHtml::On => "\\u003e",
                '&' if self.escape == EscapeHtml::On => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&fragment.as_bytes()[start..at])?;
            writer.write_all(replacement.as_bytes())?;
            start = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let text: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::Backspace => b"\\b",
            CharEscape::FormFeed => b"\\f",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(text)
    }

    fn write_raw_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Outside of strings JSON has none of the escaped characters, so the whole text can go through.
        self.write_string_fragment(writer, &compact(fragment))
    }
}

#[cfg(test)]
mod tests;
