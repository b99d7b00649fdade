//! Rules about one kind of object that YAML can't say: what may not change, and what its status means.
//!
//! A policy is chosen by group and kind in code. It looks at plain data and does no I/O. The pipeline asks it twice:
//!
//! ```text
//! render ─► review(desired, current) ─► apply ─► discover ─► map(observed) ─► payload + overrides ─► report
//!               Refuse: nothing is written
//! ```
//!
//! With the Maestro transport the objects are the manifests *inside* the ManifestWork; a task config without any
//! policy behaves as upstream's. `docs/protocol/adapter-pipeline.md`, "Policies".

use hyperfleet_types::ConditionReport;
use jiff::Timestamp;
use serde_json::{Map, Value};

pub use kube_access::Gvk;

/// Rules for the kinds that [`ResourcePolicy::handles`] says yes to.
pub trait ResourcePolicy: Send + Sync {
    /// Whether this policy speaks for objects of this kind.
    fn handles(&self, gvk: &Gvk) -> bool;

    /// Decides before an object is created or changed. Not asked when nothing would be written.
    fn review(&self, review: &Review<'_>) -> Verdict {
        let _ = review;
        Verdict::Allow
    }

    /// Reads what is known after the resources phase and corrects the report. `None` leaves it as the YAML built it.
    ///
    /// Asked once per object and event, also when the object is absent, was refused, failed, or when the
    /// preconditions were not met (then [`Observed::skipped`] says why).
    fn map(&self, observed: &Observed<'_>) -> Option<Overrides> {
        let _ = observed;
        None
    }
}

/// What is about to be written.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    /// Name of the resource in the task config.
    pub resource: &'a str,
    /// Kind of the object.
    pub gvk: &'a Gvk,
    /// The object as it would be sent.
    pub desired: &'a Value,
    /// The object as it was sent last (Maestro) or as it lives (Kubernetes); `None` for a create.
    pub current: Option<&'a Value>,
    /// The ManifestWork that carries `desired`, with the Maestro transport.
    pub work: Option<&'a Value>,
    /// The ManifestWork as it is stored now, with its status.
    pub current_work: Option<&'a Value>,
    /// The management cluster, with the Maestro transport.
    pub target: Option<&'a str>,
    /// All params, responses and captures of this event.
    pub params: &'a Map<String, Value>,
    /// The generation annotation of `desired`.
    pub generation: i64,
    /// The deployment config's `policy` map.
    pub settings: &'a Map<String, Value>,
    /// The time of this run.
    pub now: Timestamp,
}

/// A policy's answer to [`ResourcePolicy::review`].
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Write it.
    Allow,
    /// Write it, and log these sentences.
    Warn(Vec<String>),
    /// Write nothing. The event is not retried; post actions run with `overrides` in the report.
    Refuse {
        /// CamelCase token, such as `ImmutableFieldChanged`.
        reason: String,
        /// Sentence that names the fields.
        message: String,
        /// Conditions and data for the report; applied after those of [`ResourcePolicy::map`].
        overrides: Overrides,
    },
}

/// What became of a resource in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It was absent and has been created.
    Create,
    /// It has been replaced.
    Update,
    /// It was deleted and created again.
    Recreate,
    /// Nothing was written.
    Skip,
    /// Its deletion was requested, or it is gone.
    Delete,
}

impl Operation {
    /// The word in logs and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Recreate => "recreate",
            Self::Skip => "skip",
            Self::Delete => "delete",
        }
    }
}

/// Why a resource failed in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of error it was.
    pub class: FailureClass,
    /// The text for people.
    pub message: String,
}

/// Classes of resource failures that a policy may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The transport could not be reached or asked to try later.
    Transient,
    /// The credentials were refused.
    Unauthorized,
    /// The object was refused by the transport as invalid.
    Rejected,
    /// Maestro does not know the consumer.
    ConsumerNotFound,
    /// Somebody else owns or changed the object.
    Conflict,
    /// A policy refused it.
    Refused,
    /// Template, expression or other internal error.
    Internal,
}

/// What is known about one object at the end of the resources phase.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// Name of the resource in the task config.
    pub resource: &'a str,
    /// Kind of the object.
    pub gvk: &'a Gvk,
    /// The object: with Maestro the manifest plus `statusFeedback`, `conditions` and, if fed back, `status`; with
    /// Kubernetes the live object. `None` if it does not exist or could not be read.
    pub object: Option<&'a Value>,
    /// The ManifestWork with its status, with the Maestro transport.
    pub work: Option<&'a Value>,
    /// The object as rendered in this run; `None` if it was not rendered.
    pub desired: Option<&'a Value>,
    /// The management cluster, with the Maestro transport.
    pub target: Option<&'a str>,
    /// All params, responses and captures of this event.
    pub params: &'a Map<String, Value>,
    /// Generation of the resource as this run knows it (param `generation`, else the event); 0 if unknown.
    pub generation: i64,
    /// Whether the resource's delete condition holds.
    pub deleting: bool,
    /// What was done; `None` if the resource failed or was not reached.
    pub operation: Option<Operation>,
    /// Why it failed, if it did.
    pub failure: Option<&'a Failure>,
    /// Why the resources were skipped, if they were.
    pub skipped: Option<&'a str>,
    /// The deployment config's `policy` map.
    pub settings: &'a Map<String, Value>,
    /// The time of this run.
    pub now: Timestamp,
}

/// Corrections to the status report. A payload counts as a report if it is an object with a list `conditions`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// Replace the condition of the same type, or are added.
    pub conditions: Vec<ConditionReport>,
    /// Merged into `data`, key by key.
    pub data: Map<String, Value>,
    /// Replaces `observed_generation`.
    pub observed_generation: Option<i64>,
}

impl Overrides {
    /// Whether there is nothing to correct.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.data.is_empty() && self.observed_generation.is_none()
    }

    /// Takes over what `later` says.
    pub fn merge(&mut self, later: Overrides) {
        for condition in later.conditions {
            match self
                .conditions
                .iter_mut()
                .find(|have| have.type_ == condition.type_)
            {
                Some(have) => *have = condition,
                None => self.conditions.push(condition),
            }
        }
        self.data.extend(later.data);
        self.observed_generation = later.observed_generation.or(self.observed_generation);
    }
}
