//! Checks that a table can say: one path, one question.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{Findings, rules};
use crate::path::{self, What};

/// One line of the table.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) path: &'static str,
    pub(super) check: Check,
    /// For [`Check::Matches`] and where the API server's own text doesn't do; `{f}` = the field's name, `{v}` = the value.
    pub(super) message: &'static str,
}

/// The questions.
#[derive(Debug)]
pub(super) enum Check {
    /// It must be there.
    Required,
    /// A text.
    Text,
    /// A text of so many characters.
    Length(usize, usize),
    /// A text that the pattern finds something in (ASCII, not anchored).
    Matches(&'static str),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list or mapping with so many elements.
    Items(usize, usize),
    /// No other element of the list has the same text.
    Unique,
    /// A Kubernetes quantity.
    Quantity,
}

static PATTERNS: LazyLock<HashMap<&'static str, Regex>> = LazyLock::new(|| {
    let tables = [rules::STRUCTURE, rules::PATTERNS, rules::OPERATOR];
    let rules = tables.into_iter().flatten();
    rules
        .filter_map(|rule| match rule.check {
            Check::Matches(pattern) => Some(pattern),
            _ => None,
        })
        .chain([QUANTITY])
        .map(|pattern| {
            #[expect(
                clippy::expect_used,
                reason = "the patterns are constants and a test compiles them all"
            )]
            let regex = Regex::new(pattern).expect("a rule's pattern is well formed");
            (pattern, regex)
        })
        .collect()
});

const QUANTITY: &str =
    r"^[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$";

/// Whether the pattern of some rule finds something in `text`.
fn matches(pattern: &str, text: &str) -> bool {
    PATTERNS
        .get(pattern)
        .is_some_and(|regex| regex.is_match(text))
}

pub(super) fn check(document: &Value, table: &[Rule], findings: &mut Findings) {
    for rule in table {
        let found = path::select(document, rule.path);
        if let Check::Unique = rule.check {
            unique(rule, &found, findings);
            continue;
        }
        for found in found {
            match found.what {
                What::Missing if matches!(rule.check, Check::Required) => {
                    findings.add(rule.id, &found.path, "Required value");
                }
                What::Missing => {}
                What::Shape {
                    expected,
                    found: value,
                } => type_error(rule, &found.path, value, expected, findings),
                What::Value(value) => rule.value(&found.path, &found.field, value, findings),
            }
        }
    }
}

impl Rule {
    fn value(&self, path: &str, field: &str, value: &Value, findings: &mut Findings) {
        match &self.check {
            Check::Required | Check::Unique => {}
            Check::Items(least, most) => {
                let count = match value {
                    Value::Array(items) => items.len(),
                    Value::Object(members) => members.len(),
                    other => return type_error(self, path, other, "array", findings),
                };
                if count > *most {
                    findings.add(
                        self.id,
                        path,
                        format!("Too many: {count}: must have at most {most} items"),
                    );
                } else if count < *least {
                    let message = format!(
                        "Invalid value: {count}: {path} in body should have at least {least} items"
                    );
                    findings.add(self.id, path, message);
                }
            }
            Check::Quantity => {
                let good = match value {
                    Value::String(text) => matches(QUANTITY, text),
                    other => other.is_i64() || other.is_u64(),
                };
                if !good {
                    findings.add_value(self.id, path, value, self.message);
                }
            }
            Check::Text | Check::Length(..) | Check::Matches(_) | Check::OneOf(_) => match value {
                Value::String(text) => self.text(path, field, text, value, findings),
                other => type_error(self, path, other, "string", findings),
            },
        }
    }

    fn text(&self, path: &str, field: &str, text: &str, value: &Value, findings: &mut Findings) {
        match &self.check {
            Check::Length(least, most) => {
                let length = text.chars().count();
                if length < *least {
                    let message = format!(
                        "Invalid value: {value}: {path} in body should be at least {least} chars long"
                    );
                    findings.add(self.id, path, message);
                } else if length > *most {
                    findings.add(
                        self.id,
                        path,
                        format!("Too long: may not be more than {most} bytes"),
                    );
                }
            }
            Check::Matches(pattern) if !matches(pattern, text) => {
                let message = self.message.replace("{f}", field).replace("{v}", text);
                findings.add_value(self.id, path, value, message);
            }
            Check::OneOf(known) if !known.contains(&text) => {
                let known: Vec<String> = known.iter().map(|known| format!("\"{known}\"")).collect();
                let unsupported = format!(
                    "Unsupported value: {value}: supported values: {}",
                    known.join(", ")
                );
                if self.message.is_empty() {
                    findings.add(self.id, path, unsupported);
                } else {
                    findings.add_value(self.id, path, value, self.message);
                }
            }
            _ => {}
        }
    }
}

fn unique(rule: &Rule, found: &[path::Found<'_>], findings: &mut Findings) {
    let mut seen: Vec<&Value> = Vec::new();
    for found in found {
        let What::Value(value) = found.what else {
            continue;
        };
        if seen.contains(&value) {
            if rule.message.is_empty() {
                // The API server blames the element, not its key.
                let element = path::parent(&found.path);
                let duplicate = serde_json::json!({ &found.field: value });
                findings.add(rule.id, element, format!("Duplicate value: {duplicate}"));
            } else {
                findings.add_value(rule.id, &found.path, value, rule.message);
            }
        }
        seen.push(value);
    }
}

fn type_error(rule: &Rule, path: &str, value: &Value, expected: &str, findings: &mut Findings) {
    let found = path::type_name(value);
    let message = format!(
        "Invalid value: \"{found}\": {path} in body must be of type {expected}: \"{found}\""
    );
    findings.add(rule.id, path, message);
}
