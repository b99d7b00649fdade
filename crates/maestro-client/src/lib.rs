//! The Maestro SDK: what a source embeds to bring Kubernetes objects to other clusters and hear what became of them.
//!
//! Reads go to the server's REST API, writes and the watch to its gRPC source service:
//!
//! ```text
//!  Works::{create, patch, apply, delete} ──Publish──► gRPC 8090 ─┐
//!  Works::watch ◄──Subscribe (status events)── gRPC 8090 ────────┤ maestro server
//!  Works::{get, list}, Consumers, Bundles ──GET──► REST 8000 ────┘
//! ```
//!
//! Reading order:
//! - [`config`]: addresses, source id, TLS, token, time limits
//! - [`client`]: [`Client`] and its handles
//! - [`works`]: works of one consumer or of all; [`patch`] and [`plan`] hold the rules that need no network
//! - [`watch`]: every change exactly once per state, over reconnects
//! - [`consumers`], [`bundle`]: consumers, and works as the REST API shows them
//! - [`selector`]: label selectors
//! - [`explain`]: where a work is and what it waits for
//! - [`error`]: what can go wrong, by class
//!
//! The protocol is explained in `docs/protocol/source-client.md`.

pub mod backoff;
pub mod bundle;
pub mod client;
pub mod config;
pub mod consumers;
pub mod error;
pub mod explain;
mod grpc;
pub mod patch;
pub mod plan;
mod rest;
pub mod selector;
mod token;
pub mod watch;
pub mod works;

pub use bundle::{Bundle, Bundles};
pub use client::Client;
pub use config::{Config, Keepalive, Token};
pub use consumers::{Consumer, Consumers};
pub use error::Error;
pub use event_wire::trace::TraceContext;
pub use patch::Patch;
pub use selector::LabelSelector;
pub use service_runtime::tls::ClientFiles as Tls;
pub use watch::{Watch, WatchEvent, WatchOptions};
pub use works::{Applied, Deletion, Deletions, ListOptions, WorkName, Works, retry_on_conflict};
