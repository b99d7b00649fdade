//! What can go wrong, by the class that a caller needs.

mod classify;

use std::time::Duration;

use manifestwork::validate::FieldError;

pub(crate) use classify::{from_http, from_status};

/// What can go wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration can't be used.
    #[error("{message}")]
    Config {
        /// What is wrong with it.
        message: String,
    },
    /// There is no such thing.
    #[error("{resource} \"{name}\" not found")]
    NotFound {
        /// What kind of thing.
        resource: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("{resource} \"{name}\" already exists")]
    AlreadyExists {
        /// What kind of thing.
        resource: &'static str,
        /// Its name.
        name: String,
    },
    /// Somebody changed it since it was read. Read again, apply the change to the fresh copy, try again.
    #[error("{message}")]
    Conflict {
        /// What the server said.
        message: String,
        /// Version that the server has, if it told.
        latest: Option<i64>,
    },
    /// It is being deleted and can't be changed any more. It can be made anew once it is gone.
    #[error("{message}")]
    Deleting {
        /// What the server said.
        message: String,
    },
    /// It breaks a rule; trying again doesn't help.
    #[error("{message}")]
    Invalid {
        /// All that is wrong.
        message: String,
        /// The fields, if they are known.
        fields: Vec<FieldError>,
    },
    /// The work's namespace is no registered consumer.
    #[error("consumer {consumer:?} is not registered with Maestro")]
    ConsumerNotFound {
        /// Its name.
        consumer: String,
    },
    /// We may not do this.
    #[error("{message}")]
    Denied {
        /// What the server said.
        message: String,
    },
    /// The server doesn't know who we are: no token, an expired one, or one of another cluster.
    #[error("{message}")]
    Unauthenticated {
        /// What the server said.
        message: String,
    },
    /// The server can't be reached or is not ready. Trying again helps.
    #[error("{message}")]
    Unavailable {
        /// What happened.
        message: String,
    },
    /// There was no answer in time. Trying again helps; a write may have happened.
    #[error("no answer from {address} within {limit:?}")]
    Timeout {
        /// Who should have answered.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// It takes more bytes than allowed.
    #[error("{message}")]
    TooLarge {
        /// What the limit is.
        message: String,
    },
    /// The server failed. Trying again may help.
    #[error("{message}")]
    Internal {
        /// What the server said.
        message: String,
    },
    /// The other side doesn't speak the protocol: perhaps the address is of another service.
    #[error("{message}")]
    Protocol {
        /// What was strange.
        message: String,
    },
}

// === impl Error ===

impl Error {
    /// True if the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Timeout { .. } | Self::Internal { .. }
        )
    }

    /// True if somebody else changed the work in between.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// True if there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The reason as Kubernetes spells it, for conditions and metrics.
    #[must_use]
    pub fn status_reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NotFound",
            Self::AlreadyExists { .. } => "AlreadyExists",
            Self::Conflict { .. } | Self::Deleting { .. } => "Conflict",
            Self::Invalid { .. } => "Invalid",
            Self::ConsumerNotFound { .. } => "ConsumerNotFound",
            Self::Denied { .. } => "Forbidden",
            Self::Unauthenticated { .. } => "Unauthorized",
            Self::Unavailable { .. } => "ServiceUnavailable",
            Self::Timeout { .. } => "Timeout",
            Self::TooLarge { .. } => "RequestEntityTooLarge",
            Self::Config { .. } | Self::Internal { .. } | Self::Protocol { .. } => "InternalError",
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            fields: Vec::new(),
        }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
        }
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::Protocol {
            message: message.into(),
        }
    }
}
