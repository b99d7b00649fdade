//! What is counted. Names and labels are upstream's, without ids in labels (`docs/protocol/maestro-metrics.md`).

mod flow;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use service_runtime::metrics::Metrics;
use tonic::Code;

use crate::model::Ignored;
pub use flow::{Flow, Skipped, Way, event_type};

/// Sources that get a label of their own; all further ones share [`OTHER`], for anybody may invent source ids.
const MAX_SOURCES: usize = 200;
/// Label of those who get none of their own.
pub(crate) const OTHER: &str = "other";

/// Handles of all metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rest_count: Family<RestLabels, Gauge>,
    rest_duration: Family<RestLabels, Histogram, fn() -> Histogram>,
    called: Family<CallLabels, Counter>,
    received: Family<CallLabels, Counter>,
    sent: Family<CallLabels, Counter>,
    processed: Family<ResultLabels, Counter>,
    duration: Family<CallLabels, Histogram, fn() -> Histogram>,
    source_clients: Family<SourceLabels, Gauge>,
    broker_processed: Family<BrokerLabels, Counter>,
    broker_duration: Family<MethodLabels, Histogram, fn() -> Histogram>,
    agents: Gauge,
    ignored: Family<ReasonLabels, Counter>,
    listed: Family<OriginLabels, Counter>,
    waiting: Gauge,
    sources: Mutex<HashSet<String>>,
    flow: Flow,
}

