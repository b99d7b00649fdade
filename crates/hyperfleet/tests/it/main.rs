//! Black-box tests of the `hyperfleet` binary: everything is started as a user would start it and seen through the public interfaces.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

mod bad_input;
mod configs;
mod demo;
mod kill;
mod kubectl;
mod support;
