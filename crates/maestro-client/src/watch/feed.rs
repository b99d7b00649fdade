//! One status subscription for all watches of a client.
//!
//! ```text
//!  server ──Subscribe──► reader task ──put──► Mailbox ──► watch (lists, tells differences)
//!                                    ──put──► Mailbox ──► watch
//! ```
//!
//! The first watch opens the subscription, the last one closes it. The reader never waits for a watch: a slow one loses its
//! place in the stream and lists again ([`super::mailbox`]).

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use event_wire::{Incoming, Subresource, codec::source, proto::CloudEvent};
use tokio_util::sync::CancellationToken;

pub(crate) use super::mailbox::Interest;
use super::mailbox::{Gap, Link, Mailbox, Report};
use crate::{Client, Error, backoff::Backoff, grpc::longest_wait};

/// A subscription that lived this long was a good one: the next wait is short again.
const GOOD_SUBSCRIPTION: Duration = Duration::from_secs(10);

/// The subscription of a client; open while somebody watches.
pub(crate) struct Feed {
    state: Mutex<State>,
}

struct State {
    members: Vec<Arc<Mailbox>>,
    /// Stops the reader, if there is one.
    reader: Option<CancellationToken>,
    /// Which reader may speak: one that was stopped may still have something to say.
    turn: u64,
    link: Link,
    /// How often the link changed; numbers its states.
    changes: u64,
}

/// A watch's part in the subscription; leaves when it is dropped.
pub(crate) struct Member {
    client: Client,
    mailbox: Arc<Mailbox>,
    /// Failures that were told.
    told: u64,
}

/// The one who reads. However it ends, watches learn of it.
struct Reader {
    client: Client,
    turn: u64,
}

// === impl Feed ===

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                members: Vec::new(),
                reader: None,
                turn: 0,
                link: Link::Opening,
                changes: 0,
            }),
        }
    }

    /// Takes part. Must be called within a Tokio runtime.
    pub(crate) fn join(client: &Client, interest: Interest) -> Member {
        let limit = client.shared.config.watch_buffer;
        let mut state = client.shared.feed.lock();
        let reading = state.start_reader(client);
        let mailbox = Arc::new(Mailbox::new(interest, limit, state.link.clone()));
        state.members.push(Arc::clone(&mailbox));
        drop(state);
        if let Some(reading) = reading {
            tokio::spawn(reading);
        }
        Member {
            client: client.clone(),
            mailbox,
            told: 0,
        }
    }

    pub(crate) fn members(&self) -> usize {
        self.lock().members.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// A reader to be spawned if there is none, once the state is unlocked: a runtime that is ending drops what is spawned on it
    /// at once, and a reader that is dropped says so here.
    #[must_use]
    fn start_reader(&mut self, client: &Client) -> Option<impl Future<Output = ()> + Send + use<>> {
        if self.reader.is_some() {
            return None;
        }
        self.turn += 1;
        self.link = Link::Opening;
        let stop = CancellationToken::new();
        self.reader = Some(stop.clone());
        let reader = Reader {
            client: client.clone(),
            turn: self.turn,
        };
        Some(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                never = reader.run() => match never {},
            }
        })
    }

    fn set_link(&mut self, link: impl FnOnce(u64) -> Link) {
        self.changes += 1;
        self.link = link(self.changes);
        self.tell_link();
    }

    fn tell_link(&self) {
        for member in &self.members {
            member.set_link(self.link.clone());
        }
    }
}

// === impl Member ===

impl Member {
    /// The number of the subscription, once there is one. Each failure to get one is told once.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn open(&mut self) -> Result<u64, Error> {
        loop {
            match self.mailbox.link() {
                Link::Open(number) => return Ok(number),
                Link::Broken(number, error) if number > self.told => {
                    self.told = number;
                    return Err(error);
                }
                Link::Abandoned => {
                    self.restart();
                    // If this runtime is ending, too, it is abandoned again.
                    tokio::task::yield_now().await;
                }
                Link::Broken(..) | Link::Opening => self.mailbox.changed().await,
            }
        }
    }

    /// From now on every report is kept: a list is about to begin.
    pub(super) fn begin(&self) {
        self.mailbox.begin();
    }

    /// Waits until the subscription is no longer the one with this number.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(super) async fn closed(&self, subscription: u64) {
        while matches!(self.mailbox.link(), Link::Open(number) if number == subscription) {
            self.mailbox.changed().await;
        }
    }

    /// A report that waits already.
    pub(super) fn take(
        &self,
        subscription: u64,
    ) -> Result<Option<Arc<manifestwork::ManifestWork>>, Gap> {
        self.mailbox.take(subscription)
    }

    /// The next report.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn next(
        &self,
        subscription: u64,
    ) -> Result<Arc<manifestwork::ManifestWork>, Gap> {
        loop {
            if let Some(work) = self.take(subscription)? {
                return Ok(work);
            }
            self.mailbox.changed().await;
        }
    }

    /// Reads on this runtime from now on: the one that did has ended.
    fn restart(&self) {
        let mut state = self.client.shared.feed.lock();
        let reading = state.start_reader(&self.client);
        state.tell_link();
        drop(state);
        if let Some(reading) = reading {
            tokio::spawn(reading);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.client.shared.feed.lock();
        state
            .members
            .retain(|member| !Arc::ptr_eq(member, &self.mailbox));
        if state.members.is_empty()
            && let Some(reader) = state.reader.take()
        {
            state.turn += 1;
            reader.cancel();
        }
    }
}

