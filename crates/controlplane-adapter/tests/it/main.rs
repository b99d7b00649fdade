//! The shipped YAML: it loads, its expressions mean what they should, and runs in memory report what the pages promise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may say what it expects"
)]

mod controlplane;
mod crd;
mod expressions;
mod others;
mod support;
