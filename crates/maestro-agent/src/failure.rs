//! Why a manifest could not be applied, in words that stay the same while the cause stays the same.

use kube_access::Error;

use manifestwork::conditions::Condition;

/// A failed application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Reason of the condition.
    pub reason: &'static str,
    /// Message of the condition.
    pub message: String,
    /// What identifies the cause. Texts of errors may hold times and request ids; as long as the cause is the same,
    /// nothing new is reported.
    pub cause: String,
    /// What to do about it.
    pub kind: FailureKind,
    /// Whether the write may have been carried out all the same.
    pub unsure: bool,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Another manager holds a field: try again when the object changes.
    Conflict,
    /// Try again after a while.
    Retry,
}

/// Reason of a manifest that could not be applied.
pub const FAILED: &str = "AppliedManifestFailed";
/// Reason of a manifest whose ignored fields can't be taken out.
pub const IGNORE_FIELD: &str = "AppliedManifestSSAIgnoreFieldError";

// === impl Failure ===

impl Failure {
    /// A failure that isn't an answer of the API server.
    pub fn other(text: impl std::fmt::Display) -> Self {
        let text = text.to_string();
        Self {
            reason: FAILED,
            message: format!("Failed to apply manifest: {text}"),
            cause: text,
            kind: FailureKind::Retry,
            unsure: false,
        }
    }

    /// A failure to take out ignored fields; the text is the whole message.
    pub fn ignore_field(text: String) -> Self {
        Self {
            reason: IGNORE_FIELD,
            cause: text.clone(),
            message: text,
            kind: FailureKind::Retry,
            unsure: false,
        }
    }

    /// What went wrong, without the words about manifests.
    pub fn text(&self) -> &str {
        let prefix = "Failed to apply manifest: ";
        self.message.strip_prefix(prefix).unwrap_or(&self.message)
    }

    /// The condition `type_` with this failure.
    pub fn condition(&self, type_: &str, generation: i64) -> Condition {
        Condition::new(type_, false, self.reason, self.message.clone()).observing(generation)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let conflicts = error.field_conflicts();
        let kind = if conflicts.is_empty() {
            FailureKind::Retry
        } else {
            FailureKind::Conflict
        };
        let hint = if conflicts.is_empty() {
            ""
        } else {
            " (it is applied when the manager gives up the field; serverSideApply.force takes the field away)"
        };
        Self {
            reason: FAILED,
            message: format!("Failed to apply manifest: {error}{hint}"),
            cause: cause(&error),
            kind,
            unsure: matches!(
                error,
                Error::Unavailable { .. } | Error::Timeout(_) | Error::Decode(_)
            ),
        }
    }
}

/// What identifies the cause of an error: its class, and the fields it is about, but no free text where there is
/// anything better.
pub fn cause(error: &Error) -> String {
    let class = match error {
        Error::NoSuchKind { api_version, kind } => {
            return format!("NoSuchKind {api_version} {kind}");
        }
        Error::Config(_) => "Config",
        Error::NotFound(_) => "NotFound",
        Error::AlreadyExists(_) => "AlreadyExists",
        Error::Conflict(_) => "Conflict",
        Error::Invalid(_) => "Invalid",
        Error::Forbidden(_) => "Forbidden",
        Error::Unauthorized(_) => "Unauthorized",
        Error::Expired(_) => "Expired",
        Error::TooManyRequests(_) => "TooManyRequests",
        Error::Unavailable { .. } => "Unavailable",
        Error::Timeout(_) => "Timeout",
        Error::Decode(_) => "Decode",
        Error::BadInput(text) => return format!("BadInput {text}"),
        _ => "Api",
    };
    let conflicts = error.field_conflicts();
    if !conflicts.is_empty() {
        let parts: Vec<String> = conflicts
            .iter()
            .map(|conflict| format!("{} {}", conflict.manager, conflict.field))
            .collect();
        return format!("{class} {}", parts.join(","));
    }
    let code = error.status().map_or(0, |status| status.code);
    let fields: Vec<&str> = error
        .causes()
        .iter()
        .map(|cause| cause.field.as_str())
        .collect();
    format!("{class} {code} {}", fields.join(","))
}

#[cfg(test)]
mod tests {
    use kube_access::Status;
    use serde_json::{Value, json};

    use super::*;

    fn status(value: Value) -> Box<Status> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn f40_a_conflict_names_manager_and_field() {
        let error = Error::Conflict(status(json!({
            "reason": "Conflict", "code": 409,
            "message": "Apply failed with 1 conflict: conflict with \"kubectl-annotate\": .spec.size",
            "details": {"causes": [{"reason": "FieldManagerConflict", "field": ".spec.size", "message": "conflict with \"kubectl-annotate\""}]},
        })));
        let failure = Failure::from(error);
        assert_eq!(failure.kind, FailureKind::Conflict);
        assert!(failure.message.contains("kubectl-annotate"));
        assert!(failure.message.contains(".spec.size"));
        assert_eq!(failure.reason, FAILED);
    }

    #[test]
    fn f43_the_cause_does_not_change_with_the_text() {
        let error = |text: &str| {
            Failure::from(Error::Unavailable {
                message: text.to_owned(),
                status: Some(status(json!({"code": 500, "message": text}))),
            })
        };
        assert_eq!(
            error("request 1 at 10:00").cause,
            error("request 2 at 10:01").cause
        );
        let invalid = |field: &str| {
            Failure::from(Error::Invalid(status(
                json!({"code": 422, "details": {"causes": [{"field": field}]}}),
            )))
        };
        assert_ne!(invalid("spec.a").cause, invalid("spec.b").cause);
    }
}
