//! An embedded Kubernetes API for development and tests. Not a cluster: nothing runs, nothing is scheduled.
//!
//! It serves what `kubectl`, kube-rs and Go clients ask of an API server: discovery, objects of the built-in kinds and
//! of CustomResourceDefinitions, watches, tables, all patch types, server-side apply with field managers, status
//! subresources, finalizers, owner references, namespaces. State is in memory or in one SQLite file; with a file every
//! reply means that the change survives the process. Facts: `docs/protocol/kubernetes-api.md`.
//!
//! ```text
//!   http ──► store (one owner task) ──► engine: rules, no I/O ──► journal (SQLite) ──► view ──► reply, watches
//! ```
//! In reading order: [`config`], [`admission`], `failure` (errors), `resource`/`builtin`/`crd`/`registry` (types),
//! `schema` and `shape` (validation, merging), `fields`/`managed` (ownership), `patch`, `rbac`, `engine`, `journal`, `store`,
//! `selector`, `http`, `service`, [`cli`].

pub mod admission;
mod builtin;
pub mod cli;
pub mod config;
mod crd;
mod engine;
mod failure;
mod fields;
mod http;
mod journal;
mod managed;
mod object;
mod patch;
mod rbac;
mod registry;
mod resource;
mod schema;
mod selector;
mod service;
mod shape;
mod store;
mod time;

pub use admission::{Admission, Cause, Operation, Review};
pub use config::{Config, Data};
pub use service::{Addresses, Error, Service, run};
