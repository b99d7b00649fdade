//! Calls to the REST API, with upstream's words for what goes wrong.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use service_runtime::tls;

/// Largest answer, bytes.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failed {
    message: String,
    /// What the server said about it.
    pub(crate) reason: Option<String>,
}

impl Failed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            reason: None,
        }
    }

    /// The same, as part of something larger.
    pub(crate) fn within(self, what: &str) -> Self {
        Self {
            message: format!("{what}: {}", self.message),
            reason: self.reason,
        }
    }
}

/// The things of the API, and how they are called in errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Thing {
    Consumer,
    ResourceBundle,
}

impl Thing {
    fn path(self) -> &'static str {
        match self {
            Self::Consumer => "consumers",
            Self::ResourceBundle => "resource-bundles",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::ResourceBundle => "resource bundle",
        }
    }
}

/// The REST API of one server.
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
    token: Option<PathBuf>,
}

/// An answer.
struct Answer {
    status: reqwest::StatusCode,
    body: Vec<u8>,
}

impl Rest {
    pub(super) fn new(
        url: &str,
        skip_verify: bool,
        ca: Option<PathBuf>,
        token: Option<PathBuf>,
        timeout: Duration,
    ) -> Result<Self, Failed> {
        let failed = |error: &dyn std::fmt::Display| Failed::new(error.to_string());
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("maestro/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout);
        if url.starts_with("https:") {
            let files = tls::ClientFiles {
                ca,
                accept_any_server: skip_verify,
                ..tls::ClientFiles::default()
            };
            let config = tls::client_config(&files).map_err(|error| failed(&error))?;
            let mut config = config.as_ref().clone();
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            builder = builder.tls_backend_preconfigured(config);
        }
        Ok(Self {
            http: builder.build().map_err(|error| failed(&error))?,
            base: format!("{}/api/maestro/v1", url.trim_end_matches('/')),
            token,
        })
    }

    pub(crate) async fn get(&self, thing: Thing, id: &str) -> Result<Value, Failed> {
        let answer = self.call(Method::GET, thing, Some(id), &[], None).await?;
        answer.decoded(thing, 200, "")
    }

    pub(crate) async fn list(
        &self,
        thing: Thing,
        query: &[(&'static str, String)],
    ) -> Result<Value, Failed> {
        let answer = self.call(Method::GET, thing, None, query, None).await?;
        answer.decoded(thing, 200, " list")
    }

    pub(crate) async fn create(&self, thing: Thing, body: &Value) -> Result<Value, Failed> {
        let answer = self
            .call(Method::POST, thing, None, &[], Some(body))
            .await?;
        match answer.status.as_u16() {
            400 => Err(answer.failed("bad request")),
            409 => Err(answer.failed(&format!("{} already exists", thing.name()))),
            // Upstream's create knows no "not found".
            404 => Err(answer.unexpected()),
            _ => answer.decoded(thing, 201, ""),
        }
    }

    pub(crate) async fn patch(
        &self,
        thing: Thing,
        id: &str,
        body: &Value,
    ) -> Result<Value, Failed> {
        let answer = self
            .call(Method::PATCH, thing, Some(id), &[], Some(body))
            .await?;
        match answer.status.as_u16() {
            400 => Err(answer.failed("bad request")),
            _ => answer.decoded(thing, 200, ""),
        }
    }

    pub(crate) async fn delete(&self, thing: Thing, id: &str) -> Result<(), Failed> {
        let answer = self
            .call(Method::DELETE, thing, Some(id), &[], None)
            .await?;
        match answer.status.as_u16() {
            204 => Ok(()),
            409 => Err(answer.failed(&format!(
                "conflict - {} has existing resources",
                thing.name()
            ))),
            _ => Err(answer.refused(thing)),
        }
    }

    async fn call(
        &self,
        method: Method,
        thing: Thing,
        id: Option<&str>,
        query: &[(&'static str, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Failed> {
        let mut url = format!("{}/{}", self.base, thing.path());
        if let Some(id) = id {
            url.push('/');
            url.push_str(&escaped(id));
        }
        let lost = |error: reqwest::Error| {
            // The outer texts repeat the URL; the innermost says what happened.
            let mut cause: &dyn std::error::Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            let cause = match error.is_timeout() {
                true => "no answer in time (see --timeout)".to_owned(),
                false => cause.to_string(),
            };
            // Go writes `Get`.
            let (first, rest) = method.as_str().split_at(1);
            let verb = format!("{first}{}", rest.to_lowercase());
            Failed::new(format!(
                "no HTTP response received, err={verb} \"{url}\": {cause}"
            ))
        };
        let mut request = self
            .http
            .request(method.clone(), &url)
            .header("Accept", "application/json")
            .query(query);
        if let Some(file) = &self.token {
            let token = std::fs::read_to_string(file)
                .map_err(|error| Failed::new(format!("read {}: {error}", file.display())))?;
            request = request.bearer_auth(token.trim());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(Failed::new(format!(
                    "the answer is larger than {MAX_ANSWER} bytes; ask for a smaller page"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            body: bytes,
        })
    }
}

impl Answer {
    fn decoded(self, thing: Thing, good: u16, what: &str) -> Result<Value, Failed> {
        if self.status.as_u16() != good {
            return Err(self.refused(thing));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Failed::new(format!(
                "failed to decode {}{what} response: {error}",
                thing.name()
            ))
        })
    }

    fn refused(self, thing: Thing) -> Failed {
        match self.status.as_u16() {
            404 => self.failed(&format!("{} not found", thing.name())),
            401 => self.failed("authentication failed"),
            403 => self.failed("permission denied"),
            _ => self.unexpected(),
        }
    }

    fn unexpected(self) -> Failed {
        let text = format!(
            "unexpected status code {}, err={}",
            self.status.as_u16(),
            self.status
        );
        self.failed(&text)
    }

    fn failed(self, message: &str) -> Failed {
        let reason = serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| Some(body.get("reason")?.as_str()?.to_owned()));
        Failed {
            message: message.to_owned(),
            reason,
        }
    }
}

/// One segment of a path.
fn escaped(id: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            // Writing to a String can't fail.
            other => drop(write!(text, "%{other:02X}")),
        }
    }
    // Dots alone would be taken for a way up.
    if text.bytes().all(|byte| byte == b'.') {
        text = text.replace('.', "%2E");
    }
    text
}
