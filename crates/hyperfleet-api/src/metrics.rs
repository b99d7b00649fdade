//! What is counted. Names and labels are those of upstream.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Method;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::store::Pending;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    path: String,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Kind {
    resource_type: String,
    is_delete: String,
}

/// Counters of one API. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<Request, Counter>,
    durations: Family<Request, Histogram>,
    started: Family<Kind, Counter>,
    pending: Arc<Mutex<Vec<Pending>>>,
    connections_open: Gauge,
    connections_in_use: Gauge,
    stuck_after: Duration,
}

impl Metrics {
    /// Counters at zero; a resource counts as stuck after this time.
    pub fn new(stuck_after: Duration) -> Self {
        Self {
            requests: Family::default(),
            // Prometheus' own default buckets would end at 10 s too.
            durations: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.005, 2.0, 12))
            }),
            started: Family::default(),
            pending: Arc::default(),
            connections_open: Gauge::default(),
            connections_in_use: Gauge::default(),
            stuck_after,
        }
    }

    /// Makes them visible.
    pub fn register(&self, registry: &mut Registry, version: &str) {
        let labels = [
            ("component".into(), "api".into()),
            ("version".into(), version.to_owned().into()),
        ];
        let registry = registry.sub_registry_with_labels(labels.into_iter());
        registry.register(
            "hyperfleet_api_requests",
            "Requests answered",
            self.requests.clone(),
        );
        registry.register(
            "hyperfleet_api_request_duration_seconds",
            "Time from the head of a request to its answer",
            self.durations.clone(),
        );
        registry.register(
            "hyperfleet_api_reconciliation_started",
            "Times that a resource became unreconciled",
            self.started.clone(),
        );
        registry.register(
            "hyperfleet_db_connections_open",
            "Connections to the database",
            self.connections_open.clone(),
        );
        registry.register(
            "hyperfleet_db_connections_in_use",
            "Connections that serve a request",
            self.connections_in_use.clone(),
        );
        registry.register_collector(Box::new(self.clone()));
    }

    /// A request was answered.
    pub fn request(&self, method: &Method, path: &str, code: u16, duration: Duration) {
        let labels = Request {
            method: method.to_string(),
            path: path.to_owned(),
            code,
        };
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&labels)
            .observe(duration.as_secs_f64());
    }

    /// A resource became unreconciled.
    pub fn reconciliation_started(&self, kind: &str, is_delete: bool) {
        self.started
            .get_or_create(&Kind {
                resource_type: kind.to_owned(),
                is_delete: is_delete.to_string(),
            })
            .inc();
    }

    /// Connections in use and in total now.
    pub fn set_connections(&self, (in_use, open): (usize, usize)) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.connections_in_use.set(count(in_use));
        self.connections_open.set(count(open));
    }

    /// What is unreconciled now.
    pub fn set_pending(&self, pending: Vec<Pending>) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = pending;
    }
}

/// Gauges that depend on the time of the scrape.
impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let pending = self
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let now = jiff::Timestamp::now();
        let stuck_after = self.stuck_after.as_secs_f64();
        let mut kinds: std::collections::BTreeMap<Kind, (i64, i64, f64)> =
            std::collections::BTreeMap::new();
        for Pending {
            kind,
            deleting,
            since,
        } in pending
        {
            let age = now.duration_since(since).as_secs_f64();
            let labels = Kind {
                resource_type: kind.to_lowercase(),
                is_delete: deleting.to_string(),
            };
            let (count, stuck, longest) = kinds.entry(labels).or_default();
            *count += 1;
            if age > stuck_after {
                *stuck += 1;
                *longest = longest.max(age);
            }
        }
        let mut gauge = |name: &str,
                         help: &str,
                         value: &dyn Fn(&(i64, i64, f64)) -> f64|
         -> Result<(), std::fmt::Error> {
            let mut family = encoder.encode_descriptor(
                name,
                help,
                None,
                prometheus_client::metrics::MetricType::Gauge,
            )?;
            for (labels, facts) in &kinds {
                ConstGauge::new(value(facts)).encode(family.encode_family(labels)?)?;
            }
            Ok(())
        };
        let count = |number: i64| f64::from(i32::try_from(number).unwrap_or(i32::MAX));
        gauge(
            "hyperfleet_api_resource_pending_reconciliation",
            "Resources that are not reconciled",
            &|facts| count(facts.0),
        )?;
        gauge(
            "hyperfleet_api_resource_pending_reconciliation_stuck",
            "Resources that are not reconciled for longer than the threshold",
            &|facts| count(facts.1),
        )?;
        gauge(
            "hyperfleet_api_resource_pending_reconciliation_stuck_duration_seconds",
            "Age of the one that is stuck longest",
            &|facts| facts.2,
        )
    }
}
