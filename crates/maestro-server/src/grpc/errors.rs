//! Refusals as gRPC statuses: upstream's texts with the codes that they should have had.

use serde_json::json;
use tonic::{Code, Status};

use crate::authn::Denied;
use crate::model::Refusal;
use crate::problem::Problem;
use crate::writer::WriteError;

/// Longest text of a refusal, bytes: it travels in a header, and may quote what was sent.
const MAX_TEXT: usize = 4096;

/// Turns refusals into statuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errors {
    /// Whether the text is the JSON of a Kubernetes status, which Go clients turn into typed errors.
    pub(super) typed: bool,
}

impl Errors {
    /// An event that can't be understood or is against the rules.
    pub(super) fn invalid(self, text: impl Into<String>) -> Status {
        self.status(Code::InvalidArgument, text.into(), None)
    }

    /// An error of the given code.
    pub(super) fn other(self, code: Code, text: impl Into<String>) -> Status {
        self.status(code, text.into(), None)
    }

    /// A caller that isn't let in.
    pub(super) fn denied(self, denied: &Denied) -> Status {
        self.status(denied.code(), denied.to_string(), None)
    }

    /// A write that didn't happen; `prefix` says which, `doing` names it for failures of the database.
    pub(super) fn write(self, prefix: &str, doing: &str, error: &WriteError, id: &str) -> Status {
        let problem = Problem::write(doing, error);
        let code = match error {
            WriteError::Refused(refusal) => code_of(refusal),
            WriteError::Storage(_) if problem.unavailable => Code::Unavailable,
            WriteError::Storage(_) => Code::Internal,
        };
        self.status(code, format!("{prefix}: {}", problem.text()), Some(id))
    }

    fn status(self, code: Code, mut text: String, id: Option<&str>) -> Status {
        if text.len() > MAX_TEXT {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            text.push('…');
        }
        if !self.typed {
            return Status::new(code, text);
        }
        let (reason, http) = kubernetes(code, &text);
        let mut details =
            json!({"group": "work.open-cluster-management.io", "kind": "manifestworks"});
        if let (Some(details), Some(id)) = (details.as_object_mut(), id) {
            details.insert("name".into(), id.into());
        }
        let body = json!({"ErrStatus": {
            "metadata": {}, "status": "Failure", "message": text, "reason": reason, "details": details, "code": http,
        }});
        Status::new(code, body.to_string())
    }
}

/// The code of a refusal. Never CANCELLED: Go agents take that for their own shutdown.
fn code_of(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::AlreadyExists => Code::AlreadyExists,
        Refusal::NotFound(_) => Code::NotFound,
        Refusal::Stale { .. } => Code::Aborted,
        Refusal::NotOwner(_) => Code::PermissionDenied,
        Refusal::NotStorable => Code::InvalidArgument,
        Refusal::UnknownConsumer(_)
        | Refusal::UnderDeletion(_)
        | Refusal::UnmatchedConsumer { .. }
        | Refusal::Sequence(_)
        | Refusal::VersionsExhausted => Code::FailedPrecondition,
    }
}

/// Reason and code of the Kubernetes status that says the same.
fn kubernetes(code: Code, text: &str) -> (&'static str, u16) {
    match code {
        Code::AlreadyExists => ("AlreadyExists", 409),
        Code::NotFound => ("NotFound", 404),
        Code::Aborted => ("Conflict", 409),
        Code::FailedPrecondition if text.contains("is under deletion") => ("Conflict", 409),
        Code::FailedPrecondition | Code::InvalidArgument => ("Invalid", 422),
        Code::PermissionDenied => ("Forbidden", 403),
        Code::Unauthenticated => ("Unauthorized", 401),
        Code::Unavailable => ("ServiceUnavailable", 503),
        _ => ("InternalError", 500),
    }
}
