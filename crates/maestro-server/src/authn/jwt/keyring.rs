//! The keys in use, and where fresh ones come from.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::super::settings::{Error, Jwks};
use super::keys::Keys;

/// Largest key set, bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// How long fetching may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest time between two looks: a stranger with unknown key ids causes no more.
const SHORTEST: Duration = Duration::from_secs(1);
/// As [`SHORTEST`], for keys behind a URL.
const SHORTEST_FETCH: Duration = Duration::from_secs(10);

/// A key set that is looked at again in time, and when a token names a key that isn't in it.
pub(super) struct Keyring {
    origin: Origin,
    interval: Duration,
    keys: ArcSwapOption<Keys>,
    looked_at: Mutex<Option<Instant>>,
    /// One look at a time; who waits for it gets what it brought.
    turn: Semaphore,
}

enum Origin {
    File(PathBuf),
    Url(String, reqwest::Client),
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// No key set could be had yet.
    NoKeys,
    /// The key set doesn't have it.
    NoSuchKey,
}

impl Keyring {
    /// A file must be good from the start; a URL may be away.
    pub(super) async fn open(jwks: &Jwks, interval: Duration) -> Result<Self, Error> {
        let origin = match jwks {
            Jwks::File(path) => Origin::File(path.clone()),
            Jwks::Url { url, ca } => Origin::Url(url.clone(), client(ca.as_deref())?),
        };
        let keyring = Self {
            origin,
            interval,
            keys: ArcSwapOption::empty(),
            looked_at: Mutex::default(),
            turn: Semaphore::new(1),
        };
        if let Origin::File(_) = keyring.origin {
            keyring.load().await.map_err(|why| Error::Value {
                flag: "--rest-jwks-file",
                why,
            })?;
        }
        Ok(keyring)
    }

    /// The key for a token.
    pub(super) async fn key(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> Result<DecodingKey, Unknown> {
        if let Some(key) = self.known(algorithm, id) {
            return Ok(key);
        }
        self.refresh(Instant::now()).await;
        match (self.known(algorithm, id), self.keys.load().is_some()) {
            (Some(key), _) => Ok(key),
            (None, true) => Err(Unknown::NoSuchKey),
            (None, false) => Err(Unknown::NoKeys),
        }
    }

    fn known(&self, algorithm: Algorithm, id: Option<&str>) -> Option<DecodingKey> {
        self.keys.load().as_ref()?.find(algorithm, id).cloned()
    }

    /// Looks again every interval until `shutdown`, and sooner while there are no keys.
    pub(super) async fn follow(&self, shutdown: CancellationToken) {
        loop {
            if self.keys.load().is_none() {
                self.refresh(Instant::now()).await;
            }
            let pause = match self.keys.load().is_some() {
                true => self.interval,
                false => self.interval.min(SHORTEST_FETCH),
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => self.refresh(Instant::now()).await,
            }
        }
    }

    /// Looks again, unless somebody has since `wanted`, or did just before. Keys that can't be used leave the last good
    /// ones in place.
    async fn refresh(&self, wanted: Instant) {
        let Ok(_turn) = self.turn.acquire().await else {
            return;
        };
        let shortest = match self.origin {
            Origin::File(_) => SHORTEST,
            Origin::Url(..) => SHORTEST_FETCH,
        };
        let last = *self.looked_at();
        if last.is_some_and(|last| last >= wanted || last.elapsed() < shortest.min(self.interval)) {
            return;
        }
        if let Err(error) = self.load().await {
            let old = self.keys.load().as_ref().map_or(0, |keys| keys.len());
            tracing::warn!(%error, old, "Keys for JSON Web Tokens can't be had; the old ones stay.");
        }
    }

    async fn load(&self) -> Result<(), String> {
        let loaded = match &self.origin {
            Origin::File(path) => read(path).await,
            Origin::Url(url, client) => fetch(client, url).await,
        };
        *self.looked_at() = Some(Instant::now());
        let keys = loaded.and_then(|(name, bytes)| {
            Keys::parse(&bytes).map_err(|problem| format!("{name} {problem}"))
        })?;
        self.keys.store(Some(Arc::new(keys)));
        Ok(())
    }

    fn looked_at(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(path: &Path) -> Result<(String, Vec<u8>), String> {
    let failed = |error| format!("read {}: {error}", path.display());
    let size = tokio::fs::metadata(path).await.map_err(failed)?.len();
    if size > MAX_BYTES as u64 {
        return Err(format!(
            "{} is {size} bytes, more than the {MAX_BYTES} allowed",
            path.display()
        ));
    }
    let bytes = tokio::fs::read(path).await.map_err(failed)?;
    Ok((path.display().to_string(), bytes))
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<(String, Vec<u8>), String> {
    let failed = |error: reqwest::Error| {
        let mut inner: &dyn std::error::Error = &error;
        while let Some(source) = inner.source() {
            inner = source;
        }
        format!("fetch {url}: {inner}")
    };
    let mut answer = client.get(url).send().await.map_err(failed)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("fetch {url}: {}", answer.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(format!("{url} is more than the {MAX_BYTES} bytes allowed"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((url.to_owned(), bytes))
}

/// Follows no redirects: the URL that was given is the one that is trusted.
fn client(ca: Option<&Path>) -> Result<reqwest::Client, Error> {
    let wrong = |flag, why: String| Error::Value { flag, why };
    service_runtime::install_crypto_provider();
    let mut builder = reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("maestro");
    if let Some(path) = ca {
        let flag = "--rest-jwks-ca-file";
        let pem = std::fs::read(path)
            .map_err(|error| wrong(flag, format!("read {}: {error}", path.display())))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(wrong(
                flag,
                format!("{} holds no certificate", path.display()),
            ));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder
        .build()
        .map_err(|error| wrong("--rest-jwks-url", error.to_string()))
}
