//! Is this HostedCluster acceptable? Every rule at once, before anything is sent.
//!
//! Rules come in levels, told by the first letter of their id:
//!
//! | level | is | checked by |
//! |---|---|---|
//! | `S` | structure: presence, type, length, enumeration | the CRD's schema |
//! | `C` | patterns and relations | the CRD's CEL rules, only if no `S` failed |
//! | `T` | transitions | the CRD on update: [`crate::immutable`] |
//! | `O` | what only the operator or GCP would find out, much later | nobody before us |
//! | `W` | worth knowing | [`warnings`] |
//!
//! The table is `validate/rules.rs`, relations that don't fit a table are functions in `validate/relations.rs` (`C`),
//! `validate/operator.rs` (`O`) and `validate/warn.rs` (`W`). All ids and texts are listed in
//! `docs/protocol/hostedcluster-gcp.md`.

mod operator;
mod relations;
mod rules;
mod table;
mod warn;

use std::fmt;

use serde_json::Value;

pub use warn::warnings;

use crate::path;

/// Which levels to check.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// `S` and `C`: what an API server with the CRD refuses.
    Admission,
    /// `S`, `C` and `O`: what must not be sent.
    #[default]
    Full,
}

/// One broken rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Its id, for example `C01`; the first letter is the level.
    pub rule: &'static str,
    /// Where, with positions: `spec.services[0].service`.
    pub path: String,
    /// What is wrong. For `S` rules this is the API server's own text.
    pub message: String,
    /// The offending value as JSON, when showing it helps.
    pub value: Option<String>,
}

/// What is known beside the document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Which levels to check.
    pub mode: Mode,
    /// The stored document, on update: an invalid value that was stored before and has not changed is tolerated, as
    /// the API server does. Leave it out to hold a new rendering to all rules.
    pub stored: Option<&'a Value>,
    /// The region of the chosen management cluster.
    pub management_region: Option<&'a str>,
    /// The version a person asked for, if it is not to be read from the image's tag.
    pub openshift_version: Option<&'a str>,
    /// Whether the operator publishes OIDC documents in its own bucket, so that no signing key is needed.
    pub oidc_bucket: bool,
}

/// All violations of `document`, ordered by level (`S`, `C`, `O`), then as the rules are listed.
pub fn host_cluster(document: &Value, mode: Mode) -> Vec<Violation> {
    check(
        document,
        &Context {
            mode,
            ..Context::default()
        },
    )
}

/// As [`host_cluster`], with what is known beside the document.
pub fn check(document: &Value, context: &Context<'_>) -> Vec<Violation> {
    let mut found = Findings::default();
    table::check(document, rules::STRUCTURE, &mut found);
    if found.violations.is_empty() {
        table::check(document, rules::PATTERNS, &mut found);
        relations::check(document, &mut found);
    }
    if let Some(stored) = context.stored {
        found
            .violations
            .retain(|violation| !is_unchanged(violation, stored, document));
    }
    if context.mode == Mode::Full {
        table::check(document, rules::OPERATOR, &mut found);
        operator::check(document, context, &mut found);
    }
    // The rules of one level stand in two places; ids restore their order.
    found
        .violations
        .sort_by_key(|violation| (violation.level(), violation.rule));
    found.violations
}

/// Level of a rule, in the order of reporting.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Presence, type, length, enumeration.
    Structure,
    /// Patterns and relations.
    Relation,
    /// Change of a stored object.
    Transition,
    /// The operator's and GCP's own conditions.
    Operator,
    /// Worth knowing.
    Warning,
}

impl Violation {
    /// The level that the id names.
    pub fn level(&self) -> Level {
        match self.rule.as_bytes().first() {
            Some(b'S') => Level::Structure,
            Some(b'C') => Level::Relation,
            Some(b'T') => Level::Transition,
            Some(b'O') => Level::Operator,
            _ => Level::Warning,
        }
    }

    /// The text behind the path in an API server's answer: `Invalid value: "x": must …`.
    pub fn cause(&self) -> String {
        match (&self.value, self.level()) {
            (Some(value), level) if level != Level::Structure => {
                format!("Invalid value: {value}: {}", self.message)
            }
            _ => self.message.clone(),
        }
    }

    /// The reason of the cause in an API server's answer.
    pub fn reason(&self) -> &'static str {
        let starts = |text| self.message.starts_with(text);
        if self.level() != Level::Structure {
            "FieldValueInvalid"
        } else if starts("Required value") {
            "FieldValueRequired"
        } else if starts("Unsupported value") {
            "FieldValueNotSupported"
        } else if starts("Duplicate value") {
            "FieldValueDuplicate"
        } else if starts("Too long") {
            "FieldValueTooLong"
        } else if starts("Too many") {
            "FieldValueTooMany"
        } else if self.message.contains("in body must be of type") {
            "FieldValueTypeInvalid"
        } else {
            "FieldValueInvalid"
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Collects violations; one path is not blamed twice for the same thing.
#[derive(Debug, Default)]
struct Findings {
    violations: Vec<Violation>,
}

impl Findings {
    fn add(&mut self, rule: &'static str, path: &str, message: impl Into<String>) {
        self.push(Violation {
            rule,
            path: path.to_owned(),
            message: message.into(),
            value: None,
        });
    }

    fn add_value(
        &mut self,
        rule: &'static str,
        path: &str,
        value: &Value,
        message: impl Into<String>,
    ) {
        // Objects and lists are named by type: their text would drown the message.
        let shown = match value {
            Value::Object(_) => "\"object\"".to_owned(),
            Value::Array(_) => "\"array\"".to_owned(),
            plain => plain.to_string(),
        };
        self.push(Violation {
            rule,
            path: path.to_owned(),
            message: message.into(),
            value: Some(shown),
        });
    }

    fn push(&mut self, violation: Violation) {
        let known =
            |known: &Violation| known.path == violation.path && known.message == violation.message;
        if !self.violations.iter().any(known) {
            self.violations.push(violation);
        }
    }
}

/// Ratcheting: the value (or, where it is missing, what it is missing from) stands in the stored object already.
fn is_unchanged(violation: &Violation, stored: &Value, document: &Value) -> bool {
    match (
        path::get(stored, &violation.path),
        path::get(document, &violation.path),
    ) {
        (None, None) => {
            let parent = path::parent(&violation.path);
            let before = path::get(stored, parent);
            before.is_some() && before == path::get(document, parent)
        }
        (before, now) => before == now,
    }
}

#[cfg(test)]
mod tests;
