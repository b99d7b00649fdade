//! The grammars.
//!
//! [`scanner`] reads characters, [`grammar`] is the recursive descent that all of them share, and each submodule says what is particular
//! about one: which strings, lists, identifiers and values it has.

mod grammar;
pub mod hyperfleet;
pub mod maestro;
mod scanner;

/// Parentheses and `not` inside each other.
pub const MAX_DEPTH: usize = 32;

/// Tests in one search.
pub const MAX_TERMS: usize = 128;

/// Values in one list.
pub const MAX_LIST: usize = 1000;

/// Steps of one path into a JSON document. Databases nest an expression per step, and give up at some depth.
pub const MAX_STEPS: usize = 32;

/// Arithmetic operators in one operand, for the same reason.
pub const MAX_OPERATORS: usize = 32;

/// Values in one document after `@>`, at all levels together.
pub const MAX_CONTAINED: usize = 100;

/// Lists and objects inside each other in such a document: SQLite looks into each list by a query of its own, and gives up at some depth.
pub const MAX_LEVELS: usize = 16;
