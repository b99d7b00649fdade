//! The `conformance` binary, from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test is a panic"
)]

mod usage;
