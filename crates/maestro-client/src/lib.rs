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
//! A program that brings a ConfigMap to a cluster, waits until it is there, and takes it back:
//!
//! ```no_run
//! use maestro_client::{Client, Config, Error, WatchEvent, WatchOptions};
//! use manifestwork::{ConditionStatus, ManifestWork, conditions, constants::condition::AVAILABLE};
//! use serde_json::json;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Error> {
//!     // Nothing is connected yet. TLS, token and time limits are further fields of the config.
//!     let client = Client::new(Config {
//!         rest_url: "http://localhost:8000".into(),
//!         grpc_address: "localhost:8090".into(),
//!         source_id: "my-controller".into(),
//!         ..Config::default()
//!     })?;
//!     // The works of one cluster. A handle is a value: make as many as you like, from any task.
//!     let works = client.works("cluster1");
//!     // First what is there, then every change, over reconnects; never twice, never backwards.
//!     let mut watch = works.watch(WatchOptions::default());
//!
//!     let mut work = ManifestWork::new("cluster1", "greeting");
//!     work.spec.workload.manifests.push(
//!         json!({"apiVersion": "v1", "kind": "ConfigMap",
//!                "metadata": {"name": "greeting", "namespace": "default"}, "data": {"text": "hello"}})
//!         .into(),
//!     );
//!     // Creates it, updates it, or finds that there is nothing to do: the same after every restart.
//!     let applied = works.apply(&work).await?;
//!     let version = applied.work().metadata.generation;
//!
//!     let mut going = false;
//!     while let Some(event) = watch.next_event().await {
//!         match event {
//!             WatchEvent::Added(work) | WatchEvent::Modified(work) if work.metadata.name == "greeting" => {
//!                 let available = conditions::find(&work.status.conditions, AVAILABLE);
//!                 let is_there = available.is_some_and(|condition| {
//!                     condition.status == ConditionStatus::True && condition.observed_generation >= version
//!                 });
//!                 if is_there && !going {
//!                     println!("it is there");
//!                     // Asks for the end; it has come when the cluster's agent has confirmed it.
//!                     works.delete("greeting").await?;
//!                     going = true;
//!                 }
//!             }
//!             WatchEvent::Deleted(work) if work.metadata.name == "greeting" => break,
//!             WatchEvent::Interrupted(why) => println!("the watch goes on trying: {}", why.0),
//!             _ => {}
//!         }
//!     }
//!     println!("it is gone");
//!     Ok(())
//! }
//! ```
//!
//! Two writers of one work don't overwrite each other: what is written names the version that it is based on.
//!
//! ```no_run
//! # async fn example(works: maestro_client::Works) -> Result<(), maestro_client::Error> {
//! use maestro_client::{Error, retry_on_conflict};
//!
//! // Reads, changes, writes; again on a fresh copy if somebody else was faster.
//! works.edit("greeting", |work| {
//!     work.metadata.labels.insert("team".into(), "blue".into());
//! }).await?;
//!
//! // The same by hand, for changes that need to await or may fail.
//! retry_on_conflict(5, || async {
//!     let mut work = works.get("greeting").await?;
//!     work.metadata.labels.insert("team".into(), "green".into());
//!     works.apply(&work).await
//! }).await?;
//!
//! // Errors have a class: what to do next follows from it.
//! match works.delete("greeting").await {
//!     Ok(_) => {}
//!     Err(Error::Unauthenticated { message }) => println!("get another token: {message}"),
//!     Err(error) if error.is_retryable() => println!("later: {error}"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `examples/follow.rs` is a longer one, with labels, tokens and patience.
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
//! # Cancel safety
//! Dropping the future of a read, of [`Watch::next_event`] or of [`Walk::next`] loses nothing. Dropping that of a write leaves open
//! whether the server has stored it: see [`works`].
//!
//! The protocol, and what is promised beyond upstream's client, is explained in `docs/protocol/source-client.md`.

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
