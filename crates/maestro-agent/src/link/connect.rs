//! Opening a connection: plain or TLS, with the newest certificates and token each time.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use service_runtime::tls;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};

use super::Error;

/// How long a connection may take to be made, with its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the connection is asked whether it is still there, and how long the answer may take. Go servers end
/// connections that ask more often than every 5 s.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// Enough for a resync of thousands of bundles to flow without waiting for round trips.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// A bearer token. Never printed.
#[derive(Clone)]
pub enum Token {
    /// The token itself.
    Literal(String),
    /// A file with the token, read anew for every request.
    File(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Literal(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Token {
    fn read(&self) -> Result<String, Error> {
        match self {
            Self::Literal(token) => Ok(token.trim().to_owned()),
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .map_err(|error| Error::Token(format!("{}: {error}", path.display()))),
        }
    }
}

/// Where to connect to, and as whom.
#[derive(Debug, Clone)]
pub struct Connection {
    /// `host:port`.
    pub address: String,
    /// TLS; none means plain text.
    pub tls: Option<tls::Client>,
    /// Sent with every request; only over TLS.
    pub token: Option<Token>,
}

impl Connection {
    /// Opens a connection.
    pub(super) async fn open(&self) -> Result<Channel, Error> {
        let unusable = |error: tonic::transport::Error| Error::Refused {
            code: tonic::Code::Unavailable,
            message: describe(&error),
        };
        // The connector does TLS itself; the scheme is only what the HTTP layer calls the server.
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))
            .map_err(unusable)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .tcp_nodelay(true);
        let Some(tls) = &self.tls else {
            return endpoint.connect().await.map_err(unusable);
        };
        let mut config = (*tls.config()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(std::sync::Arc::new(config));
        let connect = tower::service_fn(move |uri: Uri| {
            let connector = connector.clone();
            async move {
                let host = uri.host().unwrap_or_default();
                let name = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
                let port = uri.port_u16().unwrap_or(443);
                let stream = TcpStream::connect((host, port)).await?;
                stream.set_nodelay(true)?;
                Ok::<_, io::Error>(TokioIo::new(connector.connect(name, stream).await?))
            }
        });
        tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect_with_connector(connect))
            .await
            .map_err(|_| Error::Refused {
                code: tonic::Code::Unavailable,
                message: "the TLS handshake took too long".to_owned(),
            })?
            .map_err(unusable)
    }

    /// A request with the token, if there is one.
    pub(super) fn request<T>(&self, message: T) -> Result<tonic::Request<T>, Error> {
        let mut request = tonic::Request::new(message);
        if let (Some(token), Some(_)) = (&self.token, &self.tls) {
            let mut value: MetadataValue<_> = format!("Bearer {}", token.read()?)
                .parse()
                .map_err(|_| Error::Token("the token can't be an HTTP header".to_owned()))?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// The innermost cause: "Connection refused" says more than "transport error".
fn describe(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
