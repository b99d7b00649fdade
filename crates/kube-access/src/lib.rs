//! One door to a Kubernetes API server for objects of any kind.
//!
//! Objects are [`serde_json::Value`]s, never typed structs, so that fields nobody here has heard of
//! survive a round trip. What the API server refuses arrives as an [`Error`] that carries its `Status`.
//!
//! In reading order:
//! - [`Client`]: where to connect to (kubeconfig, in-cluster) and the verbs;
//! - [`Resource`]: what discovery knows about a kind, and the paths that follow from it;
//! - [`object`]: reading `metadata` of an untyped object;
//! - [`watch`]: one object or a kind, followed across disconnects;
//! - [`Error`]: what went wrong, in the classes a caller acts upon.
//!
//! The requests that result are listed in `docs/protocol/kube-requests.md`.

mod client;
mod discovery;
mod error;
mod limiter;
pub mod object;
mod resource;
pub mod watch;

pub use client::{
    Apply, Client, DEFAULT_REQUEST_TIMEOUT, Delete, Kubeconfig, List, Listed, MAX_RESPONSE_BYTES,
    Patch, Propagation, Write,
};
pub use error::{Error, FieldConflict};
pub use kube::core::Status;
pub use kube::core::response::{StatusCause, StatusDetails};
pub use resource::{Gvk, Resource};
