//! Black-box judgement of Maestro servers: knows addresses and the wire, and nothing of any implementation.
//!
//! ```text
//!  cli ──► runner ──► suite ──► play::{Source, Agent, Puppet, Rest, Proxy} ──addresses──► any Maestro server
//!             │                    │                                                      (ours, or the Go one)
//!             ▼                    └── play::Recording: every event and call, with its time ──► what a failure shows
//!          report: a table, JSON, the exit code
//! ```
//!
//! Reading order:
//! - [`play`]: sources, agents, operators and bad networks, played on the raw wire
//! - [`context`]: what a test gets: addresses, names of its own, clean-up
//! - [`suite`]: the tests, one named function per thing that must hold
//! - [`runner`]: runs them with bounded concurrency and time
//! - [`report`], [`cli`]: what people and machines see
//! - [`faults`]: real servers broken by seed, and a checker of recorded histories
//!
//! `docs/conformance.md` says how to run it and what was seen.

pub mod cli;
pub mod context;
pub mod faults;
pub mod play;
pub mod report;
pub mod runner;
pub mod suite;
