//! What can be news on the path of a cluster, and how it is told in one line.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// The part of the system at whose door a fact was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hop {
    /// HyperFleet API (REST).
    Api,
    /// Sentinel, through the broker's topic.
    Sentinel,
    /// Adapters, through their reports at the API.
    Adapter,
    /// Maestro (REST and gRPC).
    Maestro,
    /// The work agent, through the Kubernetes API and its status reports.
    Agent,
    /// The HyperShift operator, through the Kubernetes API.
    Operator,
}

impl Hop {
    /// The word in the second column of a line.
    pub fn word(self) -> &'static str {
        match self {
            Hop::Api => "api",
            Hop::Sentinel => "sentinel",
            Hop::Adapter => "adapter",
            Hop::Maestro => "maestro",
            Hop::Agent => "agent",
            Hop::Operator => "operator",
        }
    }
}

/// A condition, as all interfaces of the system show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The generation it speaks about, 0 when it doesn't say.
    pub observed_generation: i64,
}

impl Condition {
    /// Finds one by type in a JSON list of conditions.
    pub fn find(list: Option<&Value>, kind: &str) -> Option<Self> {
        list?
            .as_array()?
            .iter()
            .find(|c| c.get("type").and_then(Value::as_str) == Some(kind))
            .map(Self::read)
    }

    fn read(value: &Value) -> Self {
        let text = |key| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let generation = value
            .get("observed_generation")
            .or_else(|| value.get("observedGeneration"));
        Self {
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
            observed_generation: generation.and_then(Value::as_i64).unwrap_or_default(),
        }
    }

    /// Whether the status is `True`.
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }
}

/// What one adapter has reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdapterReport {
    /// The adapter's name.
    pub adapter: String,
    /// The generation of the resource that it speaks about.
    pub generation: i64,
    /// Its conditions by type.
    pub conditions: BTreeMap<String, Condition>,
    /// Its data.
    pub data: Value,
}

impl AdapterReport {
    /// From an item of `GET …/statuses`.
    pub fn read(item: &Value) -> Self {
        let conditions = item
            .get("conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        Self {
            adapter: item
                .get("adapter")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            generation: item
                .get("observed_generation")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            conditions: conditions
                .filter_map(|c| Some((c.get("type")?.as_str()?.to_owned(), Condition::read(c))))
                .collect(),
            data: item.get("data").cloned().unwrap_or_default(),
        }
    }

    /// Whether the condition of that type is `True`.
    pub fn is_true(&self, kind: &str) -> bool {
        self.conditions.get(kind).is_some_and(Condition::is_true)
    }

    /// The condition of that type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.get(kind)
    }
}

/// The part of a HostedCluster's status that a person follows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OperatorState {
    /// Condition `Available`: status and reason.
    pub available: (String, String),
    /// Condition `Degraded`: status and reason.
    pub degraded: (String, String),
    /// Condition `Progressing`: status and reason.
    pub progressing: (String, String),
    /// The newest completed version.
    pub version: String,
    /// `host:port`, empty until known.
    pub endpoint: String,
    /// What the operator still has to destroy, while deleting.
    pub remaining: String,
}

impl OperatorState {
    /// From a HostedCluster's `.status`.
    pub fn read(status: &Value) -> Self {
        let pair = |kind| {
            Condition::find(status.get("conditions"), kind)
                .map(|c| (c.status, c.reason))
                .unwrap_or_default()
        };
        let history = status.pointer("/version/history").and_then(Value::as_array);
        let version = history
            .into_iter()
            .flatten()
            .find(|h| h.get("state").and_then(Value::as_str) == Some("Completed"))
            .and_then(|h| h.get("version")?.as_str())
            .unwrap_or_default()
            .to_owned();
        let host = status
            .pointer("/controlPlaneEndpoint/host")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let port = status
            .pointer("/controlPlaneEndpoint/port")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        Self {
            available: pair("Available"),
            degraded: pair("Degraded"),
            progressing: pair("Progressing"),
            version,
            endpoint: if host.is_empty() {
                String::new()
            } else {
                format!("{host}:{port}")
            },
            remaining: Condition::find(status.get("conditions"), "CloudResourcesDestroyed")
                .map(|c| {
                    if c.is_true() {
                        "nothing left in the cloud".to_owned()
                    } else {
                        c.message
                    }
                })
                .unwrap_or_default(),
        }
    }

