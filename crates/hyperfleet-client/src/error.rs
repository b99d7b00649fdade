//! What can go wrong, by class.

use std::path::PathBuf;

use hyperfleet_types::{Code, Problem};

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The resource is not there: deleted, or never made.
    NotFound,
    /// Nobody serves this path: a wrong base URL or a proxy, *not* proof that a resource is gone.
    WrongEndpoint,
    /// A live resource has this name.
    AlreadyExists,
    /// The state of the resource does not allow this.
    Conflict,
    /// The request is not acceptable, and won't be later.
    Invalid,
    /// No or bad credentials.
    Unauthenticated,
    /// Not allowed.
    Denied,
    /// Try again later.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// The answer makes no sense.
    BadResponse,
    /// The client is set up wrongly.
    Config,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client is set up wrongly.
    #[error("{0}")]
    Config(String),
    /// The token file can't be used.
    #[error("auth token: {path}: {reason}", path = path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer: connecting, sending or receiving failed.
    #[error("API request failed: {method} {path}: {reason}")]
    Transport {
        /// Method of the request.
        method: String,
        /// Path of the request.
        path: String,
        /// Cause in words.
        reason: String,
        /// No connection was made, so the API has not seen the request.
        unsent: bool,
        /// The time for the attempt ran out.
        timed_out: bool,
    },
    /// An answer other than 2xx.
    #[error("API request failed: {method} {path} returned {status}: {problem}")]
    Status {
        /// Method of the request.
        method: String,
        /// Path of the request.
        path: String,
        /// HTTP status.
        status: u16,
        /// The problem document; made from the status if the answer had none.
        problem: Box<Problem>,
        /// Beginning of the body as it came.
        body: String,
    },
    /// A 2xx answer that can't be read.
    #[error("API request failed: {method} {path}: unreadable answer: {reason}")]
    BadResponse {
        /// Method of the request.
        method: String,
        /// Path of the request.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// What a caller can do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Config(_) => Class::Config,
            Self::Token { .. } => Class::Unauthenticated,
            Self::Transport {
                timed_out: true, ..
            } => Class::Timeout,
            Self::Transport { .. } => Class::Unavailable,
            Self::BadResponse { .. } => Class::BadResponse,
            Self::Status {
                status, problem, ..
            } => match status {
                404 if problem.is_resource_not_found() => Class::NotFound,
                404 | 405 => Class::WrongEndpoint,
                401 => Class::Unauthenticated,
                403 => Class::Denied,
                409 if problem.code == Code::AlreadyExists.as_str() => Class::AlreadyExists,
                409 => Class::Conflict,
                408 | 504 => Class::Timeout,
                429 | 500.. => Class::Unavailable,
                _ => Class::Invalid,
            },
        }
    }

    /// Whether the same call may succeed later. A token file that is missing or empty may be filled in a moment.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Token { .. })
            || matches!(self.class(), Class::Unavailable | Class::Timeout)
    }

    /// Whether the API said that the *resource* is gone. A 404 from something else (wrong base URL, proxy) is not that.
    pub fn is_not_found(&self) -> bool {
        self.class() == Class::NotFound
    }

    /// HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The problem document, if there was an answer other than 2xx.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Status { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether repeating a request that must not be done twice is safe.
    pub(crate) fn did_nothing(&self) -> bool {
        match self {
            Self::Transport { unsent, .. } => *unsent,
            Self::Status { status, .. } => matches!(status, 429 | 503),
            Self::Token { .. } => true,
            _ => false,
        }
    }
}
