//! Publish and subscribe: how a pulse of Sentinel reaches the adapters.
//!
//! ```text
//! publish(topic, event) ─► every subscription of the topic ─► Consumer::next() ─► Delivery
//!                              (bounded queue)                     ack ─► gone
//!                                                      nack / dropped ─► later, then dead letter
//! ```
//!
//! Delivery is at least once, unordered across redeliveries, bounded in attempts. Subscriptions that share
//! an id compete for events; different ids each get every event. `docs/protocol/broker.md` holds the facts.
//!
//! Reading order: [`event`] (what travels), [`broker`] (the trait and its vocabulary), [`memory`] (the broker
//! inside one process), [`url`] (from `memory://` to a broker).

pub mod broker;
pub mod event;
pub mod memory;
pub mod url;

pub use broker::{Broker, Consumer, Delivery, Error, Retry, Subscription};
pub use event::Event;
pub use memory::MemoryBroker;
pub use url::connect;
