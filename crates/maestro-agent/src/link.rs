//! The connection to the server: bytes in, bytes out. It knows nothing of works.
//!
//! One task subscribes, hands every event on in order and subscribes again when the stream breaks. Publishing happens on the
//! same connection but in the tasks of those who publish, so that neither side ever waits for the other.
//!
//! See `docs/protocol/work-agent.md`, "Connection".

mod connect;

use std::time::Duration;

use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{PublishRequest, SubscriptionRequest};
use event_wire::{Event, Incoming, MANIFEST_BUNDLES, SequenceId};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::core::pace::jitter;

pub use connect::{Connection, Token};

/// The largest message that is read. A bundle takes 512 000 bytes; servers may send more beside it.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// How long a subscription may take to be confirmed.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a publication may take.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);
/// The first wait before connecting again; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait: a server that is back is found within this time.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// A stream that lived so long broke for a new reason; waits begin anew.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// The shortest limit for silence on a stream whose server sends heartbeats.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(20);
/// The server's sequence id of the resource that a status was about, where it is ahead of ours.
const LAST_SEQUENCE: &str = "x-last-sequence";

/// What the link tells.
#[derive(Debug)]
pub enum News {
    /// A subscription stands. Everything that follows belongs to it.
    Up,
    /// The subscription is lost, and why.
    Down(String),
    /// An event.
    Event(Box<Event>),
}

/// Why an event could not be published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection at the moment.
    #[error("the server is not connected")]
    NotConnected,
    /// The server or the connection refused it.
    #[error("{code:?}: {message}")]
    Refused {
        /// The gRPC code.
        code: tonic::Code,
        /// The text.
        message: String,
    },
    /// The token can't be read.
    #[error("{0}")]
    Token(String),
}

type Client = CloudEventServiceClient<Channel>;

/// Sends events; cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    current: watch::Receiver<Option<Channel>>,
    connection: Connection,
}

/// The receiving side.
#[derive(Debug)]
pub struct Link {
    connection: Connection,
    consumer: String,
    /// How long the stream may be silent; none means that the server's own rhythm decides.
    silence_limit: Option<Duration>,
    current: watch::Sender<Option<Channel>>,
    news: mpsc::Sender<News>,
}

impl Link {
    /// A link that isn't connected yet. News wait in the channel when nobody takes them; the server then waits too.
    pub fn new(
        connection: Connection,
        consumer: String,
        silence_limit: Option<Duration>,
        news: mpsc::Sender<News>,
    ) -> (Self, Publisher) {
        let (current, receiver) = watch::channel(None);
        let publisher = Publisher {
            current: receiver,
            connection: connection.clone(),
        };
        let link = Self {
            connection,
            consumer,
            silence_limit,
            current,
            news,
        };
        (link, publisher)
    }

    /// Keeps a subscription until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures: u32 = 0;
        loop {
            let begin = Instant::now();
            let ended = tokio::select! {
                () = shutdown.cancelled() => break,
                ended = self.session() => ended,
            };
            // Whoever publishes now learns at once that there is no connection.
            let was_up = self.current.send_replace(None).is_some();
            if was_up && self.news.send(News::Down(ended.clone())).await.is_err() {
                break;
            }
            failures = if was_up && begin.elapsed() > STABLE_AFTER {
                1
            } else {
                failures.saturating_add(1)
            };
            let whole = FIRST_WAIT
                .saturating_mul(1 << (failures - 1).min(10))
                .min(LONGEST_WAIT);
            let seed = (&self.consumer, failures, begin.elapsed());
            let wait = whole / 2 + jitter(whole / 2, seed);
            tracing::warn!(
                reason = ended,
                wait_ms = wait.as_millis(),
                "No subscription; trying again."
            );
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.current.send_replace(None);
    }

    /// One subscription from its beginning to its end; answers with the reason of the end.
    async fn session(&self) -> String {
        match self.try_session().await {
            Ok(reason) => reason,
            Err(Error::Refused { code, message }) => format!("{code:?}: {message}"),
            Err(error) => error.to_string(),
        }
    }

