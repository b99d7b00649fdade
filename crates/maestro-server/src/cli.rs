//! The command line: upstream's flags, and ours beside them.

mod authn;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args as Group, Parser, ValueEnum};

use self::authn::AuthnArgs;
use crate::config::{Config, Database, Secret, TlsFiles};
use crate::delivery::Limits;
use crate::grpc::Transport;

/// Serve Maestro: REST for operators, gRPC for sources and for agents.
///
/// Without any database setting the data is kept in the SQLite file `maestro.db`. Several servers may share one
/// PostgreSQL database; each then needs its own --client-id. The schema is created or updated at start.
///
/// Try:  maestro server --database sqlite:maestro.db
///       curl -d '{"name":"cluster1"}' localhost:8000/api/maestro/v1/consumers
#[derive(Clone, Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    grpc: Grpc,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    authn: AuthnArgs,
    #[command(flatten)]
    compatibility: Compatibility,
}

#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Addresses and TLS")]
struct Listen {
    /// Host of all listeners; empty = all interfaces.
    #[arg(long, default_value = "localhost")]
    server_hostname: String,
    /// Port of the REST API.
    #[arg(long, default_value_t = 8000)]
    http_server_bindport: u16,
    /// Port of the metrics endpoint.
    #[arg(long, default_value_t = 8080)]
    metrics_server_bindport: u16,
    /// Port of /livez, /readyz and /healthcheck.
    #[arg(long, default_value_t = 8083)]
    health_check_server_bindport: u16,
    /// Port where sources connect.
    #[arg(long, default_value_t = 8090)]
    grpc_server_bindport: u16,
    /// Port where agents connect.
    #[arg(long, default_value_t = 8091)]
    grpc_broker_bindport: u16,
    /// Serve REST over TLS 1.3.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    enable_https: bool,
    /// Serve metrics over TLS with the certificate of REST.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    enable_metrics_https: bool,
    /// Serve health checks over TLS with the certificate of REST.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    enable_health_check_https: bool,
    /// Certificate of REST, PEM; read again when it changes.
    #[arg(long, value_name = "FILE")]
    https_cert_file: Option<PathBuf>,
    /// Private key of REST, PEM.
    #[arg(long, value_name = "FILE")]
    https_key_file: Option<PathBuf>,
    /// Certificate of the source port, PEM. With the key: TLS 1.3 only.
    #[arg(long, value_name = "FILE")]
    grpc_tls_cert_file: Option<PathBuf>,
    /// Private key of the source port, PEM.
    #[arg(long, value_name = "FILE")]
    grpc_tls_key_file: Option<PathBuf>,
    /// Certificate of the agent port, PEM.
    #[arg(long, value_name = "FILE")]
    grpc_broker_tls_cert_file: Option<PathBuf>,
    /// Private key of the agent port, PEM.
    #[arg(long, value_name = "FILE")]
    grpc_broker_tls_key_file: Option<PathBuf>,
    /// Authorities whose certificates agents must show, PEM. Only these are trusted, not those of the system.
    #[arg(long, value_name = "FILE")]
    grpc_broker_client_ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Database")]
struct DatabaseArgs {
    /// sqlite:<file>, sqlite::memory:, or postgres://user:password@host:port/name?sslmode=… . Wins over the --db-…-file
    /// flags.
    #[arg(
        long,
        env = "MAESTRO_DATABASE",
        value_name = "URL",
        hide_env_values = true
    )]
    database: Option<String>,
    /// File with the host of PostgreSQL. Giving one of these files, or having the default one, selects PostgreSQL.
    #[arg(long, value_name = "FILE")]
    db_host_file: Option<PathBuf>,
    /// File with the port of PostgreSQL [default: secrets/db.port].
    #[arg(long, value_name = "FILE")]
    db_port_file: Option<PathBuf>,
    /// File with the user [default: secrets/db.user].
    #[arg(long, value_name = "FILE")]
    db_user_file: Option<PathBuf>,
    /// File with the password [default: secrets/db.password].
    #[arg(long, value_name = "FILE")]
    db_password_file: Option<PathBuf>,
    /// File with the name of the database [default: secrets/db.name].
    #[arg(long, value_name = "FILE")]
    db_name_file: Option<PathBuf>,
    /// Authorities of PostgreSQL's certificate, PEM (verify-ca, verify-full) [default: secrets/db.rootcert].
    #[arg(long, value_name = "FILE")]
    db_rootcert: Option<PathBuf>,
    /// disable, require, verify-ca or verify-full.
    #[arg(long, default_value = "disable", value_name = "MODE")]
    db_sslmode: String,
    /// Connections to PostgreSQL, at most.
    #[arg(long, default_value_t = 50)]
    db_max_open_connections: usize,
    /// Only `password` is available.
    #[arg(long, default_value = "password", value_name = "METHOD")]
    db_auth_method: String,
}

