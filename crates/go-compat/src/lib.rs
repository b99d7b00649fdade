//! JSON, YAML, numbers, durations and date layouts exactly as Go reads and writes them.
//!
//! The peers of every part of this system are Go programs. Hashes, golden files, stored columns and command
//! line output agree with them only when the small things agree: where a float turns to exponent form, which
//! characters a JSON string escapes, what `1h30m` prints as. This crate holds those small things and no other
//! knowledge. It does no I/O. The facts are in `docs/protocol/go-formats.md`.
//!
//! In reading order: [`number`] (digits), [`mod@print`] (`%v`, `%q`), [`json`] (writer), [`duration`], [`time`] and [`layout`]
//! (clocks), [`yaml`] (two reading profiles, one writer).

pub mod duration;
pub mod json;
pub mod layout;
pub mod number;
pub mod print;
pub mod time;
pub mod yaml;
