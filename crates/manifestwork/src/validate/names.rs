//! Kubernetes rules for names, labels, annotations and finalizers.

use std::collections::BTreeMap;

use super::{FieldError, FieldErrorKind, MAX_ANNOTATIONS_SIZE};

/// Most bytes of a label (RFC 1123), a label value and the name part of a qualified name.
pub const MAX_LABEL: usize = 63;
/// Most bytes of a subdomain (RFC 1123).
pub const MAX_SUBDOMAIN: usize = 253;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// RFC 1123 label: at most 63 of `a-z0-9-`, no dash at the ends. Returns what is wrong.
#[must_use]
pub fn label(text: &str) -> Vec<String> {
    let mut why = Vec::new();
    if text.len() > MAX_LABEL {
        why.push(too_long(MAX_LABEL));
    }
    if !is_label(text) {
        why.push(LABEL.to_owned());
    }
    why
}

/// RFC 1123 subdomain: labels joined by dots, at most 253 bytes. Returns what is wrong.
#[must_use]
pub fn subdomain(text: &str) -> Vec<String> {
    let mut why = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        why.push(too_long(MAX_SUBDOMAIN));
    }
    if !text.split('.').all(is_label) {
        why.push(SUBDOMAIN.to_owned());
    }
    why
}

/// `[prefix/]name` as label keys, annotation keys and finalizers are written. Returns what is wrong.
#[must_use]
pub fn qualified(text: &str) -> Vec<String> {
    let mut why = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((prefix, name)) if !name.contains('/') => {
            if prefix.is_empty() {
                why.push("prefix part must be non-empty".to_owned());
            } else {
                why.extend(
                    subdomain(prefix)
                        .into_iter()
                        .map(|text| format!("prefix part {text}")),
                );
            }
            name
        }
        Some(_) => {
            why.push(format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return why;
        }
    };
    if name.is_empty() {
        why.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_LABEL {
        why.push(format!("name part {}", too_long(MAX_LABEL)));
    }
    if !is_word(name) {
        why.push(format!("name part {QUALIFIED}"));
    }
    why
}

/// Label value: empty, or at most 63 characters of a word. Returns what is wrong.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut why = Vec::new();
    if text.len() > MAX_LABEL {
        why.push(too_long(MAX_LABEL));
    }
    if !text.is_empty() && !is_word(text) {
        why.push(LABEL_VALUE.to_owned());
    }
    why
}

/// Labels; errors have an empty path.
#[must_use]
pub fn labels(labels: &BTreeMap<String, String>) -> Vec<FieldError> {
    labels
        .iter()
        .flat_map(|(key, value)| {
            let keys = qualified(key)
                .into_iter()
                .map(move |why| FieldError::invalid("", key, why));
            keys.chain(
                label_value(value)
                    .into_iter()
                    .map(move |why| FieldError::invalid("", value, why)),
            )
        })
        .collect()
}

/// Annotations: keys are qualified names in any case, all together at most 256 KiB; errors have an empty path.
#[must_use]
pub fn annotations(annotations: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut errors: Vec<_> = annotations
        .keys()
        .flat_map(|key| {
            qualified(&key.to_lowercase())
                .into_iter()
                .map(move |why| FieldError::invalid("", key, why))
        })
        .collect();
    let size: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > MAX_ANNOTATIONS_SIZE {
        errors.push(FieldError {
            path: String::new(),
            kind: FieldErrorKind::TooLong,
            value: String::new(),
            detail: format!("may not be more than {MAX_ANNOTATIONS_SIZE} bytes"),
        });
    }
    errors
}

/// Finalizers are qualified names; errors have an empty path.
#[must_use]
pub fn finalizers(finalizers: &[String]) -> Vec<FieldError> {
    finalizers
        .iter()
        .flat_map(|name| {
            qualified(name)
                .into_iter()
                .map(move |why| FieldError::invalid("", name, why))
        })
        .collect()
}

/// `[group/]version`; the path of errors is `apiVersion`.
#[must_use]
pub fn api_version(text: &str) -> Vec<FieldError> {
    const PATH: &str = "apiVersion";
    if text.is_empty() {
        return vec![FieldError::required(PATH, "field not set")];
    }
    let parts: Vec<&str> = text.split('/').collect();
    let (group, version) = match parts.as_slice() {
        [version] => (None, *version),
        [group, version] => (Some(*group), *version),
        _ => return vec![FieldError::invalid(PATH, text, "bad format")],
    };
    let mut errors = Vec::new();
    if let Some(group) = group {
        if group.is_empty() {
            errors.push(FieldError::invalid(PATH, text, "group not set"));
        } else {
            errors.extend(
                subdomain(group)
                    .into_iter()
                    .map(|why| FieldError::invalid(PATH, group, why)),
            );
        }
    }
    if version.is_empty() {
        errors.push(FieldError::invalid(PATH, text, "version not set"));
    } else {
        errors.extend(
            label_1035(version)
                .into_iter()
                .map(|why| FieldError::invalid(PATH, version, why)),
        );
    }
    errors
}

/// DNS-1035 label: like RFC 1123, but begins with a letter. Returns what is wrong.
#[must_use]
pub fn label_1035(text: &str) -> Vec<String> {
    let mut why = Vec::new();
    if text.len() > MAX_LABEL {
        why.push(too_long(MAX_LABEL));
    }
    if !is_label(text) || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        why.push(LABEL_1035.to_owned());
    }
    why
}
