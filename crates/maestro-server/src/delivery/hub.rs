//! Who is connected, and what each of them still has to look at.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use super::agenda::{SpecAgenda, StatusAgenda, StatusEntry, Why};
use super::connection::Connection;
use super::log::SendLog;
use super::recent::Recent;
use super::resync::{Held, Strangers};
use crate::model::{Change, ClusterName, ResourceId, SourceId, SpecChange};
use crate::storage::facts::{Ended, Presence};
use crate::storage::now;
use crate::telemetry::{Telemetry, Way};

/// Removals that wait for one source stream; one that is further behind is ended, so that its source lists again.
const MAX_REMOVALS: usize = 50_000;
/// Ends of streams that wait to be written down, at most; more come only while the database is away.
const MAX_ENDED: usize = 20_000;
/// Rows that the database was asked for longer ago than this are read again before they are sent: the time of its answer
/// says nothing about what another server has committed since the question. Less than the two seconds of the promise in
/// `docs/protocol/delivery.md`.
pub(super) const FRESHNESS: Duration = Duration::from_millis(1500);

/// All open streams of this server.
#[derive(Debug, Default)]
pub struct Hub {
    agents: Mutex<HashMap<ClusterName, Vec<Arc<AgentStream>>>>,
    sources: Mutex<HashMap<SourceId, Vec<Arc<SourceStream>>>>,
    /// What agents that are connected have and this server never knew.
    strangers: Mutex<HashMap<ClusterName, Strangers>>,
    /// Documents that passed through lately.
    pub(crate) recent: Recent,
    /// What other servers don't know yet.
    news: Mutex<News>,
    /// What was sent lately.
    pub log: SendLog,
    /// Counters.
    pub telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct News {
    /// Streams that have ended.
    ended: Vec<Ended>,
    /// Clusters with a stream about which there is something to say.
    changed: HashSet<ClusterName>,
}

/// The agent of a cluster as far as it is connected to this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Its newest stream.
    pub newest: Presence,
    /// How many it has.
    pub streams: usize,
}

/// An agent's subscription.
#[derive(Debug)]
pub struct AgentStream {
    /// Told to the agent in the response header.
    pub id: Uuid,
    /// Whose agent it is.
    pub cluster: ClusterName,
    /// What it runs on.
    pub connection: Connection,
    /// When it began.
    pub since: Timestamp,
    state: Mutex<AgentState>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct AgentState {
    agenda: SpecAgenda,
    /// What the agent said that it has; the newest word counts.
    resync: Option<Arc<Held>>,
    /// Resources that this server doesn't know and the agent shall delete, with the agent's versions.
    orphans: Vec<(ResourceId, i64)>,
    /// Changes were lost.
    gap: bool,
    /// When the agent's list was last compared.
    resynced: Option<Timestamp>,
}

/// A source's subscription.
#[derive(Debug)]
pub struct SourceStream {
    /// Told to the source in the response header.
    pub id: Uuid,
    /// Whose it is.
    pub source: SourceId,
    /// What it runs on.
    pub connection: Connection,
    state: Mutex<SourceState>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct SourceState {
    agenda: StatusAgenda,
    /// Something that the source should have learnt is lost: it has to list.
    lost: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            ..Self::default()
        }
    }

    /// Registers an agent's stream; from now on nothing is missed.
    #[must_use]
    pub fn add_agent(&self, cluster: ClusterName, connection: Connection) -> Arc<AgentStream> {
        let stream = Arc::new(AgentStream {
            id: Uuid::new_v4(),
            cluster: cluster.clone(),
            connection,
            since: now(),
            state: Mutex::default(),
            wake: Notify::new(),
        });
        lock(&self.news).changed.insert(cluster.clone());
        lock(&self.agents)
            .entry(cluster)
            .or_default()
            .push(Arc::clone(&stream));
        stream
    }

    /// Forgets an agent's stream. `error` says why, if it didn't end by the agent's wish.
    pub fn remove_agent(&self, stream: &AgentStream, error: Option<String>) {
        let mut agents = lock(&self.agents);
        if let Some(streams) = agents.get_mut(&stream.cluster) {
            streams.retain(|other| other.id != stream.id);
            let mut news = lock(&self.news);
            if streams.is_empty() {
                agents.remove(&stream.cluster);
                // Any name can connect: nothing of it may stay. The next stream says again what its agent has.
                lock(&self.strangers).remove(&stream.cluster);
            } else {
                news.changed.insert(stream.cluster.clone());
            }
            if news.ended.len() < MAX_ENDED {
                news.ended.push(Ended {
                    cluster: stream.cluster.clone(),
                    stream: stream.id,
                    at: now(),
                    resynced: lock(&stream.state).resynced,
                    error,
                });
            }
        }
    }

