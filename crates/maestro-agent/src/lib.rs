//! Applies works to one cluster and returns what became of them.
//!
//! ```text
//!   server ──gRPC──► link ──► ┌───────┐ ──jobs──► applier pool ──► Kubernetes API
//!          ◄─status── link ◄─ │ owner │ ◄──────── results              │
//!                             └───────┘ ◄──────── observer ◄───────────┘
//! ```
//!
//! One task, the owner, holds the state of all works and is spoken to by messages. What it decides is a pure function of that
//! state ([`core`]); everything around it only moves bytes or carries out what was decided.
//!
//! In reading order: [`config`], [`cli`], [`service`] (how it starts) · [`core`] (what is decided) · [`agent`] (the owner's
//! task) · [`bundle`], [`target`], [`rank`] (what a work asks for) · [`job`], [`apply`], [`remove`], [`record`], [`executor`],
//! [`failure`] (how it is done) · [`journal`] (what operators read of it) · [`observer`], [`link`] (eyes and ears) · [`metrics`].
//!
//! The rules are those of `docs/protocol/work-agent.md`.

pub mod agent;
pub mod apply;
pub mod bundle;
pub mod cli;
pub mod config;
pub mod core;
pub mod executor;
pub mod failure;
pub mod job;
pub mod journal;
pub mod link;
pub mod metrics;
pub mod observer;
pub mod rank;
pub mod record;
pub mod remove;
pub mod service;
pub mod target;

pub use config::Config;
pub use link::Token;
pub use service::{Addresses, Error, Service, run};
