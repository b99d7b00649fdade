//! An agent that runs by itself: connects, resyncs, holds what it was sent, reports, acknowledges deletes, and comes
//! back whenever its stream ends. How it behaves can be changed while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Agent, Error, Seen, Stage, Subscription};

/// How long after a failure the agent tries again, before scaling.
const RETRY: Duration = Duration::from_millis(200);

/// What an agent does by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Stays connected, and comes back after every end; `false` keeps away.
    pub connected: bool,
    /// Takes bytes from its stream; `false` leaves them in the connection, as a stuck process does.
    pub reading: bool,
    /// Reports `Applied=True` so long after a new version; `None` never.
    pub status_after: Option<Duration>,
    /// Reports `Deleted=True` so long after a delete; `None` never.
    pub acknowledge_after: Option<Duration>,
    /// Gives its connection up when nothing, not even a heartbeat, came for so long; `None` never.
    pub patience: Option<Duration>,
}

/// A running agent. Dropping it ends it.
pub struct Puppet {
    cluster: String,
    stage: Stage,
    behaviour: watch::Sender<Behaviour>,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// A work as the agent holds it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Newest version that was received.
    pub version: i32,
    /// A delete was received; nothing takes that back.
    pub deleting: bool,
    /// The event that brought this state.
    pub spec: Arc<Seen>,
    /// Version of the last status that the server accepted; 0 if there was none.
    pub reported: i32,
    due: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    works: BTreeMap<String, Held>,
    streams: u64,
    connected: bool,
    /// Ids of works whose deletion the server accepted as done.
    gone: Vec<String>,
    /// Live specs that came after a delete on the same stream.
    revived: Vec<Arc<Seen>>,
}

// === impl Behaviour ===

impl Default for Behaviour {
    /// Healthy: connected, reports and acknowledges at once.
    fn default() -> Self {
        Self {
            connected: true,
            reading: true,
            status_after: Some(Duration::ZERO),
            acknowledge_after: Some(Duration::ZERO),
            patience: None,
        }
    }
}

// === impl Puppet ===

impl Puppet {
    /// Starts an agent for a cluster; returns at once, [`Puppet::joined`] waits for its first stream.
    #[must_use]
    pub fn start(address: &str, cluster: &str, stage: &Stage, behaviour: Behaviour) -> Self {
        let (behaviour, wishes) = watch::channel(behaviour);
        let shared = Arc::<Shared>::default();
        let life = Life {
            address: address.to_owned(),
            cluster: cluster.to_owned(),
            stage: stage.clone(),
            wishes,
            shared: Arc::clone(&shared),
        };
        Self {
            cluster: cluster.to_owned(),
            stage: stage.clone(),
            behaviour,
            shared,
            task: tokio::spawn(life.run()),
        }
    }