    /// The last stream of a cluster that ended here, if that isn't noted in the database yet.
    #[must_use]
    pub fn left(&self, cluster: &ClusterName) -> Option<Ended> {
        let news = lock(&self.news);
        let ended = news.ended.iter().filter(|ended| ended.cluster == *cluster);
        ended.max_by_key(|ended| ended.at).cloned()
    }

    /// The agent of a cluster as far as it is connected here.
    #[must_use]
    pub fn here(&self, cluster: &ClusterName) -> Option<Here> {
        let streams = self.agents_of(cluster);
        let newest = streams.iter().max_by_key(|stream| stream.since)?;
        Some(Here {
            newest: newest.presence(self.strangers(cluster)),
            streams: streams.len(),
        })
    }

    /// Whether a resource waits for a place on a stream of this server.
    #[must_use]
    pub fn is_queued(&self, cluster: &ClusterName, id: &ResourceId) -> bool {
        let streams = self.agents_of(cluster);
        streams
            .iter()
            .any(|stream| lock(&stream.state).agenda.contains(id))
    }

    /// Something about the streams of a cluster has changed that other servers should know.
    pub(super) fn has_news(&self, cluster: &ClusterName) {
        lock(&self.news).changed.insert(cluster.clone());
    }

    /// What is new about streams since this was last asked: those that ended, and those about which there is news (or all
    /// that there are).
    pub(super) fn presence(&self, all: bool) -> (Vec<Ended>, Vec<Presence>) {
        let News { ended, mut changed } = std::mem::take(&mut *lock(&self.news));
        if all {
            changed.extend(self.clusters());
        }
        // An operator may decide about these at any time, perhaps on another server.
        for (cluster, strangers) in &*lock(&self.strangers) {
            if !strangers.kept.is_empty() {
                changed.insert(cluster.clone());
            }
        }
        let streams = changed
            .iter()
            .filter_map(|cluster| self.here(cluster))
            .map(|here| here.newest)
            .collect();
        (ended, streams)
    }

    /// What was to be written could not be.
    pub(super) fn presence_unwritten(&self, mut ended: Vec<Ended>, streams: Vec<Presence>) {
        let mut news = lock(&self.news);
        ended.append(&mut news.ended);
        ended.truncate(MAX_ENDED);
        news.ended = ended;
        news.changed
            .extend(streams.into_iter().map(|stream| stream.cluster));
    }

    /// Registers a source's stream; from now on nothing is missed.
    #[must_use]
    pub fn add_source(&self, source: SourceId, connection: Connection) -> Arc<SourceStream> {
        let stream = Arc::new(SourceStream {
            id: Uuid::new_v4(),
            source: source.clone(),
            connection,
            state: Mutex::default(),
            wake: Notify::new(),
        });
        lock(&self.sources)
            .entry(source)
            .or_default()
            .push(Arc::clone(&stream));
        stream
    }

    /// Forgets a source's stream.
    pub fn remove_source(&self, stream: &SourceStream) {
        let mut sources = lock(&self.sources);
        if let Some(streams) = sources.get_mut(&stream.source) {
            streams.retain(|other| other.id != stream.id);
            if streams.is_empty() {
                sources.remove(&stream.source);
            }
        }
    }

    /// Tells the streams concerned about a committed change.
    pub fn changed(&self, change: &Change) {
        match change {
            Change::Spec { id, cluster, kind } => {
                let why = match kind {
                    SpecChange::Created => Why::Created,
                    SpecChange::Updated => Why::Updated,
                    SpecChange::Deleted => Why::Deleted,
                };
                for stream in self.agents_of(cluster) {
                    self.telemetry.flow().queued(Way::Spec);
                    lock(&stream.state).agenda.add_fresh(id.clone(), why);
                    stream.wake.notify_one();
                }
            }
            Change::Status { id, source } => {
                for stream in self.sources_of(source) {
                    self.telemetry.flow().queued(Way::Status);
                    lock(&stream.state).agenda.add_update(id.clone());
                    stream.wake.notify_one();
                }
            }
            Change::Removed { source, event, .. } => {
                for stream in self.sources_of(source) {
                    self.telemetry.flow().queued(Way::Status);
                    stream.add_removal(event.clone());
                }
            }
        }
    }

    /// Changes were lost: agents get what they haven't settled, sources have to list again.
    pub(super) fn gap(&self) {
        let agents: Vec<_> = lock(&self.agents).values().flatten().cloned().collect();
        for stream in agents {
            lock(&stream.state).gap = true;
            stream.wake.notify_one();
        }
        let sources: Vec<_> = lock(&self.sources).values().flatten().cloned().collect();
        for stream in sources {
            lock(&stream.state).lost = true;
            stream.wake.notify_one();
        }
    }

    /// Sends rows to the agents of a cluster again.
    pub fn remind(&self, cluster: &ClusterName, id: &ResourceId) {
        for stream in self.agents_of(cluster) {
            stream.add_backlog([id.clone()]);
        }
    }

