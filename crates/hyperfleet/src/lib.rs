//! The front door for a laptop: `up`, `demo`, and every service as a subcommand.
//!
//! This room holds no logic of a service; it puts services together and looks at them from outside. In reading order:
//!
//! - [`cli`]: the commands and their flags.
//! - [`stack`]: all parts in one process, each one startable and stoppable by itself.
//! - [`up`]: the stack until Ctrl-C, with its data in a directory.
//! - [`services`]: every service by itself.
//! - [`demo`]: create, upgrade and delete a cluster, told from what the public interfaces show.

pub mod cli;
pub mod demo;
pub mod services;
pub mod stack;
pub mod up;

pub use service_runtime::install_crypto_provider;
