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
//! ```no_run
//! use maestro_client::{Client, Config, Error, WatchEvent, WatchOptions};
//! use manifestwork::ManifestWork;
//! use serde_json::json;
//!
//! # async fn example() -> Result<(), Error> {
//! // Nothing is connected yet. TLS, token and time limits are fields of the config.
//! let client = Client::new(Config {
//!     rest_url: "http://localhost:8000".into(),
//!     grpc_address: "localhost:8090".into(),
//!     source_id: "my-controller".into(),
//!     ..Config::default()
//! })?;
//! let works = client.works("cluster1");
//!
//! let mut work = ManifestWork::new("cluster1", "greeting");
//! work.spec.workload.manifests.push(
//!     json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting", "namespace": "default"}, "data": {"text": "hello"}}).into(),
//! );
//! // Creates, updates, or finds that there is nothing to do.
//! works.apply(&work).await?;
//!
//! // Changes a part: based on the version that is read, again on a fresh copy if somebody else was faster.
//! works.edit("greeting", |work| {
//!     work.metadata.labels.insert("team".into(), "blue".into());
//! }).await?;
//!
//! // First what is there, then every change, over reconnects; never twice, never backwards.
//! let mut watch = works.watch(WatchOptions::default());
//! while let Some(event) = watch.next_event().await {
//!     match event {
//!         WatchEvent::Added(work) | WatchEvent::Modified(work) => println!("{}: {:?}", work.metadata.name, work.status.conditions),
//!         WatchEvent::Deleted(work) => println!("{} is gone", work.metadata.name),
//!         WatchEvent::Synced => println!("that is all there is"),
//!         WatchEvent::Interrupted(error) => println!("going on trying: {}", error.0),
//!     }
//! }
//!
//! // Errors have a class: what to do next follows from it.
//! match works.create(&work).await {
//!     Ok(_) | Err(Error::AlreadyExists { .. }) => {}
//!     Err(error) if error.is_retryable() => println!("later: {error}"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/follow.rs` is a whole program.
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
mod executors;
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
pub use works::{
    Applied, Deletion, Deletions, ListOptions, Walk, WorkName, Works, retry_on_conflict,
};
