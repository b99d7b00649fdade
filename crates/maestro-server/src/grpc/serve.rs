//! One gRPC listener: limits, keep-alive, TLS, and a bounded drain.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use event_wire::proto::cloud_event_service_server::{CloudEventService, CloudEventServiceServer};
use service_runtime::{accept, tls};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tower::layer::util::{Identity, Stack};

use super::deadline::Deadlines;
use super::door::Door;

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
    /// How long a new connection may take for its TLS handshake, and then to say that it speaks HTTP/2; default 10 s each.
    pub handshake_timeout: Duration,
    /// Connections at once; more wait in the listen queue; default 16384. Not a flag.
    pub max_connections: usize,
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
            max_connections: 16 * 1024,
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
    let router = server.layer(Deadlines).add_service(service);
    let address = listener.local_addr()?;
    let (most, patience) = (transport.max_connections, transport.handshake_timeout);
    match tls {
        Some(tls) => {
            let incoming = tls::incoming_within(listener, tls, patience);
            let door = Door::new(incoming, most, patience);
            drained(router, door, address, shutdown).await
        }
        None => {
            let door = Door::new(accept::incoming(listener), most, patience);
            drained(router, door, address, shutdown).await
        }
    }
}

type Router = tonic::transport::server::Router<Stack<Deadlines, Identity>>;

async fn drained<IO>(
    router: Router,
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
