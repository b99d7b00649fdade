//! Test support for the whole workspace: real PostgreSQL servers, certificates, a fault proxy, waiting with a deadline.
//!
//! Nothing here is used outside of tests and benches. Failures are reported by panicking or as [`anyhow::Error`],
//! because the reader is a developer in front of a red test.
//!
//! Reading order: [`eventually`] (how tests wait), [`postgres`] (a server per test process, a database per test),
//! [`proxy`] (a TCP link that can be stalled and cut), [`certs`] (a throw-away certificate authority).

pub mod certs;
pub mod postgres;
pub mod proxy;
mod wait;

pub use wait::eventually;
