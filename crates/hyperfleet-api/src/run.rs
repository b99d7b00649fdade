//! From settings to a running service.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use service_runtime::{
    health::{Gate, Health},
    http::serve,
    metrics::{Build, Metrics as Registry},
    tls,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Database},
    http::{self, App, identity::Identity},
    metrics::Metrics,
    registry,
    schema::Schemas,
    service::Api,
    store::{Postgres, Sqlite, Store},
};

/// How often the storage is asked whether it is there, and what is pending.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

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
        let health = Health::new();
        let gate = health.gate("database");
        gate.not_ready("Application is not ready");
        // The health port outlives the others, so that it can say that the rest is ending.
        let last = CancellationToken::new();
        let _stop = last.clone().drop_guard();
        let status = tokio::spawn(serve(self.health, health.router(), None, last.clone()));
        let figures = tokio::spawn(serve(
            self.metrics,
            self.registry.router(),
            None,
            last.clone(),
        ));
        if let Opened::Postgres(postgres) = &self.database {
            match postgres.migrate(&shutdown).await {
                Err(_) if shutdown.is_cancelled() => return Ok(()),
                result => result?,
            }
        }
        let stop = shutdown.child_token();
        let _stop_too = stop.clone().drop_guard();
        let checks = tokio::spawn(check(self.app.clone(), gate, stop.clone()));
        let reload = self
            .tls
            .as_ref()
            .map(|tls| tls.spawn_reload(tls::RELOAD_INTERVAL, stop.clone()));
        let announce = async {
            stop.cancelled().await;
            health.shutting_down();
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
        // They watch the same token; an error here would be a panic, which was logged where it happened.
        let _ = checks.await;
        if let Some(reload) = reload {
            let _ = reload.await;
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

/// Keeps readiness and the gauges true.
async fn check(app: Arc<App>, gate: Gate, shutdown: CancellationToken) {
    loop {
        match app.api.store().pending().await {
            Ok(pending) => {
                gate.ready();
                app.metrics.set_pending(pending);
            }
            Err(error) => {
                tracing::warn!(%error, "the database does not answer");
                gate.not_ready("Database connection not available");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
        }
    }
}
