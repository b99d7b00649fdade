//! Configuration: the deployment config (where to connect) and the task config (what to do).
//!
//! ```text
//! file ─► tree (every value knows its place) ─► older spellings rewritten ─► environment, flags ─► typed values
//!                                   every problem collected, with file, line, column and key
//! ```
//!
//! `docs/protocol/adapter-config.md` has all keys. Reading order: [`load`], [`problem`], [`deployment`], [`task`], then
//! `tree`, `read`, `overrides`, `version`, `legacy`.

pub mod deployment;
mod dump;
mod legacy;
pub mod load;
mod overrides;
pub mod problem;
pub(crate) mod read;
pub mod task;
pub(crate) mod tree;
mod version;

pub use deployment::Config;
pub use dump::dump;
pub use load::{Loaded, Loader, Source};
pub use overrides::ENVIRONMENT;
pub use problem::{Error, Problem};
pub use task::TaskConfig;
