//! The three languages inside of a task config: templates, CEL and field paths; compiled at load, bounded at run.

mod expression;
mod field;
mod text;

pub(crate) use expression::{Dialect, Expression, OlderConstruct, Variables, matched};
pub(crate) use field::FieldPath;
pub(crate) use text::Text;

/// Why a text does not compile, with the place inside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Line from 1; 0 if unknown.
    pub(crate) line: usize,
    /// Column from 1.
    pub(crate) column: usize,
    pub(crate) message: String,
}
