//! The life of a resource, as pure decisions: what may happen to a row, given what the row is now.
//!
//! ```text
//!            create                  delete                   agent: Deleted=True
//!  (none) ────────────► live ─────────────────────► deleting ─────────────────────► (none)
//!                       │  ▲ update: version + 1        ▲ │ status: stored, version kept
//!                       └──┘ status: version kept       └─┘
//! ```
//!
//! Deletion is one-way: no decision leads from deleting back to live. Storages lock a row, ask [`decide`], and write
//! what it says; they contain no rules of their own. See `docs/protocol/maestro-storage.md`.

use std::collections::BTreeMap;

use event_wire::attribute::name;
use event_wire::{Event, SequenceId, stored};
use jiff::Timestamp;
use manifestwork::ObjectMeta;
use manifestwork::constants::LOG_TRACING_PREFIX;

use crate::model::{
    ClusterName, Delete, Done, Ignored, Operation, Refusal, Report, SourceId, Spec,
};
use crate::same::same_json;

/// Versions are 32 bits wide on the wire.
const LAST_VERSION: i64 = i32::MAX as i64;

/// The parts of a row that decisions are made from.
#[derive(Clone, Debug)]
pub struct Current {
    /// Who published it.
    pub source: SourceId,
    /// Where it goes.
    pub cluster: ClusterName,
    /// Its version.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether its deletion was asked for.
    pub deleting: bool,
    /// Sequence id of the stored status.
    pub sequence: Option<SequenceId>,
    /// The stored spec; only looked at for updates.
    pub payload: Option<String>,
}

impl Current {
    /// What is told when a status of this row was stored.
    #[must_use]
    pub fn stored(&self) -> Done {
        Done::Stored {
            first_since: self.sequence.is_none().then_some(self.created_at),
        }
    }
}

/// What the row's surroundings say; each is only looked at by the operations that need it.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Now, microseconds at the finest.
    pub now: Timestamp,
    /// Whether the consumer of a create is registered.
    pub consumer_exists: bool,
    /// Creation time of the last row that had the same id.
    pub last_life: Option<Timestamp>,
    /// Whether a source may only touch what it published.
    pub isolate_sources: bool,
}

/// What to write.
#[derive(Debug)]
pub enum Verdict {
    /// Insert the row.
    Insert {
        /// Its first version.
        version: i64,
        /// Its creation time.
        created_at: Timestamp,
    },
    /// Replace the spec.
    Replace {
        /// Its new version.
        version: i64,
    },
    /// Set the time of deletion.
    MarkDeleting,
    /// Replace the status.
    StoreStatus,
    /// Keep the final status for the source, and remove the row.
    Remove,
    /// Write nothing.
    Nothing(Done),
    /// Write nothing and say why.
    Refuse(Refusal),
}

/// Decides about one operation.
#[must_use]
pub fn decide(operation: &Operation, current: Option<&Current>, context: &Context) -> Verdict {
    match operation {
        Operation::Create(spec) => create(spec, current, context),
        Operation::Update(spec) => update(spec, current, context),
        Operation::Delete(delete) => self::delete(delete, current, context),
        Operation::Status(report) => status(report, current),
    }
}

fn create(spec: &Spec, current: Option<&Current>, context: &Context) -> Verdict {
    if current.is_some() {
        return Verdict::Refuse(Refusal::AlreadyExists);
    }
    if !context.consumer_exists {
        return Verdict::Refuse(Refusal::UnknownConsumer(spec.cluster.clone()));
    }
    let version = spec.version.max(1);
    if version > LAST_VERSION {
        return Verdict::Refuse(Refusal::VersionsExhausted);
    }
    // The creation second names this life of the id in what agents report, so two lives never share one.
    let created_at = match context.last_life {
        Some(last) if last.as_second() >= context.now.as_second() => {
            Timestamp::from_second(last.as_second() + 1).unwrap_or(context.now)
        }
        _ => context.now,
    };
    Verdict::Insert {
        version,
        created_at,
    }
}

