//! One event to one line.

use std::fmt::Write as _;

use serde_json::Value;
use tracing::Level;

use super::Names;
use super::fields::Fields;

/// Largest line, bytes, the newline included; longer values are cut.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// What marks a cut value.
const CUT: &str = "…(cut)";

/// Who writes.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) component: String,
    pub(super) version: String,
    pub(super) hostname: String,
}

pub(super) fn json(
    now: jiff::Timestamp,
    level: Level,
    origin: &Origin,
    names: Names,
    fields: Fields,
) -> String {
    let (time_name, message_name, level) = match names {
        Names::Standard => (
            "timestamp",
            "message",
            level_name(level).to_ascii_lowercase(),
        ),
        Names::Slog => ("time", "msg", level_name(level).to_owned()),
    };
    let head = [
        (time_name, now.to_string()),
        ("level", level),
        (message_name, fields.message),
        ("component", origin.component.clone()),
        ("version", origin.version.clone()),
        ("hostname", origin.hostname.clone()),
    ];
    let mut values: Vec<(&str, Value)> = head.map(|(name, text)| (name, text.into())).into();
    for (name, value) in fields.rest {
        // A field must not take the place of a common one.
        if !values.iter().take(6).any(|(head, _)| *head == name) {
            values.push((name, value));
        }
    }
    let mut line = object(&values);
    if line.len() >= MAX_LINE_BYTES {
        // Half the room for escapes, which take up to six bytes each and double at most what text usually holds.
        let share = MAX_LINE_BYTES / 2 / values.len().max(1);
        for (_, value) in &mut values {
            cut(value, share / 3);
        }
        line = object(&values);
    }
    line.push('\n');
    line
}

/// Keys in the given order: readers find the time first.
fn object(values: &[(&str, Value)]) -> String {
    let mut line = String::with_capacity(256);
    for (name, value) in values {
        line.push(if line.is_empty() { '{' } else { ',' });
        // Writing to a String cannot fail.
        let _ = write!(line, "{}:{value}", Value::from(*name));
    }
    line.push('}');
    line
}

pub(super) fn text(now: jiff::Timestamp, level: Level, origin: &Origin, fields: Fields) -> String {
    let Origin {
        component,
        version,
        hostname,
    } = origin;
    let mut line = format!(
        "{now} {} [{component}] [{version}] [{hostname}] ",
        level_name(level)
    );
    push_one_line(&mut line, &fields.message);
    for (name, value) in fields.rest {
        match &value {
            Value::String(text) if is_plain(text) => drop(write!(line, " {name}={text}")),
            other => drop(write!(line, " {name}={other}")),
        }
    }
    if line.len() >= MAX_LINE_BYTES {
        truncate(&mut line, MAX_LINE_BYTES - CUT.len() - 1);
        line.push_str(CUT);
    }
    line.push('\n');
    line
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '"' || c == '=')
}

/// A message with line breaks must not look like several lines.
fn push_one_line(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            c if c.is_control() && c != '\t' => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
}

fn cut(value: &mut Value, limit: usize) {
    match value {
        Value::String(text) if text.len() > limit => {
            truncate(text, limit);
            text.push_str(CUT);
        }
        Value::Array(_) | Value::Object(_) => {
            let mut text = value.to_string();
            if text.len() > limit {
                truncate(&mut text, limit);
                text.push_str(CUT);
                *value = Value::String(text);
            }
        }
        _ => {}
    }
}

fn truncate(text: &mut String, mut limit: usize) {
    while !text.is_char_boundary(limit) {
        limit -= 1;
    }
    text.truncate(limit);
}
