//! Where to connect to, and the sending of one request.

mod options;
mod verbs;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use kube::config::KubeConfigOptions;
use kube::core::Status;
use serde_json::Value;

use crate::discovery::Cache;
use crate::limiter::Limiter;
use crate::{Error, Resource};

pub use options::{Apply, Delete, List, Listed, Patch, Propagation, Write};
pub(crate) use verbs::identify as identify_item;

/// How long a request may take unless [`Client::with_request_timeout`] says otherwise. Watches are exempt.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer that is read, in bytes. API servers page and refuse long before.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// A kubeconfig, as a file or as its text. Its text holds credentials and is never printed.
#[derive(Clone)]
pub enum Kubeconfig {
    /// A file.
    Path(PathBuf),
    /// YAML (or JSON, which is YAML).
    Text(String),
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Text(_) => f.write_str("Text(..)"),
        }
    }
}

impl From<PathBuf> for Kubeconfig {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

/// A connection to one API server; clones share it.
///
/// Connecting is lazy: constructors read files but never the network. Construct inside a Tokio runtime.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kube: kube::Client,
    config: kube::Config,
    discovery: Arc<Cache>,
    limiter: Option<Arc<Limiter>>,
    request_timeout: Duration,
    /// Sent with each request, but for watches.
    headers: http::HeaderMap,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

// === impl Client: where to connect to ===

impl Client {
    /// Reads a kubeconfig; `context` overrides its `current-context`.
    ///
    /// # Errors
    /// [`Error::Config`] if it can't be read, parsed, or lacks the context, cluster or credentials.
    pub async fn from_kubeconfig(
        source: impl Into<Kubeconfig>,
        context: Option<&str>,
    ) -> Result<Self, Error> {
        let source = source.into();
        let parsed = match &source {
            Kubeconfig::Path(path) => kube::config::Kubeconfig::read_from(path)
                .map_err(|error| Error::Config(format!("{}: {error}", path.display())))?,
            Kubeconfig::Text(text) => kube::config::Kubeconfig::from_yaml(text)
                .map_err(|error| Error::Config(format!("kubeconfig: {error}")))?,
        };
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        let config = kube::Config::from_custom_kubeconfig(parsed, &options)
            .await
            .map_err(|error| Error::Config(format!("kubeconfig: {error}")))?;
        Self::from_config(config)
    }

    /// Uses the service account of the pod that this process runs in.
    ///
    /// # Errors
    /// [`Error::Config`] outside of a pod.
    pub fn in_cluster() -> Result<Self, Error> {
        let config = kube::Config::incluster().map_err(|error| Error::Config(error.to_string()))?;
        Self::from_config(config)
    }

    /// `$KUBECONFIG`, then `~/.kube/config`, then the pod's service account, as kubectl does.
    ///
    /// # Errors
    /// [`Error::Config`] if none of them is usable.
    pub async fn infer() -> Result<Self, Error> {
        let config = kube::Config::infer()
            .await
            .map_err(|error| Error::Config(error.to_string()))?;
        Self::from_config(config)
    }

    /// A server by its URL, without credentials: for a sandbox, or behind `kubectl proxy`.
    ///
    /// # Errors
    /// [`Error::Config`] if the URL can't be parsed.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let uri = url
            .parse()
            .map_err(|error| Error::Config(format!("{url}: {error}")))?;
        Self::from_config(kube::Config::new(uri))
    }

    fn from_config(mut config: kube::Config) -> Result<Self, Error> {
        // Callers know what may be repeated and when; see `Error::is_retryable`.
        config.default_retry = false;
        Ok(Self {
            inner: Arc::new(Inner {
                kube: connect(&config)?,
                config,
                discovery: Arc::default(),
                limiter: None,
                request_timeout: DEFAULT_REQUEST_TIMEOUT,
                headers: http::HeaderMap::new(),
            }),
        })
    }

