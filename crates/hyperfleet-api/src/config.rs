//! Settings.

use std::{path::PathBuf, time::Duration};

use crate::{http::identity, registry, schema};

/// How an API runs. Plain data: the front door reads files, environment and flags.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the API, `host:port`; port 0 takes a free one. Default `localhost:8000`.
    pub listen: String,
    /// Address of `/healthz` and `/readyz`. Default `localhost:8080`.
    pub health_listen: String,
    /// Address of `/metrics`. Default `localhost:9090`.
    pub metrics_listen: String,
    /// Where resources are kept. Default: in memory.
    pub database: Database,
    /// Kinds of resources. Default: [`registry::standard`].
    pub entities: Vec<registry::Entity>,
    /// How callers are known. Default: not at all.
    pub identity: identity::Options,
    /// Certificate and key of the API port. Default: plain HTTP.
    pub tls: Option<service_runtime::tls::Files>,
    /// Schemas of specs. Default: any object is a spec.
    pub spec_schemas: schema::Source,
    /// How long a resource may be unreconciled before it counts as stuck. Default 10 min.
    pub stuck_after: Duration,
    /// How long requests are still accepted after readiness has ended. Default 0: for a load balancer that takes a while to hear
    /// of it, choose more.
    pub drain_delay: Duration,
    /// Logging; read by the front door.
    pub log: Log,
    /// Version to report. Default: that of this crate.
    pub version: String,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `debug`, `info`, `warn` or `error`. Default `info`.
    pub level: String,
    /// `json` or `text`. Default `json`.
    pub format: String,
    /// `stdout`, `stderr` or a file. Default `stdout`.
    pub output: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: "json".to_owned(),
            output: "stdout".to_owned(),
        }
    }
}

/// Where resources are kept.
#[derive(Debug, Clone)]
pub enum Database {
    /// One file, owned by one process.
    Sqlite(PathBuf),
    /// Gone with the process.
    SqliteMemory,
    /// A server, perhaps shared by several of us.
    Postgres(Box<sql_store::postgres::Config>),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "localhost:8000".to_owned(),
            health_listen: "localhost:8080".to_owned(),
            metrics_listen: "localhost:9090".to_owned(),
            database: Database::SqliteMemory,
            entities: registry::standard(),
            identity: identity::Options::default(),
            tls: None,
            spec_schemas: schema::Source::None,
            stuck_after: Duration::from_secs(600),
            drain_delay: Duration::ZERO,
            log: Log::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Config {
    /// Requires these adapters for a kind, instead of those it has.
    #[must_use]
    pub fn required_adapters(mut self, kind: &str, adapters: &[&str]) -> Self {
        for entity in self
            .entities
            .iter_mut()
            .filter(|entity| entity.kind == kind)
        {
            entity.required_adapters = adapters
                .iter()
                .map(|adapter| (*adapter).to_owned())
                .collect();
        }
        self
    }
}
