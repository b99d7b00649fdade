//! Why a request was not done.

use hyperfleet_types::{Code, FieldError, Problem};

/// A request that was understood and refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Rejection {
    /// Code, and with it status and title.
    pub code: Code,
    /// Status, where it is not the code's usual one.
    pub status: Option<u16>,
    /// What happened, for the caller.
    pub detail: String,
    /// Each wrong member of the request.
    pub errors: Vec<FieldError>,
}

impl Rejection {
    /// A refusal with this code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: None,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// The request is not valid.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::Validation, detail)
    }

    /// The body can't be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    /// There is no such resource.
    pub fn not_found(kind: &str, id: &str) -> Self {
        Self::new(
            Code::ResourceNotFound,
            format!("{kind} with id='{id}' not found"),
        )
    }

    /// Its state does not allow this.
    pub fn state(detail: impl Into<String>) -> Self {
        Self::new(Code::StateConflict, detail)
    }

    /// Adds the wrong members.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Replaces the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// As a problem document; instance, time and request id are the HTTP layer's.
    pub fn problem(&self) -> Problem {
        let mut problem = Problem::new(self.code, self.detail.clone());
        problem.status = self.status.unwrap_or(problem.status);
        problem.errors.clone_from(&self.errors);
        problem
    }
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The storage failed; its text is for logs only.
    #[error(transparent)]
    Store(#[from] sql_store::Error),
}

impl Error {
    /// What the caller is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Rejected(rejection) => rejection.problem(),
            Self::Store(sql_store::Error::Unavailable(_)) => {
                Problem::new(Code::Unavailable, "Database connection unavailable")
            }
            Self::Store(sql_store::Error::Serialization(_)) => Problem::new(
                Code::VersionConflict,
                "The resource was changed by somebody else at the same time; try again",
            ),
            Self::Store(_) => Problem::new(Code::Database, "The request could not be stored"),
        }
    }
}
