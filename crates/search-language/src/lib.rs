//! The language of `search` and `orderBy` in list requests: text to tree, tree to bound SQL.
//!
//! ```text
//!  text ──parse──► Expr ──sql::render(Columns, Dialect)──► Fragment { sql, params }
//! ```
//!
//! Three grammars share one tree: Maestro's two (plain, and the one with JSON paths) and that of the HyperFleet API. Whatever a stranger
//! types, it reaches a database as bound parameters only: column names come from the caller's [`Columns`], never from the text. The same
//! tree means the same on PostgreSQL and SQLite. The grammars are on the page `docs/protocol/search.md`.
//!
//! In reading order: [`tree`] (what was said), [`parse`] (how it is said), [`sql`] (how a database hears it), [`order`].

pub mod error;
pub mod order;
pub mod parse;
pub mod sql;
pub mod tree;

pub use error::Error;
pub use parse::{hyperfleet, maestro};
pub use sql::{Access, Columns, Dialect, Fragment, Kind, Param, Predicate, Writer, render};
pub use tree::{Arithmetic, Comparison, Expr, Field, Literal, Operand, Test};
