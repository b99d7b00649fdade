//! How a command ends.

use std::fmt;

use maestro_client::Error;

/// Exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It went well.
    Ok = 0,
    /// It went wrong in a way that has no code of its own; with `diff --exit-code`: there are differences.
    Failed = 1,
    /// The command line, a file or an expression is wrong.
    Usage = 2,
    /// The work or the consumer doesn't exist.
    NotFound = 3,
    /// The condition was not met in time.
    WaitTimeout = 4,
    /// Somebody else changed, owns or deletes the work.
    Conflict = 5,
    /// Maestro can't be reached, or doesn't let us in.
    Connection = 6,
    /// A signal ended the command.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command failed, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The process ends with this.
    pub code: ExitCode,
    /// One word for programs, in the results file.
    pub reason: &'static str,
    /// What went wrong.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
}

// === impl Failure ===

impl Failure {
    /// A failure without a hint.
    pub fn new(code: ExitCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            hint: String::new(),
        }
    }

    /// The command line or a file is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, "InvalidManifest", message)
    }

    /// The work doesn't exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ExitCode::NotFound, "ManifestWorkNotFound", message)
    }

    /// A signal came.
    pub fn interrupted(during: &str) -> Self {
        Self::new(
            ExitCode::Interrupted,
            "Interrupted",
            format!("{during}: context canceled"),
        )
    }

    /// The same failure with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same failure with text before its message.
    #[must_use]
    pub fn context(mut self, prefix: &str) -> Self {
        self.message = format!("{prefix}: {}", self.message);
        self
    }

    /// A failed call.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let message = error.to_string();
        let (code, reason, hint) = match error {
            Error::NotFound { .. } => (ExitCode::NotFound, "ManifestWorkNotFound", ""),
            Error::ConsumerNotFound { .. } => (
                ExitCode::NotFound,
                "ConsumerNotFound",
                "Register the consumer with Maestro first, or check --consumer for a typing error.",
            ),
            Error::AlreadyExists { .. } => (ExitCode::Conflict, "Conflict", ""),
            Error::Conflict { .. } => (
                ExitCode::Conflict,
                "Conflict",
                "Somebody else changed the work in between. Run the command again, or with --retry-on-conflict=3.",
            ),
            Error::Deleting { .. } => (
                ExitCode::Conflict,
                "Conflict",
                "The work is being deleted. Wait until it is gone (delete --wait), then apply again.",
            ),
            Error::Invalid { .. } | Error::TooLarge { .. } => {
                (ExitCode::Usage, "InvalidManifest", "")
            }
            Error::Config { .. } => (ExitCode::Usage, "InvalidConfiguration", ""),
            Error::Denied { .. } => (
                ExitCode::Connection,
                "Forbidden",
                "The server knows who you are but doesn't let you act for this source: check --source-id and the server's access rules.",
            ),
            Error::Unauthenticated { .. } => (
                ExitCode::Connection,
                "Unauthorized",
                "Give a valid token (--grpc-client-token-file) or client certificate; tokens travel over TLS only.",
            ),
            Error::Unavailable { .. } => (
                ExitCode::Connection,
                "Unavailable",
                connection_hint(&message),
            ),
            Error::Timeout { .. } => (
                ExitCode::Connection,
                "Timeout",
                "Check the endpoint, or give --timeout more time.",
            ),
            Error::Protocol { .. } => (
                ExitCode::Connection,
                "Unavailable",
                "--http-endpoint is the REST API (port 8000), --grpc-endpoint the source service (port 8090).",
            ),
            _ => (ExitCode::Failed, "ApplyFailed", ""),
        };
        Self::new(code, reason, message).hint(hint)
    }

    /// Prints the failure as `Error: ...` to standard error.
    pub fn print(&self) {
        eprintln!("Error: {}", self.message);
        if !self.hint.is_empty() {
            eprintln!("Hint:  {}", self.hint);
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

fn connection_hint(message: &str) -> &'static str {
    if message.contains("TLS handshake") {
        "The server may not speak TLS there (then use --grpc-insecure), or its certificate is of another authority (--grpc-server-ca-file)."
    } else {
        "Is Maestro running there? Check --http-endpoint and --grpc-endpoint, and --grpc-insecure for servers without TLS."
    }
}
