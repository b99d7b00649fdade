//! The rules of HyperFleet as functions on plain data: no clock, no database, no HTTP.
//!
//! ```text
//!  Command ─┐
//!  Family ──┼─► decide ─► Plan { writes, outcome }   or a Rejection
//!  now ─────┘
//! ```
//!
//! The store loads the [`family`] of a resource under its locks, [`lifecycle`] and [`report`] decide, the store applies the
//! writes in the same transaction. So each rule is tested by the thousand without I/O, and no request is half-written.
//!
//! - [`aggregate`]: what adapters say → conditions of the resource
//! - [`family`]: a resource with its ancestors and descendants, and a draft of what happens to them
//! - [`lifecycle`]: create, patch, delete, force-delete
//! - [`mapping`]: conditions that the configuration adds
//! - [`references`]: links between resources
//! - [`report`]: an adapter's report
//! - [`names`]: names and labels

pub mod aggregate;
pub mod family;
pub mod lifecycle;
pub mod mapping;
pub mod names;
pub mod references;
pub mod report;

pub use family::{Family, Inbound, Member, Outcome, Plan, Target, Write};
pub use lifecycle::{Create, Delete, ForceDelete, Patch};
pub use report::Report;

use jiff::Timestamp;

use crate::{error::Rejection, registry::Registry};

/// Something that changes resources.
#[derive(Debug, Clone)]
pub enum Command {
    /// Make a resource.
    Create(Create),
    /// Replace parts of a resource.
    Patch(Patch),
    /// Ask for deletion.
    Delete(Delete),
    /// Remove what is being deleted without waiting for adapters.
    ForceDelete(ForceDelete),
    /// Take an adapter's report.
    Report(Report),
}

/// Decides what a command does to the family of its resource.
///
/// # Errors
/// A [`Rejection`]; nothing may be written then.
pub fn decide(
    registry: &Registry,
    command: &Command,
    family: Family,
    now: Timestamp,
) -> Result<Plan, Rejection> {
    match command {
        Command::Create(create) => lifecycle::create(registry, create, &family, now),
        Command::Patch(patch) => lifecycle::patch(registry, patch, family, now),
        Command::Delete(delete) => lifecycle::delete(registry, delete, family, now),
        Command::ForceDelete(delete) => lifecycle::force_delete(registry, delete, family, now),
        Command::Report(report) => report::report(registry, report, family, now),
    }
}

/// The time now, as precise as the databases keep it.
pub fn microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