fn update(spec: &Spec, current: Option<&Current>, context: &Context) -> Verdict {
    let Some(current) = current else {
        return Verdict::Refuse(Refusal::NotFound(spec.id.clone()));
    };
    if context.isolate_sources && current.source != spec.source {
        return Verdict::Refuse(Refusal::NotOwner(spec.id.clone()));
    }
    if current.deleting {
        return Verdict::Refuse(Refusal::UnderDeletion(spec.id.clone()));
    }
    // Before the version check: a source that repeats a request whose answer it lost is not in conflict.
    if is_unchanged(&spec.event, current.payload.as_deref()) {
        return Verdict::Nothing(Done::Unchanged);
    }
    if spec.version != 0 && spec.version != current.version {
        return Verdict::Refuse(Refusal::Stale {
            latest: current.version,
        });
    }
    if current.version >= LAST_VERSION {
        return Verdict::Refuse(Refusal::VersionsExhausted);
    }
    Verdict::Replace {
        version: current.version + 1,
    }
}

fn delete(delete: &Delete, current: Option<&Current>, context: &Context) -> Verdict {
    let Some(current) = current else {
        return Verdict::Nothing(Done::NothingToDelete);
    };
    let owner = delete
        .source
        .as_ref()
        .is_none_or(|source| *source == current.source);
    if context.isolate_sources && !owner {
        return Verdict::Refuse(Refusal::NotOwner(delete.id.clone()));
    }
    if current.deleting {
        return Verdict::Nothing(Done::NothingToDelete);
    }
    Verdict::MarkDeleting
}

fn status(report: &Report, current: Option<&Current>) -> Verdict {
    let ignore = |why| Verdict::Nothing(Done::Ignored(why));
    let Some(current) = current else {
        return ignore(Ignored::Gone);
    };
    // Before the cluster: an agent that removes an earlier life of an id which lives elsewhere now must come to an end.
    if report
        .life
        .is_some_and(|second| second != current.created_at.as_second())
    {
        return ignore(Ignored::OtherLife);
    }
    if current.cluster != report.cluster {
        let (id, cluster) = (report.id.clone(), report.cluster.clone());
        return Verdict::Refuse(Refusal::UnmatchedConsumer { id, cluster });
    }
    if report.deleted {
        return if current.deleting {
            Verdict::Remove
        } else {
            ignore(Ignored::NotDeleting)
        };
    }
    if report.version != current.version {
        return ignore(Ignored::OtherVersion);
    }
    let Some(sequence) = report.sequence else {
        let missing = event_wire::Error::Extension {
            name: name::SEQUENCE_ID,
            why: "invalid CloudEvents value: <nil>".to_owned(),
        };
        return Verdict::Refuse(missing.into());
    };
    match (sequence.is_newer_than(current.sequence), current.sequence) {
        (Ok(false), Some(stored)) => ignore(Ignored::NotNewer(stored)),
        (Ok(_), _) => Verdict::StoreStatus,
        (Err(error), _) => Verdict::Refuse(event_wire::Error::from(error).into()),
    }
}

/// Whether an update says what is stored: the same event again, or equal data, labels and annotations.
fn is_unchanged(event: &Event, stored: Option<&str>) -> bool {
    let Some(stored) = stored.and_then(|json| stored::from_str(json).ok()) else {
        return false;
    };
    (!event.id.is_empty() && event.id == stored.id)
        || (described(event) == described(&stored)
            && match (event.data.as_deref(), stored.data.as_deref()) {
                (Some(one), Some(other)) => same_json(one, other),
                (one, other) => one == other,
            })
}

type Texts = BTreeMap<String, String>;

/// Labels, and annotations without those that only trace requests.
fn described(event: &Event) -> (Texts, Texts) {
    let ObjectMeta {
        labels,
        mut annotations,
        ..
    } = event.metadata().ok().flatten().unwrap_or_default();
    annotations.retain(|name, _| !name.starts_with(LOG_TRACING_PREFIX));
    (labels, annotations)
}

#[cfg(test)]
mod tests;
