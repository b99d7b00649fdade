//! One request: URL, token, attempts, answer.

use std::{error::Error as _, sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use hyperfleet_types::Problem;
use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{config::Config, error::Error, path, resources::Resources, statuses::Statuses, token};

/// Largest answer that is read. A full page of the largest resources the API stores fits.
pub const MAX_RESPONSE_BYTES: usize = 128 * 1024 * 1024;

/// How much of an error's body is kept for its text.
const BODY_EXCERPT_BYTES: usize = 512;

/// A client of one HyperFleet API. Clones share connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    base: Url,
    config: Config,
    http: reqwest::Client,
    token: Option<token::Source>,
}

/// A request to any path of the API.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path as [`path::resolve`] reads it, with query string.
    pub path: String,
    /// Headers beside those that the client sets; `Authorization` is always the client's if it has a token.
    pub headers: HeaderMap,
    /// JSON body; sent with POST, PUT and PATCH only.
    pub body: Option<Value>,
    /// Time for one attempt, instead of the client's.
    pub timeout: Option<Duration>,
    /// Attempts in all, instead of the client's rule.
    pub attempts: Option<u32>,
}

impl Request {
    /// A request without body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: None,
            timeout: None,
            attempts: None,
        }
    }

    /// Adds a JSON body.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// A 2xx answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Body as it came; empty for 204.
    pub body: Vec<u8>,
    method: Method,
    path: String,
}

impl Response {
    /// The body as JSON.
    ///
    /// # Errors
    /// [`Error::BadResponse`] if it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::BadResponse {
            method: self.method.to_string(),
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }
}

impl Client {
    /// A client; touches no network.
    ///
    /// # Errors
    /// [`Error::Config`] if `base_url` is no `http` or `https` URL or the user agent can't be sent.
    pub fn new(config: Config) -> Result<Self, Error> {
        let base = Url::parse(config.base_url.trim()).map_err(|error| {
            Error::Config(format!(
                "base URL {:?}: {error}; want e.g. http://localhost:8000",
                config.base_url
            ))
        })?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(Error::Config(format!(
                "base URL {base}: the scheme must be http or https"
            )));
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing this race means that somebody else installed one.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let same_origin = reqwest::redirect::Policy::custom(|attempt| {
            let first = attempt.previous().first().map(Url::origin);
            if first == Some(attempt.url().origin()) && attempt.previous().len() <= 10 {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let http = reqwest::Client::builder()
            .user_agent(&config.user_agent)
            .redirect(same_origin)
            .no_proxy()
            .tls_version_min(reqwest::tls::Version::TLS_1_3)
            .build()
            .map_err(|error| Error::Config(format!("HTTP client: {}", causes(&error))))?;
        let token = config.token.clone().map(token::Source::new);
        Ok(Self {
            inner: Arc::new(Inner {
                base,
                config,
                http,
                token,
            }),
        })
    }

    /// Clusters.
    pub fn clusters(&self) -> Resources<'_> {
        self.resources("clusters")
    }

    /// Node pools of one cluster.
    pub fn nodepools(&self, cluster: &str) -> Resources<'_> {
        Resources::nested(self, "clusters", cluster, "nodepools")
    }

    /// Resources of any kind, by the plural in its path, e.g. `clusters`.
    pub fn resources(&self, plural: &str) -> Resources<'_> {
        Resources::root(self, plural)
    }

