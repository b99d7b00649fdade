//! Whose token is this, and may they do that: TokenReview and SubjectAccessReview over plain HTTP.
//!
//! For services that only ask these two questions and must not carry a Kubernetes client around. In reading order:
//! [`Source`] (where the API server is and how to be known to it), [`Reviews`] (the two questions), [`Error`].
//! The caller's own service account needs what the ClusterRole `system:auth-delegator` grants.
//! Facts: `docs/protocol/kube-requests.md`.

mod credentials;
mod kubeconfig;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use credentials::Credentials;

/// How long a review may take, by default.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, bytes. A user with thousands of groups fits.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// How old credentials may be before their files are looked at again. Kubernetes replaces mounted tokens long before
/// they expire.
pub const REREAD_INTERVAL: Duration = Duration::from_secs(10);

/// Where the API server is, and how to be known to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The current context of a kubeconfig file. Tokens and client certificates; no plugins.
    Kubeconfig(PathBuf),
    /// The service account of the pod that this process runs in.
    InCluster,
}

/// Why a review has no answer. Texts hold no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings can't be used. Nothing was sent.
    #[error("{0}")]
    Config(String),
    /// The API server can't be reached, or takes too long.
    #[error("the Kubernetes API can't be reached: {0}")]
    Unreachable(String),
    /// The API server didn't answer the question: this service may not ask it, or the server is in trouble.
    #[error("the Kubernetes API answers {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The answer makes no sense.
    #[error("the Kubernetes API gave an answer that is none: {0}")]
    Malformed(String),
}

/// Who somebody is, in the words of the API server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Name, for example `system:serviceaccount:adapters:controlplane`.
    #[serde(default)]
    pub username: String,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// Asks the two questions. Cheap to clone; all clones share connections and credentials.
#[derive(Clone)]
pub struct Reviews {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    timeout: Duration,
    current: ArcSwap<Current>,
}

struct Current {
    credentials: Credentials,
    http: reqwest::Client,
    looked_at: Instant,
}

impl std::fmt::Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reviews").field(&self.shared.source).finish()
    }
}

impl Reviews {
    /// Reads the files that `source` names; the network is only used by the questions.
    ///
    /// # Errors
    /// [`Error::Config`] when a file can't be read, lacks something, or asks for what isn't available here.
    pub async fn open(source: Source, timeout: Duration) -> Result<Self, Error> {
        service_runtime::install_crypto_provider();
        let credentials = read(&source).await?;
        let current = Current {
            http: credentials.client(timeout)?,
            credentials,
            looked_at: Instant::now(),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                source,
                timeout,
                current: ArcSwap::from_pointee(current),
            }),
        })
    }

    /// The URL of the API server.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.current.load().credentials.url.clone()
    }

    /// Whose token it is; `None` = nobody's, or it has expired.
    ///
    /// # Errors
    /// When the question was not answered. Then nothing is known about the token.
    pub async fn token(&self, token: &str) -> Result<Option<User>, Error> {
        #[derive(Deserialize)]
        struct Status {
            #[serde(default)]
            authenticated: bool,
            user: Option<User>,
        }
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let status: Status = self.ask(path, &review).await?;
        if !status.authenticated {
            return Ok(None);
        }
        match status.user {
            Some(user) if !user.username.is_empty() => Ok(Some(user)),
            _ => Err(Error::Malformed(
                "a token of a user without name".to_owned(),
            )),
        }
    }

    /// Whether `user` may do `verb` on a path that is no resource, such as `/sources/<name>`.
    ///
    /// # Errors
    /// When the question was not answered.
    pub async fn may(&self, user: &User, verb: &str, path: &str) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Status {
            #[serde(default)]
            allowed: bool,
            #[serde(default)]
            denied: bool,
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "nonResourceAttributes": {"path": path, "verb": verb},
                "user": user.username,
                "groups": user.groups,
            },
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let status: Status = self.ask(path, &review).await?;
        Ok(status.allowed && !status.denied)
    }

    /// Sends a review and reads its status. A connection that breaks is tried once more, for reviews change nothing;
    /// so are credentials that the API server doesn't know, after their files were read again.
    async fn ask<T: DeserializeOwned>(&self, path: &str, review: &Value) -> Result<T, Error> {
        let current = self.current(REREAD_INTERVAL).await;
        let answer = match current.send(path, review).await {
            Err(error) if !error.is_timeout() => current.send(path, review).await,
            Ok(answer) if answer.status() == reqwest::StatusCode::UNAUTHORIZED => {
                self.current(Duration::ZERO).await.send(path, review).await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| unreachable_api(&error))?;
        let status = answer.status();
        let body = body(answer).await?;
        if !status.is_success() {
            let said = serde_json::from_slice::<Value>(&body).ok();
            let message = said
                .as_ref()
                .and_then(|said| said.get("message")?.as_str())
                .unwrap_or("without a reason");
            return Err(Error::Refused {
                status: status.as_u16(),
                message: message.chars().take(500).collect(),
            });
        }
        #[derive(Deserialize)]
        struct Review<T> {
            status: T,
        }
        // The text of the error names positions, never content: the answer may repeat the token.
        let review: Review<T> = serde_json::from_slice(&body)
            .map_err(|error| Error::Malformed(format!("{:?} error", error.classify())))?;
        Ok(review.status)
    }

    /// The credentials, after a look at their files if they were looked at longer than `age` ago. Files that can't be
    /// used leave the last good ones in place.
    async fn current(&self, age: Duration) -> Arc<Current> {
        let current = self.shared.current.load_full();
        if current.looked_at.elapsed() < age {
            return current;
        }
        let fresh = read(&self.shared.source).await.and_then(|credentials| {
            let http = if credentials.fingerprint == current.credentials.fingerprint {
                current.http.clone()
            } else {
                tracing::info!(
                    url = credentials.url,
                    "Credentials for the Kubernetes API were replaced."
                );
                credentials.client(self.shared.timeout)?
            };
            Ok((credentials, http))
        });
        let (credentials, http) = fresh.unwrap_or_else(|error| {
            tracing::warn!(%error, "Credentials for the Kubernetes API can't be read again; the old ones stay.");
            (current.credentials.clone(), current.http.clone())
        });
        let fresh = Arc::new(Current {
            credentials,
            http,
            looked_at: Instant::now(),
        });
        self.shared.current.store(Arc::clone(&fresh));
        fresh
    }
}

impl Current {
    async fn send(&self, path: &str, review: &Value) -> reqwest::Result<reqwest::Response> {
        let mut request = self
            .http
            .post(format!("{}{path}", self.credentials.url))
            .json(review);
        if let Some(token) = &self.credentials.token {
            request = request.bearer_auth(token);
        }
        request.send().await
    }
}

/// Files are read away from the runtime's threads.
async fn read(source: &Source) -> Result<Credentials, Error> {
    let source = source.clone();
    tokio::task::spawn_blocking(move || match source {
        Source::Kubeconfig(path) => kubeconfig::read(&path),
        Source::InCluster => credentials::in_cluster(),
    })
    .await
    .map_err(|error| Error::Config(error.to_string()))?
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| unreachable_api(&error))?
    {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Error::Malformed(format!(
                "more than {MAX_ANSWER_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost reason is the one that helps: `connection refused`, `invalid peer certificate: Expired`.
fn unreachable_api(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Unreachable("no answer in time".to_owned());
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    Error::Unreachable(inner.to_string())
}
