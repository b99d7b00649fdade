//! The server from outside: REST, gRPC, and what is left after a crash.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

mod harness;
mod loop_through;