    /// Hands what an agent says that it has to its streams: those on the connection that it spoke on, or, if there is
    /// none (a proxy may spread its calls), all of its cluster. Tells whether it was the connection's own stream; if not,
    /// the stream that is meant may be on another server.
    pub fn resync(&self, cluster: &ClusterName, connection: &Connection, held: &Arc<Held>) -> bool {
        let streams = self.agents_of(cluster);
        let same: Vec<_> = streams
            .iter()
            .filter(|stream| stream.connection.id() == connection.id())
            .collect();
        let own = !same.is_empty();
        for stream in if own { same } else { streams.iter().collect() } {
            stream.compare_with(Arc::clone(held));
        }
        own
    }

    /// Hands what an agent told another server to its streams here.
    pub(super) fn resync_from_elsewhere(&self, cluster: &ClusterName, held: &Arc<Held>) {
        for stream in self.agents_of(cluster) {
            stream.compare_with(Arc::clone(held));
        }
    }

    /// Keeps which resources of an agent this server doesn't dare to delete.
    pub(super) fn note_strangers(&self, cluster: &ClusterName, resources: Strangers) {
        let mut strangers = lock(&self.strangers);
        if resources.count == 0 {
            strangers.remove(cluster);
        } else {
            strangers.insert(cluster.clone(), resources);
        }
        drop(strangers);
        self.has_news(cluster);
    }

    /// How many resources of a cluster's agent this server doesn't know and doesn't dare to delete.
    #[must_use]
    pub fn strangers(&self, cluster: &ClusterName) -> usize {
        let strangers = lock(&self.strangers);
        strangers
            .get(cluster)
            .map_or(0, |strangers| strangers.count)
    }

    /// An operator says that the unknown resources of a cluster may go: its agents are told. Returns how many, or `None`
    /// when none are known or no agent is connected here. Those that were only counted stay: when there are no others, the
    /// agents are cut off, so that they come back and say what they have.
    #[must_use]
    pub fn accept_strangers(&self, cluster: &ClusterName) -> Option<usize> {
        let streams = self.agents_of(cluster);
        if streams.is_empty() {
            return None;
        }
        let strangers = {
            let mut all = lock(&self.strangers);
            let strangers = all.get_mut(cluster)?;
            let kept = std::mem::take(&mut strangers.kept);
            strangers.count -= kept.len();
            if strangers.count == 0 {
                all.remove(cluster);
            }
            kept
        };
        self.has_news(cluster);
        for stream in streams {
            if strangers.is_empty() {
                stream.connection.cut();
                continue;
            }
            lock(&stream.state)
                .orphans
                .extend(strangers.iter().cloned());
            stream.wake.notify_one();
        }
        Some(strangers.len())
    }

    /// Clusters with an agent stream on this server.
    #[must_use]
    pub fn clusters(&self) -> Vec<ClusterName> {
        lock(&self.agents).keys().cloned().collect()
    }

    /// How many agent streams a cluster has here.
    #[must_use]
    pub fn agents_of(&self, cluster: &ClusterName) -> Vec<Arc<AgentStream>> {
        lock(&self.agents).get(cluster).cloned().unwrap_or_default()
    }

    /// The streams of a source.
    #[must_use]
    pub fn sources_of(&self, source: &SourceId) -> Vec<Arc<SourceStream>> {
        lock(&self.sources).get(source).cloned().unwrap_or_default()
    }

    /// Ids that wait in the streams of agents and in those of sources: for metrics.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let agents: Vec<_> = lock(&self.agents).values().flatten().cloned().collect();
        let sources: Vec<_> = lock(&self.sources).values().flatten().cloned().collect();
        let specs = agents.iter().map(|stream| lock(&stream.state).agenda.len());
        let statuses = sources
            .iter()
            .map(|stream| lock(&stream.state).agenda.len());
        (specs.sum(), statuses.sum())
    }
}

/// What an agent's stream does next.
#[derive(Debug)]
pub(super) enum SpecWork {
    /// Compare what the agent has with what it should have.
    Resync(Arc<Held>),
    /// Tell it to delete what this server doesn't know.
    Orphans(Vec<(ResourceId, i64)>),
    /// Send what it hasn't settled.
    Unsettled,
    /// Look at these.
    Send(Vec<(ResourceId, Why)>),
}

impl AgentStream {
    /// What other servers may know about it.
    fn presence(&self, strangers: usize) -> Presence {
        let state = lock(&self.state);
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Presence {
            cluster: self.cluster.clone(),
            stream: self.id,
            since: self.since,
            resynced: state.resynced,
            waiting: number(state.agenda.len()),
            orphans: number(strangers),
        }
    }

    /// The agent's list was compared.
    pub(super) fn resynced(&self) {
        lock(&self.state).resynced = Some(now());
    }

