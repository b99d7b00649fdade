//! From settings to a running service.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use service_runtime::{
    http::serve,
    metrics::{Build, Metrics as Registry},
    tls,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Database},
    health::{Health, Readiness},
    http::{self, App, identity::Identity},
    metrics::Metrics,
    registry,
    schema::Schemas,
    service::Api,
    store::{Postgres, Sqlite, Store},
};

/// How often the storage is asked whether it is there.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How often it is asked what is pending.
const FIGURES_INTERVAL: Duration = Duration::from_secs(10);

/// Why the service can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that can't be used; all of them.
    #[error("configuration: {0}")]
    Config(String),
    /// An address that can't be listened on.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The storage can't be opened.
    #[error("open the database: {0}")]
    Store(#[from] sql_store::Error),
    /// The certificate can't be used.
    #[error("TLS: {0}")]
    Tls(#[from] tls::Error),
    /// A listener failed.
    #[error("serve: {0}")]
    Serve(#[from] std::io::Error),
}

/// Where the service listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The API.
    pub rest: SocketAddr,
    /// `/healthz`, `/readyz`.
    pub health: SocketAddr,
    /// `/metrics`.
    pub metrics: SocketAddr,
}

/// A service that is bound: storage open (SQLite) or waited for in [`Service::run`] (PostgreSQL), sockets listening.
#[derive(Debug)]
pub struct Service {
    app: Arc<App>,
    database: Opened,
    rest: TcpListener,
    health: TcpListener,
    metrics: TcpListener,
    addresses: Addresses,
    tls: Option<tls::Server>,
    registry: Registry,
    drain_delay: Duration,
}

#[derive(Debug)]
enum Opened {
    Ready,
    Postgres(Postgres),
}

impl Service {
    /// Opens everything.
    ///
    /// # Errors
    /// Settings that can't be used, addresses that are taken, an SQLite file that can't be opened.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let kinds = registry::Registry::new(config.entities)
            .map_err(|invalid| problems.push(invalid.to_string()))
            .ok();
        let identity = Identity::new(&config.identity)
            .map_err(|invalid| problems.extend(invalid))
            .ok();
        let schemas = kinds.as_ref().and_then(|kinds| {
            Schemas::load(&config.spec_schemas, kinds)
                .map_err(|invalid| problems.extend(invalid))
                .ok()
        });
        let (Some(kinds), Some(identity), Some(schemas)) = (kinds, identity, schemas) else {
            return Err(Error::Config(problems.join("; ")));
        };
        let tls = match config.tls {
            Some(files) => Some(tls::Server::load(files).await?),
            None => None,
        };
        let (store, database): (Arc<dyn Store>, Opened) = match config.database {
            Database::Sqlite(path) => (Arc::new(Sqlite::open(&path)?), Opened::Ready),
            Database::SqliteMemory => (Arc::new(Sqlite::in_memory()?), Opened::Ready),
            Database::Postgres(settings) => {
                let postgres =
                    Postgres::new(&settings).map_err(|error| Error::Config(error.to_string()))?;
                (Arc::new(postgres.clone()), Opened::Postgres(postgres))
            }
        };
        let (rest, rest_address) = listen(&config.listen).await?;
        let (health, health_address) = listen(&config.health_listen).await?;
        let (metrics, metrics_address) = listen(&config.metrics_listen).await?;
        let counters = Metrics::new(config.stuck_after);
        let registry = Registry::new();
        registry.with(|registry| counters.register(registry, &config.version));
        let build = Build {
            component: "api".to_owned(),
            version: config.version.clone(),
            commit: String::new(),
        };
        registry.describe("hyperfleet_api", &build);
        let api = Api::new(store, Arc::new(kinds), counters.clone());
        Ok(Self {
            app: Arc::new(App {
                api,
                schemas,
                identity,
                metrics: counters,
                health: Health::new(),
                version: config.version,
            }),
            database,
            rest,
            health,
            metrics,
            addresses: Addresses {
                rest: rest_address,
                health: health_address,
                metrics: metrics_address,
            },
            tls,
            registry,
            drain_delay: config.drain_delay,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `shutdown`, then answers what was asked and ends.
    ///
    /// # Errors
    /// A schema that can't be brought up to date, a listener that fails.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let health = self.app.health.clone();
        if matches!(self.database, Opened::Ready) {
            health.set(Readiness::Ready);
        }
        // The health port outlives the others, so that it can say that the rest is ending.
        let last = CancellationToken::new();
        let _last = last.clone().drop_guard();
        let status = tokio::spawn(serve(self.health, health.router(), None, last.clone()));
        let figures = tokio::spawn(serve(
            self.metrics,
            self.registry.router(),
            None,
            last.clone(),
        ));
        // `end`: somebody wants this to end. `stop`: no more requests are accepted.
        let (end, stop) = (shutdown.child_token(), CancellationToken::new());
        let _stop = stop.clone().drop_guard();
        let upkeep = tokio::spawn(upkeep(
            self.app.clone(),
            self.database,
            end.clone(),
            stop.clone(),
        ));
        let reload = self
            .tls
            .as_ref()
            .map(|tls| tls.spawn_reload(tls::RELOAD_INTERVAL, stop.clone()));
        // Whoever sends requests here first hears that this ends, and gets a moment to send them elsewhere.
        let announce = async {
            end.cancelled().await;
            health.set(Readiness::ShuttingDown);
            tokio::time::sleep(self.drain_delay).await;
            stop.cancel();
        };
        let (served, ()) = tokio::join!(
            serve(self.rest, http::router(self.app), self.tls, stop.clone()),
            announce
        );
        last.cancel();
        for task in [status, figures] {
            if let Ok(result) = task.await {
                result?;
            }
        }
        if let Some(reload) = reload {
            // It has no result; an error would be a panic, which was logged where it happened.
            let _ = reload.await;
        }
        if let Ok(result) = upkeep.await {
            result?;
        }
        Ok(served?)
    }
}

/// Binds and runs.
///
/// # Errors
/// Those of [`Service::bind`] and [`Service::run`].
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    Service::bind(config).await?.run(shutdown).await
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen {
        address: address.to_owned(),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Brings the schema up to date, then keeps readiness and the gauges true. Requests are answered with 503 until the schema is there.
async fn upkeep(
    app: Arc<App>,
    database: Opened,
    end: CancellationToken,
    stop: CancellationToken,
) -> Result<(), Error> {
    if let Opened::Postgres(postgres) = database
        && let Err(error) = postgres.migrate(&end).await
    {
        let wanted = end.is_cancelled();
        end.cancel();
        return if wanted { Ok(()) } else { Err(error.into()) };
    }
    let mut figures_at: Option<Instant> = None;
    loop {
        if let Some(usage) = app.api.store().usage() {
            app.metrics.set_connections(usage);
        }
        let outcome = if figures_at.is_none_or(|at| at.elapsed() >= FIGURES_INTERVAL) {
            figures_at = Some(Instant::now());
            app.api
                .store()
                .pending()
                .await
                .map(|pending| app.metrics.set_pending(pending))
        } else {
            app.api.store().ping().await
        };
        match outcome {
            Ok(()) => app.health.set(Readiness::Ready),
            Err(error) => {
                tracing::warn!(%error, "the database does not answer");
                app.health.set(Readiness::NoDatabase);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
        }
    }
}
