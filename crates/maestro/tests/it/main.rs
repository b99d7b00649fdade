//! The `maestro` binary, from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test is a panic"
)]

mod faults;
mod migration;
mod operator;
mod sdk;
mod server;
mod support;
