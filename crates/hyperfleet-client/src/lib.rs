//! Typed client for the HyperFleet API.
//!
//! ```text
//! Client ── clusters() / nodepools(id) / resources(plural) ──► create get list patch delete
//!        ├─ statuses(plural, id) ─────────────────────────────► list put
//!        └─ request(method, path, body) ──────────────────────► any path, raw JSON
//! ```
//!
//! Every call has a timeout per attempt and retries what is worth retrying ([`Error::is_retryable`]) within a total budget.
//! The client never prints, never reads the environment, and sends its token to the origin of `base_url` only.
//! Paths and error codes: `docs/protocol/hyperfleet-api.md`.
//!
//! - [`config`]: where the API is and how patient to be
//! - [`error`]: what can go wrong, by class
//! - [`path`]: from what a task config says to the path that is asked for
//! - [`resources`], [`statuses`]: the typed calls

pub mod config;
pub mod error;
pub mod path;
pub mod resources;
pub mod statuses;
mod token;
mod transport;

pub use config::{Config, Retry, Token};
pub use error::{Class, Error};
pub use reqwest::Method;
pub use resources::{ListOptions, Resources};
pub use statuses::{Reported, Statuses};
pub use transport::{Client, MAX_RESPONSE_BYTES, Request, Response};
