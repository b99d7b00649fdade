//! From settings to a running service.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use event_broker::Broker;
use hyperfleet_client::{Client, Token};
use service_runtime::{
    http::serve,
    metrics::{Build, Metrics as Registry},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, DEFAULT_PAGE_SIZE, Invalid},
    decision::Decision,
    health::Health,
    metrics::Metrics,
    payload::Payload,
    poll::Poller,
};

/// Version that is reported.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Pause between two attempts to reach the API at start.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// Why the service can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that can't be used; all of them.
    #[error("configuration:\n{0}")]
    Config(#[from] Invalid),
    /// An address that can't be listened on.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The API answers, but not as it must.
    #[error("the HyperFleet API can't be used: {0}")]
    Api(hyperfleet_client::Error),
    /// A listener failed.
    #[error("serve: {0}")]
    Serve(#[from] std::io::Error),
}

/// Where the service listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// `/healthz`, `/readyz`.
    pub health: SocketAddr,
    /// `/metrics`.
    pub metrics: SocketAddr,
}

/// A service with compiled expressions and bound sockets.
pub struct Service {
    poller: Poller,
    counters: Metrics,
    health: Health,
    poll_interval: Duration,
    health_listener: TcpListener,
    metrics_listener: TcpListener,
    addresses: Addresses,
    registry: Registry,
}

impl Service {
    /// Checks settings, compiles expressions, binds sockets; does not talk to the API yet.
    ///
    /// # Errors
    /// All problems of the settings at once, or an address that is taken.
    pub async fn bind(config: Config, broker: Arc<dyn Broker>) -> Result<Self, Error> {
        let mut problems = config
            .check()
            .map_or_else(|Invalid(problems)| problems, |()| Vec::new());
        let decision = Decision::compile(&config.message_decision)
            .map_err(|found| problems.extend(found))
            .ok();
        let payload = Payload::compile(&config.message_data)
            .map_err(|found| problems.extend(found))
            .ok();
        let client = Client::new(client_config(&config))
            .map_err(|error| problems.push(format!("clients.hyperfleet_api.base_url: {error}")))
            .ok();
        let (Some(decision), Some(payload), Some(client), true) =
            (decision, payload, client, problems.is_empty())
        else {
            return Err(Invalid(problems).into());
        };
        if config.page_size() != config.clients.hyperfleet_api.page_size {
            let (asked, size) = (config.clients.hyperfleet_api.page_size, config.page_size());
            tracing::warn!(
                asked,
                size,
                default = DEFAULT_PAGE_SIZE,
                "page_size is more than the API gives"
            );
        }
        let counters = Metrics::new(&config.resource_type, &config.selector_label());
        let registry = Registry::new();
        registry.with(|registry| counters.register(registry, VERSION));
        let build = Build {
            component: "sentinel".to_owned(),
            version: VERSION.to_owned(),
            commit: String::new(),
        };
        registry.describe("hyperfleet_sentinel", &build);
        let (health_listener, health) = listen(&config.health_listen).await?;
        let (metrics_listener, metrics) = listen(&config.metrics_listen).await?;
        Ok(Self {
            poller: Poller::new(
                &config,
                client,
                broker.clone(),
                decision,
                payload,
                counters.clone(),
            ),
            counters,
            health: Health::new(broker, config.poll_interval),
            poll_interval: config.poll_interval,
            health_listener,
            metrics_listener,
            addresses: Addresses { health, metrics },
            registry,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Polls until `shutdown`.
    ///
    /// # Errors
    /// An API that answers at start, but refuses (an unknown resource type, a wrong token); a listener that fails.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self {
            mut poller,
            counters,
            health,
            poll_interval,
            health_listener,
            metrics_listener,
            registry,
            ..
        } = self;
        let last = CancellationToken::new();
        let _stop = last.clone().drop_guard();
        let status = tokio::spawn(serve(health_listener, health.router(), None, last.clone()));
        let figures = tokio::spawn(serve(
            metrics_listener,
            registry.router(),
            None,
            last.clone(),
        ));
        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            outcome = poll(&mut poller, &counters, &health, poll_interval) => outcome,
        };
        health.shutting_down();
        last.cancel();
        for task in [status, figures] {
            if let Ok(result) = task.await {
                result?;
            }
        }
        outcome
    }
}

/// Binds and runs.
///
/// # Errors
/// Those of [`Service::bind`] and [`Service::run`].
pub async fn run(
    config: Config,
    broker: Arc<dyn Broker>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    Service::bind(config, broker).await?.run(shutdown).await
}

/// Polls for ever; returns only if the API refuses at start.
async fn poll(
    poller: &mut Poller,
    counters: &Metrics,
    health: &Health,
    interval: Duration,
) -> Result<(), Error> {
    while let Err(error) = poller.probe().await {
        if !error.is_retryable() {
            return Err(Error::Api(error));
        }
        tracing::warn!(%error, "the HyperFleet API is not there yet");
        tokio::time::sleep(PROBE_PAUSE).await;
    }
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let started = std::time::Instant::now();
        match poller.cycle().await {
            Ok(summary) => {
                health.polled();
                tracing::debug!(
                    fetched = summary.fetched,
                    pending = summary.pending,
                    published = summary.published,
                    "cycle done"
                );
            }
            Err(error) => {
                tracing::error!(%error, "cycle ended: not all resources could be fetched")
            }
        }
        counters.took(started.elapsed());
    }
}

fn client_config(config: &Config) -> hyperfleet_client::Config {
    let api = &config.clients.hyperfleet_api;
    hyperfleet_client::Config {
        timeout: api.timeout,
        user_agent: format!("hyperfleet-sentinel/{VERSION} ({})", config.sentinel.name),
        token: api.auth.token_path.clone().map(|path| Token::File {
            path,
            cache: api.auth.token_cache_ttl,
        }),
        ..hyperfleet_client::Config::new(&api.base_url)
    }
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen {
        address: address.to_owned(),
        source,
    };
    let full = if address.starts_with(':') {
        format!("0.0.0.0{address}")
    } else {
        address.to_owned()
    };
    let listener = TcpListener::bind(full).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
