//! The nouns of HyperFleet, as they travel: resources, adapter statuses, errors, lists, and the pulse.
//!
//! Plain data with serde, no I/O and no decisions. The API writes these types, its client and the adapters read them, so
//! reading is lenient (unknown members are ignored, optional ones default) and writing is exact.
//! The wire is described in `docs/protocol/hyperfleet-api.md`, `adapter-status.md` and `sentinel.md`.
//!
//! - [`condition`]: what is known about a resource, and what an adapter says about it
//! - [`resource`]: clusters, node pools and every other entity
//! - [`adapter`]: what an adapter reports and what is stored of it
//! - [`list`]: the page envelope
//! - [`problem`]: RFC 9457 errors with HyperFleet codes
//! - [`pulse`]: the event that says "look at this resource"

pub mod adapter;
pub mod condition;
pub mod list;
pub mod problem;
pub mod pulse;
pub mod resource;

pub use adapter::{AdapterStatus, AdapterStatusRequest};
pub use condition::{Condition, ConditionReport, ConditionStatus, ResourceCondition};
pub use list::List;
pub use problem::{Code, FieldError, Problem};
pub use pulse::{Pulse, PulseData};
pub use resource::{
    Cluster, NewResource, NodePool, ObjectReference, Resource, ResourcePatch, ResourceStatus,
};

/// Path prefix under which every HyperFleet resource lives.
pub const API_PREFIX: &str = "/api/hyperfleet/v1";

/// Path prefix of older clients, served as an alias of [`API_PREFIX`].
pub const LEGACY_API_PREFIX: &str = "/api/v1";
