//! Connections to the REST API: TLS files that are followed, and connections that are given up.
//!
//! A load balancer may forget a connection without closing it. What is sent on it then is swallowed, and the pool goes on handing
//! it out. So there are limits to how long a connection rests and to how long it may leave bytes unacknowledged, and who finds one
//! dead makes everybody connect anew.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use service_runtime::tls;

use crate::{Config, Error, Tls};

/// How often changed TLS files are looked for.
const TLS_RELOAD: Duration = Duration::from_secs(30);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may rest: less than the shortest limit of the usual load balancers (60 s).
const IDLE: Duration = Duration::from_secs(30);
/// Time between TCP probes, and between HTTP/2 pings while a call is open.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the answer to a ping, or the acknowledgement of what was sent, may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Probes that are lost before a connection is.
const PROBES: u32 = 3;

/// The connections of a client.
pub(super) struct Pool {
    config: Arc<Config>,
    http: ArcSwap<reqwest::Client>,
    tls: Option<(tls::Client, Mutex<Instant>)>,
}

impl Pool {
    pub(super) fn new(config: Arc<Config>) -> Result<Self, Error> {
        // reqwest asks for a provider even for plain HTTP.
        service_runtime::install_crypto_provider();
        let tls = if config.rest_is_tls() {
            let files: Tls = config
                .rest_tls
                .clone()
                .or_else(|| config.grpc_tls.clone())
                .unwrap_or_default();
            let tls = tls::Client::load(files).map_err(|error| Error::Config {
                message: format!("TLS for REST: {error}"),
            })?;
            Some((tls, Mutex::new(Instant::now())))
        } else {
            None
        };
        let http = build(&config, tls.as_ref().map(|(tls, _)| tls))?;
        Ok(Self {
            config,
            http: ArcSwap::from_pointee(http),
            tls,
        })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The connections that are in use now.
    pub(super) fn current(&self) -> Arc<reqwest::Client> {
        if let Some((tls, checked)) = &self.tls
            && is_due(checked)
        {
            match tls.reload() {
                Ok(false) => {}
                Ok(true) => self.renew(),
                Err(error) => tracing::warn!(error = %error, "new TLS files can't be used"),
            }
        }
        self.http.load_full()
    }

    /// Makes new calls connect anew; those that are on their way keep their connections.
    pub(super) fn renew(&self) {
        match build(&self.config, self.tls.as_ref().map(|(tls, _)| tls)) {
            Ok(http) => self.http.store(Arc::new(http)),
            Err(error) => tracing::warn!(error = %error, "the HTTP client can't be made anew"),
        }
    }

    /// The same, for one who got no answer on these: of many at once the first sees to it.
    pub(super) fn give_up(&self, used: &Arc<reqwest::Client>) {
        if Arc::ptr_eq(&self.http.load(), used) {
            self.renew();
        }
    }
}

fn is_due(checked: &Mutex<Instant>) -> bool {
    let mut checked = checked.lock().unwrap_or_else(PoisonError::into_inner);
    let due = checked.elapsed() >= TLS_RELOAD;
    if due {
        *checked = Instant::now();
    }
    due
}

fn build(config: &Config, tls: Option<&tls::Client>) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(PROBE_INTERVAL)
        .tcp_keepalive_interval(PROBE_INTERVAL)
        .tcp_keepalive_retries(PROBES)
        .http2_keep_alive_interval(PROBE_INTERVAL)
        .http2_keep_alive_timeout(PROBE_TIMEOUT);
    #[cfg(target_os = "linux")]
    {
        builder = builder.tcp_user_timeout(PROBE_TIMEOUT);
    }
    if let Some(tls) = tls {
        let mut rustls = tls.config().as_ref().clone();
        rustls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        builder = builder.tls_backend_preconfigured(rustls);
    }
    builder.build().map_err(|error| Error::Config {
        message: format!("HTTP client: {error}"),
    })
}
