//! Calls to the REST API: retries while the server can't be reached, bounded bodies, errors by class.

mod pool;

use std::{sync::Arc, time::Duration};

use event_wire::{attribute::name, trace::TraceContext};
use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::{
    Config, Error,
    backoff::{Backoff, Deadline, LONGEST_UNREACHABLE},
    error::from_http,
    token::TokenSource,
};
use pool::Pool;

/// Path of the API below the base URL.
const API: &str = "/api/maestro/v1";
/// Most bytes of an error body that are read.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// A connection without an answer is taken for dead after the time of a read divided by this.
const PATIENCE: u32 = 3;

pub(crate) struct Rest {
    config: Arc<Config>,
    base: String,
    pool: Pool,
    token: Arc<TokenSource>,
}

/// The head of an answer.
struct Answer {
    response: reqwest::Response,
    way: Way,
}

/// How a call goes.
struct Way {
    http: Arc<reqwest::Client>,
    /// What the server was shown.
    token: Option<String>,
    /// When all of the answer must be here.
    deadline: Deadline,
}

/// A call that went wrong.
struct Failure {
    error: Error,
    /// The server may have seen it.
    reached: bool,
    /// The system found its connection dead: a new one may well lead to the server.
    forgotten: bool,
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
        let base = format!("{}{API}", config.rest_url.trim_end_matches('/'));
        Ok(Self {
            pool: Pool::new(Arc::clone(&config))?,
            config,
            base,
            token,
        })
    }

    /// New calls connect anew: the server was silent on another connection.
    pub(crate) fn forget_connections(&self) {
        self.pool.renew();
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
    /// Reads and deletes are repeated while the server is away; anything else only if it never reached the server. Until the system
    /// finds a forgotten connection dead all the time for an absent server may be over: so there is one try on a new one in any case.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, Error> {
        let deadline = Deadline::after(self.config.wait_for_server);
        let repeatable = matches!(call.method, Method::GET | Method::DELETE);
        let mut backoff = Backoff::default();
        let mut token_was_refused = false;
        let mut was_forgotten = false;
        loop {
            let Failure {
                error,
                reached,
                forgotten,
            } = match self.attempt(&call).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            if matches!(error, Error::Unauthenticated { .. }) && !token_was_refused {
                // Perhaps the file was rotated since it was read.
                token_was_refused = true;
                if matches!(self.config.token, Some(crate::Token::File(_))) {
                    continue;
                }
            }
            if forgotten && repeatable && !was_forgotten {
                was_forgotten = true;
                tracing::debug!(error = %error, "REST call will be repeated on a new connection");
                continue;
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

    /// One try.
    async fn attempt(&self, call: &Call<'_>) -> Result<Vec<u8>, Failure> {
        let answer = if call.method == Method::GET {
            self.read(call).await?
        } else {
            let http = self.pool.current();
            self.send(call, http, self.config.request_timeout).await?
        };
        let Answer { mut response, way } = answer;
        let status = response.status();
        let limit = if status.is_success() {
            self.config.max_response_size
        } else {
            MAX_ERROR_BODY
        };
        let body = self.body(&mut response, &way, limit).await?;
        if status.is_success() {
            return Ok(body);
        }
        let error = from_http(
            status.as_u16(),
            &body,
            &self.config.rest_url,
            call.resource,
            call.name,
        );
        if matches!(error, Error::Unauthenticated { .. }) {
            self.token.forget(way.token.as_deref());
        }
        Err(Failure::sent(error))
    }

    /// Sends something that may be sent twice. If there is no answer for a part of the time, the connection may be one that a load
    /// balancer has forgotten: it is sent on a new one beside it, for the rest of the time. The first answer counts, so that a server
    /// that is only slow has all the time that it had.
    async fn read(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let limit = self.config.request_timeout;
        let patience = limit / PATIENCE;
        let used = self.pool.current();
        let mut first = Box::pin(self.send(call, Arc::clone(&used), limit));
        if let Ok(answer) = tokio::time::timeout(patience, &mut first).await {
            return answer;
        }
        tracing::debug!(
            ?patience,
            "no answer: the REST call is made on a new connection, too"
        );
        self.pool.give_up(&used);
        let left = limit.saturating_sub(patience);
        let second = Box::pin(self.send(call, self.pool.current(), left));
        let (answer, _) = futures::future::select_ok([first, second]).await?;
        Ok(answer)
    }

    async fn send(
        &self,
        call: &Call<'_>,
        http: Arc<reqwest::Client>,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let mut request = http
            .request(call.method.clone(), format!("{}{}", self.base, call.path))
            .query(&call.query)
            .timeout(limit);
        let token = if self.pool.is_tls() || self.config.allow_plaintext_token {
            self.token.current().await.map_err(Failure::unsent)?
        } else {
            None
        };
        if let Some(token) = &token {
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
        let deadline = Deadline::after(limit);
        let way = Way {
            http,
            token,
            deadline,
        };
        match request.send().await {
            Ok(response) => Ok(Answer { response, way }),
            Err(error) => Err(self.transport(&error, &way)),
        }
    }

    async fn body(
        &self,
        response: &mut reqwest::Response,
        way: &Way,
        limit: usize,
    ) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= limit => {
                    body.extend_from_slice(&chunk)
                }
                Ok(Some(_)) if response.status().is_success() => {
                    return Err(Failure::sent(Error::TooLarge {
                        message: format!(
                            "the answer of {} is larger than {limit} bytes",
                            self.config.rest_url
                        ),
                    }));
                }
                Ok(Some(_) | None) => return Ok(body),
                Err(error) => return Err(self.transport(&error, way)),
            }
        }
    }

    fn transport(&self, error: &reqwest::Error, way: &Way) -> Failure {
        let address = &self.config.rest_url;
        let silent = error.is_timeout() && !error.is_connect();
        if silent {
            self.pool.give_up(&way.http);
        }
        // Before that it is a timeout of the system or of HTTP/2, which end connections that nothing comes from.
        let in_time = way.deadline.allows(Duration::ZERO);
        if silent && !in_time {
            return Failure::sent(Error::Timeout {
                address: address.clone(),
                limit: self.config.request_timeout,
            });
        }
        // The outer texts repeat the URL with its query; the innermost says what happened.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Failure {
            error: Error::unavailable(format!("{address}: {cause}")),
            reached: !error.is_connect(),
            forgotten: silent,
        }
    }
}

// === impl Failure ===

impl Failure {
    fn unsent(error: Error) -> Self {
        Self {
            error,
            reached: false,
            forgotten: false,
        }
    }

    fn sent(error: Error) -> Self {
        Self {
            reached: true,
            ..Self::unsent(error)
        }
    }
}
