//! What went wrong, in the classes a caller acts upon.

use std::time::Duration;

use kube::core::Status;
use kube::core::response::{StatusCause, reason};

/// A request that did not do what was asked.
///
/// Refusals carry the `Status` object of the API server; [`Error::status`] gives it for all of them.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kubeconfig or the in-cluster settings can't be used.
    #[error("{0}")]
    Config(String),
    /// No API of that version has the kind.
    #[error("the server doesn't have a resource type \"{kind}\"")]
    NoSuchKind {
        /// `group/version`, or `version` for the core group.
        api_version: String,
        /// The kind, or the plural that was looked for.
        kind: String,
    },
    /// The object, or the path as a whole, doesn't exist (404).
    #[error("{}", .0.message)]
    NotFound(Box<Status>),
    /// The object exists already (409, `AlreadyExists`).
    #[error("{}", .0.message)]
    AlreadyExists(Box<Status>),
    /// Stale resource version, failed precondition, or a server-side apply conflict (409).
    #[error("{}", .0.message)]
    Conflict(Box<Status>),
    /// The object breaks a rule of its schema (422).
    #[error("{}", .0.message)]
    Invalid(Box<Status>),
    /// Authorization or admission said no (403).
    #[error("{}", .0.message)]
    Forbidden(Box<Status>),
    /// The credentials are missing or not accepted (401).
    #[error("{}", .0.message)]
    Unauthorized(Box<Status>),
    /// The resource version or the continue token is out of the history (410).
    #[error("{}", .0.message)]
    Expired(Box<Status>),
    /// The server asks to come again later (429).
    #[error("{}", .0.message)]
    TooManyRequests(Box<Status>),
    /// Any other refusal.
    #[error("{}", .0.message)]
    Api(Box<Status>),
    /// The server could not be reached, or says that it can't work now (500, 502, 503, 504).
    #[error("{message}")]
    Unavailable {
        /// What was seen.
        message: String,
        /// The answer, if there was one.
        status: Option<Box<Status>>,
    },
    /// No answer within the time that a request may take.
    #[error("no answer from the Kubernetes API within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The answer can't be read.
    #[error("unreadable answer from the Kubernetes API: {0}")]
    Decode(String),
    /// The request can't be made from these values; nothing was sent.
    #[error("{0}")]
    BadInput(String),
}

/// A field that another manager holds, as a refused server-side apply reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldConflict {
    /// The manager that holds the field, as far as the server named it.
    pub manager: String,
    /// The field as a path, such as `.spec.replicas`.
    pub field: String,
}

impl Error {
    /// Classifies the answer of the API server; `code` is the HTTP status.
    pub(crate) fn from_status(mut status: Status, code: u16) -> Self {
        if status.code == 0 {
            status.code = code;
        }
        if status.message.is_empty() {
            status.message = default_message(status.code);
        }
        let status = Box::new(status);
        match (status.reason.as_str(), status.code) {
            (reason::ALREADY_EXISTS, _) => Self::AlreadyExists(status),
            (reason::CONFLICT, _) | (_, 409) => Self::Conflict(status),
            (reason::NOT_FOUND, _) | (_, 404) => Self::NotFound(status),
            (reason::INVALID, _) | (_, 422) => Self::Invalid(status),
            (reason::FORBIDDEN, _) | (_, 403) => Self::Forbidden(status),
            (reason::UNAUTHORIZED, _) | (_, 401) => Self::Unauthorized(status),
            (reason::EXPIRED | reason::GONE, _) | (_, 410) => Self::Expired(status),
            (reason::TOO_MANY_REQUESTS, _) | (_, 429) => Self::TooManyRequests(status),
            (_, 500..) => Self::Unavailable {
                message: status.message.clone(),
                status: Some(status),
            },
            _ => Self::Api(status),
        }
    }

    /// The `Status` object, if the API server answered with one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::NotFound(status)
            | Self::AlreadyExists(status)
            | Self::Conflict(status)
            | Self::Invalid(status)
            | Self::Forbidden(status)
            | Self::Unauthorized(status)
            | Self::Expired(status)
            | Self::TooManyRequests(status)
            | Self::Api(status) => Some(status),
            Self::Unavailable { status, .. } => status.as_deref(),
            _ => None,
        }
    }

    /// Whether the same request may succeed later without anybody changing it.
    ///
    /// A conflict counts: the caller has to read again first, but needs no person to act.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Conflict(_)
                | Self::Expired(_)
                | Self::TooManyRequests(_)
                | Self::Unavailable { .. }
                | Self::Timeout(_)
        )
    }

    /// Whether the object isn't there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Whether the kind isn't served (yet).
    pub fn is_no_such_kind(&self) -> bool {
        matches!(self, Self::NoSuchKind { .. })
    }

    /// Whether this is any 409 other than "already exists".
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// The fields and managers that made a server-side apply fail; empty for every other error.
    pub fn field_conflicts(&self) -> Vec<FieldConflict> {
        let Self::Conflict(status) = self else {
            return Vec::new();
        };
        let Some(details) = &status.details else {
            return Vec::new();
        };
        details
            .causes
            .iter()
            .filter(|cause| cause.reason == "FieldManagerConflict")
            .map(field_conflict)
            .collect()
    }

    /// The causes that the server lists, with their fields; empty if it lists none.
    pub fn causes(&self) -> &[StatusCause] {
        self.status()
            .and_then(|status| status.details.as_ref())
            .map_or(&[], |details| &details.causes)
    }
}

