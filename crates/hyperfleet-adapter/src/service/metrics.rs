//! The metrics of `docs/protocol/adapter-pipeline.md`, "Metrics". No ids in labels.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use service_runtime::metrics::{Build, Metrics as Registry};

use crate::pipeline::outcome::Outcome;
use crate::policy::Operation;

/// Upper bounds of the duration buckets, in seconds.
const SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorType {
    error_type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Deleted {
    resource_type: String,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Applied {
    operation: &'static str,
}

/// Handles to the adapter's metrics. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    up: Gauge,
    events: Family<Status, Counter>,
    duration: Histogram,
    errors: Family<ErrorType, Counter>,
    deleted: Family<Deleted, Counter>,
    operations: Family<Applied, Counter>,
    consumed: Counter,
    nacks: Counter,
    dead: Counter,
}

impl Metrics {
    pub(crate) fn new(adapter: &str) -> Self {
        let registry = Registry::new();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let build = Build {
            component: adapter.to_owned(),
            version: version.clone(),
            commit: "none".into(),
        };
        let up = registry.describe("hyperfleet_adapter", &build);
        let metrics = Self {
            up,
            events: Family::default(),
            duration: Histogram::new(SECONDS),
            errors: Family::default(),
            deleted: Family::default(),
            operations: Family::default(),
            consumed: Counter::default(),
            nacks: Counter::default(),
            dead: Counter::default(),
            registry,
        };
        let labels = [
            ("component".into(), adapter.to_owned().into()),
            ("version".into(), version.into()),
            ("adapter_name".into(), short_name(adapter).to_owned().into()),
        ];
        metrics.registry.with(|root| {
            let registry = root.sub_registry_with_labels(labels.into_iter());
            // The library appends `_total` to counters.
            registry.register(
                "hyperfleet_adapter_events_processed",
                "Events by result",
                metrics.events.clone(),
            );
            registry.register(
                "hyperfleet_adapter_event_processing_duration_seconds",
                "Time from start to end of an event",
                metrics.duration.clone(),
            );
            registry.register(
                "hyperfleet_adapter_errors",
                "Failed phases",
                metrics.errors.clone(),
            );
            registry.register(
                "hyperfleet_adapter_resources_deleted",
                "Deletions by kind",
                metrics.deleted.clone(),
            );
            registry.register(
                "hyperfleet_adapter_resource_operations",
                "What was done to resources",
                metrics.operations.clone(),
            );
            registry.register(
                "hyperfleet_adapter_nacks",
                "Events given back to the broker",
                metrics.nacks.clone(),
            );
            registry.register(
                "hyperfleet_adapter_dlq_messages",
                "Events given back at their last attempt",
                metrics.dead.clone(),
            );
            registry.register(
                "hyperfleet_broker_messages_consumed",
                "Deliveries taken from the broker",
                metrics.consumed.clone(),
            );
        });
        metrics
    }

    pub(crate) fn registry(&self) -> Registry {
        self.registry.clone()
    }

    pub(crate) fn consumed(&self) {
        self.consumed.inc();
    }

    pub(crate) fn refused(&self, last: bool) {
        self.nacks.inc();
        if last {
            self.dead.inc();
        }
    }

    pub(crate) fn down(&self) {
        self.up.set(0);
    }

    /// An event that ended without an outcome.
    pub(crate) fn timed_out(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        self.events
            .get_or_create(&Status { status: "failed" })
            .inc();
        self.errors
            .get_or_create(&ErrorType {
                error_type: "event",
            })
            .inc();
    }

    pub(crate) fn finished(&self, outcome: &Outcome, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        self.events
            .get_or_create(&Status {
                status: outcome.status(),
            })
            .inc();
        for phase in outcome.trace.errors.keys() {
            self.errors
                .get_or_create(&ErrorType {
                    error_type: phase.as_str(),
                })
                .inc();
        }
        for resource in &outcome.trace.resources {
            if let Some(operation) = resource.operation {
                self.operations
                    .get_or_create(&Applied {
                        operation: operation.as_str(),
                    })
                    .inc();
            }
            let deleting =
                resource.operation == Some(Operation::Delete) && resource.before.is_some();
            let failed = resource.error.is_some() && resource.before.is_some();
            if deleting || failed {
                let resource_type = if resource.kind.is_empty() {
                    "Unknown"
                } else {
                    &resource.kind
                }
                .to_owned();
                let status = if failed { "error" } else { "success" };
                self.deleted
                    .get_or_create(&Deleted {
                        resource_type,
                        status,
                    })
                    .inc();
            }
        }
    }
}

/// `hyperfleet-adapter-gcp` → `gcp`, `adapter-validation` → `validation`, `test-adapter` → `test`.
fn short_name(adapter: &str) -> &str {
    adapter
        .strip_prefix("hyperfleet-adapter-")
        .or_else(|| adapter.strip_prefix("adapter-"))
        .or_else(|| adapter.strip_suffix("-adapter"))
        .unwrap_or(adapter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapter_names_are_short_in_labels() {
        for (name, short) in [
            ("hyperfleet-adapter-gcp", "gcp"),
            ("adapter-validation", "validation"),
            ("test-adapter", "test"),
            ("standalone", "standalone"),
        ] {
            assert_eq!(short_name(name), short);
        }
    }

    #[test]
    fn names_and_constant_labels_are_those_of_the_dashboards() {
        let metrics = Metrics::new("adapter-validation");
        metrics.consumed();
        metrics.timed_out(Duration::from_secs(1));
        let text = metrics.registry().encode();
        for part in [
            "hyperfleet_adapter_up{component=\"adapter-validation\"",
            "hyperfleet_adapter_events_processed_total{",
            "hyperfleet_adapter_event_processing_duration_seconds_bucket{",
            "hyperfleet_adapter_errors_total{",
            "hyperfleet_broker_messages_consumed_total{",
            "adapter_name=\"validation\"",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
