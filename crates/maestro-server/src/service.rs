//! Opening, running and ending a server.

mod database;
mod error;
mod listen;
mod probes;
mod schema;
mod upkeep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use service_runtime::metrics::Metrics;
use service_runtime::{http as http_server, tls};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::listen::{address, address_if, listen};
use self::probes::{Probes, not_ready_from, watch_database};
use self::upkeep::{measure, say_alive};
use crate::authn::Doors;
use crate::config::{Config, TlsFiles};
use crate::delivery::{Hub, keep_presence, sweep};
use crate::grpc::agent::AgentService;
use crate::grpc::source::SourceService;
use crate::grpc::status_resync::StatusResyncs;
use crate::grpc::{Context, serve};
use crate::rest::{self, Api, Places, Shown};
use crate::storage::Store;
use crate::telemetry::Telemetry;
use crate::writer::Writer;

pub use error::Error;
pub use schema::migrate;

/// How often certificate files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(30);
/// How long running requests may take to end at shutdown. gRPC streams have as long, at the same time. With the two below, and the
/// second that probes may take, a shutdown takes less than 20 s.
const REQUESTS_DRAIN: Duration = Duration::from_secs(10);
/// How long tasks may take after that.
const TASKS_DRAIN: Duration = Duration::from_secs(6);
/// How long the last words to the database may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A server with everything opened: storage migrated, sockets bound, certificates loaded. Probes are answered from the
/// start.
pub struct Service {
    bound: Bound,
    store: Arc<dyn Store>,
}

/// A server whose sockets are bound and whose certificates are loaded. Probes are answered; the database isn't open yet.
pub struct Bound {
    config: Config,
    rest: TcpListener,
    grpc: Option<TcpListener>,
    broker: Option<TcpListener>,
    metrics_listener: TcpListener,
    addresses: Addresses,
    tls: Certificates,
    doors: Doors,
    probes: Probes,
}

/// Where a server really listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// REST.
    pub rest: SocketAddr,
    /// Sources; port 0 if they aren't served.
    pub grpc: SocketAddr,
    /// Agents; port 0 if they aren't served.
    pub broker: SocketAddr,
    /// Probes.
    pub health: SocketAddr,
    /// Metrics.
    pub metrics: SocketAddr,
}

#[derive(Clone, Default)]
struct Certificates {
    https: Option<tls::Server>,
    grpc: Option<tls::Server>,
    broker: Option<tls::Server>,
}