#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "gRPC")]
struct Grpc {
    /// Largest message that is received, bytes.
    #[arg(long, default_value_t = 4 * 1024 * 1024)]
    grpc_max_receive_message_size: usize,
    /// Largest message that is sent, bytes.
    #[arg(long, default_value_t = i32::MAX as usize)]
    grpc_max_send_message_size: usize,
    /// Calls and streams on one connection, at most.
    #[arg(long, default_value_t = u32::MAX, hide_default_value = true)]
    grpc_max_concurrent_streams: u32,
    /// Age after which a connection is asked to come back, such as 1h30m [default: never].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    grpc_max_connection_age: Option<Duration>,
    /// A silent peer is asked for a sign of life after this time.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    grpc_server_ping_interval: Duration,
    /// A peer that gives none for this long is gone.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    grpc_server_ping_timeout: Duration,
    /// Time between heartbeats on streams.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    heartbeat_check_interval: Duration,
    /// Send no heartbeats.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    heartbeat_disable: bool,
    /// Replace the texts of errors by Kubernetes statuses, which Go clients turn into typed errors.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    typed_errors: bool,
}

#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Rules")]
struct Rules {
    /// Name of this server among those on one database.
    #[arg(long, default_value = "maestro")]
    client_id: String,
    /// Seconds between this server's signs of life in the database.
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    heartbeat_interval: u64,
    /// Whether a source may only change what it published.
    #[arg(long, default_value = "on", value_enum)]
    source_isolation: Switch,
}

