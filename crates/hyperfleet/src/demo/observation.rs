//! What the demo sees from outside, and what of it is news.
//!
//! Observers (see [`super::observers`]) look at the three public interfaces: the REST API of HyperFleet, the REST and gRPC interfaces of
//! Maestro, and the Kubernetes API of the management cluster. What they see is an [`Observation`]: the whole object as it is now. The
//! [`Tracker`] compares it with what was seen before and turns a difference into [`Fact`]s. It is a plain function on plain data: no
//! clock, no I/O.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fact::{AdapterReport, Fact, OperatorState};

/// The state of one object at one moment, as a public interface shows it.
#[derive(Debug, Clone)]
pub enum Observation {
    /// `GET /clusters/{id}`; `None` when the API answers 404.
    Cluster(Option<Value>),
    /// `GET /clusters/{id}/statuses`, the items.
    Statuses(Vec<Value>),
    /// A message on the broker's topic.
    Pulse(Value),
    /// The ManifestWork of the control plane, from Maestro; `None` when it is gone.
    Work(Option<Value>),
    /// The HostedCluster on the management cluster; `None` when it is gone.
    HostedCluster(Option<Value>),
}

/// Remembers what was seen last and says what is new.
#[derive(Debug, Default)]
pub struct Tracker {
    cluster: Option<Value>,
    statuses: BTreeMap<String, AdapterReport>,
    work: Option<Value>,
    hosted: Option<Value>,
    operator: OperatorState,
    /// The generation of the last pulse.
    pulsed: Option<i64>,
}

impl Tracker {
    /// The differences between `observation` and what was seen before, in the order in which they are told.
    pub fn digest(&mut self, observation: Observation) -> Vec<Fact> {
        match observation {
            Observation::Cluster(now) => self.cluster(now),
            Observation::Statuses(items) => self.statuses(&items),
            Observation::Pulse(event) => {
                let generation = number(&event, "/data/generation");
                let again = self.pulsed.replace(generation) == Some(generation);
                vec![Fact::Pulse {
                    id: text(&event, "/data/id"),
                    event: text(&event, "/id"),
                    generation,
                    again,
                }]
            }
            Observation::Work(now) => self.work(now),
            Observation::HostedCluster(now) => self.hosted(now),
        }
    }

    /// The work as last seen.
    pub fn last_work(&self) -> Option<&Value> {
        self.work.as_ref()
    }

    /// The HostedCluster as last seen.
    pub fn last_hosted(&self) -> Option<&Value> {
        self.hosted.as_ref()
    }

    /// The report of one adapter as last seen.
    pub fn last_report(&self, adapter: &str) -> Option<&AdapterReport> {
        self.statuses.get(adapter)
    }

    fn cluster(&mut self, now: Option<Value>) -> Vec<Fact> {
        let before = std::mem::replace(&mut self.cluster, now);
        let mut facts = Vec::new();
        match (before.as_ref(), self.cluster.as_ref()) {
            (None, Some(cluster)) => facts.push(Fact::ClusterSeen {
                id: text(cluster, "/id"),
                generation: number(cluster, "/generation"),
            }),
            (Some(_), None) => facts.push(Fact::ClusterRemoved),
            (Some(before), Some(cluster)) => {
                let generation = number(cluster, "/generation");
                let deleting = cluster.get("deleted_time").is_some_and(Value::is_string);
                let was_deleting = before.get("deleted_time").is_some_and(Value::is_string);
                if deleting && !was_deleting {
                    facts.push(Fact::DeletionRequested { generation });
                } else if generation != number(before, "/generation") {
                    facts.push(Fact::GenerationChanged { generation });
                }
            }
            (None, None) => {}
        }
        let condition = |cluster: Option<&Value>| {
            cluster.and_then(|c| {
                super::fact::Condition::find(c.pointer("/status/conditions"), "Reconciled")
            })
        };
        let (was, is) = (condition(before.as_ref()), condition(self.cluster.as_ref()));
        if let Some(is) = is
            && was
                .as_ref()
                .map(|w| (&w.status, &w.reason, w.observed_generation))
                != Some((&is.status, &is.reason, is.observed_generation))
        {
            facts.push(Fact::Reconciled(is));
        }
        facts
    }

    fn statuses(&mut self, items: &[Value]) -> Vec<Fact> {
        let mut facts = Vec::new();
        for item in items {
            let report = AdapterReport::read(item);
            let news = self.statuses.get(&report.adapter) != Some(&report);
            if news {
                self.statuses.insert(report.adapter.clone(), report.clone());
                facts.push(Fact::AdapterReported(report));
            }
        }
        facts
    }

