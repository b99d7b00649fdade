//! The command line: upstream's flags, and ours beside them.

mod authn;
pub mod compatibility;
mod database;
mod grpc;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args as Group, Parser, ValueEnum};

use self::authn::AuthnArgs;
use self::grpc::GrpcArgs;
use crate::config::{Config, TlsFiles};
use crate::delivery::Limits;

use compatibility::Compatibility;
pub use database::DatabaseArgs;

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
    tls: Tls,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    grpc: GrpcArgs,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    authn: AuthnArgs,
    #[command(flatten)]
    compatibility: Compatibility,
}

#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Addresses")]
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
    /// Serve sources.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    enable_grpc_server: bool,
    /// Serve no agents: they connect to another server on the same database.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    disable_message_broker: bool,
    /// How agents are reached; grpc is the only way.
    #[arg(long, default_value = "grpc", value_name = "TYPE")]
    message_broker_type: String,
    /// How long a new connection may be silent. Upstream's default of 5s has no effect there.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    http_read_timeout: Duration,
    /// How long a reader may take nothing of an answer.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    http_write_timeout: Duration,
    /// Memory for resource bundles that were listed before and didn't change since, bytes; 0 = none.
    #[arg(long, default_value_t = 32 * 1024 * 1024, value_name = "BYTES")]
    list_cache_size: usize,
}

#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "TLS")]
struct Tls {
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
    /// How long an agent has to settle a resource before it is reminded; 0 = never. Upstream's default is 600.
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    undelivered_resource_threshold: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Longer than any installation lives, and far from the end of what dates can say.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Flags that can't be used, or not together; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Args {
    /// Whether every statement is to be logged.
    #[must_use]
    pub fn database_debug(&self) -> bool {
        self.database.debug()
    }

    /// The settings that the flags mean. Reads the files that hold the parts of PostgreSQL's address.
    ///
    /// # Errors
    /// When a flag has a value that isn't available, or a file can't be read.
    pub fn into_config(self) -> Result<Config, Error> {
        let Self {
            listen,
            tls,
            database,
            grpc,
            rules,
            authn,
            compatibility: _,
        } = self;
        compatibility::broker(&listen.message_broker_type)?;
        let limits = rules.limits();
        let address = |port: u16| format!("{}:{port}", listen.server_hostname);
        let https = tls.https()?;
        let grpc_tls = pair(
            "--grpc-tls-cert-file and --grpc-tls-key-file",
            tls.grpc_tls_cert_file.as_deref(),
            tls.grpc_tls_key_file.as_deref(),
            authn.client_ca(),
        )?;
        let broker_tls = pair(
            "--grpc-broker-tls-cert-file and --grpc-broker-tls-key-file",
            tls.grpc_broker_tls_cert_file.as_deref(),
            tls.grpc_broker_tls_key_file.as_deref(),
            tls.grpc_broker_client_ca_file.as_deref(),
        )?;
        if tls.grpc_broker_client_ca_file.is_some() && broker_tls.is_none() {
            return Err(Error(
                "--grpc-broker-client-ca-file needs --grpc-broker-tls-cert-file and --grpc-broker-tls-key-file".into(),
            ));
        }
        let authn = authn.into_config()?;
        authn
            .check(grpc_tls.as_ref(), broker_tls.as_ref())
            .map_err(|error| Error(error.to_string()))?;
        Ok(Config {
            rest_listen: address(listen.http_server_bindport),
            grpc_listen: address(listen.grpc_server_bindport),
            broker_listen: address(listen.grpc_broker_bindport),
            health_listen: address(listen.health_check_server_bindport),
            metrics_listen: address(listen.metrics_server_bindport),
            database_connections: database.connections(),
            database_timeout: Config::default().database_timeout,
            database: database.resolve()?,
            instance_id: rules.client_id,
            instance_heartbeat: Duration::from_secs(rules.heartbeat_interval.max(1)),
            heartbeat_interval: grpc.heartbeat()?,
            rest_https: tls.enable_https,
            health_https: tls.enable_health_check_https,
            metrics_https: tls.enable_metrics_https,
            https,
            grpc_tls,
            broker_tls,
            transport: grpc.transport(),
            limits,
            serve_sources: listen.enable_grpc_server,
            serve_agents: !listen.disable_message_broker,
            http_read_timeout: listen.http_read_timeout,
            http_write_timeout: listen.http_write_timeout,
            list_cache_size: listen.list_cache_size,
            source_isolation: rules.source_isolation == Switch::On,
            typed_errors: grpc.typed_errors,
            authn,
        })
    }
}

impl Tls {
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

impl Rules {
    fn limits(&self) -> Limits {
        let grace = match self.undelivered_resource_threshold {
            0 => NEVER,
            seconds => Duration::from_secs(seconds).min(NEVER),
        };
        Limits {
            grace,
            ..Limits::default()
        }
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
    use crate::config::Database;

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
            "--undelivered-resource-threshold=600",
            "--subscription-type=shared",
        ])
        .unwrap();
        assert_eq!(config.rest_listen, "127.0.0.1:1");
        assert_eq!(config.heartbeat_interval, Some(Duration::from_secs(90)));
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn what_is_not_available_is_refused_with_a_reason() {
        for (flag, expected) in [
            (
                "--message-broker-type=mqtt",
                "agents connect to this server by gRPC",
            ),
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
    fn a_certificate_alone_puts_no_door_behind_tls() {
        let config = |flag: &str| {
            let files = ["--https-cert-file=c.pem", "--https-key-file=k.pem", flag];
            let config = config(&files).unwrap();
            assert!(config.https.is_some(), "{flag}");
            (config.rest_https, config.metrics_https, config.health_https)
        };
        assert_eq!(config("--enable-https"), (true, false, false));
        assert_eq!(config("--enable-metrics-https"), (false, true, false));
        assert_eq!(config("--enable-health-check-https"), (false, false, true));
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
