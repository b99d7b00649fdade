//! The agent between a broker that speaks the wire and a Kubernetes API, seen from outside only.
//!
//! [`broker`] plays the server's agent port, [`cluster`] is a sandbox behind a proxy that records every request and can
//! fail on demand, [`world`] puts an agent between them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may say what they expect"
)]

mod broker;
mod cluster;
mod world;

mod deletion;
mod executor;
mod failures;
mod lifecycle;
mod link;
mod logs;
mod strategies;