    /// Whether condition `Available` is `True`.
    pub fn is_available(&self) -> bool {
        self.available.0 == "True"
    }

    /// Whether condition `Degraded` is `True`.
    pub fn is_degraded(&self) -> bool {
        self.degraded.0 == "True"
    }
}

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fact", rename_all = "camelCase")]
#[allow(missing_docs)] // the fields are what their names say
pub enum Fact {
    ClusterSeen {
        id: String,
        generation: i64,
    },
    GenerationChanged {
        generation: i64,
    },
    DeletionRequested {
        generation: i64,
    },
    ClusterRemoved,
    Reconciled(Condition),
    Pulse {
        id: String,
        event: String,
        generation: i64,
        again: bool,
    },
    AdapterReported(AdapterReport),
    WorkStored {
        name: String,
        consumer: String,
        version: i64,
        manifests: usize,
        bytes: usize,
    },
    WorkUpdated {
        version: i64,
    },
    WorkApplied(Condition),
    WorkDeleting,
    WorkGone,
    FedBack(OperatorState),
    HostedClusterApplied {
        name: String,
        namespace: String,
        manager: String,
    },
    HostedClusterChanged {
        image: String,
    },
    Operator {
        before: Box<OperatorState>,
        now: Box<OperatorState>,
    },
    HostedClusterDeleting {
        finalizers: Vec<String>,
    },
    HostedClusterGone,
}

impl Fact {
    /// At whose door it was seen.
    pub fn hop(&self) -> Hop {
        match self {
            Fact::ClusterSeen { .. }
            | Fact::GenerationChanged { .. }
            | Fact::DeletionRequested { .. }
            | Fact::ClusterRemoved
            | Fact::Reconciled(_) => Hop::Api,
            Fact::Pulse { .. } => Hop::Sentinel,
            Fact::AdapterReported(_) => Hop::Adapter,
            Fact::WorkStored { .. }
            | Fact::WorkUpdated { .. }
            | Fact::WorkDeleting
            | Fact::WorkGone
            | Fact::FedBack(_) => Hop::Maestro,
            Fact::WorkApplied(_)
            | Fact::HostedClusterApplied { .. }
            | Fact::HostedClusterChanged { .. } => Hop::Agent,
            Fact::Operator { .. }
            | Fact::HostedClusterDeleting { .. }
            | Fact::HostedClusterGone => Hop::Operator,
        }
    }