/// Flags that upstream has and that have no effect here, or only one value.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Accepted for compatibility")]
struct Compatibility {
    /// Only `grpc` is available.
    #[arg(long, default_value = "grpc")]
    message_broker_type: String,
    #[arg(long, hide = true)]
    message_broker_config_file: Option<PathBuf>,
    #[arg(long, hide = true)]
    source_id: Option<String>,
    #[arg(long, hide = true)]
    subscription_type: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_grpc_server: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_grpc_tls: Option<bool>,
    #[arg(long, hide = true)]
    grpc_connection_timeout: Option<String>,
    /// Without effect: too frequent pings are tolerated.
    #[arg(long, hide = true)]
    grpc_client_min_ping_interval: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    permit_ping_without_stream: Option<bool>,
    #[arg(long, hide = true)]
    grpc_write_buffer_size: Option<u64>,
    #[arg(long, hide = true)]
    grpc_read_buffer_size: Option<u64>,
    #[arg(long, hide = true)]
    http_read_timeout: Option<String>,
    #[arg(long, hide = true)]
    http_write_timeout: Option<String>,
    #[arg(long, hide = true)]
    label_metrics_inclusion_duration: Option<String>,
    #[arg(long, hide = true)]
    undelivered_resource_threshold: Option<u64>,
    #[arg(long, hide = true)]
    stale_delete_event_threshold: Option<u64>,
    #[arg(long, hide = true)]
    consistent_hash_partition_count: Option<u64>,
    #[arg(long, hide = true)]
    consistent_hash_replication_factor: Option<u64>,
    #[arg(long, hide = true)]
    consistent_hash_load: Option<f64>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_message_broker: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enable_db_debug: Option<bool>,
    #[arg(long, hide = true)]
    db_token_request_scope: Option<String>,
    #[arg(short = 'v', hide = true)]
    v: Option<i32>,
    #[arg(long, hide = true)]
    vmodule: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    logtostderr: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alsologtostderr: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Flags that can't be used, or not together; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Args {
    /// The settings that the flags mean. Reads the files that hold the parts of PostgreSQL's address.
    ///
    /// # Errors
    /// When a flag has a value that isn't available, or a file can't be read.
    pub fn into_config(self) -> Result<Config, Error> {
        let Self {
            listen,
            database,
            grpc,
            rules,
            authn,
            compatibility,
        } = self;
        compatibility.check()?;
        let address = |port: u16| format!("{}:{port}", listen.server_hostname);
        let https = listen.https()?;
        let grpc_tls = pair(
            "--grpc-tls-cert-file and --grpc-tls-key-file",
            listen.grpc_tls_cert_file.as_deref(),
            listen.grpc_tls_key_file.as_deref(),
            authn.client_ca(),
        )?;
        let broker_tls = pair(
            "--grpc-broker-tls-cert-file and --grpc-broker-tls-key-file",
            listen.grpc_broker_tls_cert_file.as_deref(),
            listen.grpc_broker_tls_key_file.as_deref(),
            listen.grpc_broker_client_ca_file.as_deref(),
        )?;
        if listen.grpc_broker_client_ca_file.is_some() && broker_tls.is_none() {
            return Err(Error(
                "--grpc-broker-client-ca-file needs --grpc-broker-tls-cert-file and --grpc-broker-tls-key-file".into(),
            ));
        }
        let authn = authn.into_config()?;
        authn
            .check(grpc_tls.as_ref(), broker_tls.as_ref())
            .map_err(|error| Error(error.to_string()))?;
        let max_concurrent_streams = (grpc.grpc_max_concurrent_streams != u32::MAX)
            .then_some(grpc.grpc_max_concurrent_streams);
        if grpc.heartbeat_check_interval.is_zero() {
            return Err(Error(
                "--heartbeat-check-interval must be longer than 0".into(),
            ));
        }
        Ok(Config {
            rest_listen: address(listen.http_server_bindport),
            grpc_listen: address(listen.grpc_server_bindport),
            broker_listen: address(listen.grpc_broker_bindport),
            health_listen: address(listen.health_check_server_bindport),
            metrics_listen: address(listen.metrics_server_bindport),
            database_connections: database.db_max_open_connections,
            database_timeout: Config::default().database_timeout,
            database: database.resolve()?,
            instance_id: rules.client_id,
            instance_heartbeat: Duration::from_secs(rules.heartbeat_interval.max(1)),
            heartbeat_interval: (!grpc.heartbeat_disable).then_some(grpc.heartbeat_check_interval),
            health_https: listen.enable_health_check_https,
            metrics_https: listen.enable_metrics_https,
            https,
            grpc_tls,
            broker_tls,
            transport: Transport {
                max_receive_message_size: grpc.grpc_max_receive_message_size,
                max_send_message_size: grpc.grpc_max_send_message_size,
                max_concurrent_streams,
                max_connection_age: grpc.grpc_max_connection_age,
                ping_interval: grpc.grpc_server_ping_interval,
                ping_timeout: grpc.grpc_server_ping_timeout,
            },
            limits: Limits::default(),
            source_isolation: rules.source_isolation == Switch::On,
            typed_errors: grpc.typed_errors,
            authn,
        })
    }
}

impl Listen {
    fn https(&self) -> Result<Option<TlsFiles>, Error> {
        let files = pair(
            "--https-cert-file and --https-key-file",
            self.https_cert_file.as_deref(),
            self.https_key_file.as_deref(),
            None,
        )?;
        let wanted = [
            (self.enable_https, "--enable-https"),
            (self.enable_metrics_https, "--enable-metrics-https"),
            (
                self.enable_health_check_https,
                "--enable-health-check-https",
            ),
        ];
        match (wanted.iter().find(|(on, _)| *on), files) {
            (Some((_, flag)), None) => Err(Error(format!(
                "{flag} needs --https-cert-file and --https-key-file"
            ))),
            (None, _) => Ok(None),
            (Some(_), files) => Ok(files),
        }
    }
}

impl DatabaseArgs {
    fn resolve(self) -> Result<Database, Error> {
        if self.db_auth_method != "password" {
            return Err(Error(format!(
                "--db-auth-method={} is not available; use password, or a --database URL",
                self.db_auth_method
            )));
        }
        if let Some(url) = &self.database {
            return parse_database(url);
        }
        let files = [
            &self.db_host_file,
            &self.db_port_file,
            &self.db_user_file,
            &self.db_password_file,
            &self.db_name_file,
        ];
        let default_host = Path::new("secrets/db.host");
        if files.iter().all(|file| file.is_none()) && !default_host.exists() {
            return Ok(Database::Sqlite("maestro.db".into()));
        }
        let read = |file: &Option<PathBuf>, default: &str| -> Result<String, Error> {
            let path = file.clone().unwrap_or_else(|| default.into());
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Error(format!("read {}: {error}", path.display())))?;
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        };
        let port = read(&self.db_port_file, "secrets/db.port")?;
        let port: u16 = port.trim().parse().map_err(|_| {
            Error(format!(
                "the port of PostgreSQL is {port:?}, which is no port"
            ))
        })?;
        Ok(Database::PostgresParts {
            host: read(&self.db_host_file, "secrets/db.host")?,
            port,
            user: read(&self.db_user_file, "secrets/db.user")?,
            password: Secret(read(&self.db_password_file, "secrets/db.password")?),
            name: read(&self.db_name_file, "secrets/db.name")?,
            sslmode: self.db_sslmode,
            rootcert: self
                .db_rootcert
                .or_else(|| Some("secrets/db.rootcert".into())),
        })
    }
}

