//! Opening, running and ending a server.

mod schema;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::{StatusCode, header};
use service_runtime::health::{Gate, Health};
use service_runtime::metrics::Metrics;
use service_runtime::{http as http_server, tls};
use sql_store::postgres::TlsMode;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authn::{self, Doors};
use crate::config::{Config, Database, TlsFiles};
use crate::delivery::{Hub, keep_presence, sweep};
use crate::grpc::agent::AgentService;
use crate::grpc::source::SourceService;
use crate::grpc::{Context, serve};
use crate::rest::{self, Api, Shown};
use crate::storage::postgres::{OpenError, Postgres};
use crate::storage::sqlite::Sqlite;
use crate::storage::{self, Store};
use crate::telemetry::{Telemetry, Way};
use crate::writer::Writer;

pub use schema::migrate;

/// Connections that wait to be accepted: all agents of a region come back at once after a restart. The system may allow less.
const BACKLOG: u32 = 4096;
/// How often the database is asked for a sign of life.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the lengths of queues are measured.
const MEASURE_QUEUES: Duration = Duration::from_secs(5);
/// How often the database is asked for its figures.
const MEASURE_DATABASE: Duration = Duration::from_secs(15);
/// How often certificate files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(30);
/// How long running requests may take to end at shutdown. gRPC streams have as long, at the same time. With the two below a shutdown
/// takes less than 20 s.
const REQUESTS_DRAIN: Duration = Duration::from_secs(10);
/// How long tasks may take after that.
const TASKS_DRAIN: Duration = Duration::from_secs(6);
/// How long the last words to the database, and answers to probes, may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a server can't be opened or has to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken or isn't ours.
    #[error("listen on {address} ({purpose}): {source}")]
    Listen {
        /// What it is for.
        purpose: &'static str,
        /// As configured.
        address: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The database can't be used.
    #[error("open the database: {0}")]
    Database(#[from] crate::storage::Error),
    /// The database didn't answer for as long as it was waited for.
    #[error("the database didn't answer for {patience:?}: {error}")]
    Away {
        /// How long it was waited for.
        patience: Duration,
        /// The last answer.
        error: crate::storage::Error,
    },
    /// A setting of the database is wrong.
    #[error(transparent)]
    DatabaseConfig(#[from] sql_store::postgres::ConfigError),
    /// Certificates can't be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Settings about who is let in can't be used.
    #[error(transparent)]
    Authn(#[from] authn::Error),
    /// A listener ended.
    #[error("serve {purpose}: {source}")]
    Serve {
        /// What it is for.
        purpose: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
}

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

/// The health listener runs before the database is open, so that waiting for it isn't taken for death.
struct Probes {
    health: Health,
    database: Gate,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Probes {
    /// Stops answering.
    async fn end(mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
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
        let store = open(&self.config).await?;
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
        };
        let transport = config.transport.clone();
        let http_options = http_server::Options {
            first_byte_timeout: config.http_read_timeout,
            write_timeout: config.http_write_timeout,
            drain_timeout: REQUESTS_DRAIN,
            ..http_server::Options::default()
        };
        let metrics_tls = config.metrics_https.then(|| tls.https.clone()).flatten();
        let mut listeners = JoinSet::new();
        listeners.spawn(named(
            "REST",
            http_server::serve_with(
                rest,
                rest::router(api),
                tls.https,
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

async fn listen(purpose: &'static str, address: &str) -> Result<TcpListener, Error> {
    let bound = async {
        // An empty host means all interfaces.
        let full = if address.starts_with(':') {
            format!("0.0.0.0{address}")
        } else {
            address.to_owned()
        };
        let mut candidates: Vec<SocketAddr> = tokio::net::lookup_host(&full).await?.collect();
        // `localhost` is 127.0.0.1 to most clients.
        candidates.sort_by_key(SocketAddr::is_ipv6);
        bind(&candidates)
    };
    bound.await.map_err(|source| Error::Listen {
        purpose,
        address: address.to_owned(),
        source,
    })
}

/// Listens on the first address that can be used.
fn bind(candidates: &[SocketAddr]) -> std::io::Result<TcpListener> {
    let mut failed = std::io::ErrorKind::AddrNotAvailable.into();
    for address in candidates {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // After a restart, connections of before may not be in the way.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        match socket.bind(*address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen {
        purpose: "address",
        address: String::new(),
        source,
    })
}

/// Port 0 where nobody is served.
fn address_if(listener: Option<&TcpListener>) -> Result<SocketAddr, Error> {
    listener.map_or(Ok(SocketAddr::from(([0, 0, 0, 0], 0))), address)
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

async fn open(config: &Config) -> Result<Arc<dyn Store>, Error> {
    Ok(match &config.database {
        Database::Sqlite(path) => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || Sqlite::open(&path)).await;
            Arc::new(opened.map_err(|error| crate::storage::Error::other(error.to_string()))??)
        }
        Database::SqliteMemory => Arc::new(Sqlite::in_memory()?),
        postgres => Arc::new(open_postgres(postgres_settings(postgres)?, config).await?),
    })
}

/// What the driver needs. SQLite has no such settings.
fn postgres_settings(database: &Database) -> Result<sql_store::postgres::Config, Error> {
    let settings = match database {
        Database::Sqlite(_) | Database::SqliteMemory => {
            return Err(crate::storage::Error::other("SQLite is not PostgreSQL").into());
        }
        Database::Postgres(url) => sql_store::postgres::Config::from_url(&url.0)?,
        Database::PostgresParts {
            host,
            port,
            user,
            password,
            name,
            sslmode,
            rootcert,
        } => {
            let tls = TlsMode::parse(sslmode, rootcert.clone())?;
            sql_store::postgres::Config::new(host, *port, user, &password.0, name, tls)
        }
    };
    Ok(settings.application_name("maestro"))
}

async fn open_postgres(
    settings: sql_store::postgres::Config,
    config: &Config,
) -> Result<Postgres, Error> {
    let mut settings = settings;
    settings.answer_timeout = config.database_timeout;
    settings.acquire_timeout = settings.acquire_timeout.min(config.database_timeout);
    let opened = Box::pin(Postgres::open(
        &settings,
        config.database_connections,
        &config.instance_id,
        config.instance_heartbeat,
    ));
    opened.await.map_err(|error| match error {
        OpenError::Config(error) => error.into(),
        OpenError::Database(error) => error.into(),
    })
}

/// Keeps readiness in step with the database.
async fn watch_database(
    store: Arc<dyn Store>,
    gate: Gate,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    let mut probe = tokio::time::interval(PROBE_INTERVAL);
    let mut was_up = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = probe.tick() => {}
        }
        let asked_at = Instant::now();
        let up = match store.ping().await {
            Ok(()) => {
                telemetry.flow().database("ping", asked_at.elapsed());
                gate.ready();
                true
            }
            Err(error) => {
                gate.not_ready("the database doesn't answer");
                if was_up != Some(false) {
                    tracing::warn!(%error, "The database doesn't answer: not ready.");
                }
                false
            }
        };
        if up && was_up == Some(false) {
            tracing::info!("The database answers again: ready.");
        }
        was_up = Some(up);
    }
}

/// Load balancers must stop sending as soon as the end begins.
async fn not_ready_from(stop: CancellationToken, health: Health) {
    stop.cancelled().await;
    health.shutting_down();
}

/// Tells the other servers on the database that this one lives.
async fn say_alive(store: Arc<dyn Store>, interval: Duration, stop: CancellationToken) {
    let mut every = tokio::time::interval(interval);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => if let Err(error) = store.heartbeat().await {
                tracing::warn!(%error, "Can't give a sign of life in the database.");
            }
        }
    }
}

/// Keeps gauges up to date.
async fn measure(store: Arc<dyn Store>, hub: Arc<Hub>, writer: Writer, stop: CancellationToken) {
    let mut queues = tokio::time::interval(MEASURE_QUEUES);
    let mut database = tokio::time::interval(MEASURE_DATABASE);
    database.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let flow = hub.telemetry.flow();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = queues.tick() => {
                let (specs, statuses) = hub.waiting();
                flow.depth(Way::Spec, specs);
                flow.depth(Way::Status, statuses);
                hub.telemetry.waiting(specs + statuses);
                let (operations, bytes) = writer.waiting();
                flow.lanes(operations, bytes);
            }
            _ = database.tick() => {
                let gauges = store.gauges().await;
                if let Err(error) = &gauges {
                    tracing::debug!(%error, "Figures of the database can't be read.");
                }
                flow.gauges(gauges.as_ref().ok(), storage::now());
            }
        }
    }
}

impl Probes {
    fn start(listener: TcpListener, tls: Option<tls::Server>) -> Self {
        let health = Health::new();
        let database = health.gate("database");
        database.not_ready("opening the database");
        let stop = CancellationToken::new();
        let router = probe_router(health.clone());
        let options = http_server::Options {
            drain_timeout: FAREWELL,
            ..http_server::Options::default()
        };
        let serve = http_server::serve_with(listener, router, tls, options, stop.clone());
        let task = tokio::spawn(serve);
        Self {
            health,
            database,
            stop,
            task,
        }
    }
}

/// `/livez` and `/healthcheck` answer with upstream's bodies; `/readyz` says what is missing.
fn probe_router(health: Health) -> Router {
    let text = |status: StatusCode, body: &'static str| {
        (
            status,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            body,
        )
    };
    Router::new()
        .route(
            "/livez",
            get(move || async move { text(StatusCode::OK, r#"{"status": "ok"}"#) }),
        )
        .route(
            "/healthcheck",
            get(move |State(health): State<Health>| async move {
                if health.is_ready() {
                    text(StatusCode::OK, r#"{"status": "ok"}"#)
                } else {
                    text(
                        StatusCode::SERVICE_UNAVAILABLE,
                        r#"{"status": "not ready"}"#,
                    )
                }
            }),
        )
        .route(
            "/readyz",
            get(|State(health): State<Health>| async move { health.report() }),
        )
        .with_state(health)
}
