//! What is wrong with a search or an order.

/// Why a text was refused. The [`Display`](std::fmt::Display) form names what is wrong, not how it is answered: callers wrap it in the
/// words of their protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not in the language.
    #[error("{message}")]
    Syntax {
        /// Column of the first character that doesn't fit, from 1.
        column: usize,
        /// What was expected or found.
        message: String,
    },
    /// The text is longer, deeper or has more terms than is allowed.
    #[error("{0}")]
    Limit(String),
    /// A field doesn't exist, or can't be used like this.
    #[error("{message}")]
    Field {
        /// Column at which the field begins, from 1.
        column: usize,
        /// Why not.
        message: String,
    },
}

impl Error {
    /// Where, from 1, when there is one place.
    pub fn column(&self) -> Option<usize> {
        match self {
            Self::Syntax { column, .. } | Self::Field { column, .. } => Some(*column),
            Self::Limit(_) => None,
        }
    }

    pub(crate) fn syntax(position: usize, message: impl Into<String>) -> Self {
        Self::Syntax {
            column: position + 1,
            message: message.into(),
        }
    }
}
