//! Calls that a task config makes over HTTP: to the HyperFleet API, or to any other URL.
//!
//! URL completion, retries, the bearer token and error texts follow `docs/protocol/adapter-pipeline.md`, "API calls".
//! The pipeline sees the [`Api`] trait; a dry run puts recorded answers behind it.

mod http;
mod token;
pub(crate) mod url;

use std::time::Duration;

use async_trait::async_trait;
use maestro_client::TraceContext;
use serde_json::Value;

use crate::config::deployment::Backoff;

pub(crate) use http::HttpApi;

/// Largest response body that is read, in bytes (16 MiB).
pub const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a response body that error texts repeat.
const BODY_IN_ERRORS: usize = 2 * 1024;
/// The problem code of "this path does not exist", as opposed to "this object does not exist".
const WRONG_ENDPOINT: &str = "HYPERFLEET-NTF-000";

/// Makes calls.
#[async_trait]
pub(crate) trait Api: Send + Sync {
    /// Sends the request, retrying as it says.
    async fn call(&self, request: &Request) -> Result<Response, Error>;
}

/// A call with everything rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// As configured, after rendering; completed by [`url::resolve`].
    pub(crate) url: String,
    /// Rewrite `/api/v1/…` to where the API serves it; older task configs only.
    pub(crate) older_paths: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempts: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    /// The run that the call is part of.
    pub(crate) trace: Option<TraceContext>,
}

impl Request {
    /// A GET with the client's own settings.
    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            url: url.into(),
            older_paths: false,
            headers: Vec::new(),
            body: None,
            timeout: None,
            attempts: None,
            backoff: None,
            trace: None,
        }
    }
}

/// The methods that a task config may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub(crate) const ALL: [&'static str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "GET" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "PUT" => Some(Self::Put),
            "PATCH" => Some(Self::Patch),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    pub(crate) const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// A 2xx answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Response {
    /// The body as a JSON object.
    pub(crate) fn object(&self) -> Result<Value, String> {
        match serde_json::from_str::<Value>(&self.body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(other) => Err(format!(
                "response is not a JSON object but {}",
                describe(&other)
            )),
            Err(error) => Err(format!("response is not JSON: {error}")),
        }
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Why a call failed, after all tries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The server answered, and not with 2xx.
    #[error("API request failed: {method} {path} returned {status} {} after {attempts} attempt(s): API returned non-success status: {status} {}, response body: {}", status_line(*status), status_line(*status), shorten(body))]
    Status {
        method: &'static str,
        path: String,
        status: u16,
        body: String,
        attempts: u32,
    },
    /// No answer.
    #[error("API request failed: {method} {path} after {attempts} attempt(s): {cause}")]
    Connection {
        method: &'static str,
        path: String,
        attempts: u32,
        cause: String,
    },
    /// The request can't be made: URL, header, token.
    #[error("API request failed: {method} {path} after {attempts} attempt(s): {cause}")]
    Request {
        method: &'static str,
        path: String,
        attempts: u32,
        cause: String,
        retryable: bool,
    },
}

impl Error {
    /// Whether a later event may succeed without anybody changing anything.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_retryable_status(*status),
            Self::Connection { .. } => true,
            Self::Request { retryable, .. } => *retryable,
        }
    }

    /// A 404 that means "the object is gone": anything but the problem for an unknown path.
    pub(crate) fn is_object_gone(&self) -> bool {
        let Self::Status {
            status: 404, body, ..
        } = self
        else {
            return false;
        };
        let problem: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        problem.get("code").and_then(Value::as_str) != Some(WRONG_ENDPOINT)
    }
}

/// 408, 429 and 5xx are tried again.
pub(crate) fn is_retryable_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// `503 Service Unavailable`.
fn status_line(status: u16) -> String {
    let reason = reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

fn shorten(body: &str) -> String {
    if body.len() <= BODY_IN_ERRORS {
        return body.to_owned();
    }
    let mut end = BODY_IN_ERRORS;
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} bytes)", &body[..end], body.len())
}

/// The wait after try `attempt` (from 1), before jitter.
pub(crate) fn delay(backoff: Backoff, base: Duration, max: Duration, attempt: u32) -> Duration {
    let factor = match backoff {
        Backoff::Exponential => 2u32.saturating_pow(attempt.saturating_sub(1).min(30)),
        Backoff::Linear => attempt,
        Backoff::Constant => 1,
    };
    base.saturating_mul(factor).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_found(body: &str) -> Error {
        Error::Status {
            method: "GET",
            path: "/p".into(),
            status: 404,
            body: body.into(),
            attempts: 1,
        }
    }

    #[test]
    fn f79_a_404_has_two_meanings() {
        for body in ["", "{}", "not json", r#"{"code":"HYPERFLEET-NTF-002"}"#] {
            assert!(not_found(body).is_object_gone(), "{body}");
        }
        assert!(!not_found(r#"{"code":"HYPERFLEET-NTF-000"}"#).is_object_gone());
        let error = Error::Connection {
            method: "GET",
            path: "/p".into(),
            attempts: 3,
            cause: "refused".into(),
        };
        assert!(!error.is_object_gone());
        assert_eq!(
            error.to_string(),
            "API request failed: GET /p after 3 attempt(s): refused"
        );
    }

    #[test]
    fn error_texts_are_upstreams() {
        let error = Error::Status {
            method: "GET",
            path: "/p".into(),
            status: 503,
            body: "{}".into(),
            attempts: 3,
        };
        assert_eq!(
            error.to_string(),
            "API request failed: GET /p returned 503 503 Service Unavailable after 3 attempt(s): API returned \
             non-success status: 503 503 Service Unavailable, response body: {}"
        );
        assert!(error.is_retryable() && !not_found("").is_retryable());
    }

    #[test]
    fn waits_grow_as_configured() {
        let base = Duration::from_millis(100);
        let max = Duration::from_millis(250);
        let waits = |backoff| [1, 2, 3].map(|n| delay(backoff, base, max, n).as_millis());
        assert_eq!(waits(Backoff::Exponential), [100, 200, 250]);
        assert_eq!(waits(Backoff::Linear), [100, 200, 250]);
        assert_eq!(waits(Backoff::Constant), [100, 100, 100]);
    }
}
