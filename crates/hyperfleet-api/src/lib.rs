//! The HyperFleet API: clusters, node pools and whatever else is configured, as REST resources whose conditions are computed
//! from what adapters report.
//!
//! ```text
//!  HTTP ─► http::route ─► request ─► service ─► Store::change(load, decide) ─► commit ─► answer
//!                                                 │ domain: Family + Command → Plan │
//!                                                 └───────── one transaction ───────┘
//! ```
//!
//! An answer is sent after the commit, never before. The wire is described in `docs/protocol/hyperfleet-api.md` and
//! `docs/protocol/adapter-status.md`.
//!
//! - [`registry`]: which kinds there are
//! - [`domain`]: the rules, as functions on plain data
//! - [`error`]: refusals and failures

pub mod domain;
pub mod error;
pub mod registry;