impl Bound {
    /// Binds all sockets and answers probes: `/livez` well, readiness not yet.
    ///
    /// # Errors
    /// When an address or a certificate can't be used.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub async fn new(config: Config) -> Result<Self, Error> {
        let rest = listen("REST", &config.rest_listen).await?;
        let grpc = match config.serve_sources {
            true => Some(listen("sources", &config.grpc_listen).await?),
            false => None,
        };
        let broker = match config.serve_agents {
            true => Some(listen("agents", &config.broker_listen).await?),
            false => None,
        };
        let health = listen("health", &config.health_listen).await?;
        let metrics_listener = listen("metrics", &config.metrics_listen).await?;
        let addresses = Addresses {
            rest: address(&rest)?,
            grpc: address_if(grpc.as_ref())?,
            broker: address_if(broker.as_ref())?,
            health: address(&health)?,
            metrics: address(&metrics_listener)?,
        };
        let tls = Certificates {
            https: load(config.https.as_ref()).await?,
            grpc: load(config.grpc_tls.as_ref()).await?,
            broker: load(config.broker_tls.as_ref()).await?,
        };
        let doors = Doors::open(&config).await?;
        let probes = Probes::start(
            health,
            config.health_https.then(|| tls.https.clone()).flatten(),
        );
        Ok(Self {
            config,
            rest,
            grpc,
            broker,
            metrics_listener,
            addresses,
            tls,
            doors,
            probes,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Opens the database. Waits as long as it takes for a PostgreSQL server that is away.
    ///
    /// # Errors
    /// When the database can't be used.
    ///
    /// # Cancel safety
    /// Dropping the future closes everything.
    pub async fn open(self) -> Result<Service, Error> {
        let store = database::open(&self.config).await?;
        Ok(Service { bound: self, store })
    }
}

impl Service {
    /// Opens everything: [`Bound::new`], then [`Bound::open`].
    ///
    /// # Errors
    /// When an address, a certificate or the database can't be used.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        Bound::new(config).await?.open().await
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.bound.addresses
    }

    /// Serves until `shutdown`, then ends its streams, finishes what it has accepted, and leaves.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { bound, store } = self;
        let Bound {
            config,
            rest,
            grpc,
            broker,
            metrics_listener,
            tls,
            doors,
            probes,
            addresses: _,
        } = bound;
        let stop = shutdown.child_token();
        let tasks = TaskTracker::new();
        let metrics = Metrics::new();
        let telemetry = Telemetry::new(&metrics);
        let hub = Arc::new(Hub::new(telemetry.clone()));
        // Writing ends last: what was accepted before the listeners closed is still written.
        let stop_writing = CancellationToken::new();
        let writer = Writer::start(
            Arc::clone(&store),
            Arc::clone(&hub),
            config.source_isolation,
            &tasks,
            &stop_writing,
        );
        tasks.spawn(sweep(
            Arc::clone(&store),
            Arc::clone(&hub),
            config.limits.clone(),
            stop.clone(),
        ));
        tasks.spawn(keep_presence(
            Arc::clone(&store),
            Arc::clone(&hub),
            stop.clone(),
        ));
        tasks.spawn(watch_database(
            Arc::clone(&store),
            probes.database.clone(),
            telemetry.clone(),
            stop.clone(),
        ));
        tasks.spawn(not_ready_from(stop.clone(), probes.health.clone()));
        tasks.spawn(say_alive(
            Arc::clone(&store),
            config.instance_heartbeat,
            stop.clone(),
        ));
        tasks.spawn(measure(
            Arc::clone(&store),
            Arc::clone(&hub),
            writer.clone(),
            stop.clone(),
        ));
        for server in [&tls.https, &tls.grpc, &tls.broker].into_iter().flatten() {
            server.spawn_reload(RELOAD_INTERVAL, stop.clone());
        }
        doors.follow_keys(&tasks, &stop);
        let context = Context {
            store: Arc::clone(&store),
            writer: writer.clone(),
            hub: Arc::clone(&hub),
            status_resyncs: StatusResyncs::default(),
            limits: config.limits.clone(),
            heartbeat: config.heartbeat_interval,
            typed_errors: config.typed_errors,
            telemetry: telemetry.clone(),
            tasks: tasks.clone(),
            shutdown: stop.clone(),
            doors: doors.clone(),
        };
        let api = Api {
            store: Arc::clone(&store),
            writer,
            hub,
            telemetry,
            limits: config.limits.clone(),
            instance: config.instance_id.clone().into(),
            door: doors.rest,
            shown: Arc::new(Shown::new(config.list_cache_size)),
            places: Places::default(),
        };
        let transport = config.transport.clone();
        let http_options = http_server::Options {
            first_byte_timeout: config.http_read_timeout,
            write_timeout: config.http_write_timeout,
            drain_timeout: REQUESTS_DRAIN,
            ..http_server::Options::default()
        };
        let rest_tls = config.rest_https.then(|| tls.https.clone()).flatten();
        let metrics_tls = config.metrics_https.then(|| tls.https.clone()).flatten();
        let mut listeners = JoinSet::new();
        listeners.spawn(named(
            "REST",
            http_server::serve_with(
                rest,
                rest::router(api),
                rest_tls,
                http_options.clone(),
                stop.clone(),
            ),
        ));
        listeners.spawn(named(
            "metrics",
            http_server::serve_with(
                metrics_listener,
                metrics.router().fallback(rest::no_such_path),
                metrics_tls,
                http_options,
                stop.clone(),
            ),
        ));
        let sources = SourceService::new(context.clone());
        let agents = AgentService::new(context);
        if let Some(grpc) = grpc {
            let (transport, stop) = (transport.clone(), stop.clone());
            listeners.spawn(named("sources", async move {
                serve(grpc, sources, &transport, tls.grpc, stop).await
            }));
        }
        if let Some(broker) = broker {
            let stop = stop.clone();
            listeners.spawn(named("agents", async move {
                serve(broker, agents, &transport, tls.broker, stop).await
            }));
        }
        let mut result = Ok(());
        while let Some(ended) = listeners.join_next().await {
            if let Ok(Err(error)) = ended {
                result = Err(error);
            }
            // One listener that ends takes the others along: half a server is worse than none.
            stop.cancel();
        }
        stop_writing.cancel();
        tasks.close();
        if tokio::time::timeout(TASKS_DRAIN, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = tasks.len(),
                "Tasks still ran at the end of the drain."
            );
        }
        match tokio::time::timeout(FAREWELL, store.farewell()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "Can't say goodbye to the database."),
            Err(_) => tracing::warn!("The database takes no goodbye."),
        }
        probes.end().await;
        result
    }
}

/// Opens and runs a server.
///
/// # Errors
/// As [`Service::bind`] and [`Service::run`].
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    let service = tokio::select! {
        service = Service::bind(config) => service?,
        () = shutdown.cancelled() => return Ok(()),
    };
    service.run(shutdown).await
}

async fn named(
    purpose: &'static str,
    serve: impl Future<Output = std::io::Result<()>>,
) -> Result<(), Error> {
    serve
        .await
        .map_err(|source| Error::Serve { purpose, source })
}

async fn load(files: Option<&TlsFiles>) -> Result<Option<tls::Server>, Error> {
    let Some(TlsFiles {
        cert,
        key,
        client_ca,
    }) = files.cloned()
    else {
        return Ok(None);
    };
    Ok(Some(
        tls::Server::load(tls::Files {
            cert,
            key,
            client_ca,
        })
        .await?,
    ))
}
