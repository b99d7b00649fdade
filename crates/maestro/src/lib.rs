//! Maestro's front door: upstream's binary with upstream's subcommands, flags and exit codes.
//!
//! This room holds no logic of a service; it reads flags, sets up logs and signals, and starts one. `hyperfleet` carries the same
//! subcommands through the same functions. In reading order:
//!
//! - [`cli`]: the subcommands; [`cli::main`] is the whole binary.
//! - [`klog`]: the flags of Go's logger, and what they mean here.
//! - [`server`], [`agent`]: the two services.

pub mod agent;
pub mod cli;
pub mod klog;
pub mod server;
