//! The config-driven adapter: params, preconditions, resources, report.
//!
//! Reading order: [`config`] (what a user writes), [`policy`] (rules in code for one kind of object).

pub mod config;
pub mod policy;

pub use config::Config;
pub use policy::ResourcePolicy;
