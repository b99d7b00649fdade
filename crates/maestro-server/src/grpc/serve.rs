//! One gRPC listener: limits, keep-alive, TLS, and a bounded drain.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use event_wire::proto::cloud_event_service_server::{CloudEventService, CloudEventServiceServer};
use service_runtime::tls;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::delivery::connection::Tracked;

/// Publishes that run at once on one connection; more wait in the connection.
const CALLS_PER_CONNECTION: usize = 256;
/// HTTP/2 window of one stream and of one connection, bytes: what a peer may send before it is read.
const WINDOWS: (u32, u32) = (1024 * 1024, 4 * 1024 * 1024);
/// How long streams may take to end at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

/// The settings of a gRPC listener, named after the flags of upstream.
#[derive(Clone, Debug)]
pub struct Transport {
    /// Largest message that is received, bytes; default 4 MiB.
    pub max_receive_message_size: usize,
    /// Largest message that is sent, bytes; default 2 GiB - 1.
    pub max_send_message_size: usize,
    /// Streams and calls on one connection; default no limit of its own.
    pub max_concurrent_streams: Option<u32>,
    /// Connections older than this are asked to reconnect; default never.
    pub max_connection_age: Option<Duration>,
    /// How long a TLS handshake may take; default 10 s.
    pub handshake_timeout: Duration,
    /// A silent peer is asked for a sign of life after this time; default 30 s.
    pub ping_interval: Duration,
    /// A peer that gives none for this long is gone; default 10 s.
    pub ping_timeout: Duration,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            max_receive_message_size: 4 * 1024 * 1024,
            max_send_message_size: i32::MAX as usize,
            max_concurrent_streams: None,
            max_connection_age: None,
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves until `shutdown`, then lets streams end for at most 10 s. The service has to end its streams by itself.
///
/// # Errors
/// When the transport can't be set up.
pub async fn serve(
    listener: TcpListener,
    service: impl CloudEventService,
    transport: &Transport,
    tls: Option<tls::Server>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let service = CloudEventServiceServer::new(service)
        .max_decoding_message_size(transport.max_receive_message_size)
        .max_encoding_message_size(transport.max_send_message_size);
    let mut server = Server::builder()
        .tcp_nodelay(true)
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_concurrent_streams(transport.max_concurrent_streams)
        .http2_keepalive_interval(Some(transport.ping_interval))
        .http2_keepalive_timeout(Some(transport.ping_timeout));
    if let Some(age) = transport.max_connection_age {
        server = server.max_connection_age(age);
    }
    let router = server.add_service(service);
    let address = listener.local_addr()?;
    match tls {
        Some(tls) => {
            let incoming = tls::incoming_within(listener, tls, transport.handshake_timeout)
                .map(|io| io.map(Tracked::new));
            drained(router, incoming, address, shutdown).await
        }
        None => {
            let incoming = TcpListenerStream::new(listener).map(|io| {
                let io = io?;
                io.set_nodelay(true)?;
                Ok(Tracked::new(io))
            });
            drained(router, incoming, address, shutdown).await
        }
    }
}

async fn drained<IO>(
    router: tonic::transport::server::Router,
    incoming: impl Stream<Item = io::Result<IO>>,
    address: SocketAddr,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    IO: tokio::io::AsyncRead
        + tokio::io::AsyncWrite
        + tonic::transport::server::Connected
        + Unpin
        + Send
        + 'static,
{
    let serve = router.serve_with_incoming_shutdown(incoming, shutdown.cancelled());
    let cut = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        result = serve => result.map_err(io::Error::other),
        () = cut => {
            tracing::warn!(%address, "gRPC streams were still open at the end of the drain and were cut.");
            Ok(())
        }
    }
}