// === impl Reader ===

impl Reader {
    async fn run(&self) -> Infallible {
        let mut backoff = Backoff::default();
        loop {
            let started = Instant::now();
            let error = match self.subscription().await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            if started.elapsed() >= GOOD_SUBSCRIPTION {
                backoff.reset();
            }
            let wait = backoff.next(longest_wait(&error));
            tracing::debug!(error = %error, ?wait, "subscription lost");
            self.tell(|state| state.set_link(|number| Link::Broken(number, error)));
            tokio::time::sleep(wait).await;
        }
    }

    /// Opens the subscription and hands out what it brings until it ends.
    async fn subscription(&self) -> Result<Infallible, Error> {
        let shared = &self.client.shared;
        let silence = shared.config.server_healthiness_timeout;
        let opened = shared.grpc.subscribe().await;
        // No answer, or one on a later connection only: others may lead nowhere as well.
        if matches!(&opened, Err(Error::Timeout { .. }))
            || opened.as_ref().is_ok_and(|opened| opened.overtook)
        {
            shared.forget_connections();
        }
        let mut subscription = opened?;
        self.tell(|state| state.set_link(Link::Open));
        tracing::debug!("subscribed");
        loop {
            let message = within(silence, shared.grpc.next_message(&mut subscription))
                .await
                .inspect_err(|_| shared.forget_connections())??;
            if let Some(report) = self.report(message) {
                self.tell(|state| {
                    for member in &state.members {
                        member.put(&report);
                    }
                });
            }
        }
    }

    /// What a message tells about a work; nothing if it is a heartbeat or about something else.
    fn report(&self, message: CloudEvent) -> Option<Report> {
        let size = size(&message);
        let event = match Incoming::from_proto(message) {
            Ok(Incoming::Event(event)) => event,
            Ok(Incoming::Heartbeat) => return None,
            Err(error) => {
                tracing::warn!(error = %error, "an event of the subscription can't be read");
                return None;
            }
        };
        if !event.event_type.data_type.is_manifest_bundles()
            || event.event_type.subresource != Subresource::Status
        {
            return None;
        }
        match source::decode_status(&event) {
            Ok(work) => {
                let executors = &self.client.shared.executors;
                if work.is_deleted() {
                    executors.forget(&work.metadata.uid);
                } else if !work.spec.workload.manifests.is_empty() {
                    executors.remember(&work, work.metadata.generation);
                }
                Some(Report {
                    work: Arc::new(work),
                    size,
                })
            }
            Err(error) => {
                tracing::warn!(error = %error, event = %event.id, "a status event can't be read");
                None
            }
        }
    }

    /// Speaks to the members, unless it is another's turn.
    fn tell(&self, what: impl FnOnce(&mut State)) {
        let mut state = self.client.shared.feed.lock();
        if state.turn == self.turn {
            what(&mut state);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // After a stop it is no longer our turn; otherwise the runtime ended, or we panicked.
        self.tell(|state| {
            state.reader = None;
            state.set_link(|_| Link::Abandoned);
        });
    }
}

/// What comes before a silence that is too long. Any message shows that the server is alive, not only heartbeats.
async fn within<T>(silence: Option<Duration>, next: impl Future<Output = T>) -> Result<T, Error> {
    match silence {
        None => Ok(next.await),
        Some(limit) => tokio::time::timeout(limit, next).await.map_err(|_| {
            Error::unavailable(format!(
                "stream timeout: no heartbeat received for {limit:?}"
            ))
        }),
    }
}

/// About how many bytes an event holds.
fn size(message: &CloudEvent) -> usize {
    use event_wire::proto::cloud_event::Data;
    /// What a work takes beside its payload.
    const OVERHEAD: usize = 1024;
    match &message.data {
        Some(Data::BinaryData(data)) => data.len() + OVERHEAD,
        _ => OVERHEAD,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::Config;

    /// Such a runtime drops what is spawned on it at once, and a reader that is dropped says so to the feed.
    #[test]
    fn who_joins_on_a_runtime_that_has_ended_learns_that_nobody_reads() {
        let (done, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let handle = runtime.handle().clone();
            drop(runtime);
            let _inside = handle.enter();
            let client = Client::new(Config {
                rest_url: "http://127.0.0.1:1".into(),
                grpc_address: "127.0.0.1:1".into(),
                source_id: "s".into(),
                ..Config::default()
            });
            let interest = Interest {
                consumer: None,
                name: None,
            };
            let member = Feed::join(&client.unwrap(), interest);
            done.send(matches!(member.mailbox.link(), Link::Abandoned))
                .unwrap();
        });
        let abandoned = told.recv_timeout(Duration::from_secs(30));
        assert!(abandoned.expect("nobody waits for a lock that he holds"));
    }
}
