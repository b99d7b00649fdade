//! Plays an operator or a client of the REST API: exact bytes in, exact bytes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::error::with_causes;
use super::recording::What;
use super::{Error, Stage};

/// Where the paths of the API begin.
pub const ROOT: &str = "/api/maestro/v1";
/// How long an answer with all of its body may take, before scaling.
const ANSWER: Duration = Duration::from_secs(60);
/// How much of a body a message shows, characters.
const SHOWN: usize = 300;
/// Pieces of a body between its connection and its parser.
const PIECES: usize = 8;

/// A client of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    client: reqwest::Client,
    stage: Stage,
    actor: Arc<str>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as it came.
    pub body: Bytes,
}

// === impl Reply ===

impl Reply {
    /// The body as text; what isn't UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it isn't.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The beginning of the body, for messages.
    #[must_use]
    pub fn short(&self) -> String {
        let text = self.text();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }

    /// A header, empty if there is none.
    #[must_use]
    pub fn header(&self, header: &str) -> &str {
        self.headers
            .get(header)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

// === impl Rest ===

impl Rest {
    /// A client for `http://host:port`.
    ///
    /// # Errors
    /// The address isn't an URL.
    pub fn new(base: &str, stage: &Stage) -> Result<Self, Error> {
        let wrong = |why: String| Error::Address {
            address: base.to_owned(),
            why,
        };
        let url = reqwest::Url::parse(base).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://".to_owned()));
        }
        let client = stage
            .access
            .http()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            client,
            stage: stage.clone(),
            actor: Arc::from("rest"),
        })
    }

    /// GET of a path with query, from the root of the server.
    ///
    /// # Errors
    /// No answer.
    pub async fn get(&self, path: &str) -> Result<Reply, Error> {
        self.send("GET", path, &[], None).await
    }

    /// Any request.
    ///
    /// # Errors
    /// No answer.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Reply, Error> {
        let started = self.stage.recording.now();
        let outcome = self.exchange(method, path, headers, body).await;
        self.stage.recording.add(
            &self.actor,
            What::Called {
                started,
                request: format!("{method} {path}"),
                outcome: match &outcome {
                    Ok(reply) => Ok(reply.status),
                    Err(error) => Err(error.to_string()),
                },
            },
        );
        outcome
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Reply, Error> {
        let failed = |why: String| Error::Rest {
            method: method.to_owned(),
            path: path.to_owned(),
            why,
        };
        let verb = method
            .parse::<reqwest::Method>()
            .map_err(|error| failed(error.to_string()))?;
        let mut request = self.client.request(verb, format!("{}{path}", self.base));
        for (header, value) in headers {
            request = request.header(*header, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_vec());
        }
        let exchange = async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.bytes().await?;
            Ok::<_, reqwest::Error>(Reply {
                status,
                headers,
                body,
            })
        };
        self.stage
            .within(ANSWER, &format!("an answer to {method} {path}"), exchange)
            .await?
            .map_err(|error| failed(with_causes(&error)))
    }

    /// GET of an answer that is too large to be held: it is parsed while it comes, within `limit` (scaled).
    ///
    /// # Errors
    /// No answer, another than 200, or not such a document.
    pub async fn parse<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<T, Error> {
        let (pieces, receiver) = mpsc::channel(PIECES);
        let reader = Pieces {
            receiver,
            piece: Bytes::new(),
        };
        let parse = move || serde_json::from_reader(std::io::BufReader::new(reader));
        let parsing = tokio::task::spawn_blocking(parse);
        // A parser that has seen enough takes no more.
        self.stream(path, limit, async |piece| pieces.send(piece).await.is_ok())
            .await?;
        drop(pieces);
        let failed = |why: String| Error::Rest {
            method: "GET".to_owned(),
            path: path.to_owned(),
            why,
        };
        let parsed: Result<T, serde_json::Error> =
            parsing.await.map_err(|error| failed(error.to_string()))?;
        parsed.map_err(|error| failed(with_causes(&error)))
    }

    /// GET of an answer that is thrown away; its length in bytes.
    ///
    /// # Errors
    /// As [`Rest::parse`].
    pub async fn drain(&self, path: &str, limit: Duration) -> Result<u64, Error> {
        let mut length = 0;
        self.stream(path, limit, async |piece| {
            length += piece.len() as u64;
            true
        })
        .await?;
        Ok(length)
    }

    /// Hands on the body of an answer piece by piece, as long as `take` wants more.
    async fn stream(
        &self,
        path: &str,
        limit: Duration,
        mut take: impl AsyncFnMut(Bytes) -> bool,
    ) -> Result<(), Error> {
        let exchange = async {
            let response = self.client.get(format!("{}{path}", self.base)).send();
            let mut body = response.await?.error_for_status()?.bytes_stream();
            while let Some(piece) = body.next().await {
                if !take(piece?).await {
                    break;
                }
            }
            Ok::<(), reqwest::Error>(())
        };
        self.stage
            .within(limit, &format!("all of the answer to GET {path}"), exchange)
            .await?
            .map_err(|error| Error::Rest {
                method: "GET".to_owned(),
                path: path.to_owned(),
                why: with_causes(&error),
            })
    }

    /// Registers a consumer; its id.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn create_consumer(&self, consumer: &str) -> Result<String, Error> {
        let body = json!({"name": consumer}).to_string();
        let path = format!("{ROOT}/consumers");
        let reply = self.send("POST", &path, &[], Some(body.as_bytes())).await?;
        match reply.json().get("id").and_then(Value::as_str) {
            Some(id) if reply.status == 201 => Ok(id.to_owned()),
            _ => Err(unusable("POST", &path, &reply)),
        }
    }

    /// Removes a consumer by id.
    ///
    /// # Errors
    /// No answer.
    pub async fn delete_consumer(&self, id: &str) -> Result<Reply, Error> {
        self.send("DELETE", &format!("{ROOT}/consumers/{id}"), &[], None)
            .await
    }

    /// A bundle by id; `None` if the server says that there is none.
    ///
    /// # Errors
    /// No answer, or another than 200 and 404.
    pub async fn bundle(&self, id: &str) -> Result<Option<Value>, Error> {
        let path = format!("{ROOT}/resource-bundles/{id}");
        let reply = self.get(&path).await?;
        match reply.status {
            200 => Ok(Some(reply.json())),
            404 => Ok(None),
            _ => Err(unusable("GET", &path, &reply)),
        }
    }

    /// A page of a list (`resource-bundles` or `consumers`) with these query parameters, which are encoded here.
    ///
    /// # Errors
    /// No answer.
    pub async fn list(&self, kind: &str, query: &[(&str, &str)]) -> Result<Reply, Error> {
        self.get(&list_path(kind, query)?).await
    }
}

/// Path and query of a list.
///
/// # Errors
/// Never in practice.
pub fn list_path(kind: &str, query: &[(&str, &str)]) -> Result<String, Error> {
    let base = format!("{ROOT}/{kind}");
    let url =
        reqwest::Url::parse_with_params("http://x/", query).map_err(|error| Error::Address {
            address: base.clone(),
            why: error.to_string(),
        })?;
    Ok(match url.query() {
        Some(query) if !query.is_empty() => format!("{base}?{query}"),
        _ => base,
    })
}

/// A body as a reader, for a thread that may block.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl std::io::Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(into.len());
        let (target, piece) = (into.get_mut(..count), self.piece.split_to(count));
        if let Some(target) = target {
            target.copy_from_slice(&piece);
        }
        Ok(count)
    }
}

fn unusable(method: &str, path: &str, reply: &Reply) -> Error {
    Error::Answer {
        method: method.to_owned(),
        path: path.to_owned(),
        status: reply.status,
        body: reply.short(),
    }
}
