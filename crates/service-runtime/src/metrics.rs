//! A metrics registry and its endpoint.
//!
//! Names and labels follow `docs/protocol/service-conventions.md`: `hyperfleet_<component>_<noun>_<unit>`, closed
//! label sets, never an id as a label.

mod process;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// What OpenMetrics text must be served as, or Prometheus reads it as the classic format and trips over `# EOF`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A shared registry. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

/// Who is being measured: the labels `component` and `version` of the build and liveness gauges.
#[derive(Clone, Debug)]
pub struct Build {
    /// For example `sentinel`.
    pub component: String,
    /// The version of the binary.
    pub version: String,
    /// The commit it was built from; empty if unknown.
    pub commit: String,
}

impl Metrics {
    /// A registry with the process metrics (`process_*`) and nothing else.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process));
        Self {
            registry: Arc::new(Mutex::new(registry)),
        }
    }

    /// Lets a part register its own metrics. Parts keep the handles; the registry is only read at a scrape.
    pub fn with<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Registers `<prefix>_build_info` and `<prefix>_up` and returns the latter (1; set it to 0 at shutdown).
    ///
    /// `prefix` is for example `hyperfleet_adapter`.
    pub fn describe(&self, prefix: &str, build: &Build) -> Gauge {
        let up = Gauge::default();
        up.set(1);
        let common = [
            ("component".into(), build.component.clone().into()),
            ("version".into(), build.version.clone().into()),
        ];
        self.with(|registry| {
            let registry = registry.sub_registry_with_labels(common.into_iter());
            registry.register(
                format!("{prefix}_up"),
                "1 while the service runs, 0 while it shuts down",
                up.clone(),
            );
            registry
                .sub_registry_with_label(("commit".into(), build.commit.clone().into()))
                .register(
                    format!("{prefix}_build_info"),
                    "The build that runs, value 1",
                    ConstGauge::new(1_i64),
                );
        });
        up
    }

    /// The OpenMetrics text of everything registered.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let encoded =
            self.with(|registry| prometheus_client::encoding::text::encode(&mut text, registry));
        if let Err(error) = encoded {
            // Writing to a String fails only if a collector says so.
            tracing::error!(%error, "A metrics collector failed.");
        }
        text
    }

    /// `GET /metrics`.
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
            .route(
                "/metrics",
                get(|State(metrics): State<Metrics>| async move {
                    ([(CONTENT_TYPE, OPEN_METRICS)], metrics.encode())
                }),
            )
            .with_state(self.clone())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