    fn work(&mut self, now: Option<Value>) -> Vec<Fact> {
        let before = std::mem::replace(&mut self.work, now);
        let mut facts = Vec::new();
        match (before.as_ref(), self.work.as_ref()) {
            (None, Some(work)) => facts.push(Fact::WorkStored {
                name: text(work, "/metadata/name"),
                consumer: text(work, "/metadata/namespace"),
                version: number(work, "/metadata/generation"),
                manifests: work
                    .pointer("/spec/workload/manifests")
                    .and_then(Value::as_array)
                    .map_or(0, Vec::len),
                bytes: work
                    .pointer("/spec")
                    .map_or(0, |spec| spec.to_string().len()),
            }),
            (Some(_), None) => facts.push(Fact::WorkGone),
            (Some(before), Some(work)) => {
                if number(work, "/metadata/generation") > number(before, "/metadata/generation") {
                    facts.push(Fact::WorkUpdated {
                        version: number(work, "/metadata/generation"),
                    });
                }
                if work
                    .pointer("/metadata/deletionTimestamp")
                    .is_some_and(Value::is_string)
                    && !before
                        .pointer("/metadata/deletionTimestamp")
                        .is_some_and(Value::is_string)
                {
                    facts.push(Fact::WorkDeleting);
                }
            }
            (None, None) => {}
        }
        let Some(work) = self.work.as_ref() else {
            return facts;
        };
        let applied = |work: Option<&Value>| {
            work.and_then(|w| {
                super::fact::Condition::find(w.pointer("/status/conditions"), "Applied")
            })
        };
        if let Some(is) = applied(Some(work)) {
            let was = applied(before.as_ref());
            if was.map(|w| (w.status, w.observed_generation))
                != Some((is.status.clone(), is.observed_generation))
            {
                facts.push(Fact::WorkApplied(is));
            }
        }
        let fed_back = |work: Option<&Value>| {
            work.and_then(feedback_status)
                .map(|s| OperatorState::read(&s))
        };
        if let Some(is) = fed_back(Some(work))
            && fed_back(before.as_ref()).as_ref().is_none_or(|was| {
                was.available != is.available
                    || was.version != is.version
                    || was.degraded != is.degraded
            })
        {
            facts.push(Fact::FedBack(is));
        }
        facts
    }

    fn hosted(&mut self, now: Option<Value>) -> Vec<Fact> {
        let before = std::mem::replace(&mut self.hosted, now);
        let mut facts = Vec::new();
        let Some(hosted) = self.hosted.as_ref() else {
            self.operator = OperatorState::default();
            if before.is_some() {
                facts.push(Fact::HostedClusterGone);
            }
            return facts;
        };
        let image = text(hosted, "/spec/release/image");
        match before.as_ref() {
            None => facts.push(Fact::HostedClusterApplied {
                name: text(hosted, "/metadata/name"),
                namespace: text(hosted, "/metadata/namespace"),
                manager: managers(hosted),
            }),
            Some(before) if text(before, "/spec/release/image") != image => {
                facts.push(Fact::HostedClusterChanged { image });
            }
            Some(_) => {}
        }
        let deleting = |v: &Value| {
            v.pointer("/metadata/deletionTimestamp")
                .is_some_and(Value::is_string)
        };
        if deleting(hosted) && !before.as_ref().is_some_and(deleting) {
            let finalizers = hosted
                .pointer("/metadata/finalizers")
                .and_then(Value::as_array);
            facts.push(Fact::HostedClusterDeleting {
                finalizers: finalizers
                    .map(|list| {
                        list.iter()
                            .filter_map(Value::as_str)
                            .map(str::to_owned)
                            .collect()
                    })
                    .unwrap_or_default(),
            });
        }
        let state = hosted
            .get("status")
            .map(OperatorState::read)
            .unwrap_or_default();
        if state != self.operator {
            facts.push(Fact::Operator {
                before: Box::new(std::mem::replace(&mut self.operator, state.clone())),
                now: Box::new(state),
            });
        }
        facts
    }
}

/// The `.status` of the HostedCluster inside the feedback of a work.
pub fn feedback_status(work: &Value) -> Option<Value> {
    let manifests = work
        .pointer("/status/resourceStatus/manifests")?
        .as_array()?;
    for manifest in manifests {
        if manifest
            .pointer("/resourceMeta/kind")
            .and_then(Value::as_str)
            != Some("HostedCluster")
        {
            continue;
        }
        for value in manifest.pointer("/statusFeedback/values")?.as_array()? {
            if value.get("name").and_then(Value::as_str) == Some("status") {
                let raw = value.pointer("/fieldValue/jsonRaw")?.as_str()?;
                return serde_json::from_str(raw).ok();
            }
        }
    }
    None
}

fn managers(object: &Value) -> String {
    let mut names: Vec<&str> = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("manager").and_then(Value::as_str))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn number(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
