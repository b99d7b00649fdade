//! One object or a kind, followed across disconnects.
//!
//! A watch lists first, then follows the changes from there. When the connection breaks it goes on from the
//! last version it has seen; when that version is out of the server's history it lists again. The stream
//! never ends: drop it to stop. It does its work while it is polled and spawns nothing.

use std::pin::Pin;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{Stream, StreamExt, stream};
use kube::api::WatchEvent;
use serde_json::Value;

use crate::client::{List, identify_item};
use crate::{Client, Error, Resource, object};

/// How long the server keeps a watch open before it ends it in good order, in seconds.
const SERVER_TIMEOUT_SECONDS: u32 = 290;
/// A watch that is silent for longer than the server would keep it open is dead.
const IDLE_LIMIT: Duration = Duration::from_secs(SERVER_TIMEOUT_SECONDS as u64 + 30);
/// The first wait after a failure; doubled each time, jittered.
const MIN_BACKOFF: Duration = Duration::from_millis(200);
/// The longest wait after failures.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// What happens to the objects of a kind.
#[derive(Debug, Clone)]
pub enum Event {
    /// All objects that exist now; replaces whatever was known. Comes first, and again after a gap.
    Listed(Vec<Value>),
    /// An object was created or changed.
    Applied(Value),
    /// An object is gone; this is its last state.
    Deleted(Value),
    /// The server can't be watched at the moment; the watch goes on trying.
    Failed(Error),
}

/// What happens to one object.
#[derive(Debug, Clone)]
pub enum Observation {
    /// The object as it is now.
    Present(Value),
    /// The object doesn't exist.
    Absent,
    /// The server can't be watched at the moment; the watch goes on trying.
    Failed(Error),
}

/// Which objects of a kind to watch.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// A label selector.
    pub labels: Option<String>,
    /// A field selector.
    pub fields: Option<String>,
    /// Ask for `metadata` only.
    pub metadata_only: bool,
}

impl Client {
    /// Follows the objects of a kind, in one namespace or in all.
    pub fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selection: Selection,
    ) -> impl Stream<Item = Event> + Send + Unpin + use<> {
        let watcher = Watcher {
            client: self.clone(),
            resource: resource.clone(),
            namespace: namespace.map(str::to_owned),
            selection,
            state: State::List,
            backoff: backoff(),
            wait: None,
        };
        Box::pin(stream::unfold(watcher, |mut watcher| async move {
            let event = watcher.next().await;
            Some((event, watcher))
        }))
    }

    /// Follows one object, whether it exists or not.
    pub fn watch_one(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> impl Stream<Item = Observation> + Send + Unpin + use<> {
        let selection = Selection {
            fields: Some(format!("metadata.name={name}")),
            ..Selection::default()
        };
        let name = name.to_owned();
        self.watch(resource, namespace, selection)
            .map(move |event| observe(event, &name))
    }
}

/// Reads an event of a watch that selects one name. The name is compared again, in case a server ignores
/// the selector.
fn observe(event: Event, wanted: &str) -> Observation {
    match event {
        Event::Listed(items) => items
            .into_iter()
            .find(|item| object::name(item) == Some(wanted))
            .map_or(Observation::Absent, Observation::Present),
        Event::Applied(item) => Observation::Present(item),
        Event::Deleted(_) => Observation::Absent,
        Event::Failed(error) => Observation::Failed(error),
    }
}

type RawEvents = Pin<Box<dyn Stream<Item = Result<WatchEvent<Value>, Error>> + Send>>;

enum State {
    List,
    Open {
        from: String,
    },
    Follow {
        events: RawEvents,
        from: String,
        quiet: bool,
    },
}

struct Watcher {
    client: Client,
    resource: Resource,
    namespace: Option<String>,
    selection: Selection,
    state: State,
    backoff: ExponentialBackoff,
    wait: Option<Duration>,
}

