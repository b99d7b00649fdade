//! What can be measured from outside. Names of events are those of the peers.

use event_wire::{Event, EventType};
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service_runtime::metrics::Metrics as Registry;

use crate::core::Figures;

/// Handles of all metrics of an agent.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    received: Family<Labels, Counter>,
    sent: Family<Labels, Counter>,
    processed: Family<Labels, Counter>,
    reconnected: Family<Labels, Counter>,
    works: Gauge,
    deleting: Gauge,
    waiting: Gauge,
    running: Gauge,
}

/// Labels in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Labels(Vec<(&'static str, String)>);

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, value) in &self.0 {
            (*name, value.as_str()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

impl Metrics {
    /// Registers everything.
    pub fn register(registry: &Registry) -> Self {
        let metrics = Self::default();
        registry.with(|registry| {
            registry.register(
                "cloudevents_received",
                "CloudEvents received by the client",
                metrics.received.clone(),
            );
            registry.register(
                "cloudevents_sent",
                "CloudEvents sent by the client",
                metrics.sent.clone(),
            );
            registry.register(
                "manifestworks_processed",
                "Operations on manifest works",
                metrics.processed.clone(),
            );
            registry.register(
                "cloudevents_client_reconnected",
                "Subscriptions after the first one",
                metrics.reconnected.clone(),
            );
            let gauges = [
                ("works", "Works that the agent knows", &metrics.works),
                (
                    "works_deleting",
                    "Works on their way out",
                    &metrics.deleting,
                ),
                (
                    "works_waiting",
                    "Works that wait for a worker",
                    &metrics.waiting,
                ),
                (
                    "workers_busy",
                    "Workers that apply or remove",
                    &metrics.running,
                ),
            ];
            for (name, help, gauge) in gauges {
                registry.register(format!("maestro_agent_{name}"), help, gauge.clone());
            }
        });
        metrics
    }

    /// An event came in.
    pub fn received(&self, event: &Event) {
        let mut labels = vec![("source", event.source.clone())];
        labels.extend(type_labels(&event.event_type));
        self.received.get_or_create(&Labels(labels)).inc();
    }

    /// An event went out and was accepted.
    pub fn sent(&self, event_type: &EventType, source: &str, original_source: &str) {
        let original = if original_source.is_empty() {
            "none"
        } else {
            original_source
        };
        let mut labels = vec![
            ("source", source.to_owned()),
            ("original_source", original.to_owned()),
        ];
        labels.extend(type_labels(event_type));
        self.sent.get_or_create(&Labels(labels)).inc();
    }

    /// A status was published, or not.
    pub fn processed(&self, accepted: bool) {
        let code = if accepted { "Success" } else { "PublishError" };
        let labels = vec![("action", "patch".to_owned()), ("code", code.to_owned())];
        self.processed.get_or_create(&Labels(labels)).inc();
    }

    /// A subscription stands again.
    pub fn reconnected(&self, client_id: &str) {
        let labels = vec![("client_id", client_id.to_owned())];
        self.reconnected.get_or_create(&Labels(labels)).inc();
    }

    /// The owner's figures.
    pub fn figures(&self, figures: Figures) {
        let set = |gauge: &Gauge, value: usize| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.works, figures.works);
        set(&self.deleting, figures.deleting);
        set(&self.waiting, figures.waiting);
        set(&self.running, figures.running);
    }
}

fn type_labels(event_type: &EventType) -> Vec<(&'static str, String)> {
    vec![
        ("type", event_type.data_type.to_string()),
        ("subresource", event_type.subresource.to_string()),
        ("action", event_type.action.to_string()),
    ]
}
