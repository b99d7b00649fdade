//! Bringing what is stored to who should know it.
//!
//! ```text
//!  Writer ──changes──► Hub ──ids──► Courier, one per agent stream  ──► agent
//!                       ▲  └──ids──► Herald, one per source stream ──► source
//!  Sweeper ─────────────┘
//! ```
//!
//! A change is a hint to look. Each stream holds a set of ids to look at, never events: what is sent is read from the
//! database when the stream can take it, so a slow receiver costs a few bytes per row and delays nobody else. The
//! guarantees are written down in `docs/protocol/delivery.md`.

mod agenda;
pub mod connection;
mod courier;
mod encode;
mod herald;
mod hub;
mod log;
mod outgoing;
mod presence;
mod recent;
mod resync;
mod sweeper;

pub use courier::Courier;
pub use herald::Herald;
pub use hub::{AgentStream, Here, Hub, SourceStream};
pub use outgoing::{Outbound, Outgoing, Sender};
pub use presence::keep_presence;
pub use resync::Held;
pub use sweeper::sweep;

use std::time::Duration;

/// What couriers and heralds may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A receiver that takes nothing for this long is cut off; default 60 s.
    pub stall: Duration,
    /// How long a new agent stream may take to say what it has before everything unsettled is sent; default 10 s.
    pub resync_wait: Duration,
    /// How often unsettled rows are looked for; default 10 s.
    pub sweep_interval: Duration,
    /// How long an agent has to settle a row before it is reminded; default 20 s.
    pub grace: Duration,
    /// How long events and final statuses are kept for servers and streams that come late; default 5 min.
    pub events_kept: Duration,
    /// A cluster whose agent was connected so recently can't be removed by force; default 10 min.
    pub seen_lately: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(60),
            resync_wait: Duration::from_secs(10),
            sweep_interval: Duration::from_secs(10),
            grace: Duration::from_secs(20),
            events_kept: Duration::from_secs(300),
            seen_lately: Duration::from_secs(600),
        }
    }
}
