//! Maestro: carries resources from sources to clusters and their status back.
//!
//! ```text
//!  source ──gRPC──► grpc::source ─┐                               ┌─► delivery::Courier ──gRPC──► agent
//!  operator ─REST─► rest ─────────┼─► writer ─► storage ─► Hub ───┤
//!  agent ───gRPC──► grpc::agent ──┘      (lifecycle decides)      └─► delivery::Herald ───gRPC──► source
//! ```
//!
//! Reading order: [`model`] (what there is), [`lifecycle`] (what may happen, pure), [`storage`] (PostgreSQL and SQLite),
//! [`writer`] (group commit), [`delivery`] (streams), [`explain`] (where a resource is, pure), [`authn`] (who is let in),
//! [`grpc`] and [`rest`] (doors), [`service`] (all together).
//! The pages under `docs/protocol/` (`maestro-rest.md`, `maestro-storage.md`, `delivery.md`) hold the facts.

pub mod authn;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod explain;
pub mod grpc;
pub mod lifecycle;
pub mod model;
pub mod problem;
pub mod rest;
mod same;
pub mod seldom;
pub mod service;
pub mod storable;
pub mod storage;
pub mod telemetry;
pub mod writer;

pub use config::{Config, Database};
pub use service::{Addresses, Bound, Error, Service, migrate, run};
