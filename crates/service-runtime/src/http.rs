//! Serving an [`axum::Router`] over HTTP/1.1 with the limits that a front door needs.
//!
//! A slow or silent peer costs one connection out of [`Options::max_connections`] for a bounded time and never
//! delays another; when all are taken, new connections wait in the listen queue. The size of bodies is the router's business
//! (axum's body limit), their time is not.

mod patience;
mod timely;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::tls;
use patience::Patience;
use timely::Timely;

/// How long a new connection may stay silent before its first byte (with TLS: until the handshake is complete).
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a kept-alive connection may be idle, and how long one request head may take. Longer than the 90 s after
/// which HTTP clients commonly drop pooled connections, so that the client is the one who closes.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a request body may take, from first to last byte: reading it fails then.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a peer may take nothing of a response before its connection is cut.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections served at once; more wait in the listen queue.
pub const MAX_CONNECTIONS: usize = 4096;
/// The largest request head, bytes.
pub const MAX_HEAD_BYTES: usize = 128 * 1024;
/// How long running requests may take after shutdown has begun.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The limits of one listener; [`Default`] gives the constants of this module.
#[derive(Clone, Debug)]
pub struct Options {
    /// See [`MAX_CONNECTIONS`].
    pub max_connections: usize,
    /// See [`FIRST_BYTE_TIMEOUT`].
    pub first_byte_timeout: Duration,
    /// See [`IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// See [`BODY_TIMEOUT`].
    pub body_timeout: Duration,
    /// See [`WRITE_TIMEOUT`].
    pub write_timeout: Duration,
    /// See [`DRAIN_TIMEOUT`].
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            first_byte_timeout: FIRST_BYTE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            write_timeout: WRITE_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}

/// The certificates that a client showed and the listener verified, leaf first; an extension of every request that
/// came in over mutual TLS.
#[derive(Clone, Debug)]
pub struct PeerCertificates(pub Arc<[CertificateDer<'static>]>);

/// Serves until `shutdown`, then drains: see [`serve_with`].
///
/// # Errors
/// None today: failures to accept are logged and retried, failures of one connection end that connection.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<tls::Server>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_with(listener, router, tls, Options::default(), shutdown).await
}

/// Serves until `shutdown`, then stops accepting, lets running requests finish for at most
/// [`Options::drain_timeout`], and cuts what is left. Handlers of endless responses should watch the same token.
///
/// Every request carries the extension [`ConnectInfo<SocketAddr>`] and, over mutual TLS, [`PeerCertificates`].
///
/// # Errors
/// None today: failures to accept are logged and retried, failures of one connection end that connection.
///
/// # Cancel safety
/// Dropping the future closes the listener and cuts all connections.
pub async fn serve_with(
    listener: TcpListener,
    router: Router,
    tls: Option<tls::Server>,
    options: Options,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(options.max_connections));
    let mut connections = JoinSet::new();
    while let Some((stream, peer, permit)) = accept(&listener, &permits, &shutdown).await {
        let connection = Connection {
            router: router.clone(),
            peer,
            options: options.clone(),
            shutdown: shutdown.clone(),
        };
        let tls = tls.clone();
        connections.spawn(async move {
            let _permit = permit;
            connection.serve(stream, tls).await;
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if timeout(options.drain_timeout, async {
        while connections.join_next().await.is_some() {}
    })
    .await
    .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "Requests still ran at the end of the drain and were cut."
        );
        connections.shutdown().await;
    }
    Ok(())
}

/// The next connection, or `None` at shutdown.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let next = async {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        let (stream, peer) = crate::accept::connection(listener).await;
        Some((stream, peer, permit))
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = next => accepted,
    }
}

/// One connection's fixed data.
struct Connection {
    router: Router,
    peer: SocketAddr,
    options: Options,
    shutdown: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<tls::Server>) {
        // Without this, small responses wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            let first_byte = timeout(self.options.first_byte_timeout, stream.readable());
            let silent = tokio::select! {
                () = self.shutdown.cancelled() => true,
                first = first_byte => !matches!(first, Ok(Ok(()))),
            };
            if !silent {
                self.requests(stream, None).await;
            }
            return;
        };
        let handshake = timeout(self.options.first_byte_timeout, tls.accept(stream));
        let handshake = tokio::select! {
            () = self.shutdown.cancelled() => return,
            handshake = handshake => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let certificates =
                    certificates.map(|chain| PeerCertificates(chain.to_vec().into()));
                self.requests(stream, certificates).await;
            }
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "A TLS handshake failed."),
            Err(_) => tracing::debug!(peer = %self.peer, "A TLS handshake took too long."),
        }
    }

    async fn requests<S>(self, stream: S, certificates: Option<PeerCertificates>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router,
            peer,
            options,
            shutdown,
        } = self;
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(certificates) = certificates.clone() {
                request.extensions_mut().insert(certificates);
            }
            let request = request.map(|body| Body::new(Timely::new(body, options.body_timeout)));
            let response = router.clone().oneshot(request);
            async move { Ok::<_, Infallible>(response.await.unwrap_or_else(|never| match never {})) }
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(options.idle_timeout)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(
                    TokioIo::new(Patience::new(stream, options.write_timeout)),
                    service,
                )
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "A connection ended with an error.");
        }
    }
}
