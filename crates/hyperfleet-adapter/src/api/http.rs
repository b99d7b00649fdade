//! The calls over the network.

use std::error::Error as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::token::TokenFile;
use super::url::{self, Resolved};
use super::{
    Api, Error, MAX_RESPONSE_BYTES, Method, Request, Response, delay, is_retryable_status,
};
use crate::config::deployment::{HyperfleetApi, is_credential};
use crate::trace;

/// Redirects followed, as Go does.
const MAX_REDIRECTS: usize = 10;
/// Time for TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct HttpApi {
    http: reqwest::Client,
    settings: HyperfleetApi,
    user_agent: String,
    token: Option<TokenFile>,
}

/// What one try ended with.
enum Attempt {
    Done(Response),
    Refused {
        status: u16,
        body: String,
    },
    Failed(String),
    /// The request itself is wrong.
    Impossible(String),
}

impl HttpApi {
    /// A client for these settings; nothing is contacted.
    pub(crate) fn new(settings: HyperfleetApi, user_agent: String) -> Result<Self, String> {
        service_runtime::tls::install_crypto_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
            .build()
            .map_err(|error| format!("HTTP client: {error}"))?;
        let token = settings
            .auth
            .as_ref()
            .map(|auth| TokenFile::new(auth.token_path.clone(), auth.token_cache_ttl));
        Ok(Self {
            http,
            settings,
            user_agent,
            token,
        })
    }

    fn headers(&self, request: &Request, target: &Resolved) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        // Credentials that were configured for the API stay with the API.
        let defaults = self
            .settings
            .default_headers
            .iter()
            .filter(|(name, _)| target.own_origin || !is_credential(name));
        let own = request.headers.iter().map(|(name, value)| (name, value));
        for (name, value) in defaults.chain(own) {
            let name: HeaderName = name
                .parse()
                .map_err(|_| format!("header name {name:?} is not valid"))?;
            let value: HeaderValue = value
                .parse()
                .map_err(|_| format!("value of header {name} is not valid"))?;
            headers.insert(name, value);
        }
        if request.body.is_some() && request.method.has_body() {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        if !headers.contains_key(USER_AGENT)
            && let Ok(value) = self.user_agent.parse()
        {
            headers.insert(USER_AGENT, value);
        }
        if let Some(span) = &request.trace {
            let parent = (trace::PARENT, Some(span.parent()));
            for (name, value) in [parent, (trace::STATE, span.state())] {
                if let Some(value) = value.and_then(|value| value.parse().ok()) {
                    headers.insert(name, value);
                }
            }
        }
        Ok(headers)
    }

    async fn attempt(&self, request: &Request, target: &Resolved, headers: HeaderMap) -> Attempt {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let timeout = request.timeout.unwrap_or(self.settings.timeout);
        let mut call = self
            .http
            .request(method, &target.full)
            .headers(headers)
            .timeout(timeout);
        if let Some(body) = request.body.as_ref().filter(|_| request.method.has_body()) {
            call = call.body(body.clone());
        }
        let mut answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_builder() || error.is_redirect() => {
                return Attempt::Impossible(format!(
                    "the URL can't be requested: {}",
                    deepest(&error)
                ));
            }
            Err(error) => return Attempt::Failed(cause(&error, timeout)),
        };
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_RESPONSE_BYTES => {
                    return Attempt::Failed(format!(
                        "response is larger than {MAX_RESPONSE_BYTES} bytes"
                    ));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Attempt::Failed(cause(&error, timeout)),
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        if (200..300).contains(&status) {
            Attempt::Done(Response { status, body })
        } else {
            Attempt::Refused { status, body }
        }
    }
}

#[async_trait]
impl Api for HttpApi {
    async fn call(&self, request: &Request) -> Result<Response, Error> {
        let settings = &self.settings;
        let target = url::resolve(
            &settings.base_url,
            &settings.version,
            &request.url,
            request.older_paths,
        );
        let method = request.method.as_str();
        let path = target.path.clone();
        let tries = request
            .attempts
            .filter(|n| *n > 0)
            .unwrap_or(settings.retry_attempts)
            .max(1);
        let backoff = request.backoff.unwrap_or(settings.retry_backoff);
        let invalid = |cause: String, attempts: u32, retryable: bool| Error::Request {
            method,
            path: path.clone(),
            attempts,
            cause,
            retryable,
        };
        let headers = self
            .headers(request, &target)
            .map_err(|cause| invalid(cause, 0, false))?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut headers = headers.clone();
            let outcome = match self.authorize(&mut headers, &target).await {
                Ok(()) => self.attempt(request, &target, headers).await,
                Err(cause) if attempt >= tries => return Err(invalid(cause, attempt, true)),
                Err(cause) => Attempt::Failed(cause),
            };
            let error = match outcome {
                Attempt::Done(response) => return Ok(response),
                Attempt::Impossible(cause) => return Err(invalid(cause, attempt, false)),
                Attempt::Refused { status, body } => Error::Status {
                    method,
                    path: path.clone(),
                    status,
                    body,
                    attempts: attempt,
                },
                Attempt::Failed(cause) => Error::Connection {
                    method,
                    path: path.clone(),
                    attempts: attempt,
                    cause,
                },
            };
            let again = match &error {
                Error::Status { status, .. } => is_retryable_status(*status),
                _ => true,
            };
            if !again || attempt >= tries {
                return Err(error);
            }
            let wait = jitter(delay(
                backoff,
                settings.base_delay,
                settings.max_delay,
                attempt,
            ))
            .min(settings.max_delay);
            tracing::debug!(error = %error, attempt, wait_ms = wait.as_millis(), "API call failed, trying again");
            tokio::time::sleep(wait).await;
        }
    }
}

impl HttpApi {
    /// The token goes to the API's own origin only.
    async fn authorize(&self, headers: &mut HeaderMap, target: &Resolved) -> Result<(), String> {
        let Some(token) = self.token.as_ref().filter(|_| target.own_origin) else {
            return Ok(());
        };
        let token = token.read().await?;
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            "getting auth token: the token file holds characters that a header can't".to_owned()
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

/// reqwest's text says only "error sending request"; the reason is further down.
fn cause(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {}", go_compat::duration::format(timeout));
    }
    deepest(error)
}

fn deepest(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    if text.is_empty() {
        error.to_string()
    } else {
        text
    }
}

/// ±10 %, so that many adapters don't retry in step.
fn jitter(wait: Duration) -> Duration {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    let permille = 900 + nanos % 201;
    wait.saturating_mul(permille) / 1000
}
