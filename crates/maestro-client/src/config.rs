//! Where the server is, who we are, and how long things may take.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{Error, Tls};

/// What a client needs to know. `..Config::default()` fills in the rest.
#[derive(Debug, Clone)]
pub struct Config {
    /// Base of the REST API without path: `http://host:8000` or `https://host:8000`.
    pub rest_url: String,
    /// Source service: `host:port`, no scheme.
    pub grpc_address: String,
    /// Who we are. Part of the identity of every work: another source id can't see or address the same works.
    pub source_id: String,
    /// TLS to the source service; none means plaintext. Files are read again at every connection.
    pub grpc_tls: Option<Tls>,
    /// TLS to a REST API with `https`; none means the files of `grpc_tls`, or the system's authorities.
    pub rest_tls: Option<Tls>,
    /// Name that the source service's certificate must carry; none means the host of `grpc_address`.
    pub grpc_server_name: Option<String>,
    /// Bearer token, sent over TLS only.
    pub token: Option<Token>,
    /// Sends the token over plaintext too. For development: whoever listens has it.
    pub allow_plaintext_token: bool,
    /// HTTP/2 pings while a call is open.
    pub keepalive: Option<Keepalive>,
    /// How long a watch may go without a heartbeat before it connects again; none means for ever. More than twice the
    /// server's interval (10 s). Default 20 s.
    pub server_healthiness_timeout: Option<Duration>,
    /// Limit of one request. Default 30 s. A read that has no answer after a third of it is made on another connection, too.
    pub request_timeout: Duration,
    /// How long a call waits for a server that can't be reached; 0 fails at once. Default 10 s. A read or a deletion over REST whose
    /// connection was forgotten on the way is made once more on a new one even so.
    pub wait_for_server: Duration,
    /// Largest message that is received, in bytes. Default 16 MiB: a status event carries the whole work.
    pub max_message_size: usize,
    /// Largest REST response that is received, in bytes. Default 256 MiB.
    pub max_response_size: usize,
    /// Works per page of a list. Default 200.
    pub page_size: u32,
    /// Bytes of status reports that wait for a watch that isn't read; beyond that it lists again. Default 32 MiB.
    pub watch_buffer: usize,
    /// HTTP `User-Agent`.
    pub user_agent: String,
}

/// HTTP/2 pings. Go servers close connections that ping more often than every 5 s or while nothing is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Time between pings. Default 30 s.
    pub interval: Duration,
    /// How long to wait for the answer. Default 10 s.
    pub timeout: Duration,
    /// Pings while no call is open too.
    pub while_idle: bool,
}

/// A bearer token. Never shown in logs.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// The token itself.
    Literal(String),
    /// A file that holds it, read again as it is rotated. While it can't be read the last token stays in use.
    File(PathBuf),
}

/// Shortest ping interval that upstream's servers take.
pub const MIN_KEEPALIVE: Duration = Duration::from_secs(5);

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            rest_url: "http://localhost:8000".to_owned(),
            grpc_address: "localhost:8090".to_owned(),
            source_id: String::new(),
            grpc_tls: None,
            rest_tls: None,
            grpc_server_name: None,
            token: None,
            allow_plaintext_token: false,
            keepalive: Some(Keepalive::default()),
            server_healthiness_timeout: Some(Duration::from_secs(20)),
            request_timeout: Duration::from_secs(30),
            wait_for_server: Duration::from_secs(10),
            max_message_size: 16 * 1024 * 1024,
            max_response_size: 256 * 1024 * 1024,
            page_size: 200,
            watch_buffer: 32 * 1024 * 1024,
            user_agent: concat!("maestro-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Config {
    /// Checks what can be checked without a network.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let config = |message: String| Err(Error::Config { message });
        if self.source_id.is_empty() {
            return config("source id is required".to_owned());
        }
        // The id is part of search texts, of URIs and of work ids.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !self.source_id.bytes().all(plain) || self.source_id.len() > 253 {
            return config(format!(
                "source id {:?} may hold letters, digits, '-', '.' and '_' only, at most 253",
                self.source_id
            ));
        }
        let rest = self
            .rest_url
            .strip_prefix("https://")
            .or_else(|| self.rest_url.strip_prefix("http://"));
        match rest {
            None => {
                return config(format!(
                    "REST URL {:?} must begin with http:// or https://",
                    self.rest_url
                ));
            }
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                return config(format!("REST URL {:?} has no host", self.rest_url));
            }
            Some(_) => {}
        }
        if self.grpc_address.contains("://") {
            return config(format!(
                "gRPC address {:?} must be host:port without a scheme; TLS is a setting of its own",
                self.grpc_address
            ));
        }
        if host_and_port(&self.grpc_address).is_none() {
            return config(format!(
                "gRPC address {:?} must be host:port",
                self.grpc_address
            ));
        }
        if self
            .server_healthiness_timeout
            .is_some_and(|limit| limit.is_zero())
        {
            return config("the server healthiness timeout must be greater than 0".to_owned());
        }
        if self
            .keepalive
            .is_some_and(|keepalive| keepalive.interval < MIN_KEEPALIVE)
        {
            return config("the keepalive interval must be at least 5s: servers end connections that ping faster".to_owned());
        }
        if self.page_size == 0 || self.page_size > 65_500 {
            return config("the page size must be between 1 and 65500".to_owned());
        }
        Ok(())
    }

    pub(crate) fn rest_is_tls(&self) -> bool {
        self.rest_url.starts_with("https://")
    }
}

/// Splits `host:port`; IPv6 hosts are in brackets.
pub(crate) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host_is_fine = if let Some(inner) = host.strip_prefix('[') {
        inner.ends_with(']')
    } else {
        !host.is_empty() && !host.contains(':') && !host.contains('/')
    };
    host_is_fine.then_some(())?;
    Some((host, port.parse().ok()?))
}

// === impl Keepalive ===

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            while_idle: false,
        }
    }
}

// === impl Token ===

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
