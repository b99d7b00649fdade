//! TCP connections, with TLS whose files are read again each time.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use service_runtime::tls;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tonic::{ConnectError, transport::Uri};
use tower::Service;

use super::staggered::staggered;
use crate::{Config, Error, config::host_and_port};

/// Longest wait for a connection, TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Without an answer for this long another try begins beside it: an address that swallowed the first packets answers the next try at
/// once when its server is back, the first one only when the system repeats them, seconds later.
const NEXT_TRY: Duration = Duration::from_millis(800);

#[derive(Clone)]
pub(super) struct Connector {
    host: Arc<str>,
    port: u16,
    tls: Option<(tls::Client, ServerName<'static>)>,
}

/// A byte stream, plain or TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Stream = TokioIo<Box<dyn Io>>;
type Connecting = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

impl Connector {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let bad = |message: String| Error::Config { message };
        let (host, port) = host_and_port(&config.grpc_address).ok_or_else(|| {
            bad(format!(
                "gRPC address {:?} must be host:port",
                config.grpc_address
            ))
        })?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tls = match &config.grpc_tls {
            None => None,
            Some(files) => {
                let tls = tls::Client::load(files.clone())
                    .map_err(|error| bad(format!("TLS for gRPC: {error}")))?;
                let name = config
                    .grpc_server_name
                    .as_deref()
                    .unwrap_or(host)
                    .to_owned();
                let name = ServerName::try_from(name.clone()).map_err(|_| {
                    bad(format!("{name:?} is no name that a certificate can carry"))
                })?;
                Some((tls, name))
            }
        };
        Ok(Self {
            host: host.into(),
            port,
            tls,
        })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The connector as tonic wants it.
    pub(super) fn service(
        self,
    ) -> impl Service<Uri, Response = Stream, Error = ConnectError, Future = Connecting> + Send + 'static
    {
        tower::service_fn(move |_: Uri| {
            let connector = self.clone();
            Box::pin(async move {
                connector
                    .connect()
                    .await
                    .map_err(|error| ConnectError(error.into()))
            }) as Connecting
        })
    }

    async fn connect(self) -> std::io::Result<Stream> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.connect_unlimited())
            .await
            .unwrap_or_else(|_| {
                Err(std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()),
                ))
            })
    }

    async fn connect_unlimited(self) -> std::io::Result<Stream> {
        let connect = || TcpStream::connect((self.host.as_ref(), self.port));
        let tcp = staggered(std::iter::repeat(NEXT_TRY), connect).await?;
        tcp.set_nodelay(true)?;
        let Some((tls, name)) = self.tls else {
            return Ok(TokioIo::new(Box::new(tcp)));
        };
        if let Err(error) = tls.reload() {
            tracing::warn!(error = %error, "new TLS files can't be used; the old ones stay");
        }
        let mut config = tls.config().as_ref().clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| {
                std::io::Error::new(error.kind(), format!("TLS handshake: {error}"))
            })?;
        Ok(TokioIo::new(Box::new(stream)))
    }
}