    /// Its cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        self.behaviour.send_modify(change);
    }

    /// How many streams it has opened so far.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.shared.state().streams
    }

    /// Everything it holds now, by id.
    #[must_use]
    pub fn works(&self) -> BTreeMap<String, Held> {
        self.shared.state().works.clone()
    }

    /// What it holds of one work.
    #[must_use]
    pub fn work(&self, id: &str) -> Option<Held> {
        self.shared.state().works.get(id).cloned()
    }

    /// Ids of the works that it was told to delete, in the order in which the server accepted that they are gone.
    #[must_use]
    pub fn gone(&self) -> Vec<String> {
        self.shared.state().gone.clone()
    }

    /// Live specs that came after a delete of the same work; there must be none.
    #[must_use]
    pub fn revived(&self) -> Vec<Arc<Seen>> {
        self.shared.state().revived.clone()
    }

    /// Waits until it has a stream and the server has answered its resync.
    ///
    /// # Errors
    /// It has none in time (30 s, scaled).
    pub async fn joined(&self) -> Result<(), Error> {
        self.wait(Duration::from_secs(30), "a stream of the agent", |state| {
            state.connected.then_some(())
        })
        .await
    }

    /// Waits until what it holds is as wanted (limit scaled).
    ///
    /// # Errors
    /// It isn't in time; the text says how many works it holds.
    pub async fn until(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&BTreeMap<String, Held>) -> bool,
    ) -> Result<(), Error> {
        let waited = self
            .wait(limit, what, |state| wanted(&state.works).then_some(()))
            .await;
        waited.map_err(|error| match error {
            Error::Deadline { what, after } => Error::Deadline {
                what: format!(
                    "{what} (the agent of {} holds {} works)",
                    self.cluster,
                    self.works().len()
                ),
                after,
            },
            other => other,
        })
    }

    /// Waits until it holds these works in at least these versions, not deleting (limit scaled).
    ///
    /// # Errors
    /// It doesn't in time; the text names some that are missing.
    pub async fn holds(&self, limit: Duration, wanted: &[(String, i32)]) -> Result<(), Error> {
        let missing = |works: &BTreeMap<String, Held>| -> Vec<String> {
            let lacks = |(id, version): &&(String, i32)| {
                !works
                    .get(id)
                    .is_some_and(|held| held.version >= *version && !held.deleting)
            };
            let lacking = wanted.iter().filter(lacks);
            lacking
                .map(|(id, version)| format!("{id} v{version}"))
                .collect()
        };
        let waited = self
            .until(limit, "delivery", |works| missing(works).is_empty())
            .await;
        waited.map_err(|error| match error {
            Error::Deadline { after, .. } => {
                let missing = missing(&self.works());
                let some: Vec<&str> = missing.iter().take(3).map(String::as_str).collect();
                Error::Deadline {
                    what: format!(
                        "delivery of {} of {} works to {} ({}, …)",
                        missing.len(),
                        wanted.len(),
                        self.cluster,
                        some.join(", ")
                    ),
                    after,
                }
            }
            other => other,
        })
    }

    async fn wait<T>(
        &self,
        limit: Duration,
        what: &str,
        look: impl Fn(&State) -> Option<T>,
    ) -> Result<T, Error> {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look(&self.shared.state()) {
                    return found;
                }
                changed.await;
            }
        };
        self.stage.within(limit, what, waiting).await
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_waiters();
        result
    }
}

/// The task of an agent.
struct Life {
    address: String,
    cluster: String,
    stage: Stage,
    wishes: watch::Receiver<Behaviour>,
    shared: Arc<Shared>,
}

impl Life {
    async fn run(mut self) {
        loop {
            if self.wishes.wait_for(|wish| wish.connected).await.is_err() {
                return;
            }
            let mut leaving = self.wishes.clone();
            tokio::select! {
                left = leaving.wait_for(|wish| !wish.connected) => if left.is_err() { return },
                ended = self.attend() => if let Err(error) = ended {
                    self.stage.recording.note(format!("agent {}: {error}", self.cluster));
                },
            }
            self.shared.change(|state| state.connected = false);
            tokio::time::sleep(self.stage.scale.of(RETRY)).await;
        }
    }

    /// One connection, from subscription to its end.
    async fn attend(&self) -> Result<(), Error> {
        let agent = Agent::connect(&self.address, &self.cluster, &self.stage).await?;
        let mut stream = agent.subscribe().await?;
        self.shared.change(|state| state.streams += 1);
        let held = self.shared.state().works.clone();
        let list: Vec<(&str, i32)> = held
            .iter()
            .map(|(id, held)| (id.as_str(), held.version))
            .collect();
        agent.resync(&list).await?;
        self.shared.change(|state| state.connected = true);
        tokio::select! {
            ended = self.listen(&mut stream) => ended,
            never = self.answer(&agent) => never,
        }
    }

