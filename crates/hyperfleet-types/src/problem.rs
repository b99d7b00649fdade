//! Errors on the wire: RFC 9457 problem documents with HyperFleet's codes.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What `type` of every problem starts with.
pub const TYPE_BASE: &str = "https://api.hyperfleet.io/errors/";

/// A HyperFleet error code; decides status, type and title of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// `VAL-000`: the request was understood and is not valid.
    Validation,
    /// `VAL-005`: order, search or patch is not acceptable.
    BadRequest,
    /// `VAL-006`: the body can't be read.
    Malformed,
    /// `AUT-001`: no credentials.
    AuthenticationRequired,
    /// `AUT-002`: credentials that are not accepted.
    InvalidCredentials,
    /// `AUT-003`: a token that expired.
    InvalidToken,
    /// `AUZ-001`: not allowed.
    PermissionDenied,
    /// `NTF-000`: no such path; says nothing about any resource.
    EndpointNotFound,
    /// `NTF-001`: the resource does not exist.
    ResourceNotFound,
    /// `CNF-001`: it exists already.
    AlreadyExists,
    /// `CNF-002`: somebody else was faster.
    VersionConflict,
    /// `CNF-003`: its state does not allow this.
    StateConflict,
    /// `LMT-001`: too many requests.
    RateLimit,
    /// `INT-001`: our fault.
    Internal,
    /// `INT-002`: our fault, in the storage.
    Database,
    /// `INT-003`: not implemented.
    NotImplemented,
    /// `SVC-001`: come back later.
    Unavailable,
    /// `SVC-002`: it took too long.
    Timeout,
}

impl Code {
    /// Code, HTTP status, slug of the type, title.
    const fn facts(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Self::Validation => (
                "HYPERFLEET-VAL-000",
                400,
                "validation-error",
                "Validation Failed",
            ),
            Self::BadRequest => ("HYPERFLEET-VAL-005", 400, "bad-request", "Bad Request"),
            Self::Malformed => (
                "HYPERFLEET-VAL-006",
                400,
                "malformed-request",
                "Malformed Request",
            ),
            Self::AuthenticationRequired => (
                "HYPERFLEET-AUT-001",
                401,
                "authentication-error",
                "Authentication Required",
            ),
            Self::InvalidCredentials => (
                "HYPERFLEET-AUT-002",
                401,
                "authentication-error",
                "Invalid Credentials",
            ),
            Self::InvalidToken => (
                "HYPERFLEET-AUT-003",
                401,
                "authentication-error",
                "Invalid Token",
            ),
            Self::PermissionDenied => (
                "HYPERFLEET-AUZ-001",
                403,
                "permission-denied",
                "Permission Denied",
            ),
            Self::EndpointNotFound => {
                ("HYPERFLEET-NTF-000", 404, "not-found", "Endpoint Not Found")
            }
            Self::ResourceNotFound => {
                ("HYPERFLEET-NTF-001", 404, "not-found", "Resource Not Found")
            }
            Self::AlreadyExists => ("HYPERFLEET-CNF-001", 409, "conflict", "Resource Conflict"),
            Self::VersionConflict => ("HYPERFLEET-CNF-002", 409, "conflict", "Version Conflict"),
            Self::StateConflict => ("HYPERFLEET-CNF-003", 409, "conflict", "State Conflict"),
            Self::RateLimit => (
                "HYPERFLEET-LMT-001",
                429,
                "rate-limit",
                "Rate Limit Exceeded",
            ),
            Self::Internal => (
                "HYPERFLEET-INT-001",
                500,
                "internal-error",
                "Internal Server Error",
            ),
            Self::Database => (
                "HYPERFLEET-INT-002",
                500,
                "internal-error",
                "Database Error",
            ),
            Self::NotImplemented => (
                "HYPERFLEET-INT-003",
                501,
                "not-implemented",
                "Not Implemented",
            ),
            Self::Unavailable => (
                "HYPERFLEET-SVC-001",
                503,
                "service-unavailable",
                "Service Unavailable",
            ),
            Self::Timeout => (
                "HYPERFLEET-SVC-002",
                504,
                "service-unavailable",
                "Service Timeout",
            ),
        }
    }

    /// The code on the wire, e.g. `HYPERFLEET-NTF-001`.
    pub const fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        self.facts().1
    }

    /// Title that goes with it.
    pub const fn title(self) -> &'static str {
        self.facts().3
    }

    /// Absolute URI for `type`.
    pub fn type_uri(self) -> String {
        format!("{TYPE_BASE}{}", self.facts().2)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One member of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldError {
    /// Path of the member, e.g. `spec.platform.type`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Which rule: `required min max min_length max_length pattern enum format unique`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
}

impl FieldError {
    /// An error about `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            value: None,
            constraint: None,
        }
    }

    /// Adds the value that was sent.
    #[must_use]
    pub fn value(mut self, value: impl Into<Value>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds the rule that was broken.
    #[must_use]
    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.constraint = Some(constraint.into());
        self
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// URI of the class of the problem.
    #[serde(rename = "type", default)]
    pub type_: String,
    /// Name of the class of the problem.
    #[serde(default)]
    pub title: String,
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What happened this time.
    #[serde(default)]
    pub detail: String,
    /// Path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// HyperFleet code, see [`Code`]; a string, because newer servers may have more of them.
    #[serde(default)]
    pub code: String,
    /// When it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// Id of the request (the response's `X-Request-ID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Each wrong member of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem with this code; `instance`, `trace_id` and `errors` empty, `timestamp` unset.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            type_: code.type_uri(),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            instance: None,
            code: code.as_str().to_owned(),
            timestamp: None,
            trace_id: None,
            errors: Vec::new(),
        }
    }

    /// Whether this says that a *resource* does not exist, as opposed to a path nobody serves.
    pub fn is_resource_not_found(&self) -> bool {
        self.status == 404 && !self.code.is_empty() && self.code != Code::EndpointNotFound.as_str()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.code.is_empty() {
            write!(f, "{}: ", self.code)?;
        }
        f.write_str(if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        })?;
        for error in &self.errors {
            write!(f, "; {}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}
