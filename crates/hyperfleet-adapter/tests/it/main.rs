//! The adapter from outside: configs, dry runs, and the service against a fake API, a fake Maestro and a sandbox cluster.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may say what it expects"
)]

mod api;
mod cli;
mod config;
mod dry_run;
/// Maestro in memory, shared with the client's own tests.
#[path = "../../../maestro-client/tests/it/fake.rs"]
#[allow(dead_code, reason = "the client's tests press other buttons")]
mod fake_maestro;
mod framed;
mod older;
mod policy;
mod robust;
mod service;
mod support;
mod traces;
mod world;