impl Watcher {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(wait) = self.wait.take() {
                tokio::time::sleep(wait).await;
            }
            match std::mem::replace(&mut self.state, State::List) {
                State::List => match self.list().await {
                    Ok((items, from)) => {
                        self.state = State::Open { from };
                        return Event::Listed(items);
                    }
                    Err(error) => return self.failed(State::List, error),
                },
                State::Open { from } => match self.open(&from).await {
                    Ok(events) => {
                        self.state = State::Follow {
                            events,
                            from,
                            quiet: true,
                        };
                    }
                    Err(Error::Expired(_)) => self.pause(),
                    Err(error) => return self.failed(State::Open { from }, error),
                },
                State::Follow {
                    events,
                    from,
                    quiet,
                } => {
                    if let Some(event) = self.follow(events, from, quiet).await {
                        return event;
                    }
                }
            }
        }
    }

    /// Takes one raw event; `None` if it is of no interest to the caller.
    async fn follow(&mut self, mut events: RawEvents, from: String, quiet: bool) -> Option<Event> {
        let raw = match tokio::time::timeout(IDLE_LIMIT, events.next()).await {
            Ok(Some(raw)) => raw,
            Ok(None) | Err(_) => {
                // Ended in good order. One that never said anything may be a server that keeps hanging up.
                if quiet {
                    self.pause();
                }
                self.state = State::Open { from };
                return None;
            }
        };
        let (mut item, deleted) = match raw {
            Ok(WatchEvent::Added(item) | WatchEvent::Modified(item)) => (item, false),
            Ok(WatchEvent::Deleted(item)) => (item, true),
            Ok(WatchEvent::Bookmark(mark)) => {
                self.backoff = backoff();
                self.state = State::Follow {
                    events,
                    from: mark.metadata.resource_version,
                    quiet: false,
                };
                return None;
            }
            Ok(WatchEvent::Error(status)) => {
                let code = status.code;
                return match Error::from_status(*status, code) {
                    Error::Expired(_) => {
                        self.state = State::List;
                        None
                    }
                    error => Some(self.failed(State::List, error)),
                };
            }
            Err(error @ Error::Decode(_)) => return Some(self.failed(State::List, error)),
            Err(error) => return Some(self.failed(State::Open { from }, error)),
        };
        self.backoff = backoff();
        identify_item(&mut item, &self.resource);
        let from = object::resource_version(&item).map_or(from, str::to_owned);
        self.state = State::Follow {
            events,
            from,
            quiet: false,
        };
        Some(if deleted {
            Event::Deleted(item)
        } else {
            Event::Applied(item)
        })
    }

    async fn list(&mut self) -> Result<(Vec<Value>, String), Error> {
        let options = List {
            labels: self.selection.labels.clone(),
            fields: self.selection.fields.clone(),
            metadata_only: self.selection.metadata_only,
            ..List::default()
        };
        let listed = self
            .client
            .list_all(&self.resource, self.namespace.as_deref(), &options)
            .await?;
        Ok((listed.items, listed.resource_version))
    }

    async fn open(&mut self, from: &str) -> Result<RawEvents, Error> {
        let request = self.client.watch_request(
            &self.resource,
            self.namespace.as_deref(),
            &self.selection,
            from,
            SERVER_TIMEOUT_SECONDS,
        )?;
        self.client.turn().await;
        let limit = self.client.request_timeout();
        let kube = self.client.kube();
        let events = tokio::time::timeout(limit, kube.request_events::<Value>(request))
            .await
            .map_err(|_| Error::Timeout(limit))??;
        Ok(Box::pin(events.map(|event| event.map_err(Error::from))))
    }

    fn failed(&mut self, next: State, error: Error) -> Event {
        self.state = next;
        self.pause();
        Event::Failed(error)
    }

    fn pause(&mut self) {
        self.wait = Some(self.backoff.next().unwrap_or(MAX_BACKOFF));
    }
}

fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(MIN_BACKOFF)
        .with_max_delay(MAX_BACKOFF)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}
