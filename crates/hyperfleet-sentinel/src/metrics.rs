//! What is counted. Names and labels are those of upstream.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    resource_type: String,
    resource_selector: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    resource_type: String,
    resource_selector: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    resource_type: String,
    resource_selector: String,
    error_type: String,
}

/// Counters of one Sentinel. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    watched: Watched,
    pending: Family<Watched, Gauge>,
    published: Family<Reason, Counter>,
    skipped: Family<Reason, Counter>,
    duration: Family<Watched, Histogram>,
    api_errors: Family<Failure, Counter>,
    broker_errors: Family<Failure, Counter>,
    last_success: Gauge,
}

impl Metrics {
    /// Counters at zero, for one type and selector.
    pub fn new(resource_type: &str, resource_selector: &str) -> Self {
        Self {
            watched: Watched {
                resource_type: resource_type.to_owned(),
                resource_selector: resource_selector.to_owned(),
            },
            pending: Family::default(),
            published: Family::default(),
            skipped: Family::default(),
            duration: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.005, 2.0, 12))
            }),
            api_errors: Family::default(),
            broker_errors: Family::default(),
            last_success: Gauge::default(),
        }
    }

    /// Makes them visible.
    pub fn register(&self, registry: &mut Registry, version: &str) {
        let labels = [
            ("component".into(), "sentinel".into()),
            ("version".into(), version.to_owned().into()),
        ];
        let registry = registry
            .sub_registry_with_labels(labels.into_iter())
            .sub_registry_with_prefix("hyperfleet_sentinel");
        registry.register(
            "pending_resources",
            "Resources that needed a pulse in the last cycle",
            self.pending.clone(),
        );
        registry.register(
            "events_published",
            "Pulses that the broker took",
            self.published.clone(),
        );
        registry.register(
            "resources_skipped",
            "Resources that needed no pulse",
            self.skipped.clone(),
        );
        registry.register(
            "poll_duration_seconds",
            "Time of a cycle",
            self.duration.clone(),
        );
        registry.register(
            "api_errors",
            "Cycles that ended because the API failed",
            self.api_errors.clone(),
        );
        registry.register(
            "broker_errors",
            "Pulses that the broker did not take",
            self.broker_errors.clone(),
        );
        registry.register(
            "last_successful_poll_timestamp_seconds",
            "When all resources were last fetched",
            self.last_success.clone(),
        );
    }

    fn reason(&self, reason: &str) -> Reason {
        let Watched {
            resource_type,
            resource_selector,
        } = self.watched.clone();
        Reason {
            resource_type,
            resource_selector,
            reason: reason.to_owned(),
        }
    }

    fn failure(&self, error_type: &str) -> Failure {
        let Watched {
            resource_type,
            resource_selector,
        } = self.watched.clone();
        Failure {
            resource_type,
            resource_selector,
            error_type: error_type.to_owned(),
        }
    }

    /// The broker took a pulse.
    pub fn published(&self, reason: &str) {
        self.published.get_or_create(&self.reason(reason)).inc();
    }

    /// A resource needed no pulse.
    pub fn skipped(&self, reason: &str) {
        self.skipped.get_or_create(&self.reason(reason)).inc();
    }

    /// The broker did not take a pulse.
    pub fn publish_failed(&self) {
        self.broker_errors
            .get_or_create(&self.failure("publish_error"))
            .inc();
    }

    /// The API failed; `auth` if it was about credentials.
    pub fn fetch_failed(&self, auth: bool) {
        self.api_errors
            .get_or_create(&self.failure(if auth { "auth_error" } else { "fetch_error" }))
            .inc();
    }

    /// All resources were fetched; so many needed a pulse.
    pub fn polled(&self, pending: usize, at: jiff::Timestamp) {
        self.pending
            .get_or_create(&self.watched)
            .set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.last_success.set(at.as_second());
    }

    /// A cycle took this long.
    pub fn took(&self, duration: Duration) {
        self.duration
            .get_or_create(&self.watched)
            .observe(duration.as_secs_f64());
    }
}
