//! Compiled CEL and Go templates: checked at load, bounded at run.
//!
//! Configuration of adapters, Sentinel and the API holds expressions that run for every event. Both languages here are
//! compiled once, when the configuration is read: a typo is an error with line and column before anything runs. Both
//! are bounded when they run: an expression has a budget of steps and a template one of output and loops, so that no
//! configuration can stop a service. Neither does I/O.
//!
//! The values that go in and come out are JSON. What exactly is accepted is in `docs/protocol/cel.md` and
//! `docs/protocol/templates.md`.
//!
//! In reading order: [`cel`], [`template`].

pub mod cel;
pub mod template;
