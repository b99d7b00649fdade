//! The connecting side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::pem::{Fingerprint, Pem, fingerprint};

/// Where distributions keep their certificate authorities.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// The PEM files of a client.
#[derive(Clone, Debug, Default)]
pub struct ClientFiles {
    /// Authorities that may sign the server's certificate; `None` = the system's.
    pub ca: Option<PathBuf>,
    /// Certificate chain shown to the server (mutual TLS), together with `key`.
    pub cert: Option<PathBuf>,
    /// Private key of `cert`.
    pub key: Option<PathBuf>,
    /// Accept any certificate of the server. The connection is encrypted but not authenticated: development only.
    pub accept_any_server: bool,
}

/// A client configuration from files, read once: TLS 1.3, no ALPN (HTTP and gRPC clients set their own).
///
/// # Errors
/// If a file cannot be read or used, or only one of `cert` and `key` is given.
pub fn client_config(files: &ClientFiles) -> Result<Arc<ClientConfig>, Error> {
    Contents::read(files)?.build(files).map(Arc::new)
}

/// A client configuration that follows its files. Cheap to clone; all clones share the replacement. Take
/// [`config`](Self::config) for each new connection.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    files: ClientFiles,
    current: ArcSwap<(Fingerprint, Arc<ClientConfig>)>,
}

impl Client {
    /// Reads the files and checks that they fit together.
    ///
    /// # Errors
    /// As [`client_config`].
    pub fn load(files: ClientFiles) -> Result<Self, Error> {
        let contents = Contents::read(&files)?;
        let current = (contents.fingerprint(), Arc::new(contents.build(&files)?));
        Ok(Self {
            shared: Arc::new(Shared {
                files,
                current: ArcSwap::from_pointee(current),
            }),
        })
    }

    /// The configuration for the next connection.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.shared.current.load().1)
    }

    /// Reads the files again; `true` if they had changed and are in use now.
    ///
    /// # Errors
    /// If the new files are unusable: the old ones stay in use.
    pub fn reload(&self) -> Result<bool, Error> {
        let contents = Contents::read(&self.shared.files)?;
        let fingerprint = contents.fingerprint();
        if fingerprint == self.shared.current.load().0 {
            return Ok(false);
        }
        let config = Arc::new(contents.build(&self.shared.files)?);
        self.shared.current.store(Arc::new((fingerprint, config)));
        Ok(true)
    }

    /// Calls [`reload`](Self::reload) every `interval` until `shutdown`.
    pub fn spawn_reload(&self, interval: Duration, shutdown: CancellationToken) -> JoinHandle<()> {
        let client = self.clone();
        let files = &self.shared.files;
        let name = files
            .cert
            .as_ref()
            .or(files.ca.as_ref())
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        tokio::spawn(super::reload_loop(interval, shutdown, name, move || {
            client.reload()
        }))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.shared.files).finish()
    }
}

/// What the files held at one moment.
struct Contents {
    ca: Option<Pem>,
    identity: Option<(Pem, Pem)>,
}

impl Contents {
    fn read(files: &ClientFiles) -> Result<Self, Error> {
        let identity = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => Some((Pem::read(cert)?, Pem::read(key)?)),
            (None, None) => None,
            _ => return Err(Error::HalfIdentity),
        };
        let ca = match &files.ca {
            Some(path) => Some(Pem::read(path)?),
            None if files.accept_any_server => None,
            None => Some(system_authorities()?),
        };
        Ok(Self { ca, identity })
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint(
            self.ca
                .iter()
                .chain(self.identity.iter().flat_map(|(cert, key)| [cert, key])),
        )
    }

    fn build(&self, files: &ClientFiles) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|source| Error::Rejected {
                what: "TLS 1.3".into(),
                source,
            })?;
        let builder = if files.accept_any_server {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        } else {
            let mut roots = RootCertStore::empty();
            if let Some(authorities) = &self.ca {
                authorities.add_to(&mut roots)?;
            }
            builder.with_root_certificates(roots)
        };
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some((cert, key)) => builder
                .with_client_auth_cert(cert.certificates()?, key.key()?)
                .map_err(|source| Error::Rejected {
                    what: "the client's certificate and key".into(),
                    source,
                }),
        }
    }
}

fn system_authorities() -> Result<Pem, Error> {
    let path = SYSTEM_BUNDLES
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .ok_or(Error::NoAuthorities)?;
    Pem::read(path)
}

/// Trusts whoever answers; signatures are still checked, so that the peer owns the key it shows.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
