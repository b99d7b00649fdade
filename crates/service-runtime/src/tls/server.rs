//! The listening side.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::Stream;
use futures::stream::{FuturesUnordered, StreamExt as _};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::pem::{Fingerprint, Pem, fingerprint};
use crate::accept;
use crate::http::FIRST_BYTE_TIMEOUT;

/// Handshakes under way at once in [`incoming`]; more wait in the listen queue.
const MAX_HANDSHAKES: usize = 256;

/// The PEM files of a listener.
#[derive(Clone, Debug)]
pub struct Files {
    /// Certificate chain, leaf first.
    pub cert: PathBuf,
    /// Private key of the leaf.
    pub key: PathBuf,
    /// When set, clients must show a certificate signed by one of these authorities (mutual TLS).
    pub client_ca: Option<PathBuf>,
}

/// A TLS 1.3 listener's configuration, replaced while it serves. Cheap to clone; all clones share the replacement.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    files: Files,
    current: ArcSwap<Current>,
}

struct Current {
    fingerprint: Fingerprint,
    http: TlsAcceptor,
    grpc: TlsAcceptor,
}

impl Server {
    /// Reads the files and checks that they fit together.
    ///
    /// # Errors
    /// If a file cannot be read or used, or the key is another certificate's.
    pub async fn load(files: Files) -> Result<Self, Error> {
        Self::load_now(files)
    }

    /// As [`load`](Self::load), for callers outside of a runtime.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_now(files: Files) -> Result<Self, Error> {
        let current = Contents::read(&files)?.build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                files,
                current: ArcSwap::from_pointee(current),
            }),
        })
    }

    /// Handshake for HTTP/1.1.
    ///
    /// # Errors
    /// What the handshake failed with. The caller bounds its duration.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.shared.current.load().http.clone();
        acceptor.accept(stream).await
    }

    /// Handshake for gRPC: offers `h2`, which Go clients insist on.
    ///
    /// # Errors
    /// What the handshake failed with. The caller bounds its duration.
    pub async fn accept_grpc(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = self.shared.current.load().grpc.clone();
        acceptor.accept(stream).await
    }

    /// Reads the files again; `true` if they had changed and are in use now. New connections see the new
    /// certificate, open ones keep theirs.
    ///
    /// # Errors
    /// If the new files are unusable: the old ones stay in use.
    pub fn reload(&self) -> Result<bool, Error> {
        let contents = Contents::read(&self.shared.files)?;
        if contents.fingerprint() == self.shared.current.load().fingerprint {
            return Ok(false);
        }
        self.shared.current.store(Arc::new(contents.build()?));
        Ok(true)
    }

    /// Calls [`reload`](Self::reload) every `interval` until `shutdown`.
    pub fn spawn_reload(&self, interval: Duration, shutdown: CancellationToken) -> JoinHandle<()> {
        let server = self.clone();
        let cert = self.shared.files.cert.display().to_string();
        tokio::spawn(super::reload_loop(interval, shutdown, cert, move || {
            server.reload()
        }))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.shared.files).finish()
    }
}

/// What the files held at one moment.
struct Contents {
    cert: Pem,
    key: Pem,
    client_ca: Option<Pem>,
}

impl Contents {
    fn read(files: &Files) -> Result<Self, Error> {
        Ok(Self {
            cert: Pem::read(&files.cert)?,
            key: Pem::read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(Pem::read).transpose()?,
        })
    }

    fn fingerprint(&self) -> Fingerprint {
        fingerprint([&self.cert, &self.key].into_iter().chain(&self.client_ca))
    }

    fn build(&self) -> Result<Current, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|source| Error::Rejected {
                what: "TLS 1.3".into(),
                source,
            })?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                authorities.add_to(&mut roots)?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(self.cert.certificates()?, self.key.key()?)
            .map_err(|source| Error::Rejected {
                what: "the server's certificate and key".into(),
                source,
            })?;
        let mut grpc = config.clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Current {
            fingerprint: self.fingerprint(),
            http: TlsAcceptor::from(Arc::new(config)),
            grpc: TlsAcceptor::from(Arc::new(grpc)),
        })
    }
}

/// Connections of `listener` after their gRPC handshake, for `tonic`'s `serve_with_incoming`. Handshakes run beside
/// each other and end after [`FIRST_BYTE_TIMEOUT`]; a failed one is logged and skipped, so the stream never ends.
pub fn incoming(
    listener: TcpListener,
    server: Server,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send {
    incoming_within(listener, server, FIRST_BYTE_TIMEOUT)
}

/// As [`incoming`], with another limit for a handshake.
pub fn incoming_within(
    listener: TcpListener,
    server: Server,
    limit: Duration,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send {
    let state = (listener, server, FuturesUnordered::new());
    futures::stream::unfold(
        state,
        move |(listener, server, mut handshakes)| async move {
            loop {
                tokio::select! {
                    Some(finished) = handshakes.next(), if !handshakes.is_empty() => {
                        if let Some(stream) = finished {
                            return Some((Ok(stream), (listener, server, handshakes)));
                        }
                    }
                    (stream, peer) = accept::connection(&listener), if handshakes.len() < MAX_HANDSHAKES => {
                        let server = server.clone();
                        handshakes.push(async move {
                            let _ = stream.set_nodelay(true);
                            match timeout(limit, server.accept_grpc(stream)).await {
                                Ok(Ok(stream)) => return Some(stream),
                                Ok(Err(error)) => tracing::debug!(%peer, %error, "A TLS handshake failed."),
                                Err(_) => tracing::debug!(%peer, "A TLS handshake took too long."),
                            }
                            None
                        });
                    }
                }
            }
        },
    )
}
