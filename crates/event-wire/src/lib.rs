//! CloudEvents over gRPC as Open Cluster Management speaks it: what sources, the Maestro server and agents say to each other.
//! No transport and no clock of its own: bytes in, values out.
//!
//! ```text
//!  ManifestWork ──codec::source──► Event ──From──► proto::CloudEvent ──gRPC──► Incoming ──► Event ──codec::agent──► SpecMessage
//! ```
//!
//! Reading order:
//! - [`proto`]: generated messages and service stubs
//! - [`event_type`], [`attribute`]: what an event is about, and the values it carries beside its data
//! - [`event`]: the typed event, both ways to protobuf, heartbeats told apart
//! - [`payload`]: the JSON in the data
//! - [`codec`]: works to events and back, for sources, agents and the server
//! - [`stored`]: the JSON form that databases hold
//! - [`sequence`]: ids that order status events
//! - [`trace`]: which trace an event belongs to
//!
//! The rules are explained in `docs/protocol/cloudevents.md`.

pub mod attribute;
pub mod codec;
mod convert;
pub mod error;
pub mod event;
pub mod event_type;
pub mod payload;
pub mod sequence;
pub mod stored;
pub mod trace;

/// Generated messages, client and server of the protocol.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    rust_2018_idioms,
    reason = "generated"
)]
pub mod proto {
    tonic::include_proto!("io.cloudevents.v1");
}

pub use attribute::Attribute;
pub use error::Error;
pub use event::{Event, Incoming, Stamp};
pub use event_type::{Action, DataType, EventType, Subresource};
pub use sequence::{SequenceGenerator, SequenceId};

/// Type of the events that only say "I am here".
pub const HEARTBEAT_TYPE: &str = "io.open-cluster-management.cloudevents.heartbeat";

/// The one data type of Maestro: bundles of manifests.
pub const MANIFEST_BUNDLES: &str = "io.open-cluster-management.works.v1alpha1.manifestbundles";

/// The name under which the server speaks to agents.
pub const SERVER_SOURCE: &str = "maestro";

/// Response header of a subscription that has been registered.
pub const SUBSCRIPTION_ID_HEADER: &str = "subscription-id";

/// A heartbeat.
#[must_use]
pub fn heartbeat(id: uuid::Uuid) -> proto::CloudEvent {
    proto::CloudEvent {
        id: id.to_string(),
        spec_version: event::SPEC_VERSION.to_owned(),
        r#type: HEARTBEAT_TYPE.to_owned(),
        ..proto::CloudEvent::default()
    }
}
