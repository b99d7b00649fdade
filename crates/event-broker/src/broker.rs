//! The trait that every broker implements, and the words it uses.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;

use crate::Event;

/// Publishes events and hands them to subscriptions, at least once.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Hands `event` to every subscription of `topic`. `Ok` means: each of them holds it.
    ///
    /// A topic without a subscription drops the event with a warning, as RabbitMQ does.
    ///
    /// # Errors
    /// [`Error::QueueFull`] names subscriptions that have no room; the others hold the event nevertheless, so
    /// publishing again is safe. [`Error::Unavailable`] when the broker can't be reached.
    async fn publish(&self, topic: &str, event: &Event) -> Result<(), Error>;

    /// Opens the subscription, creating it with its queue if it does not exist, and consumes from it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty id or topic, or an id that is already bound to another topic.
    async fn subscribe(&self, subscription: Subscription) -> Result<Consumer, Error>;

    /// Whether events can flow now; the text says why not.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Closed`].
    fn health(&self) -> Result<(), Error>;

    /// Ends all consumers: their [`Consumer::next`] answers `None`. Unacknowledged events stay queued. Idempotent.
    async fn close(&self);
}

/// Who listens to what, and how often an event may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Consumers with one id share the queue; different ids each get every event.
    pub id: String,
    /// The topic to listen to.
    pub topic: String,
    /// Deliveries that one consumer may hold unacknowledged at the same time; at least 1. Default 1.
    pub parallelism: usize,
    /// Deliveries of one event before it goes to the dead letters; at least 1. Default 5.
    pub max_deliveries: u32,
    /// Wait before the first redelivery; doubles each time. Default 100 ms.
    pub min_backoff: Duration,
    /// The longest wait between redeliveries. Default 10 s.
    pub max_backoff: Duration,
    /// Events the subscription holds, waiting or in hand; publishing beyond is refused. Default 10 000.
    pub capacity: usize,
}

impl Subscription {
    /// A subscription with the defaults named at the fields.
    pub fn new(id: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            topic: topic.into(),
            parallelism: 1,
            max_deliveries: 5,
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            capacity: 10_000,
        }
    }

    /// The same with `parallelism` deliveries in hand at once.
    #[must_use]
    pub fn parallelism(mut self, parallelism: usize) -> Self {
        self.parallelism = parallelism.max(1);
        self
    }

    /// Where its dead letters go: `<id>-dlq`.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        format!("{}-dlq", self.id)
    }

    /// The wait before delivery `attempt + 1`: `min · 2^(attempt-1)`, capped.
    #[must_use]
    pub fn backoff(&self, attempt: u32) -> Duration {
        let factor = 2u32.saturating_pow(attempt.saturating_sub(1).min(30));
        self.min_backoff
            .saturating_mul(factor)
            .min(self.max_backoff)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.id.is_empty() {
            return Err(Error::Invalid("subscription id is required".into()));
        }
        if self.topic.is_empty() {
            return Err(Error::Invalid(format!(
                "subscription {:?}: topic is required",
                self.id
            )));
        }
        if self.parallelism == 0 || self.max_deliveries == 0 || self.capacity == 0 {
            return Err(Error::Invalid(format!(
                "subscription {:?}: parallelism, max_deliveries and capacity must be at least 1",
                self.id
            )));
        }
        Ok(())
    }
}

/// What to do with an event whose handling failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Again after the subscription's own growing delay.
    Backoff,
    /// Again after this long.
    After(Duration),
    /// Never: to the dead letters now.
    Drop,
}

/// Where a driver hands its deliveries out. One implementation per broker.
pub(crate) trait Source: Send + Sync {
    fn next<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = Option<Delivery>> + Send + 'a>>;
}

/// What becomes of a delivery. Called exactly once.
pub(crate) trait Settle: Send + Sync {
    fn settle(self: Box<Self>, outcome: Outcome);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acked,
    Nacked(Retry),
    /// The delivery was dropped: its handler ended or panicked.
    Abandoned,
}

/// One open subscription. Dropping it leaves the queue in place.
pub struct Consumer {
    source: Box<dyn Source>,
}

impl Consumer {
    pub(crate) fn new(source: Box<dyn Source>) -> Self {
        Self { source }
    }

    /// The next event; waits while none is due or `parallelism` deliveries are in hand. `None` when the broker
    /// was closed.
    ///
    /// # Cancel safety
    /// Safe: an event that was not returned is still queued.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.source.next().await
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consumer")
    }
}

/// An event in hand. Dropping it unsettled counts as a failure: it is delivered again.
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// 1 for the first delivery.
    pub attempt: u32,
    /// Whether a failure now sends it to the dead letters.
    pub last_attempt: bool,
    settle: Option<Box<dyn Settle>>,
}

impl Delivery {
    pub(crate) fn new(
        event: Event,
        attempt: u32,
        last_attempt: bool,
        settle: Box<dyn Settle>,
    ) -> Self {
        Self {
            event,
            attempt,
            last_attempt,
            settle: Some(settle),
        }
    }

    /// Done: the event is never delivered again to this subscription.
    pub async fn ack(mut self) {
        self.finish(Outcome::Acked);
    }

    /// Failed: deliver again, or give up, as `retry` says.
    pub async fn nack(mut self, retry: Retry) {
        self.finish(Outcome::Nacked(retry));
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(settle) = self.settle.take() {
            settle.settle(outcome);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.finish(Outcome::Abandoned);
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("event", &self.event.id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What can go wrong at the door of a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// These subscriptions hold as many events as they may.
    #[error("topic {topic:?}: no room in subscription {}: {capacity} events wait there", .subscriptions.join(", "))]
    QueueFull {
        /// The topic published to.
        topic: String,
        /// Those without room.
        subscriptions: Vec<String>,
        /// Their bound, in events.
        capacity: usize,
    },
    /// A wrong argument: id, topic, event or broker URL.
    #[error("{0}")]
    Invalid(String),
    /// The kind of broker is known but not part of this build.
    #[error("{0}")]
    Unsupported(String),
    /// The broker can't be reached now.
    #[error("broker unavailable: {0}")]
    Unavailable(String),
    /// The broker was closed by this process.
    #[error("broker is closed")]
    Closed,
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::QueueFull { .. } | Self::Unavailable(_))
    }
}