    async fn listen(&self, stream: &mut Subscription) -> Result<(), Error> {
        let mut wishes = self.wishes.clone();
        let mut beats = 0;
        let mut alive = Instant::now();
        let mut deleted = std::collections::BTreeSet::new();
        loop {
            let wish = wishes.borrow_and_update().clone();
            if wish.reading {
                stream.resume();
            } else {
                stream.pause();
            }
            let turn = Duration::from_millis(100);
            tokio::select! {
                changed = wishes.changed() => if changed.is_err() { return Ok(()) },
                seen = tokio::time::timeout(turn, stream.next()) => match seen {
                    Ok(Ok(seen)) => {
                        alive = Instant::now();
                        if seen.deleting() {
                            deleted.insert(seen.id().to_owned());
                        } else if deleted.contains(seen.id()) {
                            self.shared.change(|state| state.revived.push(Arc::clone(&seen)));
                        }
                        self.hold(&seen, &wish);
                    }
                    Ok(Err(Error::Deadline { .. })) => {}
                    Ok(Err(error)) => return Err(error),
                    Err(_) => {}
                },
            }
            if stream.heartbeats() > beats {
                beats = stream.heartbeats();
                alive = Instant::now();
            }
            if wish.patience.is_some_and(|limit| alive.elapsed() > limit) {
                return Err(Error::Deadline {
                    what: "a sign of life".to_owned(),
                    after: alive.elapsed(),
                });
            }
        }
    }

    fn hold(&self, seen: &Arc<Seen>, wish: &Behaviour) {
        let (id, version, deleting) = (seen.id(), seen.version(), seen.deleting());
        let after = if deleting {
            wish.acknowledge_after
        } else {
            wish.status_after
        };
        let due = after.map(|after| Instant::now() + after);
        self.shared.change(|state| match state.works.get_mut(id) {
            // Deletion is one-way, and old versions are ignored.
            Some(held) if !deleting && (held.deleting || version < held.version) => {}
            Some(held) => {
                let news = deleting || version > held.version || held.reported < version;
                held.version = held.version.max(version);
                held.deleting |= deleting;
                held.spec = Arc::clone(seen);
                if news && (held.due.is_none() || !deleting) {
                    held.due = due;
                }
            }
            None => {
                let held = Held {
                    version,
                    deleting,
                    spec: Arc::clone(seen),
                    reported: 0,
                    due,
                };
                state.works.insert(id.to_owned(), held);
            }
        });
    }

    /// Reports whatever is due, for as long as the connection lasts.
    async fn answer(&self, agent: &Agent) -> Result<(), Error> {
        loop {
            self.requeue();
            let next = {
                let state = self.shared.state();
                let due = state
                    .works
                    .values()
                    .filter_map(|held| Some((held.due?, Arc::clone(&held.spec), held.deleting)));
                due.min_by_key(|(due, ..)| *due)
            };
            let Some((due, spec, deleting)) = next else {
                self.pause(Duration::from_secs(1)).await;
                continue;
            };
            let now = Instant::now();
            if due > now {
                self.pause(due - now).await;
                continue;
            }
            let outcome = if deleting {
                agent.deleted(&spec).await
            } else {
                agent.applied(&spec).await
            };
            let retry = self.stage.scale.of(RETRY);
            self.shared.change(|state| {
                let id = spec.id();
                if outcome.is_err() {
                    if let Some(held) = state.works.get_mut(id) {
                        held.due = Some(Instant::now() + retry);
                    }
                } else if deleting {
                    state.works.remove(id);
                    state.gone.push(id.to_owned());
                } else if let Some(held) = state.works.get_mut(id) {
                    held.reported = spec.version();
                    if Arc::ptr_eq(&held.spec, &spec) {
                        held.due = None;
                    }
                }
            });
        }
    }

    /// What was not to be reported may be now.
    fn requeue(&self) {
        let wish = self.wishes.borrow().clone();
        let mut state = self.shared.state();
        for held in state.works.values_mut() {
            let after = if held.deleting {
                wish.acknowledge_after
            } else if held.reported < held.version {
                wish.status_after
            } else {
                continue;
            };
            match (held.due, after) {
                (None, Some(after)) => held.due = Some(Instant::now() + after),
                (Some(_), None) => held.due = None,
                _ => {}
            }
        }
    }

    /// Until something changes, or so long.
    async fn pause(&self, limit: Duration) {
        let mut wishes = self.wishes.clone();
        wishes.mark_unchanged();
        tokio::select! {
            () = self.shared.changed.notified() => {}
            _ = wishes.changed() => {}
            () = tokio::time::sleep(limit) => {}
        }
    }
}
