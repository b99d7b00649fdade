//! Flags, environment and file of `hyperfleet-api serve`: upstream's names, one place where they become a [`Config`].

use std::{path::PathBuf, time::Duration};

use clap::Args as ClapArgs;
use serde::Deserialize;
use serde_json::{Value, json};
use service_runtime::config::{self, Layers};

use crate::{
    config::{Config, Database, Log},
    http::identity,
    registry::{self, Entity},
    schema,
};

/// Where the settings are looked for, unless `--config` says so.
const FILES: [&str; 2] = ["/etc/hyperfleet/config.yaml", "./configs/config.yaml"];

/// Serve the HyperFleet API.
///
/// Settings come from flags, then the environment (HYPERFLEET_ and the path of the key, e.g. HYPERFLEET_SERVER_PORT), then
/// the file, then defaults. Without a database host, resources are kept in the SQLite file --db-file, or in memory.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Args {
    /// Settings file (YAML)
    #[arg(long, env = "HYPERFLEET_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Host to serve the API on [default: localhost]
    #[arg(long, value_name = "HOST")]
    pub server_host: Option<String>,
    /// Port to serve the API on, 0 for a free one [default: 8000]
    #[arg(long, value_name = "PORT")]
    pub server_port: Option<u16>,
    /// OpenAPI document with the schemas of specs (components.schemas.ClusterSpec, ...), or builtin:gcp [default: any object]
    #[arg(long, value_name = "FILE")]
    pub server_openapi_schema_path: Option<String>,
    /// Verify JWTs; only `false` is supported: let a gateway verify them and set the identity header
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub server_jwt_enabled: Option<bool>,
    /// How long to accept requests after readiness has ended, e.g. 5s [default: 0s]
    #[arg(long, value_name = "DURATION")]
    pub server_drain_delay: Option<String>,
    /// Keep resources in this SQLite file (`:memory:` for nowhere)
    #[arg(long, value_name = "FILE")]
    pub db_file: Option<String>,
    /// PostgreSQL: host
    #[arg(long, value_name = "HOST")]
    pub db_host: Option<String>,
    /// PostgreSQL: port [default: 5432]
    #[arg(long, value_name = "PORT")]
    pub db_port: Option<u16>,
    /// PostgreSQL: user [default: hyperfleet]
    #[arg(long, value_name = "NAME")]
    pub db_username: Option<String>,
    /// PostgreSQL: password; better in HYPERFLEET_DATABASE_PASSWORD
    #[arg(long, value_name = "TEXT", hide = true)]
    pub db_password: Option<String>,
    /// PostgreSQL: database [default: hyperfleet]
    #[arg(long, value_name = "NAME")]
    pub db_name: Option<String>,
    /// PostgreSQL: disable, require, verify-ca or verify-full [default: disable]
    #[arg(long, value_name = "MODE")]
    pub db_ssl_mode: Option<String>,
    /// debug, info, warn or error [default: info]
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// json or text [default: json]
    #[arg(short = 'f', long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Host to serve metrics on [default: localhost]
    #[arg(long, value_name = "HOST")]
    pub metrics_host: Option<String>,
    /// Port to serve metrics on [default: 9090]
    #[arg(long, value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// Host to serve health on [default: localhost]
    #[arg(long, value_name = "HOST")]
    pub health_host: Option<String>,
    /// Port to serve health on [default: 8080]
    #[arg(long, value_name = "PORT")]
    pub health_port: Option<u16>,
}

/// The settings file. Keys that have no effect here are accepted, so that an existing file can be used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: Server,
    database: Postgres,
    metrics: Port,
    health: Port,
    entities: Option<Vec<Entity>>,
    logging: Logging,
    #[serde(rename = "tracing")]
    _tracing: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    host: String,
    port: u16,
    tls: Tls,
    jwt: Jwt,
    identity_header: String,
    tenant: identity::Tenant,
    openapi_schema_path: String,
    #[serde(with = "go_compat::duration::serde")]
    drain_delay: Duration,
    #[serde(rename = "hostname")]
    _hostname: Value,
    #[serde(rename = "timeouts")]
    _timeouts: Value,
}

