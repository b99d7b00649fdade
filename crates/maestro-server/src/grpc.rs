//! The two gRPC ports: one service, spoken to by sources and by agents (`docs/protocol/delivery.md`).

pub mod agent;
mod deadline;
mod door;
mod errors;
mod serve;
pub mod source;
pub mod status_resync;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::CertificateDer;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response};

use crate::authn::Doors;
use crate::delivery::connection::Connection;
use crate::delivery::{Hub, Limits, Outgoing};
use crate::storage::Store;
use crate::telemetry::Telemetry;
use crate::writer::Writer;

pub use serve::{Transport, serve};
use status_resync::StatusResyncs;

/// Longest name of a source or cluster that may subscribe, bytes.
const MAX_NAME: usize = crate::storable::MAX_SOURCE;

/// Longest resource id, bytes.
const MAX_ID: usize = 253;

/// What both services need.
#[derive(Clone)]
pub struct Context {
    /// Rows.
    pub store: Arc<dyn Store>,
    /// Changes.
    pub writer: Writer,
    /// Streams.
    pub hub: Arc<Hub>,
    /// Status resyncs that wait or run.
    pub status_resyncs: StatusResyncs,
    /// How patient streams are.
    pub limits: Limits,
    /// Time between heartbeats; `None` = none.
    pub heartbeat: Option<Duration>,
    /// Whether errors carry a Kubernetes status instead of a text.
    pub typed_errors: bool,
    /// Counters.
    pub telemetry: Telemetry,
    /// Tasks that a shutdown waits for.
    pub tasks: TaskTracker,
    /// Ends streams.
    pub shutdown: CancellationToken,
    /// Who is let in.
    pub doors: Doors,
}

/// Plain TCP and TLS have different details beside the connection.
type Plain = (Connection, TcpConnectInfo);
type Tls = (Connection, TlsConnectInfo<TcpConnectInfo>);

/// The certificate that the caller showed, in DER form. The handshake has checked who signed it.
fn leaf<T>(request: &Request<T>) -> Option<CertificateDer<'static>> {
    let (_, tls) = request.extensions().get::<Tls>()?;
    tls.peer_certs()?.first().cloned()
}

/// The connection that a request came on.
fn connection<T>(request: &Request<T>) -> Connection {
    let extensions = request.extensions();
    let plain = extensions.get::<Plain>().map(|(connection, _)| connection);
    let tls = extensions.get::<Tls>().map(|(connection, _)| connection);
    plain.or(tls).cloned().unwrap_or_default()
}

/// The answer to Subscribe. Its header goes out at once, before any event.
fn subscribed(id: uuid::Uuid, stream: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(stream);
    if let Ok(value) = id.to_string().parse() {
        response
            .metadata_mut()
            .insert(event_wire::SUBSCRIPTION_ID_HEADER, value);
    }
    response
}