    /// Whether the line is worth a person's eye; the others are in the timeline only.
    pub fn is_headline(&self) -> bool {
        match self {
            Fact::Operator { before, now } => {
                before.available != now.available
                    || before.version != now.version
                    || before.is_degraded() != now.is_degraded()
                    || before.remaining != now.remaining
                    || before.progressing.0 != now.progressing.0
            }
            // A cluster that waits is pulsed again and again.
            Fact::Pulse { again, .. } => !again,
            _ => true,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::ClusterSeen { id, generation } => {
                write!(f, "cluster {id}  generation {generation}")
            }
            Fact::GenerationChanged { generation } => {
                write!(f, "spec changed  generation {generation}")
            }
            Fact::DeletionRequested { generation } => {
                write!(f, "marked for deletion  generation {generation}")
            }
            Fact::ClusterRemoved => {
                f.write_str("every adapter reported Finalized=True · row removed (404)")
            }
            Fact::Reconciled(c) if c.is_true() => {
                write!(f, "Reconciled=True  generation {}", c.observed_generation)
            }
            Fact::Reconciled(c) => {
                // Who has reported about any generation at all is of no help to a person.
                let message = c.message.split(". Currently reporting:").next();
                let generation = c.observed_generation;
                write!(
                    f,
                    "Reconciled={}  {}  generation {generation}",
                    c.status,
                    message.unwrap_or_default()
                )
            }
            Fact::Pulse {
                event, generation, ..
            } => {
                write!(
                    f,
                    "pulse {}…  generation {generation}",
                    event.get(..13).unwrap_or(event)
                )
            }
            Fact::AdapterReported(report) => report.fmt(f),
            Fact::WorkStored {
                name,
                consumer,
                version,
                manifests,
                bytes,
            } => write!(
                f,
                "stored {name} for {consumer}  version {version}  ({manifests} manifest{}, {:.1} KB)",
                if *manifests == 1 { "" } else { "s" },
                *bytes as f64 / 1000.0
            ),
            Fact::WorkUpdated { version } => write!(f, "stored version {version}"),
            Fact::WorkApplied(c) if c.is_true() => {
                write!(f, "work applied  version {}", c.observed_generation)
            }
            Fact::WorkApplied(c) => write!(f, "work not applied: {} {}", c.reason, c.message),
            Fact::WorkDeleting => f.write_str("deletion accepted, sent to the agent"),
            Fact::WorkGone => f.write_str("agent acknowledged the deletion · work removed"),
            Fact::FedBack(state) => write!(f, "status feedback  {}", told(state)),
            Fact::HostedClusterApplied {
                name,
                namespace,
                manager,
            } => {
                write!(
                    f,
                    "HostedCluster {namespace}/{name} applied  (managers: {manager})"
                )
            }
            Fact::HostedClusterChanged { image } => {
                write!(f, "HostedCluster updated  release {image}")
            }
            Fact::Operator { now, .. } => told(now).fmt(f),
            Fact::HostedClusterDeleting { finalizers } => {
                write!(
                    f,
                    "HostedCluster is being deleted, held by {}",
                    finalizers.join(", ")
                )
            }
            Fact::HostedClusterGone => f.write_str("finalizer released · HostedCluster gone"),
        }
    }
}

fn told(state: &OperatorState) -> String {
    let (available, reason) = &state.available;
    let mut line = match available.as_str() {
        "" => "no status yet".to_owned(),
        "True" => "Available=True".to_owned(),
        other => format!("Available={other} {reason}"),
    };
    if state.is_degraded() {
        line.push_str(&format!("  Degraded=True {}", state.degraded.1));
    }
    if state.progressing.0 == "True" {
        line.push_str(&format!("  Progressing {}", state.progressing.1));
    }
    if !state.version.is_empty() {
        line.push_str(&format!("  version {}", state.version));
    }
    if !state.remaining.is_empty() {
        line.push_str(&format!("  ({})", state.remaining));
    }
    line
}

impl fmt::Display for AdapterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.adapter)?;
        for (kind, condition) in &self.conditions {
            match condition.status.as_str() {
                "True" => write!(f, "  {kind} ✔")?,
                "False" if kind == "Finalized" => {}
                "False" if kind == "Applied" && !condition.message.is_empty() => {
                    let message = Short(&condition.message);
                    write!(f, "  {kind} ✘ {}: {message}", condition.reason)?;
                }
                "False" => write!(f, "  {kind} ✘ {}", condition.reason)?,
                other => write!(f, "  {kind} {other}")?,
            }
        }
        for key in ["control_plane_endpoint", "version"] {
            if let Some(value) = self
                .data
                .get(key)
                .and_then(Value::as_str)
                .filter(|v| !v.is_empty())
            {
                write!(f, "  {} {value}", key.trim_start_matches("control_plane_"))?;
            }
        }
        write!(f, "  generation {}", self.generation)
    }
}

/// The beginning of a sentence: the whole one is told where it is what matters, and is in the report.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARACTERS: usize = 60;
        match self.0.char_indices().nth(CHARACTERS) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}
