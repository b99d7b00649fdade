use std::fmt;

use rusqlite::ffi;
use tokio_postgres::error::SqlState;

/// What went wrong, sorted by what a caller can do about it.
///
/// The texts are for logs: they may hold SQL and belong in no answer to a client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database doesn't answer, refuses connections, is starting or stopping, is out of disk, or took too long.
    /// What was asked may or may not have happened.
    #[error("database unavailable: {0}")]
    Unavailable(Cause),
    /// A row with the same unique value exists. `constraint` is the name of the constraint (PostgreSQL) or
    /// `table.column` (SQLite).
    #[error("unique constraint {constraint} is violated")]
    Unique {
        /// Name of the constraint.
        constraint: String,
    },
    /// A referenced row is missing, or a row is still referenced. SQLite doesn't tell the name: it is empty there.
    #[error("foreign key constraint {constraint} is violated")]
    ForeignKey {
        /// Name of the constraint.
        constraint: String,
    },
    /// A concurrent transaction got in the way; running the whole transaction again may succeed.
    #[error("concurrent transactions: {0}")]
    Serialization(Cause),
    /// A value can't be stored (number out of range, text with a NUL, malformed JSON).
    #[error("value not storable: {0}")]
    Invalid(Cause),
    /// Anything else: a mistake in a statement or in the schema.
    #[error("database error: {0}")]
    Other(Cause),
}

impl Error {
    /// Whether the same operation may succeed later without any change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Serialization(_))
    }

    /// An [`Error::Unavailable`] from a text.
    #[must_use]
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::Unavailable(Cause(text.into().into()))
    }

    /// An [`Error::Other`] from a text.
    #[must_use]
    pub fn other(text: impl Into<String>) -> Self {
        Self::Other(Cause(text.into().into()))
    }
}

/// The driver's error behind an [`Error`]; its text includes the database's own words.
#[derive(Debug)]
pub struct Cause(pub(crate) Box<dyn std::error::Error + Send + Sync>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

// === PostgreSQL ===

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            return if is_local(&error) {
                Self::Other(Cause(Box::new(error)))
            } else {
                Self::Unavailable(Cause(Box::new(error)))
            };
        };
        let constraint = || database.constraint().unwrap_or_default().to_owned();
        let code = database.code();
        if *code == SqlState::UNIQUE_VIOLATION {
            return Self::Unique {
                constraint: constraint(),
            };
        }
        if *code == SqlState::FOREIGN_KEY_VIOLATION || *code == SqlState::RESTRICT_VIOLATION {
            return Self::ForeignKey {
                constraint: constraint(),
            };
        }
        let cause = Cause(Box::new(error));
        match class_of(&cause) {
            Class::Unavailable => Self::Unavailable(cause),
            Class::Serialization => Self::Serialization(cause),
            Class::Invalid => Self::Invalid(cause),
            Class::Other => Self::Other(cause),
        }
    }
}

enum Class {
    Unavailable,
    Serialization,
    Invalid,
    Other,
}

fn class_of(cause: &Cause) -> Class {
    let code = cause
        .0
        .downcast_ref::<tokio_postgres::Error>()
        .and_then(tokio_postgres::Error::code)
        .map_or("", SqlState::code);
    match (code.get(..2).unwrap_or_default(), code) {
        // Connection exceptions, insufficient resources, operator intervention (shutdown, cancel, starting), I/O.
        ("08" | "53" | "57" | "58", _) => Class::Unavailable,
        // A standby that was promoted elsewhere: the next connection finds the new primary.
        (_, "25006") => Class::Unavailable,
        ("40", _) | (_, "55P03") => Class::Serialization,
        // Data exceptions, and text that the server's encoding can't hold.
        ("22", _) | (_, "54000") => Class::Invalid,
        _ => Class::Other,
    }
}

/// Errors that the driver makes without the server: wrong parameter types, wrong row counts.
fn is_local(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing")
        || text.starts_with("error deserializing")
        || text.starts_with("query returned an unexpected")
        || text.starts_with("expected ")
        || text.starts_with("invalid configuration")
}

// === SQLite ===

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = &error else {
            return Self::Other(Cause(Box::new(error)));
        };
        match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                let message = message.as_deref().unwrap_or_default();
                let constraint = message.rsplit_once(": ").map_or(message, |(_, name)| name);
                return Self::Unique {
                    constraint: constraint.to_owned(),
                };
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER => {
                return Self::ForeignKey {
                    constraint: String::new(),
                };
            }
            _ => {}
        }
        let cause = |error| Cause(Box::new(error));
        match failure.code {
            rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked => {
                Self::Serialization(cause(error))
            }
            rusqlite::ErrorCode::DiskFull
            | rusqlite::ErrorCode::SystemIoFailure
            | rusqlite::ErrorCode::CannotOpen
            | rusqlite::ErrorCode::ReadOnly
            | rusqlite::ErrorCode::OutOfMemory => Self::Unavailable(cause(error)),
            rusqlite::ErrorCode::TooBig | rusqlite::ErrorCode::TypeMismatch => {
                Self::Invalid(cause(error))
            }
            _ => Self::Other(cause(error)),
        }
    }
}
