//! Settings as plain data.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::authn::AuthnConfig;
use crate::delivery::Limits;
use crate::grpc::Transport;

/// Everything that a server is told at start. [`Default`] is a server on free ports of 127.0.0.1 with its data in memory.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where REST is served, `host:port`; port 0 takes a free one.
    pub rest_listen: String,
    /// Where sources connect.
    pub grpc_listen: String,
    /// Where agents connect.
    pub broker_listen: String,
    /// Where probes ask.
    pub health_listen: String,
    /// Where metrics are scraped.
    pub metrics_listen: String,
    /// Whether sources are served; default yes.
    pub serve_sources: bool,
    /// Whether agents are served; default yes.
    pub serve_agents: bool,
    /// How long a new connection to REST may be silent; default 10 s.
    pub http_read_timeout: Duration,
    /// How long a reader of REST may take nothing of an answer; default 30 s.
    pub http_write_timeout: Duration,
    /// Memory for items of lists that were shown before, bytes; 0 = none; default 32 MiB.
    pub list_cache_size: usize,
    /// Where the data is.
    pub database: Database,
    /// Connections to PostgreSQL, at most; default 50.
    pub database_connections: usize,
    /// How long PostgreSQL may take for an answer before callers get an error; default 10 s.
    pub database_timeout: Duration,
    /// Name of this server among those on the same database.
    pub instance_id: String,
    /// How often this server says in the database that it is alive; default 15 s.
    pub instance_heartbeat: Duration,
    /// Time between heartbeats on streams; `None` = none; default 10 s.
    pub heartbeat_interval: Option<Duration>,
    /// Certificate that REST, health checks and metrics share; each says whether it uses it.
    pub https: Option<TlsFiles>,
    /// Whether REST is served over TLS when there is a certificate; default yes.
    pub rest_https: bool,
    /// Whether health checks are served over TLS as well.
    pub health_https: bool,
    /// Whether metrics are served over TLS as well.
    pub metrics_https: bool,
    /// TLS of the source port.
    pub grpc_tls: Option<TlsFiles>,
    /// TLS of the agent port; with a client CA, agents must show a certificate.
    pub broker_tls: Option<TlsFiles>,
    /// Limits of both gRPC ports.
    pub transport: Transport,
    /// Patience with agents and sources.
    pub limits: Limits,
    /// Whether a source may only change what it published; default yes.
    pub source_isolation: bool,
    /// Whether gRPC errors carry a Kubernetes status instead of a text; default no.
    pub typed_errors: bool,
    /// Who is let in; default everybody.
    pub authn: AuthnConfig,
}

/// Where consumers and resources are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Database {
    /// A file; one server per file.
    Sqlite(PathBuf),
    /// Gone with the process.
    SqliteMemory,
    /// `postgres://user:password@host:port/name?sslmode=…`; several servers may share it.
    Postgres(Secret),
    /// The same from its parts.
    PostgresParts {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// User.
        user: String,
        /// Password; empty = none.
        password: Secret,
        /// Name of the database.
        name: String,
        /// `disable`, `require`, `verify-ca` or `verify-full`.
        sslmode: String,
        /// Authorities of the server's certificate; only read when the mode verifies.
        rootcert: Option<PathBuf>,
    },
}

/// Text that isn't printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// PEM files of a listener; read again when they change.
#[derive(Clone, Debug, Deserialize)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Authorities whose clients are let in; `None` = no client certificates.
    pub client_ca: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        let any = || "127.0.0.1:0".to_owned();
        Self {
            rest_listen: any(),
            grpc_listen: any(),
            broker_listen: any(),
            health_listen: any(),
            metrics_listen: any(),
            serve_sources: true,
            serve_agents: true,
            http_read_timeout: Duration::from_secs(10),
            http_write_timeout: Duration::from_secs(30),
            list_cache_size: 32 * 1024 * 1024,
            database: Database::SqliteMemory,
            database_connections: 50,
            database_timeout: Duration::from_secs(10),
            instance_id: "maestro".to_owned(),
            instance_heartbeat: Duration::from_secs(15),
            heartbeat_interval: Some(Duration::from_secs(10)),
            https: None,
            rest_https: true,
            health_https: false,
            metrics_https: false,
            grpc_tls: None,
            broker_tls: None,
            transport: Transport::default(),
            limits: Limits::default(),
            source_isolation: true,
            typed_errors: false,
            authn: AuthnConfig::default(),
        }
    }
}
