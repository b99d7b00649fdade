//! Calls to the source service.

mod connector;
mod staggered;
mod subscription;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use event_wire::{
    Event,
    proto::{CloudEvent, PublishRequest, cloud_event_service_client::CloudEventServiceClient},
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::{
    Config, Error, Token,
    backoff::{Backoff, Deadline, LONGEST_UNREACHABLE},
    error::from_status,
    token::TokenSource,
};
use connector::Connector;

/// Bytes that a server may send on a subscription before we have taken them.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;

pub(crate) struct Grpc {
    config: Arc<Config>,
    connector: Connector,
    endpoint: Endpoint,
    /// Connection of publishes; made at the first one, replaced when it hangs.
    channel: Mutex<Option<Channel>>,
    token: Arc<TokenSource>,
}

/// How a publish went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    /// An earlier try may have been stored as well.
    pub(crate) repeated: bool,
}

/// How a publish went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// An earlier try may have been stored: "already exists" or a conflict may be our own doing.
    pub(crate) repeated: bool,
}

impl Grpc {
    pub(crate) fn new(config: Arc<Config>, token: Arc<TokenSource>) -> Result<Self, Error> {
        let connector = Connector::new(&config)?;
        let endpoint = endpoint(&config, connector.is_tls())?;
        Ok(Self {
            config,
            connector,
            endpoint,
            channel: Mutex::new(None),
            token,
        })
    }

    /// Hands an event over. Good means that it is stored.
    ///
    /// While the server can't be reached the same event is sent again; servers tell a repeated event by its id.
    pub(crate) async fn publish(&self, event: &Event, name: &str) -> Result<Published, Failure> {
        let message = CloudEvent::from(event);
        let deadline = Deadline::after(self.config.wait_for_server);
        let mut backoff = Backoff::default();
        let mut repeated = false;
        let mut token_was_refused = false;
        loop {
            let (error, reached) = match self.attempt(message.clone(), name).await {
                Ok(()) => return Ok(Published { repeated }),
                Err(failure) => failure,
            };
            if matches!(error, Error::Unauthenticated { .. }) && !token_was_refused {
                token_was_refused = true;
                if matches!(self.config.token, Some(Token::File(_))) {
                    continue;
                }
            }
            let wait = backoff.next(LONGEST_UNREACHABLE);
            if !matches!(error, Error::Unavailable { .. }) || !deadline.allows(wait) {
                return Err(Failure { error, repeated });
            }
            repeated |= reached;
            tracing::debug!(error = %error, ?wait, "publish will be repeated");
            tokio::time::sleep(wait).await;
        }
    }

    /// One try. The flag tells whether the server may have stored the event all the same.
    async fn attempt(&self, message: CloudEvent, name: &str) -> Result<(), (Error, bool)> {
        let (request, token) = self
            .request(PublishRequest {
                event: Some(message),
            })
            .await
            .map_err(|error| (error, false))?;
        let mut client = CloudEventServiceClient::new(self.channel());
        let limit = self.config.request_timeout;
        match tokio::time::timeout(limit, client.publish(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => {
                let never_sent = is_connect_error(&status);
                let error = self.failed(&status, name, token.as_deref());
                Err((error, !never_sent))
            }
            Err(_) => {
                // The connection may be half open; the next call makes a new one.
                self.forget_connection();
                Err((
                    Error::Timeout {
                        address: self.config.grpc_address.clone(),
                        limit,
                    },
                    true,
                ))
            }
        }
    }

    /// Publishes connect anew: the server was silent on a connection of the same kind.
    pub(crate) fn forget_connection(&self) {
        *self.lock() = None;
    }

    /// A request, and the token in it.
    async fn request<T>(&self, message: T) -> Result<(Request<T>, Option<String>), Error> {
        let mut request = Request::new(message);
        if !self.connector.is_tls() && !self.config.allow_plaintext_token {
            return Ok((request, None));
        }
        let token = self.token.current().await?;
        if let Some(token) = &token {
            let value = format!("Bearer {token}").parse();
            let mut value: MetadataValue<Ascii> = value.map_err(|_| {
                self.token.forget(Some(token));
                Error::Unauthenticated {
                    message: "the token holds characters that no header may hold".to_owned(),
                }
            })?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok((request, token))
    }

    /// Why a call with this token failed.
    fn failed(&self, status: &Status, name: &str, token: Option<&str>) -> Error {
        let error = from_status(status, &self.config.grpc_address, name);
        if matches!(error, Error::Unauthenticated { .. }) {
            self.token.forget(token);
        }
        error
    }

    fn channel(&self) -> Channel {
        self.lock()
            .get_or_insert_with(|| {
                self.endpoint
                    .connect_with_connector_lazy(self.connector.clone().service())
            })
            .clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Channel>> {
        self.channel
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn endpoint(config: &Config, tls: bool) -> Result<Endpoint, Error> {
    let bad = |error: tonic::transport::Error| Error::Config {
        message: format!("gRPC address: {error}"),
    };
    let origin = format!(
        "{}://{}",
        if tls { "https" } else { "http" },
        config.grpc_address
    );
    let origin = origin.parse().map_err(|error| Error::Config {
        message: format!("gRPC address: {error}"),
    })?;
    // TLS is the connector's work: with `https` here tonic would ask for its own.
    let mut endpoint = Endpoint::from_shared(format!("http://{}", config.grpc_address))
        .map_err(bad)?
        .origin(origin)
        .user_agent(config.user_agent.clone())
        .map_err(bad)?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW);
    if let Some(keepalive) = config.keepalive {
        endpoint = endpoint
            .http2_keep_alive_interval(keepalive.interval)
            .keep_alive_timeout(keepalive.timeout)
            .keep_alive_while_idle(keepalive.while_idle);
    }
    Ok(endpoint)
}

/// True if the call never left this machine.
fn is_connect_error(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// True if an error means that nobody answers at the address, as opposed to a server that answers badly.
pub(crate) fn longest_wait(error: &Error) -> Duration {
    match error {
        Error::Unavailable { .. } | Error::Timeout { .. } => LONGEST_UNREACHABLE,
        _ => crate::backoff::LONGEST,
    }
}