    async fn try_session(&self) -> Result<String, Error> {
        let channel = self.connection.open().await?;
        let mut client = client(channel.clone());
        let request = self.connection.request(SubscriptionRequest {
            source: String::new(),
            cluster_name: self.consumer.clone(),
            data_type: MANIFEST_BUNDLES.to_owned(),
        })?;
        let answer = tokio::time::timeout(SUBSCRIBE_TIMEOUT, client.subscribe(request))
            .await
            .map_err(|_| Error::Refused {
                code: tonic::Code::DeadlineExceeded,
                message: "the subscription was not confirmed in time".to_owned(),
            })??;
        let mut stream = answer.into_inner();
        self.current.send_replace(Some(channel));
        if self.news.send(News::Up).await.is_err() {
            return Ok("the agent is stopping".to_owned());
        }
        let mut silence = Silence::new(self.silence_limit);
        loop {
            let message = match silence.limit {
                None => stream.message().await,
                Some(limit) => match tokio::time::timeout(limit, stream.message()).await {
                    Ok(message) => message,
                    Err(_) => {
                        return Ok(format!(
                            "stream timeout: no heartbeat received for {} s",
                            limit.as_secs()
                        ));
                    }
                },
            };
            let Some(message) = message? else {
                return Ok("the server ended the stream".to_owned());
            };
            match Incoming::from_proto(message) {
                Ok(Incoming::Heartbeat) => silence.heartbeat(Instant::now()),
                Ok(Incoming::Event(event)) => {
                    if self.news.send(News::Event(event)).await.is_err() {
                        return Ok("the agent is stopping".to_owned());
                    }
                }
                Err(error) => tracing::warn!(%error, "An event can't be read and is left out."),
            }
        }
    }
}

impl Publisher {
    /// Publishes an event; answers with the server's sequence id if it tells one.
    ///
    /// # Errors
    /// No connection, or a refusal. Nothing is tried again here.
    ///
    /// # Cancel safety
    /// Whether the server took the event is unknown when the future is dropped.
    pub async fn publish(&self, event: Event) -> Result<Option<SequenceId>, Error> {
        let mut connection = self.current.clone();
        let channel = connection.borrow_and_update().clone();
        let channel = channel.ok_or(Error::NotConnected)?;
        let mut request = self.connection.request(PublishRequest {
            event: Some(event.into()),
        })?;
        request.set_timeout(PUBLISH_TIMEOUT);
        let mut client = client(channel);
        let answer = tokio::select! {
            answer = tokio::time::timeout(PUBLISH_TIMEOUT, client.publish(request)) => answer,
            // The stream beside it broke; an answer may never come.
            _ = connection.changed() => return Err(Error::NotConnected),
        };
        let answer = answer.map_err(|_| Error::Refused {
            code: tonic::Code::DeadlineExceeded,
            message: "the publication was not answered in time".to_owned(),
        })??;
        let last = answer
            .metadata()
            .get(LAST_SEQUENCE)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        Ok(last)
    }
}

fn client(channel: Channel) -> Client {
    CloudEventServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Refused {
            code: status.code(),
            message: status.message().to_owned(),
        }
    }
}

/// How long a stream may be silent. Without a configured limit it follows the rhythm of the heartbeats: a server that
/// sends none is only asked by HTTP/2 pings whether it is there.
struct Silence {
    limit: Option<Duration>,
    configured: bool,
    last: Option<Instant>,
}

impl Silence {
    fn new(configured: Option<Duration>) -> Self {
        Self {
            limit: configured,
            configured: configured.is_some(),
            last: None,
        }
    }

    fn heartbeat(&mut self, now: Instant) {
        if self.configured {
            return;
        }
        let rhythm = self.last.map_or(Duration::ZERO, |last| now - last);
        let limit = HEARTBEAT_LIMIT.max(rhythm * 5 / 2);
        self.limit = Some(self.limit.map_or(limit, |known| known.max(limit)));
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_follows_the_rhythm_of_the_server() {
        let mut silence = Silence::new(None);
        assert_eq!(
            silence.limit, None,
            "a server without heartbeats is not cut off"
        );
        let begin = Instant::now();
        silence.heartbeat(begin);
        assert_eq!(silence.limit, Some(HEARTBEAT_LIMIT));
        silence.heartbeat(begin + Duration::from_secs(40));
        assert_eq!(silence.limit, Some(Duration::from_secs(100)));
        let mut fixed = Silence::new(Some(Duration::from_secs(5)));
        fixed.heartbeat(begin);
        assert_eq!(fixed.limit, Some(Duration::from_secs(5)));
    }
}
