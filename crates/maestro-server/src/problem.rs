//! The numbered errors of the API: one catalogue for REST bodies and gRPC texts (`docs/protocol/maestro-rest.md`).

use http::StatusCode;

use crate::model::Refusal;
use crate::seldom::seldom;
use crate::storage;
use crate::writer::WriteError;

/// An entry of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its number: `maestro-<number>`.
    pub number: u16,
    /// Its HTTP status.
    pub status: StatusCode,
    /// What is said when there is nothing better to say.
    pub reason: &'static str,
}

macro_rules! catalogue {
    ($($name:ident = $number:literal, $status:ident, $reason:literal;)*) => {
        $(#[doc = $reason] pub const $name: Code = Code { number: $number, status: StatusCode::$status, reason: $reason };)*
        /// All entries, by number.
        pub const CATALOGUE: &[Code] = &[$($name),*];
    };
}

catalogue! {
    INVALID_TOKEN = 1, FORBIDDEN, "Invalid token provided";
    FORBIDDEN = 4, FORBIDDEN, "Forbidden to perform this action";
    CONFLICT = 6, CONFLICT, "An entity with the specified unique values already exists";
    NOT_FOUND = 7, NOT_FOUND, "Resource not found";
    VALIDATION = 8, BAD_REQUEST, "General validation failure";
    GENERAL = 9, INTERNAL_SERVER_ERROR, "Unspecified error";
    NOT_IMPLEMENTED = 10, METHOD_NOT_ALLOWED, "HTTP Method not implemented for this endpoint";
    UNAUTHORIZED = 11, FORBIDDEN, "Account is unauthorized to perform this action";
    UNAUTHENTICATED = 15, UNAUTHORIZED, "Account authentication could not be verified";
    MALFORMED_REQUEST = 17, BAD_REQUEST, "Unable to read request body";
    BAD_REQUEST = 21, BAD_REQUEST, "Bad request";
    BAD_SEARCH = 23, BAD_REQUEST, "Failed to parse search query";
    ADVISORY_LOCK = 26, INTERNAL_SERVER_ERROR, "Database advisory lock error";
}

/// An error as clients see it: never with text of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which entry of the catalogue.
    pub code: Code,
    /// What happened.
    pub reason: String,
    /// Whether the same request may succeed later: HTTP 503 instead of the code's status, gRPC UNAVAILABLE.
    pub unavailable: bool,
}

impl Problem {
    /// An error with a reason.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            unavailable: false,
        }
    }

    /// What the storage failed with, for the log only; clients learn whether to try again.
    #[must_use]
    pub fn storage(doing: &str, error: &storage::Error) -> Self {
        if error.is_retryable() {
            seldom!(warn, %error, doing, "The database is unavailable.");
            let reason = format!("{doing}: the database is unavailable, try again later");
            return Self {
                code: GENERAL,
                reason,
                unavailable: true,
            };
        }
        seldom!(error, %error, doing, "The database failed.");
        Self::new(
            GENERAL,
            format!("{doing}: internal error, see the server's log"),
        )
    }

    /// As [`Problem::storage`], for a list that was searched. What a search computes or compares may be beyond what PostgreSQL can
    /// hold; it shows only in the rows, and is the searcher's to mend.
    #[must_use]
    pub fn list(doing: &str, error: &storage::Error) -> Self {
        match error {
            storage::Error::Invalid(_) => Self::new(
                BAD_REQUEST,
                format!("{doing}: the search has a value that is out of range"),
            ),
            _ => Self::storage(doing, error),
        }
    }

    /// `maestro-<number>: <reason>`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("maestro-{}: {}", self.code.number, self.reason)
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if self.unavailable {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            self.code.status
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let code = match refusal {
            Refusal::AlreadyExists | Refusal::UnderDeletion(_) | Refusal::Stale { .. } => CONFLICT,
            Refusal::NotFound(_) => NOT_FOUND,
            Refusal::NotOwner(_) => FORBIDDEN,
            Refusal::NotStorable | Refusal::Sequence(_) | Refusal::UnmatchedConsumer { .. } => {
                VALIDATION
            }
            Refusal::UnknownConsumer(_) => {
                return Self::new(GENERAL, format!("Unable to create Resource: {refusal}"));
            }
            Refusal::VersionsExhausted => GENERAL,
        };
        Self::new(code, refusal.to_string())
    }
}

impl Problem {
    /// Why a write didn't happen; `doing` names it for what the database failed with.
    #[must_use]
    pub fn write(doing: &str, error: &WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => refusal.into(),
            WriteError::Storage(error) => Self::storage(doing, error),
        }
    }
}
