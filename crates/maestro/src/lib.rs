//! Maestro's front door: upstream's binary with upstream's subcommands, flags and exit codes.
//!
//! This room holds no logic of a service; it reads flags, sets up logs and signals, and starts one. `hyperfleet` carries the same
//! subcommands through the same functions. Facts: `docs/protocol/maestro-front-door.md`. In reading order:
//!
//! - [`cli`]: the subcommands; [`cli::main`] is the whole binary.
//! - [`flags`]: flags, environment, configuration file and defaults in layers.
//! - [`klog`]: the flags of Go's logger, and what they mean here.
//! - [`server`], [`migration`], [`agent`]: the services.
//! - [`consumer`], [`resourcebundle`]: the commands of an operator, on what `operator` has for both.

pub mod agent;
pub mod cli;
pub mod consumer;
pub mod flags;
pub mod klog;
pub mod migration;
mod operator;
pub mod resourcebundle;
pub mod server;
