//! A stream that is read in the background, and looked at in order.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_wire::proto::CloudEvent;
use event_wire::{Incoming, SUBSCRIPTION_ID_HEADER};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tonic::{Response, Status, Streaming};

use super::recording::{Seen, What};
use super::stage::EVENT;
use super::{Error, Stage};

/// A stream of events. Dropping it closes it.
pub struct Subscription {
    shared: Arc<Shared>,
    subscription_id: Option<String>,
    stage: Stage,
    reading: watch::Sender<bool>,
    /// How many of the events have been looked at.
    cursor: usize,
    task: JoinHandle<()>,
}

/// How a stream ended.
#[derive(Clone, Debug)]
pub enum End {
    /// In order.
    Complete,
    /// With an error from the server or the connection.
    Failed(Status),
}

#[derive(Default)]
struct Shared {
    number: u64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    events: Vec<Arc<Seen>>,
    heartbeats: u64,
    unreadable: Vec<String>,
    end: Option<End>,
}

// === impl Subscription ===

impl Subscription {
    pub(super) fn start(
        response: Response<Streaming<CloudEvent>>,
        stage: &Stage,
        actor: &Arc<str>,
    ) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let subscription_id = response
            .metadata()
            .get(SUBSCRIPTION_ID_HEADER)
            .and_then(|id| id.to_str().ok())
            .map(ToOwned::to_owned);
        stage.recording.add(
            actor,
            What::Opened {
                stream: number,
                subscription_id: subscription_id.clone(),
            },
        );
        let shared = Arc::new(Shared {
            number,
            ..Shared::default()
        });
        let (reading, gate) = watch::channel(true);
        let task = tokio::spawn(read(
            response.into_inner(),
            Arc::clone(&shared),
            gate,
            stage.clone(),
            Arc::clone(actor),
        ));
        Self {
            shared,
            subscription_id,
            stage: stage.clone(),
            reading,
            cursor: 0,
            task,
        }
    }

    /// The header of that name.
    #[must_use]
    pub fn subscription_id(&self) -> Option<&str> {
        self.subscription_id.as_deref()
    }

    /// Number of the stream in the recording.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.shared.number
    }

    /// Stops taking bytes from the connection; windows fill up, as those of a stuck process do.
    pub fn pause(&self) {
        self.set_reading(false);
    }

    /// Reads again after [`Subscription::pause`].
    pub fn resume(&self) {
        self.set_reading(true);
    }

    fn set_reading(&self, wanted: bool) {
        self.reading
            .send_if_modified(|reading| std::mem::replace(reading, wanted) != wanted);
    }

    /// Heartbeats so far.
    #[must_use]
    pub fn heartbeats(&self) -> u64 {
        self.shared.state().heartbeats
    }

    /// What came and could not be read, in words.
    #[must_use]
    pub fn unreadable(&self) -> Vec<String> {
        self.shared.state().unreadable.clone()
    }

    /// How the stream ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.shared.state().end.clone()
    }

    /// Every event so far, looked at or not.
    #[must_use]
    pub fn seen(&self) -> Vec<Arc<Seen>> {
        self.shared.state().events.clone()
    }

    /// The events about a resource so far.
    #[must_use]
    pub fn about(&self, id: &str) -> Vec<Arc<Seen>> {
        let state = self.shared.state();
        state
            .events
            .iter()
            .filter(|seen| seen.id() == id)
            .cloned()
            .collect()
    }

    /// From here on, [`Subscription::next`] gives only what comes later.
    pub fn skip(&mut self) {
        self.cursor = self.shared.state().events.len();
    }

    /// The next event.
    ///
    /// # Errors
    /// None came in time, or the stream ended.
    pub async fn next(&mut self) -> Result<Arc<Seen>, Error> {
        self.until("an event", |_| true).await
    }

    /// Passes over events until one is the wanted one.
    ///
    /// # Errors
    /// It didn't come in time ([`EVENT`]), or the stream ended.
    pub async fn until(
        &mut self,
        what: &str,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<Arc<Seen>, Error> {
        self.until_within(EVENT, what, wanted).await
    }

    /// As [`Subscription::until`], with a limit (scaled).
    ///
    /// # Errors
    /// It didn't come in time, or the stream ended.
    pub async fn until_within(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<Arc<Seen>, Error> {
        let stage = self.stage.clone();
        stage
            .within(limit, what, async {
                loop {
                    let seen = self.shared.at(self.cursor, what).await?;
                    self.cursor += 1;
                    if wanted(&seen) {
                        return Ok(seen);
                    }
                }
            })
            .await?
    }

    /// Passes over events until there was one for each of so many resources; the last of each, by id.
    ///
    /// # Errors
    /// They didn't come in time (scaled), or the stream ended.
    pub async fn collect(
        &mut self,
        limit: Duration,
        resources: usize,
    ) -> Result<BTreeMap<String, Arc<Seen>>, Error> {
        let mut all = BTreeMap::new();
        let stage = self.stage.clone();
        let waiting = async {
            while all.len() < resources {
                let what = format!("events of {resources} resources");
                let seen = self.shared.at(self.cursor, &what).await?;
                self.cursor += 1;
                all.insert(seen.id().to_owned(), seen);
            }
            Ok::<(), Error>(())
        };
        let what = format!("events of {resources} resources");
        match stage.within(limit, &what, waiting).await {
            Ok(done) => done?,
            Err(Error::Deadline { after, .. }) => {
                return Err(Error::Deadline {
                    what: format!("{what} ({} came)", all.len()),
                    after,
                });
            }
            Err(other) => return Err(other),
        }
        Ok(all)
    }

    /// Listens for so long (not scaled: a quiet time is no deadline), and gives what came that is matched by `loud`.
    pub async fn listen(&mut self, time: Duration, loud: impl Fn(&Seen) -> bool) -> Vec<Arc<Seen>> {
        tokio::time::sleep(time).await;
        let state = self.shared.state();
        let from = self.cursor.min(state.events.len());
        self.cursor = state.events.len();
        state
            .events
            .iter()
            .skip(from)
            .filter(|seen| loud(seen))
            .cloned()
            .collect()
    }

    /// Waits until the stream has ended.
    ///
    /// # Errors
    /// It goes on (limit scaled).
    pub async fn ended(&self, limit: Duration) -> Result<End, Error> {
        self.stage
            .within(
                limit,
                "the end of the stream",
                self.shared.find(|state| state.end.clone()),
            )
            .await
    }

    /// Waits until so many heartbeats have come.
    ///
    /// # Errors
    /// They don't come (limit scaled).
    pub async fn beats(&self, limit: Duration, count: u64) -> Result<(), Error> {
        self.stage
            .within(
                limit,
                "a heartbeat",
                self.shared
                    .find(|state| (state.heartbeats >= count).then_some(())),
            )
            .await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the event at a position.
    async fn at(&self, position: usize, what: &str) -> Result<Arc<Seen>, Error> {
        let found = self.find(|state| {
            if let Some(seen) = state.events.get(position) {
                return Some(Ok(Arc::clone(seen)));
            }
            state.end.as_ref().map(|end| {
                Err(Error::Ended {
                    what: what.to_owned(),
                    end: end.to_string(),
                })
            })
        });
        found.await
    }

    async fn find<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look(&self.state()) {
                return found;
            }
            changed.await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }
}

async fn read(
    mut stream: Streaming<CloudEvent>,
    shared: Arc<Shared>,
    mut gate: watch::Receiver<bool>,
    stage: Stage,
    actor: Arc<str>,
) {
    let end = loop {
        if gate.wait_for(|reading| *reading).await.is_err() {
            break End::Complete;
        }
        let message = tokio::select! {
            message = stream.message() => message,
            _ = gate.wait_for(|reading| !*reading) => continue,
        };
        match message {
            Ok(Some(message)) => take(message, &shared, &stage, &actor),
            Ok(None) => break End::Complete,
            Err(status) => break End::Failed(status),
        }
    };
    let stream = shared.number;
    let why = end.to_string();
    stage.recording.add(&actor, What::Ended { stream, why });
    shared.change(|state| state.end = Some(end));
}

fn take(message: CloudEvent, shared: &Shared, stage: &Stage, actor: &Arc<str>) {
    let stream = shared.number;
    let recording = &stage.recording;
    match Incoming::from_proto(message) {
        Ok(Incoming::Heartbeat) => {
            recording.add(actor, What::Heartbeat { stream });
            shared.change(|state| state.heartbeats += 1);
        }
        Ok(Incoming::Event(event)) => {
            let seen = Arc::new(Seen {
                at: recording.now(),
                stream,
                event: *event,
            });
            recording.add(actor, What::Received(Arc::clone(&seen)));
            shared.change(|state| state.events.push(seen));
        }
        Err(error) => {
            let why = error.to_string();
            recording.add(
                actor,
                What::Unreadable {
                    stream,
                    why: why.clone(),
                },
            );
            shared.change(|state| state.unreadable.push(why));
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("in order"),
            Self::Failed(status) => write!(f, "{:?}: {}", status.code(), status.message()),
        }
    }
}
