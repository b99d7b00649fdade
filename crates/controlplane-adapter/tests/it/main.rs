//! The shipped YAML: it reads, its expressions compile and mean what they should.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may say what it expects"
)]

mod expressions;
