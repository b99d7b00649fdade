//! The fields of spans and events as JSON values.

use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};

/// What replaces a secret.
const REDACTED: &str = "**REDACTED**";
/// A field whose name has one of these words as a part (`_`, `.`, `-` separate parts) holds a secret.
const SECRET_WORDS: [&str; 7] = [
    "token",
    "password",
    "passwd",
    "secret",
    "authorization",
    "credential",
    "credentials",
];

/// Fields in the order of recording; a later value of the same name replaces the earlier.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) rest: Vec<(&'static str, Value)>,
}

impl Fields {
    pub(super) fn extend(&mut self, other: &Self) {
        for (name, value) in &other.rest {
            self.put(name, value.clone());
        }
    }

    fn put(&mut self, name: &'static str, value: Value) {
        // Lines of dependencies that use the `log` crate say where they were built.
        if ["log.file", "log.line", "log.module_path"].contains(&name) {
            return;
        }
        let value = if is_secret(name) {
            REDACTED.into()
        } else {
            value
        };
        match self.rest.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.rest.push((name, value)),
        }
    }
}

fn is_secret(name: &str) -> bool {
    // `secret_name` and `token_path` say where a secret is, not what it is.
    let mut parts = name.split(['_', '.', '-']).rev();
    parts
        .next()
        .is_some_and(|last| SECRET_WORDS.contains(&last.to_ascii_lowercase().as_str()))
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.put(field.name(), format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.put(field.name(), value.into());
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Many errors already print their cause.
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        self.put(field.name(), text.into());
    }
}
