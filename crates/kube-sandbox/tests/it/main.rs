//! The sandbox over HTTP, as clients see it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

mod apply;
mod custom;
mod deletion;
mod discovery;
mod kube_rs;
mod kubectl;
mod listing;
mod objects;
mod patches;
mod permissions;
mod persistence;
mod support;
mod tables;
mod watching;
