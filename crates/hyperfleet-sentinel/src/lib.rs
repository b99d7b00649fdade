//! Sentinel: looks at all resources of one type, decides which of them need work, and sends a pulse for each.
//!
//! ```text
//!  HyperFleet API ──every poll_interval, all pages──► decision (CEL) ──► payload (CEL) ──► broker topic
//! ```
//!
//! It compares states and keeps none that matters: a pulse that is lost is sent again, a pulse too many costs an adapter a look.
//! Settings, decision and event are described in `docs/protocol/sentinel.md`.
//!
//! - [`config`], [`cli`]: settings
//! - [`observed`]: a resource as expressions see it
//! - [`decision`]: does it need a pulse?
//! - [`memory`]: what was published lately
//! - [`payload`]: what the pulse says
//! - [`poll`]: one cycle
//! - [`health`], [`metrics`]: what operators see
//! - [`run`]: the running service

pub mod cli;
pub mod config;
pub mod decision;
pub mod health;
pub mod memory;
pub mod metrics;
pub mod observed;
pub mod payload;
pub mod poll;
pub mod run;

pub use config::Config;
pub use run::{Addresses, Error, Service, run};
