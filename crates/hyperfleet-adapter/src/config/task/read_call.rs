//! `api_call` and `log`.

use super::super::deployment::Backoff;
use super::super::read::Reader;
use super::names::Names;
use super::read::template;
use super::{ApiCall, Log};
use crate::api::Method;
use crate::lang::Text;

pub(super) fn api_call(reader: &Reader<'_>, names: &Names) -> Option<ApiCall> {
    if !reader.map(&[
        "method",
        "url",
        "timeout",
        "retry_attempts",
        "retry_backoff",
        "body",
        "headers",
    ]) {
        return None;
    }
    let method = reader.required("method").and_then(|child| {
        let word = child.text()?;
        let method = Method::parse(&word);
        if method.is_none() {
            child.structural(&format!(
                "{word:?} is invalid (allowed: {})",
                Method::ALL.join(", ")
            ));
        }
        method
    });
    let url = reader
        .required("url")
        .and_then(|child| template(&child, names));
    // Upstream loads these and ignores what it can't read; so do we, but we say it at load.
    let timeout = reader.get("timeout").and_then(|child| {
        let text = child.text()?;
        go_compat::duration::parse(&text)
            .map_err(|error| child.warn(format!("timeout {text:?} is ignored: {error}")))
            .ok()
    });
    let attempts = reader
        .get("retry_attempts")
        .and_then(|child| child.integer())
        .filter(|attempts| *attempts > 0)
        .and_then(|attempts| u32::try_from(attempts).ok());
    let backoff = reader.get("retry_backoff").and_then(|child| {
        let word = child.text()?;
        Some(Backoff::parse(&word).unwrap_or_else(|| {
            child.warn(format!("retry_backoff {word:?} is unknown (exponential, linear, constant) and means constant"));
            Backoff::Constant
        }))
    });
    let body = reader.get("body").and_then(|child| template(&child, names));
    let headers = reader
        .list("headers")
        .iter()
        .filter_map(|item| header(item, names))
        .collect();
    Some(ApiCall {
        method: method?,
        url: url?,
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
        attempts,
        backoff,
        body,
        headers,
        older_paths: names.older,
    })
}

fn header(reader: &Reader<'_>, names: &Names) -> Option<(String, Text)> {
    if !reader.map(&["name", "value"]) {
        return None;
    }
    let name = reader.required_text("name")?;
    let value = match reader.get("value") {
        Some(child) => template(&child, names)?,
        None => Text::plain(String::new()),
    };
    Some((name, value))
}

pub(super) fn log(reader: &Reader<'_>, names: &Names) -> Option<Log> {
    if !reader.map(&["message", "level"]) {
        return None;
    }
    let message = template(&reader.get("message")?, names)?;
    let level = match reader
        .optional_text("level")
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "debug" => tracing::Level::DEBUG,
        "warn" | "warning" => tracing::Level::WARN,
        "error" => tracing::Level::ERROR,
        _ => tracing::Level::INFO,
    };
    Some(Log { message, level })
}
