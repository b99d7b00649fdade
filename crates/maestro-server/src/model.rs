//! What the server stores and what can be asked of it, as plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use event_wire::trace::TraceContext;
use event_wire::{Event, SequenceId};
use jiff::Timestamp;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type! {
    /// Id of a resource: on the wire `resourceid`, usually a UUIDv5 made by the source.
    ResourceId
}
name_type! {
    /// Name of a consumer, which is the name of its cluster.
    ClusterName
}
name_type! {
    /// Identity of a source, such as `controlplane-adapter`.
    SourceId
}
name_type! {
    /// Names the state of a row: two reads with the same revision have seen the same row, whoever writes it. Opaque.
    Revision
}

/// A registered cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    /// UUIDv4.
    pub id: String,
    /// RFC 1123 label, unique, immutable.
    pub name: ClusterName,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When its labels were last written.
    pub updated_at: Timestamp,
}

/// A stored resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Id, and the name as well.
    pub id: ResourceId,
    /// Who published it.
    pub source: SourceId,
    /// Where it goes.
    pub cluster: ClusterName,
    /// Counts spec changes, from 1.
    pub version: i64,
    /// When it was created; its second names this life of the id.
    pub created_at: Timestamp,
    /// When spec or status was last written.
    pub updated_at: Timestamp,
    /// When its deletion was asked for.
    pub deleted_at: Option<Timestamp>,
    /// The spec: a CloudEvent in the form of [`event_wire::stored`].
    pub payload: String,
    /// The newest status, in the same form.
    pub status: Option<String>,
    /// Names the state of all of this.
    pub revision: Revision,
}

/// Something that a source, an agent or an operator wants changed.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Store a new resource.
    Create(Spec),
    /// Replace the spec of a resource.
    Update(Spec),
    /// Ask for the deletion of a resource.
    Delete(Delete),
    /// Store what an agent reports.
    Status(Report),
}

/// A spec on its way in.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Which resource.
    pub id: ResourceId,
    /// Who publishes.
    pub source: SourceId,
    /// For which cluster; only read when creating.
    pub cluster: ClusterName,
    /// The version that the source believes is current; 0 = don't check (update), start at 1 (create).
    pub version: i64,
    /// The event.
    pub event: Event,
}

/// A deletion on its way in.
#[derive(Clone, Debug)]
pub struct Delete {
    /// Which resource.
    pub id: ResourceId,
    /// Who asks; `None` = an operator, who may delete anything.
    pub source: Option<SourceId>,
}

/// A status on its way in.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which resource.
    pub id: ResourceId,
    /// Which cluster the agent says it is.
    pub cluster: ClusterName,
    /// Version of the spec that the status is about.
    pub version: i64,
    /// Orders the statuses of one resource.
    pub sequence: Option<SequenceId>,
    /// The agent removed everything.
    pub deleted: bool,
    /// The life of the resource that the agent knows: second of `metadata.creationTimestamp`. `None` = not told.
    pub life: Option<i64>,
    /// The event.
    pub event: Event,
}

impl Operation {
    /// Which resource it is about.
    #[must_use]
    pub fn id(&self) -> &ResourceId {
        match self {
            Self::Create(spec) | Self::Update(spec) => &spec.id,
            Self::Delete(delete) => &delete.id,
            Self::Status(report) => &report.id,
        }
    }

    /// The trace that it belongs to, for log lines.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        let event = match self {
            Self::Create(spec) | Self::Update(spec) => &spec.event,
            Self::Status(report) => &report.event,
            Self::Delete(_) => return None,
        };
        TraceContext::of(event).map(|trace| trace.trace_id().to_owned())
    }

    /// Bytes that it takes in memory, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        /// Ids and names beside the event.
        const OVERHEAD: usize = 512;
        OVERHEAD
            + match self {
                Self::Create(spec) | Self::Update(spec) => spec.event.size(),
                Self::Delete(_) => 0,
                Self::Status(report) => report.event.size(),
            }
    }
}

/// What became of an operation that wasn't refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Stored as a new resource.
    Created,
    /// Stored as a new version.
    Updated,
    /// Equal to what is stored: nothing was written.
    Unchanged,
    /// Marked for deletion.
    Deleting,
    /// Was marked before, or doesn't exist.
    NothingToDelete,
    /// The status was stored.
    Stored {
        /// When the resource was created, if it had no status before.
        first_since: Option<Timestamp>,
    },
    /// The resource is gone.
    Removed,
    /// The status was left out, for this reason.
    Ignored(Ignored),
}

impl Done {
    /// Whether the agent seems to have lost the spec and should get it again.
    #[must_use]
    pub fn wants_resend(&self) -> bool {
        *self == Self::Ignored(Ignored::NotDeleting)
    }
}

/// Why a status was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// There is no such resource.
    Gone,
    /// It is about an earlier resource with the same id.
    OtherLife,
    /// It is about another version.
    OtherVersion,
    /// A status with this sequence id, which is not older, is stored.
    NotNewer(SequenceId),
    /// It says that a resource is deleted whose deletion nobody asked for.
    NotDeleting,
}

/// Why an operation was refused. The texts are part of the wire.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A resource with the id exists, perhaps on its way out.
    #[error("This Resource already exists")]
    AlreadyExists,
    /// The cluster isn't registered.
    #[error("consumer {:?} is not registered (fk_resources_consumers)", .0.as_str())]
    UnknownConsumer(ClusterName),
    /// There is no such resource.
    #[error("Resource with id='{0}' not found")]
    NotFound(ResourceId),
    /// The resource is on its way out.
    #[error("the resource is under deletion, id: {0}")]
    UnderDeletion(ResourceId),
    /// Somebody else changed it.
    #[error("the resource version is not the latest, the latest version: {latest}")]
    Stale {
        /// Its version now.
        latest: i64,
    },
    /// It belongs to another source.
    #[error("the resource {0} belongs to another source")]
    NotOwner(ResourceId),
    /// An agent reports about another cluster's resource.
    #[error("unmatched consumer name {cluster} for resource {id}")]
    UnmatchedConsumer {
        /// Which resource.
        id: ResourceId,
        /// Which cluster the agent named.
        cluster: ClusterName,
    },
    /// The sequence id can't be compared.
    #[error("{0}")]
    Sequence(#[from] event_wire::Error),
    /// The version can't be counted further: it is 32 bits on the wire.
    #[error("the resource has no version left")]
    VersionsExhausted,
    /// The database can't hold a value of the event.
    #[error("a value of the event can't be stored")]
    NotStorable,
}

/// A committed change, as a hint for the streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The agent of `cluster` has something to learn.
    Spec {
        /// Which resource.
        id: ResourceId,
        /// Whose.
        cluster: ClusterName,
        /// What happened.
        kind: SpecChange,
    },
    /// The source has a new status to learn.
    Status {
        /// Which resource.
        id: ResourceId,
        /// Whose.
        source: SourceId,
    },
    /// The resource is gone; the final status is kept under `event`.
    Removed {
        /// Which resource.
        id: ResourceId,
        /// Whose.
        source: SourceId,
        /// Id of the status event.
        event: String,
    },
}

/// What happened to a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecChange {
    /// It is new.
    Created,
    /// It was replaced.
    Updated,
    /// Its deletion was asked for.
    Deleted,
}
