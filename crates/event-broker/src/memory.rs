//! The broker inside one process: a queue per subscription, nothing on disk.
//!
//! A stopped process loses what is queued. That is safe for pulses: Sentinel compares and pulses again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::broker::{Outcome, Settle, Source};
use crate::event::MAX_EVENT_BYTES;
use crate::{Broker, Consumer, Delivery, Error, Event, Retry, Subscription};

/// Dead letters kept for inspection per subscription; the oldest is dropped first.
pub const DEAD_LETTERS_KEPT: usize = 1_000;

/// Subscriptions that one broker holds.
pub const MAX_SUBSCRIPTIONS: usize = 1_000;

/// An event that failed too often, as [`MemoryBroker::dead_letters`] shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The event.
    pub event: Event,
    /// How often it was delivered.
    pub deliveries: u32,
    /// When it was given up.
    pub at: Timestamp,
}

/// How much a subscription holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Due or waiting for their redelivery.
    pub waiting: usize,
    /// In the hand of a consumer.
    pub in_hand: usize,
    /// Given up since the broker started.
    pub dead: u64,
}

/// The in-process broker.
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

/// Plain data behind a lock that is never held across an await.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    queues: HashMap<String, Arc<Queue>>,
}

impl MemoryBroker {
    /// A new, empty broker.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::default(),
        })
    }

    /// The newest [`DEAD_LETTERS_KEPT`] events that the subscription gave up, oldest first.
    #[must_use]
    pub fn dead_letters(&self, subscription: &str) -> Vec<DeadLetter> {
        let queue = self.shared.state().queues.get(subscription).cloned();
        queue.map_or_else(Vec::new, |queue| {
            queue.lock().dead.iter().cloned().collect()
        })
    }

    /// What the subscription holds now; zeroes if there is none.
    #[must_use]
    pub fn depth(&self, subscription: &str) -> Depth {
        let queue = self.shared.state().queues.get(subscription).cloned();
        queue.map_or_else(Depth::default, |queue| {
            let inner = queue.lock();
            Depth {
                waiting: inner.waiting.len(),
                in_hand: inner.in_hand,
                dead: inner.dead_total,
            }
        })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A dead letter reaches whoever listens to its topic and has room; it is kept for inspection in any case.
    fn forward(&self, topic: &str, event: &Event) {
        for queue in self.queues_of(topic).unwrap_or_default() {
            if !queue.push(event.clone()) {
                tracing::warn!(topic, subscription = %queue.settings.id, event_id = %event.id,
                    "no room for a dead letter");
            }
        }
    }

    fn queues_of(&self, topic: &str) -> Result<Vec<Arc<Queue>>, Error> {
        let state = self.state();
        if state.closed {
            return Err(Error::Closed);
        }
        Ok(state
            .queues
            .values()
            .filter(|queue| queue.settings.topic == topic)
            .cloned()
            .collect())
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, topic: &str, event: &Event) -> Result<(), Error> {
        if topic.is_empty() {
            return Err(Error::Invalid("topic is required".into()));
        }
        let size = event.to_json().len();
        if size > MAX_EVENT_BYTES {
            return Err(Error::Invalid(format!(
                "event {}: {size} bytes, the limit is {MAX_EVENT_BYTES}",
                event.id
            )));
        }
        let queues = self.shared.queues_of(topic)?;
        if queues.is_empty() {
            tracing::warn!(topic, event_id = %event.id, "nobody subscribes to this topic: event dropped");
        }
        let mut full: Vec<&Arc<Queue>> = queues
            .iter()
            .filter(|queue| !queue.push(event.clone()))
            .collect();
        full.sort_by(|a, b| a.settings.id.cmp(&b.settings.id));
        match full.first() {
            None => Ok(()),
            Some(first) => Err(Error::QueueFull {
                topic: topic.into(),
                capacity: first.settings.capacity,
                subscriptions: full.iter().map(|queue| queue.settings.id.clone()).collect(),
            }),
        }
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<Consumer, Error> {
        subscription.check()?;
        let mut state = self.shared.state();
        if state.closed {
            return Err(Error::Closed);
        }
        let count = state.queues.len();
        let queue = match state.queues.get(&subscription.id) {
            Some(queue) if queue.settings.topic == subscription.topic => Arc::clone(queue),
            Some(queue) => {
                return Err(Error::Invalid(format!(
                    "subscription {:?} is attached to topic {:?}, not {:?}",
                    subscription.id, queue.settings.topic, subscription.topic
                )));
            }
            None if count >= MAX_SUBSCRIPTIONS => {
                return Err(Error::Invalid(format!(
                    "this broker holds at most {MAX_SUBSCRIPTIONS} subscriptions"
                )));
            }
            None => {
                let queue = Arc::new(Queue::new(subscription.clone(), &self.shared));
                state
                    .queues
                    .insert(subscription.id.clone(), Arc::clone(&queue));
                queue
            }
        };
        Ok(Consumer::new(Box::new(MemoryConsumer {
            queue,
            slots: Arc::new(Semaphore::new(subscription.parallelism)),
        })))
    }

    fn health(&self) -> Result<(), Error> {
        if self.shared.state().closed {
            return Err(Error::Closed);
        }
        Ok(())
    }

    async fn close(&self) {
        let queues: Vec<_> = {
            let mut state = self.shared.state();
            state.closed = true;
            state.queues.values().cloned().collect()
        };
        for queue in queues {
            queue.lock().closed = true;
            queue.changed.notify_waiters();
        }
    }
}

/// The queue of one subscription.
struct Queue {
    settings: Subscription,
    /// To hand dead letters to the subscriptions of their topic.
    broker: Weak<Shared>,
    inner: Mutex<Inner>,
    /// Told whenever `inner` changed in a way that a waiting consumer may care about.
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    closed: bool,
    /// Ordered by due time, then by arrival: what is due first comes first.
    waiting: BTreeMap<(Instant, u64), Message>,
    arrivals: u64,
    in_hand: usize,
    dead: VecDeque<DeadLetter>,
    dead_total: u64,
}

struct Message {
    event: Event,
    /// Deliveries so far.
    deliveries: u32,
}

enum Next {
    Message(Message),
    WaitUntil(Option<Instant>),
    Closed,
}

impl Queue {
    fn new(settings: Subscription, broker: &Arc<Shared>) -> Self {
        Self {
            settings,
            broker: Arc::downgrade(broker),
            inner: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the event unless the subscription is full.
    fn push(&self, event: Event) -> bool {
        {
            let mut inner = self.lock();
            if inner.waiting.len() + inner.in_hand >= self.settings.capacity {
                return false;
            }
            inner.insert(
                Instant::now(),
                Message {
                    event,
                    deliveries: 0,
                },
            );
        }
        self.changed.notify_waiters();
        true
    }

    fn take(&self, now: Instant) -> Next {
        let mut inner = self.lock();
        if inner.closed {
            return Next::Closed;
        }
        match inner.waiting.first_key_value() {
            Some((&key, _)) if key.0 <= now => match inner.waiting.remove(&key) {
                Some(mut message) => {
                    message.deliveries += 1;
                    inner.in_hand += 1;
                    Next::Message(message)
                }
                None => Next::WaitUntil(None),
            },
            first => Next::WaitUntil(first.map(|(key, _)| key.0)),
        }
    }

    fn settle(&self, message: Message, outcome: Outcome) {
        let settings = &self.settings;
        let exhausted = message.deliveries >= settings.max_deliveries;
        let mut given_up = None;
        {
            let mut inner = self.lock();
            inner.in_hand = inner.in_hand.saturating_sub(1);
            let delay = match outcome {
                Outcome::Acked => {
                    drop(inner);
                    self.changed.notify_waiters();
                    return;
                }
                Outcome::Nacked(Retry::Drop) => None,
                Outcome::Nacked(_) | Outcome::Abandoned if exhausted => None,
                Outcome::Nacked(Retry::After(delay)) => Some(delay),
                Outcome::Nacked(Retry::Backoff) | Outcome::Abandoned => {
                    Some(settings.backoff(message.deliveries))
                }
            };
            match delay {
                Some(delay) => inner.insert(Instant::now() + delay, message),
                None => {
                    tracing::warn!(subscription = %settings.id, topic = %settings.dead_letter_topic(),
                        event_id = %message.event.id, deliveries = message.deliveries, "event given up");
                    given_up = Some(message.event.clone());
                    inner.bury(message);
                }
            }
        }
        if let (Some(event), Some(broker)) = (given_up, self.broker.upgrade()) {
            broker.forward(&settings.dead_letter_topic(), &event);
        }
        self.changed.notify_waiters();
    }
}

impl Inner {
    fn insert(&mut self, due: Instant, message: Message) {
        self.arrivals += 1;
        self.waiting.insert((due, self.arrivals), message);
    }

    fn bury(&mut self, message: Message) {
        if self.dead.len() == DEAD_LETTERS_KEPT {
            self.dead.pop_front();
        }
        self.dead_total += 1;
        self.dead.push_back(DeadLetter {
            event: message.event,
            deliveries: message.deliveries,
            at: Timestamp::now(),
        });
    }
}

struct MemoryConsumer {
    queue: Arc<Queue>,
    slots: Arc<Semaphore>,
}

impl Source for MemoryConsumer {
    fn next<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = Option<Delivery>> + Send + 'a>> {
        Box::pin(async move {
            loop {
                // Registered before the look, so that a change in between is not missed.
                let changed = self.queue.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                // A closed queue must end even a consumer whose hands are full.
                if self.queue.lock().closed {
                    return None;
                }
                let slot = tokio::select! {
                    slot = Arc::clone(&self.slots).acquire_owned() => slot.ok()?,
                    () = &mut changed => continue,
                };
                match self.queue.take(Instant::now()) {
                    Next::Closed => return None,
                    Next::Message(message) => return Some(self.deliver(message, slot)),
                    Next::WaitUntil(due) => {
                        drop(slot);
                        match due {
                            Some(due) => tokio::select! {
                                () = &mut changed => {}
                                () = tokio::time::sleep_until(due) => {}
                            },
                            None => changed.await,
                        }
                    }
                }
            }
        })
    }
}

impl MemoryConsumer {
    fn deliver(&self, message: Message, slot: OwnedSemaphorePermit) -> Delivery {
        // Another event may be due for another consumer, which this one's wake-up consumed.
        self.queue.changed.notify_one();
        let last_attempt = message.deliveries >= self.queue.settings.max_deliveries;
        Delivery::new(
            message.event.clone(),
            message.deliveries,
            last_attempt,
            Box::new(Settlement {
                queue: Arc::downgrade(&self.queue),
                message,
                _slot: slot,
            }),
        )
    }
}

struct Settlement {
    queue: Weak<Queue>,
    message: Message,
    _slot: OwnedSemaphorePermit,
}

impl Settle for Settlement {
    fn settle(self: Box<Self>, outcome: Outcome) {
        if let Some(queue) = self.queue.upgrade() {
            queue.settle(self.message, outcome);
        }
    }
}
