//! The two SQL databases as services use them, without knowledge of any table.
//!
//! - [`postgres`]: a pool that says "unavailable" instead of hanging, numbered migrations under an advisory lock, and a
//!   `LISTEN` task whose consumers are told to sweep whenever notifications may have been lost.
//! - [`sqlite`]: one writer thread that commits concurrent writes in groups (write-ahead log, full durability) and a
//!   few reader threads.
//!
//! Both report the same [`Error`], whose variants are the classes that callers decide by, and run the same
//! [`Migration`]s.

mod error;
pub mod postgres;
pub mod sqlite;

pub use error::{Cause, Error};

/// One step of a schema, run once per database in the order of the list it stands in.
///
/// The ids of applied steps are kept in a table with one column `id`; its name is the caller's choice, so that a
/// service can share the table of the program it replaces.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Recorded when the step was applied; never reuse or rename one.
    pub id: &'static str,
    /// One or more statements, separated by semicolons.
    pub sql: &'static str,
}
