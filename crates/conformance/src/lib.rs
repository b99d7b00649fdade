//! Black-box judgement of Maestro servers: knows addresses and the wire, and nothing of any implementation.
//!
//! ```text
//!  suite ──► play::{Source, Agent, Rest, Proxy} ──addresses──► any Maestro server (ours, or the Go one)
//!                     │
//!                     └── play::Recording: every event and call, with its time ──► what a failure shows
//! ```
//!
//! Reading order:
//! - [`play`]: sources, agents, operators and bad networks, played on the raw wire
//! - [`faults`]: real servers broken by seed, and a checker of recorded histories
//!
//! `docs/conformance.md` says how to run it and what was seen.

pub mod faults;
pub mod play;
