//! What players show of themselves, and whom they trust.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::Error;
use super::error::with_causes;

/// Files in which everything is.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Authorities of the server's certificates, PEM. With it, both gRPC ports are spoken to over TLS.
    pub ca: Option<PathBuf>,
    /// Certificate that players show, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Bearer token of every call.
    pub token: Option<PathBuf>,
}

/// TLS and a token for all doors of a server. The default is neither. Cheap to clone.
#[derive(Clone, Default)]
pub struct Access {
    tls: Option<Arc<Tls>>,
    token: Option<Arc<str>>,
    /// Whom the certificate of a gRPC port must name, if not the host that is connected to.
    host: Option<Arc<str>>,
}

struct Tls {
    authorities: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

// === impl Access ===

impl Access {
    /// Reads the files once: what is replaced later isn't seen.
    ///
    /// # Errors
    /// A file can't be read or used; the text names it, and nothing that is in it.
    pub fn read(files: &Files) -> Result<Self, Error> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| Error::File {
                path: path.to_owned(),
                why: error.to_string(),
            })
        };
        let identity = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            _ => None,
        };
        let tls = match &files.ca {
            Some(path) => Some(Arc::new(Tls {
                authorities: read(path)?,
                identity,
            })),
            None => None,
        };
        let token = match &files.token {
            Some(path) => Some(token(path, read(path)?)?),
            None => None,
        };
        let access = Self {
            tls,
            token,
            host: None,
        };
        access.is_usable(files)?;
        Ok(access)
    }

    /// The same for connections that go another way than to this `host:port`, whose certificate is expected all the same.
    #[must_use]
    pub fn through(&self, address: &str) -> Self {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        Self {
            host: Some(host.trim_matches(['[', ']']).into()),
            ..self.clone()
        }
    }

    /// Whether gRPC ports are spoken to over TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether players show a certificate.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.identity.is_some())
    }

    /// The token of every call.
    #[must_use]
    pub fn token(&self) -> Option<Arc<str>> {
        self.token.clone()
    }

    /// Where a gRPC port is.
    pub(super) fn endpoint(&self, address: &str) -> Result<Endpoint, Error> {
        let wrong = |error: tonic::transport::Error| Error::Address {
            address: address.to_owned(),
            why: with_causes(&error),
        };
        let Some(tls) = &self.tls else {
            return Endpoint::from_shared(format!("http://{address}")).map_err(wrong);
        };
        let mut config =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authorities));
        if let Some((cert, key)) = &tls.identity {
            config = config.identity(Identity::from_pem(cert, key));
        }
        if let Some(host) = &self.host {
            config = config.domain_name(host.as_ref());
        }
        Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.tls_config(config))
            .map_err(wrong)
    }

    /// A client of the REST API and of health endpoints.
    pub(super) fn http(&self) -> Result<reqwest::Client, reqwest::Error> {
        service_runtime::install_crypto_provider();
        let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        if let Some(tls) = &self.tls {
            let authorities = reqwest::Certificate::from_pem_bundle(&tls.authorities)?;
            builder = builder.tls_certs_only(authorities);
            if let Some((cert, key)) = &tls.identity {
                let both = [cert.as_slice(), b"\n", key].concat();
                builder = builder.identity(reqwest::Identity::from_pem(&both)?);
            }
        }
        if let Some(mut bearer) = self.token.as_deref().and_then(bearer) {
            bearer.set_sensitive(true);
            builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]));
        }
        builder.build()
    }

    /// Files that nothing can be done with are a mistake of the caller, not of the server.
    fn is_usable(&self, files: &Files) -> Result<(), Error> {
        let Some(tls) = &self.tls else {
            return Ok(());
        };
        let wrong = |path: &Option<PathBuf>, why: String| Error::File {
            path: path.clone().unwrap_or_default(),
            why,
        };
        let authorities = reqwest::Certificate::from_pem_bundle(&tls.authorities);
        if !authorities.is_ok_and(|found| !found.is_empty()) {
            return Err(wrong(&files.ca, "no certificate in it".to_owned()));
        }
        let identity = if self.has_certificate() {
            &files.cert
        } else {
            &files.ca
        };
        self.http()
            .map_err(|error| wrong(identity, with_causes(&error)))?;
        self.endpoint("localhost:1")
            .map_err(|error| wrong(identity, error.to_string()))?;
        Ok(())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("tls", &self.has_tls())
            .field("certificate", &self.has_certificate())
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

/// A token out of a file: one line, which can be the value of a header.
fn token(path: &Path, content: Vec<u8>) -> Result<Arc<str>, Error> {
    let wrong = || Error::File {
        path: path.to_owned(),
        why: "no token in it".to_owned(),
    };
    let text = String::from_utf8(content).map_err(|_| wrong())?;
    let text = text.trim();
    if text.is_empty() || bearer(text).is_none() {
        return Err(wrong());
    }
    Ok(text.into())
}

fn bearer(token: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("Bearer {token}")).ok()
}
