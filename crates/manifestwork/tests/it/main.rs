//! Behaviour of the types and rules, and golden values of the protocol.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod identity;
mod json;
mod rules;
mod validation;
