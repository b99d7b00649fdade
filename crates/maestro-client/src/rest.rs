//! Calls to the REST API: retries while the server can't be reached, bounded bodies, errors by class.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use event_wire::{attribute::name, trace::TraceContext};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use service_runtime::tls;
use std::sync::Arc;

use crate::{
    Config, Error, Tls,
    backoff::{Backoff, Deadline, LONGEST_UNREACHABLE},
    error::from_http,
    token::TokenSource,
};

/// Path of the API below the base URL.
const API: &str = "/api/maestro/v1";
/// How often changed TLS files are looked for.
const TLS_RELOAD: Duration = Duration::from_secs(30);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an error body that are read.
const MAX_ERROR_BODY: usize = 64 * 1024;

pub(crate) struct Rest {
    config: Arc<Config>,
    base: String,
    http: ArcSwap<reqwest::Client>,
    tls: Option<(tls::Client, Mutex<Instant>)>,
    token: Arc<TokenSource>,
}

/// One call: what, and about which thing (for errors).
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Below the API's root, beginning with a slash; only ids that were checked or encoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) body: Option<serde_json::Value>,
    pub(crate) resource: &'static str,
    pub(crate) name: &'a str,
    pub(crate) operation_id: Option<&'a str>,
    pub(crate) trace: Option<&'a TraceContext>,
}

impl Rest {
    pub(crate) fn new(config: Arc<Config>, token: Arc<TokenSource>) -> Result<Self, Error> {
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
        let base = format!("{}{API}", config.rest_url.trim_end_matches('/'));
        Ok(Self {
            config,
            base,
            http: ArcSwap::from_pointee(http),
            tls,
            token,
        })
    }

    /// Makes the call and reads the JSON answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let body = self.call(call).await?;
        serde_json::from_slice(&body).map_err(|error| {
            Error::protocol(format!(
                "{} answered something that isn't Maestro's JSON: {error}",
                self.config.rest_url
            ))
        })
    }

    /// Makes the call and returns the body of a good answer.
    ///
    /// Reads and deletes are repeated while the server is away; anything else only if it never reached the server.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, Error> {
        let deadline = Deadline::after(self.config.wait_for_server);
        let repeatable = matches!(call.method, Method::GET | Method::DELETE);
        let mut backoff = Backoff::default();
        let mut token_was_refused = false;
        loop {
            let (error, reached) = match self.attempt(&call).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            if matches!(error, Error::Unauthenticated { .. }) && !token_was_refused {
                // Perhaps the file was rotated since it was read.
                token_was_refused = true;
                self.token.forget();
                if matches!(self.config.token, Some(crate::Token::File(_))) {
                    continue;
                }
            }
            let again = matches!(error, Error::Unavailable { .. }) && (repeatable || !reached);
            let wait = backoff.next(LONGEST_UNREACHABLE);
            if !again || !deadline.allows(wait) {
                return Err(error);
            }
            tracing::debug!(error = %error, ?wait, "REST call will be repeated");
            tokio::time::sleep(wait).await;
        }
    }

    /// One try. The flag tells whether the server may have seen it.
    async fn attempt(&self, call: &Call<'_>) -> Result<Vec<u8>, (Error, bool)> {
        let http = self.http();
        let mut request = http
            .request(call.method.clone(), format!("{}{}", self.base, call.path))
            .query(&call.query)
            .timeout(self.config.request_timeout);
        let token = if self.tls.is_some() || self.config.allow_plaintext_token {
            self.token.current().await.map_err(|error| (error, false))?
        } else {
            None
        };
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = call.operation_id {
            request = request.header("X-Operation-ID", id);
        }
        if let Some(trace) = call.trace {
            request = request.header(name::TRACE_PARENT, trace.parent());
            if let Some(state) = trace.state() {
                request = request.header(name::TRACE_STATE, state);
            }
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| {
            let reached = !error.is_connect();
            (self.transport(&error), reached)
        })?;
        let status = response.status();
        let limit = if status.is_success() {
            self.config.max_response_size
        } else {
            MAX_ERROR_BODY
        };
        let body = self
            .body(response, limit, status)
            .await
            .map_err(|error| (error, true))?;
        if status.is_success() {
            return Ok(body);
        }
        Err((
            from_http(
                status.as_u16(),
                &body,
                &self.config.rest_url,
                call.resource,
                call.name,
            ),
            true,
        ))
    }

    async fn body(
        &self,
        mut response: reqwest::Response,
        limit: usize,
        status: StatusCode,
    ) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= limit => {
                    body.extend_from_slice(&chunk)
                }
                Ok(Some(_)) if status.is_success() => {
                    return Err(Error::TooLarge {
                        message: format!(
                            "the answer of {} is larger than {limit} bytes",
                            self.config.rest_url
                        ),
                    });
                }
                Ok(Some(_) | None) => return Ok(body),
                Err(error) => return Err(self.transport(&error)),
            }
        }
    }

    fn transport(&self, error: &reqwest::Error) -> Error {
        let address = &self.config.rest_url;
        if error.is_timeout() && !error.is_connect() {
            return Error::Timeout {
                address: address.clone(),
                limit: self.config.request_timeout,
            };
        }
        // The outer texts repeat the URL with its query; the innermost says what happened.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Error::unavailable(format!("{address}: {cause}"))
    }

    fn http(&self) -> Arc<reqwest::Client> {
        if let Some((tls, checked)) = &self.tls {
            let due = {
                let mut checked = checked
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                let due = checked.elapsed() >= TLS_RELOAD;
                if due {
                    *checked = Instant::now();
                }
                due
            };
            if due {
                match tls.reload().map_err(|error| Error::Config {
                    message: error.to_string(),
                }) {
                    Ok(false) => {}
                    Ok(true) => match build(&self.config, Some(tls)) {
                        Ok(http) => self.http.store(Arc::new(http)),
                        Err(error) => tracing::warn!(error = %error, "new TLS files can't be used"),
                    },
                    Err(error) => tracing::warn!(error = %error, "new TLS files can't be used"),
                }
            }
        }
        self.http.load_full()
    }
}

fn build(config: &Config, tls: Option<&tls::Client>) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(60));
    if let Some(tls) = tls {
        let mut rustls = tls.config().as_ref().clone();
        rustls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        builder = builder.tls_backend_preconfigured(rustls);
    }
    builder.build().map_err(|error| Error::Config {
        message: format!("HTTP client: {error}"),
    })
}
