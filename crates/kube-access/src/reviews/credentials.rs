//! What is needed to be known to an API server.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Identity, Proxy};
use sha2::{Digest as _, Sha256};

use super::Error;

/// Largest file of credentials, bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Where Kubernetes mounts the service account of a pod.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The content of all files, at one moment. Not printable, for it holds secrets.
#[derive(Clone)]
pub(super) struct Credentials {
    /// URL without a slash at its end.
    pub(super) url: String,
    /// Bearer token.
    pub(super) token: Option<String>,
    /// Authorities of the API server, PEM; `None` = the system's.
    ca: Option<Vec<u8>>,
    /// Certificate and key, PEM.
    identity: Option<Vec<u8>>,
    accept_any_server: bool,
    proxy: Option<String>,
    /// Changes when a connection with other settings is needed. The token is not part of it.
    pub(super) fingerprint: [u8; 32],
}

/// The parts of [`Credentials`].
#[derive(Default)]
pub(super) struct Parts {
    pub(super) url: String,
    pub(super) token: Option<String>,
    pub(super) ca: Option<Vec<u8>>,
    pub(super) identity: Option<Vec<u8>>,
    pub(super) accept_any_server: bool,
    pub(super) proxy: Option<String>,
}

impl From<Parts> for Credentials {
    fn from(parts: Parts) -> Self {
        let mut hash = Sha256::new();
        let any = [u8::from(parts.accept_any_server)];
        let pieces: [Option<&[u8]>; 5] = [
            Some(parts.url.as_bytes()),
            parts.ca.as_deref(),
            parts.identity.as_deref(),
            Some(&any),
            parts.proxy.as_deref().map(str::as_bytes),
        ];
        for piece in pieces {
            hash.update(
                piece
                    .map_or(u64::MAX, |piece| piece.len() as u64)
                    .to_le_bytes(),
            );
            hash.update(piece.unwrap_or_default());
        }
        Self {
            url: parts.url.trim_end_matches('/').to_owned(),
            token: parts.token,
            ca: parts.ca,
            identity: parts.identity,
            accept_any_server: parts.accept_any_server,
            proxy: parts.proxy,
            fingerprint: hash.finalize().into(),
        }
    }
}

impl Credentials {
    /// A client that trusts and shows what these say.
    pub(super) fn client(&self, timeout: Duration) -> Result<reqwest::Client, Error> {
        let config = |what: &str| {
            let what = what.to_owned();
            move |error: reqwest::Error| {
                Error::Config(format!("{what} of the Kubernetes API: {error}"))
            }
        };
        let mut builder = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("maestro");
        if let Some(ca) = &self.ca {
            let ca = Certificate::from_pem_bundle(ca).map_err(config("the authorities"))?;
            if ca.is_empty() {
                return Err(Error::Config(
                    "the authorities of the Kubernetes API: no certificate in them".to_owned(),
                ));
            }
            builder = builder.tls_certs_only(ca);
        }
        if let Some(identity) = &self.identity {
            let identity =
                Identity::from_pem(identity).map_err(config("the client certificate and key"))?;
            builder = builder.identity(identity);
        }
        if self.accept_any_server {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(Proxy::all(proxy).map_err(config("the proxy-url"))?);
        }
        builder.build().map_err(config("the connection"))
    }
}

/// The service account of this pod.
pub(super) fn in_cluster() -> Result<Credentials, Error> {
    let variable = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                Error::Config(format!(
                    "no kubeconfig is given, and this is no pod: {name} is not set"
                ))
            })
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let folder = Path::new(SERVICE_ACCOUNT);
    Ok(Parts {
        url: format!("https://{host}:{port}"),
        token: Some(token_file(&folder.join("token"))?),
        ca: Some(file(&folder.join("ca.crt"))?),
        ..Parts::default()
    }
    .into())
}

/// Content of a file.
pub(super) fn file(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::Config(format!("read {}: {error}", path.display()));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        return Err(Error::Config(format!(
            "{} is {size} bytes, more than the {MAX_FILE_BYTES} allowed",
            path.display()
        )));
    }
    std::fs::read(path).map_err(failed)
}

/// A token from its file, without the space around it.
pub(super) fn token_file(path: &Path) -> Result<String, Error> {
    let bytes = file(path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(Error::Config(format!("{} holds no token", path.display())));
    }
    Ok(text.to_owned())
}