#[derive(Debug, Deserialize)]
struct Logging {
    level: String,
    format: String,
    output: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    enabled: bool,
    cert_file: PathBuf,
    key_file: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Jwt {
    enabled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Port {
    host: String,
    port: u16,
    #[serde(default = "stuck_after", with = "go_compat::duration::serde")]
    reconciliation_stuck_threshold: Duration,
    #[serde(default, rename = "tls")]
    _tls: Value,
    #[serde(default, rename = "label_metrics_inclusion_duration")]
    _inclusion: Value,
    #[serde(default, rename = "shutdown_timeout")]
    _shutdown: Value,
    #[serde(default, rename = "db_ping_timeout")]
    _ping: Value,
}

fn stuck_after() -> Duration {
    Config::default().stuck_after
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Postgres {
    dialect: String,
    file: String,
    host: String,
    port: u16,
    name: String,
    username: String,
    password: String,
    ssl: Ssl,
    pool: Pool,
    #[serde(rename = "debug")]
    _debug: Value,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ssl {
    mode: String,
    root_cert_file: String,
}

#[derive(Debug, Deserialize)]
struct Pool {
    max_connections: usize,
}

fn defaults() -> Value {
    json!({
        "server": {
            "host": "localhost", "port": 8000, "tls": {"enabled": false, "cert_file": "", "key_file": ""}, "jwt": {"enabled": false},
            "identity_header": "", "tenant": {}, "openapi_schema_path": "", "drain_delay": "0s", "hostname": null, "timeouts": null,
        },
        "database": {
            "dialect": "", "file": "", "host": "", "port": 5432, "name": "hyperfleet", "username": "hyperfleet", "password": "",
            "ssl": {"mode": "disable", "root_cert_file": ""}, "pool": {"max_connections": 50}, "debug": null,
        },
        "metrics": {"host": "localhost", "port": 9090},
        "health": {"host": "localhost", "port": 8080},
        "entities": null, "logging": {"level": "info", "format": "json", "output": "stdout"}, "tracing": null,
    })
}

/// Variables and the keys they set.
const ENV: [(&str, &str); 24] = [
    ("SERVER_HOST", "server.host"),
    ("SERVER_PORT", "server.port"),
    ("SERVER_TLS_ENABLED", "server.tls.enabled"),
    ("SERVER_TLS_CERT_FILE", "server.tls.cert_file"),
    ("SERVER_TLS_KEY_FILE", "server.tls.key_file"),
    ("SERVER_JWT_ENABLED", "server.jwt.enabled"),
    ("SERVER_IDENTITY_HEADER", "server.identity_header"),
    ("SERVER_OPENAPI_SCHEMA_PATH", "server.openapi_schema_path"),
    ("SERVER_DRAIN_DELAY", "server.drain_delay"),
    ("DATABASE_FILE", "database.file"),
    ("DATABASE_HOST", "database.host"),
    ("DATABASE_PORT", "database.port"),
    ("DATABASE_NAME", "database.name"),
    ("DATABASE_USERNAME", "database.username"),
    ("DATABASE_PASSWORD", "database.password"),
    ("DATABASE_SSL_MODE", "database.ssl.mode"),
    ("DATABASE_SSL_ROOT_CERT_FILE", "database.ssl.root_cert_file"),
    ("LOGGING_LEVEL", "logging.level"),
    ("LOGGING_FORMAT", "logging.format"),
    ("LOGGING_OUTPUT", "logging.output"),
    ("METRICS_HOST", "metrics.host"),
    ("METRICS_PORT", "metrics.port"),
    ("HEALTH_HOST", "health.host"),
    ("HEALTH_PORT", "health.port"),
];

/// Settings that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer can't be read, or a value does not fit.
    #[error(transparent)]
    Layers(#[from] config::Error),
    /// Values that don't go together.
    #[error("{0}")]
    Value(String),
}

impl Args {
    /// Reads the layers.
    ///
    /// # Errors
    /// The first setting that can't be used, with the layer that it came from.
    pub fn into_config(self) -> Result<Config, Error> {
        let text = |text: Option<String>| text.map(Value::from);
        let port = |port: Option<u16>| port.map(Value::from);
        let mut layers = Layers::new(defaults());
        let file = self
            .config
            .or_else(|| FILES.iter().map(PathBuf::from).find(|file| file.exists()));
        if let Some(file) = file {
            layers = layers.file(file);
        }
        let file: File = layers
            .env("HYPERFLEET_", &ENV)
            .flag("--server-host", "server.host", text(self.server_host))
            .flag("--server-port", "server.port", port(self.server_port))
            .flag(
                "--server-jwt-enabled",
                "server.jwt.enabled",
                self.server_jwt_enabled.map(Value::from),
            )
            .flag(
                "--server-openapi-schema-path",
                "server.openapi_schema_path",
                text(self.server_openapi_schema_path),
            )
            .flag(
                "--server-drain-delay",
                "server.drain_delay",
                text(self.server_drain_delay),
            )
            .flag("--db-file", "database.file", text(self.db_file))
            .flag("--db-host", "database.host", text(self.db_host))
            .flag("--db-port", "database.port", port(self.db_port))
            .flag("--db-username", "database.username", text(self.db_username))
            .flag("--db-password", "database.password", text(self.db_password))
            .flag("--db-name", "database.name", text(self.db_name))
            .flag("--db-ssl-mode", "database.ssl.mode", text(self.db_ssl_mode))
            .flag("--log-level", "logging.level", text(self.log_level))
            .flag("--log-format", "logging.format", text(self.log_format))
            .flag("--metrics-host", "metrics.host", text(self.metrics_host))
            .flag("--metrics-port", "metrics.port", port(self.metrics_port))
            .flag("--health-host", "health.host", text(self.health_host))
            .flag("--health-port", "health.port", port(self.health_port))
            .build()?;
        file.into_config()
    }
}

impl File {
    fn into_config(self) -> Result<Config, Error> {
        if self.server.jwt.enabled {
            return Err(Error::Value(
                "server.jwt.enabled: this server does not verify JWTs itself; set it to false, let the gateway verify them, and name the \
                 header that it sets in server.identity_header"
                    .to_owned(),
            ));
        }
        let tls = &self.server.tls;
        let address = |host: &str, port: u16| {
            if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            }
        };
        Ok(Config {
            listen: address(&self.server.host, self.server.port),
            health_listen: address(&self.health.host, self.health.port),
            metrics_listen: address(&self.metrics.host, self.metrics.port),
            database: self.database.choose()?,
            entities: self.entities.unwrap_or_else(registry::standard),
            identity: identity::Options {
                identity_header: self.server.identity_header,
                tenant: self.server.tenant,
            },
            tls: tls.enabled.then(|| service_runtime::tls::Files {
                cert: tls.cert_file.clone(),
                key: tls.key_file.clone(),
                client_ca: None,
            }),
            spec_schemas: match self.server.openapi_schema_path.as_str() {
                "" => schema::Source::None,
                "builtin:gcp" => schema::Source::Gcp,
                path => schema::Source::File(path.into()),
            },
            stuck_after: self.metrics.reconciliation_stuck_threshold,
            drain_delay: self.server.drain_delay,
            log: Log {
                level: self.logging.level,
                format: self.logging.format,
                output: self.logging.output,
            },
            ..Config::default()
        })
    }
}

impl Postgres {
    fn choose(self) -> Result<Database, Error> {
        let postgres = match self.dialect.as_str() {
            "" => !self.host.is_empty(),
            "postgres" => true,
            "sqlite" => false,
            other => {
                return Err(Error::Value(format!(
                    "database.dialect: {other:?} is neither postgres nor sqlite"
                )));
            }
        };
        if !postgres {
            return Ok(match self.file.as_str() {
                "" | ":memory:" => Database::SqliteMemory,
                file => Database::Sqlite(PathBuf::from(file)),
            });
        }
        if !self.file.is_empty() {
            return Err(Error::Value(
                "database.file and database.host: choose one, SQLite or PostgreSQL".to_owned(),
            ));
        }
        let root = Some(PathBuf::from(self.ssl.root_cert_file))
            .filter(|path| !path.as_os_str().is_empty());
        let tls = sql_store::postgres::TlsMode::parse(&self.ssl.mode, root)
            .map_err(|error| Error::Value(error.to_string()))?;
        let host = if self.host.is_empty() {
            "localhost"
        } else {
            &self.host
        };
        let config = sql_store::postgres::Config::new(
            host,
            self.port,
            &self.username,
            &self.password,
            &self.name,
            tls,
        );
        Ok(Database::Postgres(Box::new(
            config
                .application_name("hyperfleet-api")
                .pool_size(self.pool.max_connections),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        Args {
            config: Some(path),
            ..Args::default()
        }
        .into_config()
        .map_err(|error| error.to_string())
    }

    #[test]
    fn upstream_s_file_is_read() {
        let config = file(
            "server:\n  host: 0.0.0.0\n  port: 8123\n  jwt: {enabled: false}\n  timeouts: {read: 5s, write: 30s}\n\
             database:\n  dialect: postgres\n  host: db\n  pool: {max_connections: 7, conn_max_lifetime: 5m}\n\
             metrics: {host: localhost, port: 9999, reconciliation_stuck_threshold: 1h30m}\nhealth: {host: '::1', port: 8081, shutdown_timeout: 20s}\n\
             logging: {level: debug, masking: {enabled: true}}\ntracing: {enabled: true}\n\
             entities:\n- {kind: Cluster, plural: clusters, required_adapters: [a], name_min_len: 3, name_max_len: 53, spec_schema_name: ClusterSpec}\n",
        )
        .unwrap();
        assert_eq!(
            (config.listen.as_str(), config.health_listen.as_str()),
            ("0.0.0.0:8123", "[::1]:8081")
        );
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.stuck_after, Duration::from_secs(5400));
        assert_eq!(
            (
                config.entities.len(),
                config.entities[0].required_adapters.as_slice()
            ),
            (1, ["a".to_owned()].as_slice())
        );
        assert!(matches!(config.database, Database::Postgres(settings) if settings.pool_size == 7));
    }

    #[test]
    fn mistakes_name_their_key_and_layer() {
        for (text, expected) in [
            ("sever: {}", "sever"),
            ("server: {prot: 1}", "server"),
            ("server: {port: many}", "server.port"),
            ("entities:\n- {kind: Cluster}", "plural"),
            ("server: {jwt: {enabled: true}}", "server.jwt.enabled"),
            ("database: {dialect: oracle}", "database.dialect"),
            ("database: {host: x, file: y}", "choose one"),
            ("server: [", "config.yaml:"),
        ] {
            let error = file(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn flags_win() {
        let args = Args {
            server_port: Some(1),
            db_file: Some(":memory:".to_owned()),
            ..Args::default()
        };
        let config = args.into_config().unwrap();
        assert_eq!(config.listen, "localhost:1");
        assert!(matches!(config.database, Database::SqliteMemory));
    }
}