fn parse_database(url: &str) -> Result<Database, Error> {
    if url == "sqlite::memory:" {
        return Ok(Database::SqliteMemory);
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(Error(
                "--database=sqlite: lacks the file, for example sqlite:maestro.db".into(),
            ));
        }
        return Ok(Database::Sqlite(path.into()));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Database::Postgres(Secret(url.to_owned())));
    }
    Err(Error(
        "--database must start with sqlite: or postgres://".into(),
    ))
}

impl Compatibility {
    fn check(&self) -> Result<(), Error> {
        if self.message_broker_type != "grpc" {
            return Err(Error(format!(
                "--message-broker-type={} is not available; agents connect by gRPC: use grpc",
                self.message_broker_type
            )));
        }
        if self.enable_grpc_server == Some(false) || self.disable_message_broker == Some(true) {
            return Err(Error(
                "the gRPC ports can't be switched off; bind them to a loopback address".into(),
            ));
        }
        Ok(())
    }
}

fn pair(
    flags: &str,
    cert: Option<&Path>,
    key: Option<&Path>,
    client_ca: Option<&Path>,
) -> Result<Option<TlsFiles>, Error> {
    let given = |path: Option<&Path>| {
        path.filter(|path| !path.as_os_str().is_empty())
            .map(Path::to_owned)
    };
    match (given(cert), given(key)) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles {
            cert,
            key,
            client_ca: given(client_ca),
        })),
        _ => Err(Error(format!("{flags} must be set together"))),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    go_compat::duration::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[&str]) -> Result<Config, String> {
        let arguments = std::iter::once(&"maestro").chain(flags);
        let args = Args::try_parse_from(arguments).map_err(|error| error.to_string())?;
        args.into_config().map_err(|error| error.to_string())
    }

    #[test]
    fn upstreams_flags_are_understood() {
        let config = config(&[
            "--server-hostname=127.0.0.1",
            "--http-server-bindport=1",
            "--grpc-broker-bindport=0",
            "--enable-https=false",
            "--heartbeat-check-interval=1m30s",
            "--message-broker-type=grpc",
            "--client-id=m1",
            "--database=postgres://u:secret@h/d",
            "-v=1",
            "--logtostderr",
        ])
        .unwrap();
        assert_eq!(config.rest_listen, "127.0.0.1:1");
        assert_eq!(config.heartbeat_interval, Some(Duration::from_secs(90)));
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn what_is_not_available_is_refused_with_a_reason() {
        for (flag, expected) in [
            ("--message-broker-type=mqtt", "agents connect by gRPC"),
            ("--grpc-authn-type=token", "needs TLS"),
            ("--db-auth-method=az-entra", "not available"),
            (
                "--database=mysql://x",
                "must start with sqlite: or postgres://",
            ),
            ("--enable-https", "needs --https-cert-file"),
            ("--grpc-tls-cert-file=x", "must be set together"),
            (
                "--grpc-broker-client-ca-file=x",
                "needs --grpc-broker-tls-cert-file",
            ),
            ("--heartbeat-check-interval=10", "missing unit"),
        ] {
            let error = config(&[flag]).unwrap_err();
            assert!(error.contains(expected), "{flag}: {error}");
        }
    }

    #[test]
    fn the_parts_of_an_address_come_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("--db-{name}-file={}", path.display())
        };
        let flags = [
            file("host", "db\n"),
            file("port", "5432\n"),
            file("user", "u"),
            file("password", "p\n"),
            file("name", "maestro"),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let Database::PostgresParts { host, port, .. } = config(&flags).unwrap().database else {
            panic!("PostgreSQL")
        };
        assert_eq!((host.as_str(), port), ("db", 5432));
        assert!(
            config(&["--db-host-file=/no/such/file"])
                .unwrap_err()
                .contains("secrets/db.port")
        );
    }
}
