//! The one error of this crate.

/// When an error is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text is not a path.
    Syntax,
    /// The text is well formed, but can't be evaluated: over this value, or (a bare word such as `status`) over any.
    ///
    /// client-go finds a bare word only when it evaluates; here it is found on parsing and keeps the class.
    Evaluation,
    /// A stated limit was reached.
    Limit,
}

/// What is wrong, and where. The texts are those of client-go where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", self.suffix())]
pub struct Error {
    /// Class of the error.
    pub kind: Kind,
    /// Column in characters of the text that was parsed, from 1; 0 for errors of evaluation.
    pub column: usize,
    /// What is wrong, without the position.
    pub message: String,
}

// === impl Error ===

impl Error {
    pub(crate) fn evaluation(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Evaluation,
            column: 0,
            message: message.into(),
        }
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Limit,
            column: 0,
            message: message.into(),
        }
    }

    fn suffix(&self) -> String {
        if self.column > 0 {
            format!(" (column {})", self.column)
        } else {
            String::new()
        }
    }
}
