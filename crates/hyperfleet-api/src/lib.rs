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
//! - [`schema`]: schemas of specs
//! - [`search`]: what a search may speak of
//! - [`store`]: SQLite and PostgreSQL
//! - [`service`]: commands and reads, apart from HTTP
//! - [`request`], [`http`], [`openapi`]: the wire
//! - [`error`], [`metrics`], [`health`]: refusals, failures, figures
//! - [`config`], [`cli`], [`run`]: settings and the running service

pub mod cli;
pub mod config;
pub mod domain;
pub mod error;
pub mod health;
pub mod http;
pub mod metrics;
pub mod openapi;
pub mod registry;
pub mod request;
pub mod run;
pub mod schema;
pub mod search;
pub mod service;
pub mod store;

pub use config::{Config, Database};
pub use run::{Addresses, Error, Service, run};
