//! The fault runner: real processes, faults by seed, a recorded history, and a checker that knows what must hold.
//!
//! ```text
//!  seed ──plan──► faults ───────────────┐
//!          │                            ▼
//!          └────► traffic ──► links ──► two servers ──► links ──► PostgreSQL
//!                    │                     │
//!                    └──── recorder ◄──────┘ events of agents and sources
//!                             │
//!                          history ──check──► violations ──minimise──► the shortest story
//! ```
//!
//! Reading order: [`history`] (what is recorded), [`check`] (what must hold: pure functions on a history), [`minimise`], [`plan`]
//! (what a seed means); then the parts that touch the world: [`stack`] (processes), [`place`] and [`wire`] (ways to them), [`agent`],
//! [`observer`], [`source`], [`backlog`], [`rest`] (players), [`breaker`] (faults), [`tables`] (what a database still holds), [`round`],
//! [`runner`].
//!
//! How to use it and how to read its output is written in `docs/fault-runner.md`.

pub mod agent;
pub mod backlog;
pub mod breaker;
pub mod check;
pub mod history;
pub mod index;
pub mod minimise;
pub mod observer;
pub mod place;
pub mod plan;
pub mod random;
pub mod recorder;
pub mod rest;
pub mod round;
pub mod runner;
pub mod source;
pub mod stack;
pub mod tables;
pub mod wire;
