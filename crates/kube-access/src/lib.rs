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
//! - [`Error`]: what went wrong, in the classes a caller acts upon;
//! - `reviews` (a feature of its own): whose token is this, may they do that. Plain HTTP, without `kube`.
//!
//! The requests that result are listed in `docs/protocol/kube-requests.md`.

#[cfg(feature = "objects")]
mod client;
#[cfg(feature = "objects")]
mod discovery;
#[cfg(feature = "objects")]
mod error;
#[cfg(feature = "objects")]
mod limiter;
#[cfg(feature = "objects")]
pub mod object;
#[cfg(feature = "objects")]
mod resource;
#[cfg(feature = "reviews")]
pub mod reviews;
#[cfg(feature = "objects")]
pub mod watch;

#[cfg(feature = "objects")]
pub use client::{
    Apply, Client, DEFAULT_REQUEST_TIMEOUT, Delete, Kubeconfig, List, Listed, MAX_RESPONSE_BYTES,
    Patch, Propagation, Write,
};
#[cfg(feature = "objects")]
pub use error::{Error, FieldConflict};
#[cfg(feature = "objects")]
pub use kube::core::Status;
#[cfg(feature = "objects")]
pub use kube::core::response::{StatusCause, StatusDetails};
#[cfg(feature = "objects")]
pub use resource::{Gvk, Resource};
