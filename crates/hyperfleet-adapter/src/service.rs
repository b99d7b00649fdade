//! The running adapter: takes pulses, runs the pipeline, acknowledges, watches what it made.
//!
//! ```text
//! broker ──delivery──► dispatcher ──► pipeline (many clusters at once, one run per cluster)
//!                        ▲    │ ack / nack
//!            change of an own object (coalesced)
//! ```
//!
//! Reading order: [`Service`] here, `queue` (which cluster runs when: plain data), `dispatch` (the task that owns it),
//! `watch` (changes of own objects), `found` (own objects from before the start), `metrics`.

mod clients;
mod dispatch;
mod found;
pub(crate) mod metrics;
mod queue;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use event_broker::{Broker, Consumer, Subscription};
use service_runtime::health::{Gate, Health};
use service_runtime::http;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::HttpApi;
use crate::config::{Config, TaskConfig};
use crate::pipeline::{Pipeline, pulse};
use crate::policy::ResourcePolicy;
use clients::Clients;
use dispatch::Dispatcher;
use metrics::Metrics;

/// Changes of own objects that wait to be noted; beyond, watching pauses.
const CHANGES: usize = 1_024;
/// Time for running events after shutdown has begun; what is not done by then is delivered again.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// What a service needs from outside.
pub struct Dependencies {
    /// Where pulses come from.
    pub broker: Arc<dyn Broker>,
    /// Rules in code for some kinds.
    pub policies: Vec<Arc<dyn ResourcePolicy>>,
    /// The adapter's own cluster; `None` = by `clients.kubernetes`.
    pub kubernetes: Option<kube_access::Client>,
    /// Maestro; `None` = by `clients.maestro`.
    pub maestro: Option<maestro_client::Client>,
}

impl Dependencies {
    /// Clients by configuration, no policies.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self {
            broker,
            policies: Vec::new(),
            kubernetes: None,
            maestro: None,
        }
    }

    /// Adds a policy.
    #[must_use]
    pub fn policy(mut self, policy: Arc<dyn ResourcePolicy>) -> Self {
        self.policies.push(policy);
        self
    }
}

/// The addresses that the service listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// `/healthz`, `/readyz`, `/config`.
    pub health: Option<SocketAddr>,
    /// `/metrics`.
    pub metrics: Option<SocketAddr>,
}

/// An adapter with everything opened: clients made, sockets bound, subscribed.
pub struct Service {
    config: Arc<Config>,
    pipeline: Arc<Pipeline>,
    clients: Clients,
    consumer: Consumer,
    broker: Arc<dyn Broker>,
    metrics: Metrics,
    health: Health,
    broker_gate: Gate,
    health_listener: Option<TcpListener>,
    metrics_listener: Option<TcpListener>,
}

/// Why the adapter can't start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that serving needs is missing, or a client can't be made from the configuration.
    #[error("{0}")]
    Config(String),
    /// A socket can't be bound.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The configured address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The subscription failed or ended.
    #[error("hyperfleet-adapter-12: broker: {0}")]
    Broker(String),
}

impl Service {
    /// Opens everything. Reaches the broker; Kubernetes, Maestro and the API are reached by the first event.
    ///
    /// # Errors
    /// A missing key, unusable credentials, an address in use, a refused subscription.
    pub async fn bind(
        config: Config,
        task: TaskConfig,
        dependencies: Dependencies,
    ) -> Result<Self, Error> {
        config.check_for_serving().map_err(Error::Config)?;
        let health = Health::new();
        let config_gate = health.gate("config");
        let broker_gate = health.gate("broker");
        let config = Arc::new(config);
        let task = Arc::new(task);
        let clients = Clients::connect(
            &config,
            &task,
            dependencies.kubernetes,
            dependencies.maestro,
        )
        .await?;
        let user_agent = user_agent(&config);
        let api = HttpApi::new(config.clients.hyperfleet_api.clone(), user_agent)
            .map_err(Error::Config)?;
        let pipeline = Arc::new(Pipeline::new(
            Arc::clone(&config),
            task,
            Arc::new(api),
            clients.transports(),
            dependencies.policies,
        ));
        config_gate.ready();

        let health_listener = listen(&config.health_listen).await?;
        let metrics_listener = listen(&config.metrics_listen).await?;
        let consumer = dependencies
            .broker
            .subscribe(subscription(&config))
            .await
            .map_err(|error| Error::Broker(error.to_string()))?;
        broker_gate.ready();
        Ok(Self {
            metrics: Metrics::new(&config.adapter.name),
            config,
            pipeline,
            clients,
            consumer,
            broker: dependencies.broker,
            health,
            broker_gate,
            health_listener,
            metrics_listener,
        })
    }

