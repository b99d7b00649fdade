//! What goes wrong between players and a server.

use std::path::PathBuf;
use std::time::Duration;

use tonic::{Code, Status};

/// Why a player couldn't do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address isn't one.
    #[error("{address:?} is not an address: {why}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file of certificates or with a token.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No connection.
    #[error("no connection to {address}: {why}")]
    Connect {
        /// Where to.
        address: String,
        /// Why not.
        why: String,
    },
    /// Something didn't come in time.
    #[error("{what} did not happen within {after:.1?}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A gRPC call was refused.
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(#[from] Status),
    /// A stream ended although it was needed.
    #[error("the stream ended while waiting for {what}: {end}")]
    Ended {
        /// What was waited for.
        what: String,
        /// How it ended.
        end: String,
    },
    /// A REST call got no answer.
    #[error("{method} {path}: {why}")]
    Rest {
        /// Method.
        method: String,
        /// Path and query.
        path: String,
        /// What happened.
        why: String,
    },
    /// A REST call got another answer than the player can use.
    #[error("{method} {path} answered {status}: {body}")]
    Answer {
        /// Method.
        method: String,
        /// Path and query.
        path: String,
        /// Status of the answer.
        status: u16,
        /// Beginning of its body.
        body: String,
    },
    /// A socket of our own.
    #[error("local socket: {0}")]
    Io(#[from] std::io::Error),
}

/// True for refusals after which the same event may be published again: the server wasn't reached, or gave up.
#[must_use]
pub fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled
    )
}

/// An error and what it came from, in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text = format!("{text}: {cause}");
        at = cause.source();
    }
    text
}
