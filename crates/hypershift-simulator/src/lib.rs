//! Plays the HyperShift operator on a sandbox or a real API server: nothing runs, but the objects say what they would say.
//!
//! ```text
//!  watch HostedClusters ──► plan(object, now) ──► status, finalizers, memory ──► write back
//!                                  └──► when to look again
//! ```
//!
//! The state of a play is on the object itself (annotation [`TIMELINE_ANNOTATION`]), so the simulator may be stopped and started at any
//! point, and several objects never disturb each other. What happens when is in `hypershift::timeline`; `docs/protocol/hypershift-simulator.md`
//! says what a user can make it do.
//!
//! In reading order: [`memory`] (the annotation), [`plan`] (the pure decision), [`service`] (watch and write), [`admission`] (what the CRD
//! and the webhooks would refuse), [`cli`].

pub mod admission;
pub mod cli;
pub mod memory;
pub mod plan;
pub mod service;

pub use admission::admission;
pub use memory::TIMELINE_ANNOTATION;
pub use plan::{DEGRADE_ANNOTATION, Plan, plan};
pub use service::{Config, Error, Service, run};