    /// Sends this `User-Agent`. API servers take the part before the first `/` as the default field manager.
    ///
    /// # Errors
    /// [`Error::Config`] if it can't be an HTTP header.
    pub fn with_user_agent(self, user_agent: &str) -> Result<Self, Error> {
        let value = http::HeaderValue::from_str(user_agent)
            .map_err(|error| Error::Config(format!("user agent: {error}")))?;
        let mut inner = (*self.inner).clone();
        inner
            .config
            .headers
            .retain(|(name, _)| name != http::header::USER_AGENT);
        inner.config.headers.push((http::header::USER_AGENT, value));
        inner.kube = connect(&inner.config)?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Sends at most `rate` requests per second on average and `burst` at once; `rate` 0 means no limit.
    /// The opening of a watch counts as one request.
    pub fn with_rate_limit(self, rate: f64, burst: u32) -> Self {
        let mut inner = (*self.inner).clone();
        inner.limiter = Limiter::new(rate, burst).map(Arc::new);
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sends this header with every request, such as the `traceparent` of what the requests are made for. Watches, which
    /// outlive any such thing, go without it. The connection, the limits and what discovery learnt stay shared.
    ///
    /// # Errors
    /// [`Error::Config`] if it can't be an HTTP header.
    pub fn with_header(&self, name: &'static str, value: &str) -> Result<Self, Error> {
        let value = http::HeaderValue::from_str(value)
            .map_err(|error| Error::Config(format!("header {name}: {error}")))?;
        let mut inner = (*self.inner).clone();
        inner
            .headers
            .insert(http::HeaderName::from_static(name), value);
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Gives up on a request after this time (default [`DEFAULT_REQUEST_TIMEOUT`]).
    pub fn with_request_timeout(self, timeout: Duration) -> Self {
        let mut inner = (*self.inner).clone();
        inner.request_timeout = timeout;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The client underneath, for what this crate doesn't cover.
    pub fn kube(&self) -> kube::Client {
        self.inner.kube.clone()
    }

    /// The URL of the API server.
    pub fn url(&self) -> String {
        self.inner.config.cluster_url.to_string()
    }

    /// The namespace of the context; `default` where none is set.
    pub fn default_namespace(&self) -> &str {
        &self.inner.config.default_namespace
    }
}

// === impl Client: discovery ===

impl Client {
    /// Finds how a kind is served. Answers come from memory; a miss asks the server again, so that a kind
    /// that appears later is found.
    ///
    /// # Errors
    /// [`Error::NoSuchKind`] if no API of that version has the kind, otherwise what the request met.
    pub async fn resolve(&self, api_version: &str, kind: &str) -> Result<Resource, Error> {
        self.inner.discovery.resolve(self, api_version, kind).await
    }

    /// Finds a kind by group and plural in any served version, the group's preferred version first.
    ///
    /// # Errors
    /// As [`Client::resolve`].
    pub async fn resolve_plural(&self, group: &str, plural: &str) -> Result<Resource, Error> {
        self.inner
            .discovery
            .resolve_plural(self, group, plural)
            .await
    }

    /// Forgets everything that discovery learnt.
    pub fn forget_discovery(&self) {
        self.inner.discovery.clear();
    }
}

// === impl Client: one request ===

impl Client {
    /// Any GET below the server's root, such as `/version`.
    ///
    /// # Errors
    /// What the request met.
    pub async fn get_path(&self, path: &str) -> Result<Value, Error> {
        let request = http::Request::get(path)
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|error| Error::BadInput(error.to_string()))?;
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Value, Error> {
        self.turn().await;
        let limit = self.inner.request_timeout;
        let of_an_object = is_below_a_kind(request.uri().path());
        let result = tokio::time::timeout(limit, self.exchange(request))
            .await
            .unwrap_or(Err(Error::Timeout(limit)));
        if let Err(Error::NotFound(status)) = &result
            && of_an_object
            && status.details.is_none()
        {
            // Not the object but the path is unknown: the kind isn't served any more.
            self.forget_discovery();
        }
        result
    }

    /// Waits for the rate limiter, if there is one.
    pub(crate) async fn turn(&self) {
        if let Some(limiter) = &self.inner.limiter {
            limiter.acquire().await;
        }
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    async fn exchange(&self, mut request: http::Request<Vec<u8>>) -> Result<Value, Error> {
        for (name, value) in &self.inner.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let response = self.inner.kube.send(request.map(Body::from)).await?;
        let code = response.status();
        let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES)
            .collect()
            .await
            .map_err(|error| Error::Unavailable {
                message: format!("Kubernetes API: the answer broke off: {error}"),
                status: None,
            })?
            .to_bytes();
        if code.is_success() {
            return serde_json::from_slice(&body).map_err(|error| Error::Decode(error.to_string()));
        }
        Err(Error::from_status(refusal(&body), code.as_u16()))
    }
}

/// Whether a path addresses objects, rather than what discovery tells about them.
fn is_below_a_kind(path: &str) -> bool {
    let segments = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .count();
    if path.starts_with("/apis/") {
        segments > 3
    } else {
        segments > 2
    }
}

/// The `Status` in a refusal. Proxies and unknown paths answer with plain text; its beginning is the message then.
fn refusal(body: &[u8]) -> Status {
    const MAX_TEXT: usize = 300;
    if let Ok(status) = serde_json::from_slice::<Status>(body) {
        return status;
    }
    let text: String = String::from_utf8_lossy(body)
        .trim()
        .chars()
        .take(MAX_TEXT)
        .collect();
    let plain_404 = text.is_empty() || text == "404 page not found" || text.starts_with('<');
    Status {
        message: if plain_404 { String::new() } else { text },
        ..Status::default()
    }
}

fn connect(config: &kube::Config) -> Result<kube::Client, Error> {
    kube::Client::try_from(config.clone()).map_err(|error| match Error::from(error) {
        Error::Unavailable { message, .. } => Error::Config(message),
        other => other,
    })
}
