//! Both databases, for real.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

mod postgres;
mod sqlite;

use std::time::Duration;

/// Far more than anything here needs; it only costs time when a test fails.
const DEADLINE: Duration = Duration::from_secs(60);
