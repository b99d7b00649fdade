//! What the end of a resource waits for, as its agent tells it.

use event_wire::payload::ManifestBundleStatus;
use jiff::Timestamp;
use manifestwork::conditions;
use manifestwork::constants::condition;
use serde::{Deserialize, Serialize};

/// What the end of a resource waits for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Deletion {
    /// When it was asked for.
    pub since: Timestamp,
    /// The objects that are still there.
    pub waits_for: WaitsFor,
    /// What the agent says about the work as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The objects that are still there.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitsFor {
    /// The agent hasn't said: it didn't get that far, or it is one that never says.
    Unknown,
    /// These, as of the last status.
    Objects(Vec<Remaining>),
}

impl Serialize for WaitsFor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown => serializer.serialize_str("unknown"),
            Self::Objects(objects) => objects.serialize(serializer),
        }
    }
}

/// An object on its way out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Remaining {
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Since when it is on its way out, as the cluster says.
    pub since: String,
    /// Who holds it.
    pub finalizers: Vec<String>,
}

/// What our agents put into the message of a manifest's condition `Deleting`.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    since: String,
    #[serde(default)]
    finalizers: Vec<String>,
}

/// Reads it from the last status.
pub(super) fn of(since: Timestamp, report: Option<&ManifestBundleStatus>) -> Deletion {
    let Some(report) = report else {
        return Deletion {
            since,
            waits_for: WaitsFor::Unknown,
            message: None,
        };
    };
    let work = conditions::find(&report.conditions, condition::DELETING);
    let mut objects = Vec::new();
    for manifest in &report.resource_status {
        let Some(deleting) = conditions::find(&manifest.conditions, condition::DELETING) else {
            continue;
        };
        // A message of another form is no reason to hide the object.
        let message = serde_json::from_str(&deleting.message).unwrap_or(Message {
            since: String::new(),
            finalizers: Vec::new(),
        });
        let meta = &manifest.resource_meta;
        objects.push(Remaining {
            group: meta.group.clone(),
            version: meta.version.clone(),
            kind: meta.kind.clone(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            since: message.since,
            finalizers: message.finalizers,
        });
    }
    let waits_for = if work.is_none() && objects.is_empty() {
        WaitsFor::Unknown
    } else {
        WaitsFor::Objects(objects)
    };
    Deletion {
        since,
        waits_for,
        message: work.map(|condition| condition.message.clone()),
    }
}
