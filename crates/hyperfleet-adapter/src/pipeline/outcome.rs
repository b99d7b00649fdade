//! What comes out of a run: for the acknowledgement, the metrics, the watches and the dry run's trace.

use std::collections::BTreeMap;
use std::fmt;

use event_broker::Event;
use kube_access::Gvk;
use serde_json::{Map, Value};

/// The phases, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Params,
    Preconditions,
    Resources,
    PostActions,
}

impl Phase {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Params => "param_extraction",
            Self::Preconditions => "preconditions",
            Self::Resources => "resources",
            Self::PostActions => "post_actions",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The end of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) trace: Trace,
    /// Whether delivering the event again may help.
    pub(crate) transient: bool,
    /// Objects whose changes concern this event's resource.
    pub(crate) touched: Vec<Touched>,
}

impl Outcome {
    pub(crate) fn failed(&self) -> bool {
        !self.trace.errors.is_empty()
    }

    /// The label of the metric: `success`, `failed` or `skipped`.
    pub(crate) fn status(&self) -> &'static str {
        if self.failed() {
            "failed"
        } else if self.trace.skipped.is_some() {
            "skipped"
        } else {
            "success"
        }
    }
}

/// An object that this run looked after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Touched {
    /// The management cluster; `None` = the adapter's own.
    pub(crate) target: Option<String>,
    pub(crate) gvk: Gvk,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// What happened, step by step.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) params: Map<String, Value>,
    pub(crate) preconditions: Vec<PreconditionResult>,
    pub(crate) resources: Vec<ResourceResult>,
    pub(crate) actions: Vec<ActionResult>,
    pub(crate) discovered: Map<String, Value>,
    pub(crate) errors: BTreeMap<Phase, String>,
    /// Why resources were skipped.
    pub(crate) skipped: Option<String>,
    /// The resource does not exist any more.
    pub(crate) gone: bool,
    pub(crate) generation: i64,
    /// Only when recording.
    pub(crate) calls: Vec<ApiRecord>,
}

impl Trace {
    pub(crate) fn new(event: &Event) -> Self {
        Self {
            event_id: event.id.clone(),
            event_type: event.event_type.clone(),
            ..Self::default()
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct PreconditionResult {
    pub(crate) name: String,
    pub(crate) matched: bool,
    pub(crate) error: Option<String>,
    pub(crate) captured: Vec<(String, Value)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ResourceResult {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) object: String,
    pub(crate) operation: Option<crate::policy::Operation>,
    pub(crate) reason: String,
    pub(crate) error: Option<String>,
    /// It is to be made anew, and the old object is still there.
    pub(crate) pending: bool,
    /// The object before a delete.
    pub(crate) before: Option<Value>,
    /// Only when recording.
    pub(crate) manifest: Option<Value>,
}

#[derive(Debug, Clone)]
pub(crate) struct ActionResult {
    pub(crate) name: String,
    /// Why it was skipped.
    pub(crate) skipped: Option<String>,
    pub(crate) error: Option<String>,
}

/// An API call, for the trace.
#[derive(Debug, Clone)]
pub(crate) struct ApiRecord {
    pub(crate) phase: Phase,
    pub(crate) step: String,
    pub(crate) method: &'static str,
    pub(crate) url: String,
    /// 0 without an answer.
    pub(crate) status: u16,
    pub(crate) request_body: String,
    pub(crate) response_body: String,
}
