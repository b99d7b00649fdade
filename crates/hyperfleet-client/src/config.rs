//! Where the API is and how patient to be with it.

use std::{fmt, path::PathBuf, time::Duration};

/// How a [`Client`](crate::Client) reaches the API.
#[derive(Debug, Clone)]
pub struct Config {
    /// Scheme, host and port, e.g. `http://hyperfleet-api:8000`. A path is kept as a prefix of every request.
    pub base_url: String,
    /// Version segment of relative paths; default `v1`.
    pub api_version: String,
    /// Time for one attempt, from connecting to the last byte; default 10 s.
    pub timeout: Duration,
    /// When to try again.
    pub retry: Retry,
    /// `User-Agent`; default `hyperfleet-client/<version>`.
    pub user_agent: String,
    /// Bearer token, if the API wants one.
    pub token: Option<Token>,
}

impl Config {
    /// The defaults for an API at `base_url`.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            ..Self::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            api_version: "v1".to_owned(),
            timeout: Duration::from_secs(10),
            retry: Retry::default(),
            user_agent: concat!("hyperfleet-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            token: None,
        }
    }
}

/// When to try again: after network errors, time-outs, 408, 429 and 5xx.
///
/// A POST is repeated only if the API can't have seen it (no connection) or said that it did nothing (429, 503).
#[derive(Debug, Clone)]
pub struct Retry {
    /// Attempts in all; 1 means that nothing is repeated. Default: limited by [`Retry::total`] only.
    pub attempts: Option<u32>,
    /// Pause after the first failure; doubles each time. Default 500 ms.
    pub first_delay: Duration,
    /// Longest pause. Default 8 s.
    pub max_delay: Duration,
    /// No attempt is started later than this after the first. Default 30 s.
    pub total: Duration,
}

impl Retry {
    /// Never repeats anything.
    pub fn never() -> Self {
        Self {
            attempts: Some(1),
            ..Self::default()
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: None,
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(8),
            total: Duration::from_secs(30),
        }
    }
}

/// A bearer token.
#[derive(Clone)]
pub enum Token {
    /// This one.
    Literal(String),
    /// The content of a file, e.g. a projected service account token that Kubernetes rotates.
    File {
        /// Absolute path.
        path: PathBuf,
        /// How long a read value is used; zero reads the file for every attempt.
        cache: Duration,
    },
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(***)"),
            Self::File { path, cache } => f
                .debug_struct("File")
                .field("path", path)
                .field("cache", cache)
                .finish(),
        }
    }
}
