//! The adapter from outside: configs, dry runs, and the service against a fake API, a fake Maestro and a sandbox cluster.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may say what it expects"
)]

mod config;
mod dry_run;
mod older;
mod support;