macro_rules! labels {
    ($($name:ident { $($field:ident: $kind:ty),* })*) => {
        $(#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        struct $name { $($field: $kind),* })*
    };
}

labels! {
    RestLabels { method: String, path: String, code: u16 }
    CallLabels { r#type: &'static str, source: String }
    ResultLabels { r#type: &'static str, source: String, code: GrpcCode }
    SourceLabels { source: String }
    BrokerLabels { r#type: &'static str, code: GrpcCode }
    MethodLabels { r#type: &'static str }
    ReasonLabels { reason: &'static str }
    OriginLabels { from: &'static str }
}

/// A gRPC code by its name.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct GrpcCode(i32);

impl EncodeLabelValue for GrpcCode {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        format!("{:?}", Code::from_i32(self.0)).encode(encoder)
    }
}

fn rest_buckets() -> Histogram {
    Histogram::new([0.1, 1.0, 10.0, 30.0])
}

fn default_buckets() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ])
}

/// Counts for nobody: what is counted isn't shown anywhere.
impl Default for Telemetry {
    fn default() -> Self {
        let inner = Inner {
            rest_count: Family::default(),
            rest_duration: Family::new_with_constructor(rest_buckets),
            called: Family::default(),
            received: Family::default(),
            sent: Family::default(),
            processed: Family::default(),
            duration: Family::new_with_constructor(default_buckets),
            source_clients: Family::default(),
            broker_processed: Family::default(),
            broker_duration: Family::new_with_constructor(default_buckets),
            agents: Gauge::default(),
            ignored: Family::default(),
            listed: Family::default(),
            waiting: Gauge::default(),
            sources: Mutex::default(),
            flow: Flow::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl Telemetry {
    /// Registers everything.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let telemetry = Self::default();
        metrics.with(|registry| telemetry.inner.register(registry));
        telemetry
    }

    /// Events, transactions, queues.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.inner.flow
    }

    /// An event was given to a stream of a source.
    pub fn sent_to_source(&self, source: &str) {
        let labels = CallLabels {
            r#type: "Subscribe",
            source: self.source_label(source),
        };
        self.inner.sent.get_or_create(&labels).inc();
    }

    /// A REST request was answered; `path` is the route with `-` for what varies.
    pub fn rest_call(&self, method: &str, path: &str, code: u16, took: Duration) {
        let labels = RestLabels {
            method: method.to_owned(),
            path: path.to_owned(),
            code,
        };
        self.inner.rest_count.get_or_create(&labels).inc();
        self.inner
            .rest_duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// A call on the source port was answered.
    pub fn grpc_call(&self, method: &'static str, source: &str, code: Code, took: Duration) {
        let source = self.source_label(source);
        let labels = CallLabels {
            r#type: method,
            source: source.clone(),
        };
        self.inner.called.get_or_create(&labels).inc();
        if method == "Publish" {
            self.inner.received.get_or_create(&labels).inc();
        }
        self.inner
            .duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        let labels = ResultLabels {
            r#type: method,
            source,
            code: GrpcCode(code.into()),
        };
        self.inner.processed.get_or_create(&labels).inc();
    }

    /// A call on the agent port was answered.
    pub fn broker_call(&self, method: &'static str, code: Code, took: Duration) {
        let labels = BrokerLabels {
            r#type: method,
            code: GrpcCode(code.into()),
        };
        self.inner.broker_processed.get_or_create(&labels).inc();
        let labels = MethodLabels { r#type: method };
        self.inner
            .broker_duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Counts a source's stream until the value is dropped.
    #[must_use]
    pub fn source_client(&self, source: &str) -> impl Drop + Send + Sync + use<> {
        let labels = SourceLabels {
            source: self.source_label(source),
        };
        Open::new(self.inner.source_clients.get_or_create(&labels).clone())
    }

    /// Counts an agent's stream until the value is dropped.
    #[must_use]
    pub fn agent_client(&self) -> impl Drop + Send + Sync + use<> {
        Open::new(self.inner.agents.clone())
    }

    /// A status was left out.
    pub fn ignored_status(&self, why: &Ignored) {
        let reason = match why {
            Ignored::Gone => "gone",
            Ignored::OtherLife => "other_life",
            Ignored::OtherVersion => "other_version",
            Ignored::NotNewer(_) => "not_newer",
            Ignored::NotDeleting => "not_deleting",
        };
        self.inner
            .ignored
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// Items of a list of resource bundles were made, so many of them from what was shown before.
    pub fn listed(&self, kept: usize, read: usize) {
        for (from, items) in [("memory", kept), ("database", read)] {
            let items = u64::try_from(items).unwrap_or(u64::MAX);
            self.inner
                .listed
                .get_or_create(&OriginLabels { from })
                .inc_by(items);
        }
    }

    /// How many ids wait in streams.
    pub fn waiting(&self, ids: usize) {
        self.inner
            .waiting
            .set(i64::try_from(ids).unwrap_or(i64::MAX));
    }

    fn source_label(&self, source: &str) -> String {
        let mut known = self
            .inner
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.contains(source) {
            return source.to_owned();
        }
        if known.len() >= MAX_SOURCES {
            return OTHER.to_owned();
        }
        known.insert(source.to_owned());
        source.to_owned()
    }
}

/// Counts one while it lives.
struct Open {
    gauge: Gauge,
}

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self { gauge }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl Inner {
    fn register(&self, registry: &mut Registry) {
        // A gauge, because counters would be renamed to end in `_total`.
        registry.register(
            "rest_api_inbound_request_count",
            "Number of REST requests served",
            self.rest_count.clone(),
        );
        registry.register(
            "rest_api_inbound_request_duration",
            "Duration of REST requests in seconds",
            self.rest_duration.clone(),
        );
        registry.register(
            "grpc_server_called",
            "Calls on the source port",
            self.called.clone(),
        );
        registry.register(
            "grpc_server_message_received",
            "Events that sources published",
            self.received.clone(),
        );
        registry.register(
            "grpc_server_message_sent",
            "Events given to the streams of sources",
            self.sent.clone(),
        );
        registry.register(
            "grpc_server_processed",
            "Calls on the source port that were answered",
            self.processed.clone(),
        );
        registry.register(
            "grpc_server_processed_duration_seconds",
            "Duration of calls on the source port",
            self.duration.clone(),
        );
        registry.register(
            "grpc_server_registered_source_clients",
            "Open streams of sources",
            self.source_clients.clone(),
        );
        registry.register(
            "grpc_broker_processed",
            "Calls on the agent port that were answered",
            self.broker_processed.clone(),
        );
        registry.register(
            "grpc_broker_processed_duration_seconds",
            "Duration of calls on the agent port",
            self.broker_duration.clone(),
        );
        registry.register(
            "grpc_broker_registered_agents",
            "Open streams of agents",
            self.agents.clone(),
        );
        registry.register(
            "resource_status_ignored",
            "Statuses that were accepted and left out",
            self.ignored.clone(),
        );
        registry.register(
            "rest_list_items",
            "Items of lists of resource bundles, by where they came from",
            self.listed.clone(),
        );
        registry.register(
            "delivery_waiting_resources",
            "Resources that wait for a stream to take them",
            self.waiting.clone(),
        );
        self.flow.register(registry);
    }
}
