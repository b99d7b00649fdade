//! Configuration: the deployment config (where to connect) and the task config (what to do).
//!
//! Files become trees that know their positions ([`tree`]), older spellings are rewritten, the environment and
//! flags are put on top, and typed values are read with every problem collected. `docs/protocol/adapter-config.md`
//! has all keys.

pub mod deployment;
mod overrides;
pub mod problem;
pub(crate) mod read;
pub(crate) mod tree;

pub use deployment::Config;
pub use overrides::ENVIRONMENT;
pub use problem::{Error, Problem};
