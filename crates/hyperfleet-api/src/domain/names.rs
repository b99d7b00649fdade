//! Names and labels.

use std::collections::BTreeMap;

use hyperfleet_types::FieldError;

use crate::{error::Rejection, registry::Kind};

/// Longest label key, bytes, prefix included.
pub const MAX_LABEL_KEY_BYTES: usize = 255;
/// Longest DNS prefix of a label key, bytes.
pub const MAX_LABEL_PREFIX_BYTES: usize = 253;
/// Longest label value, and longest name part of a key, bytes.
pub const MAX_LABEL_BYTES: usize = 63;

/// Checks the name of a new resource.
///
/// # Errors
/// A [`Rejection`] for the first rule it breaks.
pub fn check_name(kind: &Kind, name: &str) -> Result<(), Rejection> {
    let (min, max) = kind.name_bounds();
    if name.is_empty() {
        return Err(Rejection::invalid("name is required"));
    }
    if name.len() < min {
        return Err(Rejection::invalid(format!(
            "name must be at least {min} characters"
        )));
    }
    if name.len() > max {
        return Err(Rejection::invalid(format!(
            "name must be at most {max} characters"
        )));
    }
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = name.as_bytes();
    let inside = bytes.iter().all(|byte| edge(Some(byte)) || *byte == b'-');
    if !inside || !edge(bytes.first()) || !edge(bytes.last()) {
        return Err(Rejection::invalid(
            "name must start and end with lowercase letter or number, and contain only lowercase letters, numbers, and hyphens",
        ));
    }
    Ok(())
}

/// Checks labels.
///
/// # Errors
/// A [`Rejection`] that lists every bad key and value.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Rejection> {
    let mut errors = Vec::new();
    for (key, value) in labels {
        if let Err(message) = check_key(key) {
            errors.push(
                FieldError::new("labels", message)
                    .value(shortened(key))
                    .constraint("pattern"),
            );
        }
        if value.len() > MAX_LABEL_BYTES || !(value.is_empty() || is_label_word(value)) {
            let message = format!(
                "label value must be at most {MAX_LABEL_BYTES} characters, empty or {WORD}"
            );
            errors.push(
                FieldError::new(format!("labels[{}]", shortened(key)), message)
                    .value(shortened(value))
                    .constraint("pattern"),
            );
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Rejection::invalid("label validation failed").errors(errors))
    }
}

const WORD: &str =
    "start and end with a letter or number, and contain only letters, numbers, '.', '_' and '-'";

fn check_key(key: &str) -> Result<(), String> {
    if key.len() > MAX_LABEL_KEY_BYTES {
        return Err(format!(
            "label key must be at most {MAX_LABEL_KEY_BYTES} characters"
        ));
    }
    let name = match key.split_once('/') {
        None => key,
        Some((prefix, name)) => {
            if prefix.len() > MAX_LABEL_PREFIX_BYTES || !prefix.split('.').all(is_dns_label) {
                return Err("label key prefix must be a lowercase DNS name".to_owned());
            }
            name
        }
    };
    if name.len() > MAX_LABEL_BYTES || !is_label_word(name) {
        return Err(format!(
            "label key name must be 1-{MAX_LABEL_BYTES} characters, {WORD}"
        ));
    }
    Ok(())
}

fn is_label_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

fn is_dns_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    bytes.len() <= MAX_LABEL_BYTES
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| edge(Some(byte)) || *byte == b'-')
}

/// What is repeated of a value in an error.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_LABEL_KEY_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Registry, standard};

    fn name(name: &str) -> Result<(), String> {
        let registry = Registry::new(standard()).unwrap();
        check_name(registry.kind("Cluster").unwrap(), name).map_err(|rejection| rejection.detail)
    }

    #[test]
    fn names_have_bounds_and_a_pattern() {
        assert_eq!(name("abc"), Ok(()));
        assert_eq!(name(&"a".repeat(53)), Ok(()));
        assert_eq!(name("").unwrap_err(), "name is required");
        assert_eq!(
            name("ab").unwrap_err(),
            "name must be at least 3 characters"
        );
        assert_eq!(
            name(&"a".repeat(54)).unwrap_err(),
            "name must be at most 53 characters"
        );
        for bad in ["Abc", "-abc", "abc-", "a_b", "a.b", "a b", "äöü"] {
            assert!(
                name(bad)
                    .unwrap_err()
                    .starts_with("name must start and end"),
                "{bad}"
            );
        }
    }

    fn labels(key: &str, value: &str) -> Vec<FieldError> {
        check_labels(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
            .map_or_else(|rejection| rejection.errors, |()| Vec::new())
    }

    #[test]
    fn labels_are_those_of_kubernetes() {
        for (key, value) in [
            ("a", ""),
            ("a.b_c-d", "V.1_x-y"),
            ("sub.example.com/name", "1"),
            ("A", "Z"),
        ] {
            assert_eq!(labels(key, value), [], "{key}={value}");
        }
        for key in [
            "",
            "a b",
            "<script>",
            "-a",
            "a/",
            "/a",
            "UP/a",
            "a/b/c",
            &"k".repeat(64),
            &"k".repeat(300),
        ] {
            let errors = labels(key, "v");
            assert_eq!(
                (errors[0].field.as_str(), errors[0].constraint.as_deref()),
                ("labels", Some("pattern")),
                "{key}"
            );
        }
        for value in ["a b", "-", &"v".repeat(64)] {
            assert_eq!(labels("k", value)[0].field, "labels[k]", "{value}");
        }
    }
}
