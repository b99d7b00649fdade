//! Sources, agents, operators and bad networks, played on the raw wire.
//!
//! Everything belongs to a [`Stage`]: it holds the time scale that all deadlines are multiplied with, the [`Access`] by
//! which players are let in, and the [`Recording`] into which every player writes what it did and saw.
//!
//! Reading order: [`stage`] (deadlines), [`access`] (TLS and tokens), [`recording`] (what happened), [`work`] (what is published),
//! [`source`] and [`agent`] (one call at a time), [`subscription`] (a stream, read in the background),
//! [`puppet`] (an agent that runs by itself), [`watcher`] (a source that listens by itself), [`rest`], [`proxy`].

pub mod access;
pub mod agent;
pub mod error;
pub mod proxy;
pub mod puppet;
pub mod recording;
pub mod rest;
pub mod source;
pub mod stage;
pub mod subscription;
pub mod watcher;
pub mod work;

mod wire;

pub use access::Access;
pub use agent::Agent;
pub use error::{Error, is_transient};
pub use proxy::Proxy;
pub use puppet::{Behaviour, Held, Puppet};
pub use recording::{Entry, Recording, Seen, What};
pub use rest::{Reply, Rest};
pub use source::Source;
pub use stage::{Stage, TimeScale};
pub use subscription::{End, Subscription};
pub use watcher::Watcher;
pub use work::Work;