/// Reads `conflict with "manager" using apps/v1 at …` as the server writes it.
fn field_conflict(cause: &StatusCause) -> FieldConflict {
    let manager = cause
        .message
        .split_once('"')
        .and_then(|(_, rest)| rest.rsplit_once('"'))
        .map_or_else(|| cause.message.clone(), |(name, _)| name.to_owned());
    FieldConflict {
        manager,
        field: cause.field.clone(),
    }
}

fn default_message(code: u16) -> String {
    match code {
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        code => format!("the server answered with status {code}"),
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let code = status.code;
                Self::from_status(*status, code)
            }
            kube::Error::SerdeError(error) => Self::Decode(error.to_string()),
            kube::Error::FromUtf8(error) => Self::Decode(error.to_string()),
            kube::Error::BuildRequest(error) => Self::BadInput(error.to_string()),
            kube::Error::HttpError(error) => Self::BadInput(error.to_string()),
            kube::Error::Auth(error) => Self::Config(format!("credentials: {error}")),
            kube::Error::InferConfig(error) => Self::Config(error.to_string()),
            kube::Error::InferKubeconfig(error) => Self::Config(error.to_string()),
            kube::Error::RustlsTls(error) => Self::Config(format!("TLS: {error}")),
            other => Self::Unavailable {
                message: chain(&other),
                status: None,
            },
        }
    }
}

/// The innermost causes in one line: "client error (Connect): Connection refused".
fn chain(error: &dyn std::error::Error) -> String {
    const MAX_DEPTH: usize = 8;
    let mut parts: Vec<String> = Vec::new();
    let mut current = error.source();
    while let Some(cause) = current {
        if parts.len() == MAX_DEPTH {
            break;
        }
        let text = cause.to_string();
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
        current = cause.source();
    }
    if parts.is_empty() {
        parts.push(error.to_string());
    }
    format!("Kubernetes API: {}", parts.join(": "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn classified(code: u16, reason: &str) -> Error {
        let status: Status =
            serde_json::from_value(json!({"status": "Failure", "reason": reason, "message": "m"}))
                .unwrap();
        Error::from_status(status, code)
    }

    #[test]
    fn reason_decides_before_code() {
        assert!(matches!(
            classified(409, "AlreadyExists"),
            Error::AlreadyExists(_)
        ));
        assert!(matches!(classified(409, "Conflict"), Error::Conflict(_)));
        assert!(matches!(classified(404, ""), Error::NotFound(_)));
        assert!(matches!(classified(422, "Invalid"), Error::Invalid(_)));
        assert!(matches!(classified(410, "Expired"), Error::Expired(_)));
        assert!(matches!(
            classified(503, "ServiceUnavailable"),
            Error::Unavailable { .. }
        ));
        assert!(matches!(classified(405, "MethodNotAllowed"), Error::Api(_)));
    }

    #[test]
    fn conflicts_name_manager_and_field() {
        let status: Status = serde_json::from_value(json!({
            "reason": "Conflict", "code": 409, "message": "Apply failed with 2 conflicts: ...",
            "details": {"causes": [
                {"reason": "FieldManagerConflict", "field": ".spec.x", "message": "conflict with \"kubectl-annotate\""},
                {"reason": "FieldManagerConflict", "field": ".spec.y",
                 "message": "conflict with \"hypershift\" using hypershift.openshift.io/v1beta1 at 2026-01-01T00:00:00Z"},
            ]},
        }))
        .unwrap();
        let conflicts = Error::from_status(status, 409).field_conflicts();
        assert_eq!(conflicts.len(), 2);
        assert_eq!(conflicts[0].manager, "kubectl-annotate");
        assert_eq!(conflicts[1].manager, "hypershift");
        assert_eq!(conflicts[1].field, ".spec.y");
    }

    #[test]
    fn an_empty_refusal_still_says_something() {
        let error = Error::from_status(Status::default(), 405);
        assert_eq!(
            error.to_string(),
            "the server does not allow this method on the requested resource"
        );
    }
}