    /// The next work; waits until there is some.
    ///
    /// # Cancel safety
    /// Nothing is taken before it is returned.
    pub(super) async fn next(&self, most: usize) -> SpecWork {
        loop {
            {
                let mut state = lock(&self.state);
                if let Some(held) = state.resync.take() {
                    return SpecWork::Resync(held);
                }
                if std::mem::take(&mut state.gap) {
                    return SpecWork::Unsettled;
                }
                if !state.orphans.is_empty() {
                    return SpecWork::Orphans(std::mem::take(&mut state.orphans));
                }
                let ids: Vec<_> = std::iter::from_fn(|| state.agenda.next())
                    .take(most)
                    .collect();
                if !ids.is_empty() {
                    return SpecWork::Send(ids);
                }
            }
            self.wake.notified().await;
        }
    }

    /// What the agent says that it has; the newest word counts.
    fn compare_with(&self, held: Arc<Held>) {
        lock(&self.state).resync = Some(held);
        self.wake.notify_one();
    }

    /// Resources that should be sent again.
    pub(super) fn add_backlog(&self, ids: impl IntoIterator<Item = ResourceId>) {
        let mut state = lock(&self.state);
        for id in ids {
            state.agenda.add_backlog(id);
        }
        self.wake.notify_one();
    }

    /// Looks for what isn't settled again later.
    pub(super) fn retry_unsettled(&self) {
        lock(&self.state).gap = true;
        self.wake.notify_one();
    }

    /// Compares again later, unless the agent has said something newer.
    pub(super) fn retry_resync(&self, held: Arc<Held>) {
        lock(&self.state).resync.get_or_insert(held);
        self.wake.notify_one();
    }

    /// Deletes these later, with those that were given up meanwhile; of what is in both the newer word counts.
    pub(super) fn retry_orphans(&self, mut orphans: Vec<(ResourceId, i64)>) {
        let mut state = lock(&self.state);
        let newer: HashSet<ResourceId> = state.orphans.iter().map(|(id, _)| id.clone()).collect();
        orphans.retain(|(id, _)| !newer.contains(id));
        state.orphans.append(&mut orphans);
        self.wake.notify_one();
    }

    /// Returns what couldn't be looked at.
    pub(super) fn put_back(&self, ids: Vec<(ResourceId, Why)>) {
        let mut state = lock(&self.state);
        for (id, why) in ids {
            if !state.agenda.contains(&id) {
                state.agenda.add_fresh(id, why);
            }
        }
        self.wake.notify_one();
    }

    /// Whether an event that was made of a row asked for at `asked_at` still stands. If it doesn't, the row is looked at again:
    /// because something newer is known, or because of its age alone. Another server may have deleted it meanwhile, and no
    /// old spec may go out long after that was answered.
    pub(super) fn still_stands(&self, id: &ResourceId, why: Why, asked_at: Instant) -> bool {
        let mut state = lock(&self.state);
        if state.agenda.contains(id) {
            return false;
        }
        if asked_at.elapsed() > FRESHNESS {
            state.agenda.add_fresh(id.clone(), why);
            self.wake.notify_one();
            return false;
        }
        true
    }
}

impl SourceStream {
    /// The next entries, none when the stream has fallen too far behind; waits until there is one or the other.
    ///
    /// # Cancel safety
    /// Nothing is taken before it is returned.
    pub(super) async fn next(&self, most: usize) -> Option<Vec<StatusEntry>> {
        loop {
            {
                let mut state = lock(&self.state);
                if state.lost {
                    return None;
                }
                let entries: Vec<_> = std::iter::from_fn(|| state.agenda.next())
                    .take(most)
                    .collect();
                if !entries.is_empty() {
                    return Some(entries);
                }
            }
            self.wake.notified().await;
        }
    }

    /// Statuses that should be sent (again).
    pub fn add_updates(&self, ids: impl IntoIterator<Item = ResourceId>) {
        let mut state = lock(&self.state);
        for id in ids {
            state.agenda.add_update(id);
        }
        self.wake.notify_one();
    }

    fn add_removal(&self, event: String) {
        let mut state = lock(&self.state);
        if state.agenda.removals() < MAX_REMOVALS {
            state.agenda.add_removal(event);
        } else {
            state.lost = true;
        }
        self.wake.notify_one();
    }

    /// Returns what couldn't be looked at.
    pub(super) fn put_back(&self, entries: Vec<StatusEntry>) {
        lock(&self.state).agenda.put_back(entries);
        self.wake.notify_one();
    }

    /// Whether nothing newer is known about a resource than what is in hand.
    pub(super) fn is_newest(&self, id: &ResourceId) -> bool {
        !lock(&self.state).agenda.contains_update(id)
    }
}

#[cfg(test)]
mod tests;