    /// The addresses that were bound.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let address =
            |listener: &Option<TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
        Addresses {
            health: address(&self.health_listener),
            metrics: address(&self.metrics_listener),
        }
    }

    /// The registry behind `/metrics`, for a front door that serves several services at one address.
    #[must_use]
    pub fn metrics(&self) -> service_runtime::metrics::Metrics {
        self.metrics.registry()
    }

    /// The health behind `/readyz`.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves until cancelled, then lets running events finish for at most [`DRAIN_TIMEOUT`]. Events that were not
    /// finished go back to the broker.
    ///
    /// # Errors
    /// [`Error::Broker`] if the subscription ends by itself.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        // Ends the helpers also when the subscription fails.
        let stop = shutdown.child_token();
        let mut helpers = tokio::task::JoinSet::new();
        if let Some(listener) = self.health_listener {
            let router = health_router(&self.health, &self.config);
            helpers.spawn(serve(listener, router, stop.clone()));
        }
        if let Some(listener) = self.metrics_listener {
            helpers.spawn(serve(
                listener,
                self.metrics.registry().router(),
                stop.clone(),
            ));
        }
        let (changes, noted) = mpsc::channel(CHANGES);
        let watches = watch::Watches::new(&self.clients, changes, stop.clone());
        let watches = self.config.rerun.enabled.then_some(watches);
        if let Some(watches) = &watches {
            watches.follow_maestro(&mut helpers);
            let own = pulse::selector(&self.config.adapter.name);
            if let Some(own) = own {
                watches.look_back(&mut helpers, self.pipeline.places().await, &own);
            }
        }
        tracing::info!(
            subscription = %self.config.clients.broker.subscription_id,
            topic = %self.config.clients.broker.topic,
            resources = self.pipeline.task.resources.len(),
            rerun = self.config.rerun.enabled,
            "adapter serves"
        );
        let dispatcher = Dispatcher::new(
            self.pipeline,
            self.metrics.clone(),
            watches,
            noted,
            &self.config,
        );
        let health = self.health.clone();
        let draining = shutdown.clone();
        let result = tokio::select! {
            result = dispatcher.run(self.consumer, &shutdown) => result,
            () = watch_broker(self.broker.as_ref(), &self.broker_gate, &health, &draining) => Ok(()),
        };
        self.health.shutting_down();
        self.metrics.down();
        stop.cancel();
        while helpers.join_next().await.is_some() {}
        result
    }
}

/// Opens everything and serves: [`Service::bind`], then [`Service::run`].
///
/// # Errors
/// As both.
pub async fn run(
    config: Config,
    task: TaskConfig,
    dependencies: Dependencies,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    Service::bind(config, task, dependencies)
        .await?
        .run(shutdown)
        .await
}

pub(crate) fn user_agent(config: &Config) -> String {
    config
        .environment
        .get("HYPERFLEET_USER_AGENT")
        .filter(|agent| !agent.is_empty())
        .cloned()
        .unwrap_or_else(|| format!("hyperfleet-adapter/{}", env!("CARGO_PKG_VERSION")))
}

fn subscription(config: &Config) -> Subscription {
    let broker = &config.clients.broker;
    let mut subscription = Subscription::new(&broker.subscription_id, &broker.topic)
        // More than run at once: pulses for a busy cluster wait here without holding up others.
        .parallelism(broker.parallelism.saturating_mul(4));
    subscription.max_deliveries = broker.max_deliveries;
    subscription.min_backoff = broker.min_backoff;
    subscription.max_backoff = broker.max_backoff;
    subscription
}

async fn listen(address: &str) -> Result<Option<TcpListener>, Error> {
    if address.is_empty() {
        return Ok(None);
    }
    // ":8080" is how Go writes "any address".
    let bind = if address.starts_with(':') {
        format!("0.0.0.0{address}")
    } else {
        address.to_owned()
    };
    TcpListener::bind(&bind)
        .await
        .map(Some)
        .map_err(|source| Error::Listen {
            address: address.to_owned(),
            source,
        })
}

async fn serve(listener: TcpListener, router: axum::Router, shutdown: CancellationToken) {
    if let Err(error) = http::serve(listener, router, None, shutdown).await {
        tracing::error!("HTTP server ended: {error}");
    }
}

/// `/livez`, `/healthz`, `/readyz`, and `/config` if the config asks for it.
fn health_router(health: &Health, config: &Config) -> axum::Router {
    let shown = config
        .debug_config
        .then(|| go_compat::yaml::to_string(&config.to_redacted_value()).unwrap_or_default());
    health.router().route(
        "/config",
        axum::routing::get(move || {
            let shown = shown.clone();
            async move {
                match shown {
                    Some(yaml) => ([(CONTENT_TYPE, "application/yaml")], yaml).into_response(),
                    None => StatusCode::NOT_FOUND.into_response(),
                }
            }
        }),
    )
}

/// Readiness follows the broker; never ends.
async fn watch_broker(
    broker: &dyn Broker,
    gate: &Gate,
    health: &Health,
    shutdown: &CancellationToken,
) {
    const INTERVAL: Duration = Duration::from_secs(1);
    let mut draining = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled(), if !draining => {
                health.shutting_down();
                draining = true;
            }
            () = tokio::time::sleep(INTERVAL) => match broker.health() {
                Ok(()) => gate.ready(),
                Err(error) => gate.not_ready(&error.to_string()),
            },
        }
    }
}
