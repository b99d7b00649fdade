use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::SslMode;

use super::tls;

/// Where the database is and how patiently it is used.
#[derive(Clone)]
pub struct Config {
    pub(super) server: tokio_postgres::Config,
    pub(super) tls: TlsMode,
    pub(super) on_connect: Option<String>,
    /// Largest number of pooled connections; default 10.
    pub pool_size: usize,
    /// How long a caller waits for a free connection before it gets an error of class unavailable; default 5 s.
    pub acquire_timeout: Duration,
    /// How long [`Pool::bounded`](super::Pool::bounded) waits for an answer; default 15 s.
    pub answer_timeout: Duration,
}

/// How the connection to PostgreSQL is protected; the names are those of `sslmode`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Plaintext.
    #[default]
    Disable,
    /// Encrypted, the server's certificate isn't checked.
    Require,
    /// The certificate must be signed by an authority of this PEM file; its name isn't checked.
    VerifyCa(PathBuf),
    /// As `VerifyCa`, and the certificate must be made for the host that was dialled.
    VerifyFull(PathBuf),
}

/// A setting that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("database settings: {0}")]
pub struct ConfigError(pub(super) String);

/// A connection attempt that takes longer is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that is silent for this long is probed.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Unacknowledged data closes the connection after this time.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(20);

impl Config {
    /// Reads `postgres://user:password@host:port/name?sslmode=…&sslrootcert=…`, or the `key=value` form of libpq.
    ///
    /// # Errors
    /// When the text is not such an address; the text itself is not repeated, for it may hold a password.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        let (url, mode, root) = split_tls(url);
        let server = tokio_postgres::Config::from_str(&url)
            .map_err(|error| ConfigError(format!("not a PostgreSQL address: {error}")))?;
        let tls = TlsMode::parse(mode.as_deref().unwrap_or("disable"), root)?;
        Ok(Self::build(server, tls))
    }

    /// From single values, as deployments keep them in one file each.
    #[must_use]
    pub fn new(
        host: &str,
        port: u16,
        user: &str,
        password: &str,
        name: &str,
        tls: TlsMode,
    ) -> Self {
        let mut server = tokio_postgres::Config::new();
        server.host(host).port(port).user(user).dbname(name);
        if !password.is_empty() {
            server.password(password);
        }
        Self::build(server, tls)
    }

    fn build(mut server: tokio_postgres::Config, tls: TlsMode) -> Self {
        let mode = if tls == TlsMode::Disable {
            SslMode::Disable
        } else {
            SslMode::Require
        };
        server
            .ssl_mode(mode)
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .tcp_user_timeout(UNACKNOWLEDGED_LIMIT);
        Self {
            server,
            tls,
            on_connect: None,
            pool_size: 10,
            acquire_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(15),
        }
    }

    /// The name that sessions carry in `pg_stat_activity`.
    #[must_use]
    pub fn application_name(mut self, name: &str) -> Self {
        self.server.application_name(name);
        self
    }

    /// A statement that each pooled connection starts with, such as a `set`.
    #[must_use]
    pub fn on_connect(mut self, sql: &str) -> Self {
        self.on_connect = Some(sql.to_owned());
        self
    }

    /// Replaces the number of pooled connections.
    #[must_use]
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections.max(1);
        self
    }

    pub(super) fn connector(
        &self,
    ) -> Result<tokio_postgres_rustls::MakeRustlsConnect, ConfigError> {
        let config = tls::client_config(&self.tls)?;
        Ok(tokio_postgres_rustls::MakeRustlsConnect::new(
            Arc::unwrap_or_clone(config),
        ))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("hosts", &self.server.get_hosts())
            .field("ports", &self.server.get_ports())
            .field("user", &self.server.get_user())
            .field("name", &self.server.get_dbname())
            .field("tls", &self.tls)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

impl TlsMode {
    /// From the value of `sslmode` and the path of the authorities' certificates.
    ///
    /// # Errors
    /// When the mode is unknown, or one that verifies has no certificate file.
    pub fn parse(mode: &str, root: Option<PathBuf>) -> Result<Self, ConfigError> {
        let verified = || {
            root.clone().ok_or_else(|| {
                ConfigError(format!(
                    "sslmode {mode} needs the file of the authority's certificate"
                ))
            })
        };
        match mode {
            "disable" => Ok(Self::Disable),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa(verified()?)),
            "verify-full" => Ok(Self::VerifyFull(verified()?)),
            other => Err(ConfigError(format!(
                "sslmode {other:?} is not one of disable, require, verify-ca, verify-full"
            ))),
        }
    }
}

/// Takes `sslmode` and `sslrootcert` out of a URL's query: the driver knows neither the verifying modes nor the file.
fn split_tls(url: &str) -> (String, Option<String>, Option<PathBuf>) {
    let Some((base, query)) = url.split_once('?') else {
        return (url.to_owned(), None, None);
    };
    let (mut mode, mut root, mut rest) = (None, None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => root = Some(PathBuf::from(value)),
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", rest.join("&"))
    };
    (url, mode, root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_other_parameters() {
        let config =
            Config::from_url("postgres://u:secret@h:5/n?sslmode=require&application_name=x")
                .unwrap();
        assert_eq!(config.tls, TlsMode::Require);
        assert_eq!(config.server.get_application_name(), Some("x"));
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn a_verifying_mode_needs_a_file() {
        let error = Config::from_url("postgres://h/n?sslmode=verify-full")
            .unwrap_err()
            .to_string();
        assert!(error.contains("verify-full needs the file"), "{error}");
        assert!(Config::from_url("postgres://h/n?sslmode=maybe").is_err());
    }
}