    /// Adapter statuses of a resource, e.g. `statuses("clusters", id)`.
    pub fn statuses(&self, plural: &str, id: &str) -> Statuses<'_> {
        Statuses::new(self, plural, id)
    }

    /// Sends a request to any path; `path` is read as [`path::resolve`] says.
    ///
    /// # Errors
    /// Any [`Error`]; answers other than 2xx are [`Error::Status`].
    ///
    /// # Cancel safety
    /// Dropping the future may leave the request done or not done.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response, Error> {
        self.send(Request {
            body,
            ..Request::new(method, path)
        })
        .await
    }

    /// Sends a request with its own headers, timeout or attempts.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let Inner { base, config, .. } = &*self.inner;
        let url = path::resolve(base, &config.api_version, &request.path).map_err(Error::Config)?;
        let retry = &config.retry;
        let mut backoff = ExponentialBuilder::default()
            .with_factor(2.0)
            .with_min_delay(retry.first_delay)
            .with_max_delay(retry.max_delay)
            .with_total_delay(Some(retry.total))
            .with_jitter();
        backoff = match request.attempts.or(retry.attempts) {
            Some(attempts) => backoff.with_max_times(attempts.saturating_sub(1) as usize),
            None => backoff.without_max_times(),
        };
        let started = std::time::Instant::now();
        (|| self.attempt(&request, &url))
            .retry(backoff)
            .when(|error: &Error| {
                error.is_retryable() && (request.method != Method::POST || error.did_nothing()) && started.elapsed() < retry.total
            })
            .notify(|error, pause| tracing::debug!(%error, pause_ms = pause.as_millis(), "asking the API again"))
            .await
    }

    async fn attempt(&self, request: &Request, url: &Url) -> Result<Response, Error> {
        let Inner {
            base,
            config,
            http,
            token,
        } = &*self.inner;
        let method = &request.method;
        let mut headers = request.headers.clone();
        if let Some(token) = token
            && url.origin() == base.origin()
        {
            let bearer = format!("Bearer {}", token.current().await?);
            let mut value = HeaderValue::from_str(&bearer).map_err(|_| {
                Error::Config("the auth token has characters that no header can carry".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut call = http
            .request(method.clone(), url.clone())
            .timeout(request.timeout.unwrap_or(config.timeout));
        if let Some(body) = &request.body
            && [Method::POST, Method::PUT, Method::PATCH].contains(method)
        {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
            call = call.body(body.to_string());
        }
        let transport = |error: reqwest::Error| Error::Transport {
            method: method.to_string(),
            path: url.path().to_owned(),
            reason: causes(&error.without_url()),
            unsent: false,
            timed_out: false,
        };
        let mut answer = call.headers(headers).send().await.map_err(|error| {
            let (connect, timeout) = (error.is_connect(), error.is_timeout());
            match transport(error) {
                Error::Transport {
                    method,
                    path,
                    reason,
                    ..
                } => Error::Transport {
                    method,
                    path,
                    reason,
                    unsent: connect,
                    timed_out: timeout,
                },
                other => other,
            }
        })?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(Error::BadResponse {
                    method: method.to_string(),
                    path: url.path().to_owned(),
                    reason: format!("more than {MAX_RESPONSE_BYTES} bytes"),
                });
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Response {
                status: status.as_u16(),
                body,
                method: method.clone(),
                path: url.path().to_owned(),
            });
        }
        Err(refusal(method, url, status, &body))
    }
}

/// An answer other than 2xx as an error.
fn refusal(method: &Method, url: &Url, status: reqwest::StatusCode, body: &[u8]) -> Error {
    let excerpt =
        String::from_utf8_lossy(body.get(..BODY_EXCERPT_BYTES).unwrap_or(body)).into_owned();
    let mut problem = serde_json::from_slice::<Problem>(body).unwrap_or_else(|_| Problem {
        type_: String::new(),
        title: status
            .canonical_reason()
            .unwrap_or("unexpected answer")
            .to_owned(),
        status: 0,
        detail: excerpt.trim().to_owned(),
        instance: None,
        code: String::new(),
        timestamp: None,
        trace_id: None,
        errors: Vec::new(),
    });
    problem.status = status.as_u16();
    Error::Status {
        method: method.to_string(),
        path: url.path().to_owned(),
        status: status.as_u16(),
        problem: Box::new(problem),
        body: excerpt,
    }
}

/// An error and everything behind it, in one line.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
