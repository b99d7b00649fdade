//! The task behind a watch: connect, list, stream, and again.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    time::{Duration, Instant},
};

use event_wire::{Incoming, Subresource, codec::source, proto::CloudEvent};
use manifestwork::ManifestWork;
use tokio::sync::mpsc;
use tonic::Streaming;

use super::{WatchError, WatchEvent, WatchOptions, tracker::Tracker};
use crate::{
    Error, Works,
    backoff::Backoff,
    grpc::{ended, longest_wait},
};

/// A session that lived this long was a good one: the next wait is short again.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// Bytes of status events that are held back while a list is read; more wait in the connection.
const MAX_EARLY: usize = 32 * 1024 * 1024;

/// Why a session ended.
enum End {
    /// Nobody reads any more.
    Dropped,
    /// It will be tried again.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs until nobody reads any more.
pub(super) async fn run(works: Works, options: WatchOptions, sender: mpsc::Sender<WatchEvent>) {
    let mut tracker = Tracker::new(works.consumer(), options.clone());
    let mut backoff = Backoff::default();
    let output = Output { sender };
    loop {
        let started = Instant::now();
        let error = match session(&works, &options, &mut tracker, &output).await {
            Ok(never) => match never {},
            Err(End::Dropped) => return,
            Err(End::Failed(error)) => error,
        };
        if started.elapsed() >= GOOD_SESSION {
            backoff.reset();
        }
        let wait = backoff.next(longest_wait(&error));
        tracing::debug!(error = %error, ?wait, "watch interrupted");
        if output
            .send(WatchEvent::Interrupted(WatchError(error)))
            .await
            .is_err()
        {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

async fn session(
    works: &Works,
    options: &WatchOptions,
    tracker: &mut Tracker,
    output: &Output,
) -> Result<Infallible, End> {
    let mut stream = Statuses {
        stream: works.client().shared.grpc.subscribe().await?,
        works,
        silence: works.client().shared.config.server_healthiness_timeout,
    };
    let mut early = Early::default();
    tracker.begin_list();
    let mut pages = match &options.name {
        Some(_) => None,
        None => Some(works.pages(&options.label_selector)?),
    };
    loop {
        let page = {
            let page = next_page(works, options, pages.as_mut());
            tokio::pin!(page);
            loop {
                tokio::select! {
                    page = &mut page => break page?,
                    message = stream.next(), if early.has_room() => {
                        if let Some((work, size)) = message? {
                            early.keep(work, size);
                        }
                    }
                }
            }
        };
        let Some(page) = page else { break };
        let last = options.name.is_some();
        for work in page {
            output.send_all(tracker.listed(work)).await?;
        }
        if last {
            break;
        }
    }
    output.send_all(tracker.end_list()).await?;
    for work in early.take() {
        output.send_all(tracker.reported(work)).await?;
    }
    output.send(WatchEvent::Synced).await?;
    tracing::debug!("watch synced");
    loop {
        if let Some((work, _)) = stream.next().await? {
            output.send_all(tracker.reported(work)).await?;
        }
    }
}

/// The next works of the list; with a name there is one page with at most that work.
async fn next_page(
    works: &Works,
    options: &WatchOptions,
    pages: Option<&mut crate::bundle::Pages>,
) -> Result<Option<Vec<ManifestWork>>, Error> {
    match (&options.name, pages) {
        (Some(name), _) => match works.get(name).await {
            Ok(work) => Ok(Some(vec![work])),
            Err(Error::NotFound { .. }) => Ok(Some(Vec::new())),
            Err(error) => Err(error),
        },
        (None, Some(pages)) => Ok(pages
            .next()
            .await?
            .map(|page| page.into_iter().map(ManifestWork::from).collect())),
        (None, None) => Ok(None),
    }
}

/// The reading end of a subscription.
struct Statuses<'a> {
    stream: Streaming<CloudEvent>,
    works: &'a Works,
    silence: Option<Duration>,
}

impl Statuses<'_> {
    /// The next work with its size, or nothing if the message was a heartbeat or about something else.
    ///
    /// Cancel safe: a message is taken from the connection or not.
    async fn next(&mut self) -> Result<Option<(ManifestWork, usize)>, Error> {
        let grpc = &self.works.client().shared.grpc;
        // The time spent elsewhere doesn't count as silence: each wait begins anew.
        let message = match self.silence {
            None => self.stream.message().await,
            Some(limit) => tokio::time::timeout(limit, self.stream.message())
                .await
                .map_err(|_| {
                    Error::unavailable(format!(
                        "stream timeout: no heartbeat received for {limit:?}"
                    ))
                })?,
        };
        let message = message
            .map_err(|status| grpc.subscription_ended(&status))?
            .ok_or_else(|| grpc.subscription_ended(&ended()))?;
        let size = prost_len(&message);
        let event = match Incoming::from_proto(message) {
            Ok(Incoming::Event(event)) => event,
            Ok(Incoming::Heartbeat) => return Ok(None),
            Err(error) => {
                tracing::warn!(error = %error, "an event of the subscription can't be read");
                return Ok(None);
            }
        };
        if !event.event_type.data_type.is_manifest_bundles()
            || event.event_type.subresource != Subresource::Status
        {
            return Ok(None);
        }
        match source::decode_status(&event) {
            Ok(work) => {
                if !work.spec.workload.manifests.is_empty() {
                    self.works
                        .client()
                        .remember_executor(&work, work.metadata.generation);
                }
                Ok(Some((work, size)))
            }
            Err(error) => {
                tracing::warn!(error = %error, event = %event.id, "a status event can't be read");
                Ok(None)
            }
        }
    }
}

/// About how many bytes an event holds.
fn prost_len(message: &CloudEvent) -> usize {
    use event_wire::proto::cloud_event::Data;
    match &message.data {
        Some(Data::BinaryData(data)) => data.len(),
        _ => 0,
    }
}

/// Status events that came while the list was read: the last of each work, and the end of a work beside it.
#[derive(Default)]
struct Early {
    works: BTreeMap<(String, bool), (ManifestWork, usize)>,
    order: Vec<(String, bool)>,
    size: usize,
}

impl Early {
    fn has_room(&self) -> bool {
        self.size < MAX_EARLY
    }

    fn keep(&mut self, work: ManifestWork, size: usize) {
        let key = (work.metadata.uid.clone(), work.is_deleted());
        self.size += size;
        if let Some((_, before)) = self.works.insert(key.clone(), (work, size)) {
            self.size -= before;
            self.order.retain(|other| *other != key);
        }
        self.order.push(key);
    }

    fn take(mut self) -> Vec<ManifestWork> {
        self.order
            .iter()
            .filter_map(|key| self.works.remove(key).map(|(work, _)| work))
            .collect()
    }
}

/// The writing end of the watch.
struct Output {
    sender: mpsc::Sender<WatchEvent>,
}

impl Output {
    async fn send(&self, event: WatchEvent) -> Result<(), End> {
        self.sender.send(event).await.map_err(|_| End::Dropped)
    }

    async fn send_all(&self, events: Vec<WatchEvent>) -> Result<(), End> {
        for event in events {
            self.send(event).await?;
        }
        Ok(())
    }
}
