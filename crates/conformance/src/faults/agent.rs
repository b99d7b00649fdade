//! An agent whose cluster is a map: it takes specs, reports on them, and can be told to misbehave.
//!
//! Two tasks, so that it never stops reading while it publishes: one holds the stream, the other reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_wire::{SequenceGenerator, SequenceId};
use tokio::sync::{Notify, watch};

use super::history::{
    Answer, Call, Held, Listener, Number, Outcome, Report, Seen, Spec, Tag, What,
};
use super::place::{Door, Place, Way};
use super::random::Random;
use super::wire::{self, Connection, SpecParts};

/// The server sends a heartbeat every second; a stream that is silent for so long is given up, seconds.
pub const SILENCE: f64 = 4.0;
/// How long an agent waits for the answer to a report before it reports again, seconds. Short, so that servers get what agents have given up.
const REPORT: f64 = 1.5;
/// So many of a hundred deletions take up to so many milliseconds.
const LINGERING: u64 = 25;
const LINGERS: u64 = 1500;
/// How often reports arrive late.
const REPEATS: usize = 2;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(150);

/// How an agent misbehaves; everything off by default.
#[derive(Debug, Default)]
pub struct Moods {
    /// So many of a hundred specs are lost on arrival, and so many ends of works are never reported.
    pub loses: AtomicU64,
    /// Statuses are repeated as fast as they go.
    pub storm: AtomicBool,
    /// Reports arrive twice more, up to so many milliseconds later.
    pub late: AtomicU64,
}

/// An agent that runs by itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Agent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster: String,
    place: Place,
    way: Way,
    moods: Moods,
    works: Mutex<Works>,
    due: Notify,
    connection: watch::Sender<Option<Connection>>,
    /// Milliseconds that its clock is ahead of the real one.
    clock: AtomicI64,
    sequences: Mutex<SequenceGenerator>,
}

#[derive(Debug, Default)]
struct Works {
    held: BTreeMap<String, Work>,
    due: BTreeSet<String>,
    lossy: BTreeSet<String>,
    connected: bool,
}

#[derive(Clone, Debug)]
struct Work {
    version: i64,
    tag: Option<Tag>,
    metadata: Option<String>,
    deleting: bool,
    reported: Option<i64>,
}

impl Agent {
    /// An agent of a cluster that connects to that server first.
    ///
    /// # Errors
    /// No port for its link.
    pub async fn new(place: &Place, cluster: &str, server: usize) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Inner {
            cluster: cluster.to_owned(),
            place: place.clone(),
            way: Way::new(place, Door::Agents, server).await?,
            moods: Moods::default(),
            works: Mutex::default(),
            due: Notify::new(),
            connection: watch::Sender::new(None),
            clock: AtomicI64::new(0),
            sequences: Mutex::default(),
        })))
    }

    /// Runs until the round is over.
    pub async fn run(self, random: Random) {
        tokio::join!(
            self.listen(random.part("listen")),
            self.report(random.part("report"))
        );
    }

    /// Its cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.0.cluster
    }

    /// Its way to the servers.
    #[must_use]
    pub fn way(&self) -> &Way {
        &self.0.way
    }

    /// How it misbehaves.
    #[must_use]
    pub fn moods(&self) -> &Moods {
        &self.0.moods
    }

    /// Its process starts again with a clock that is so many seconds ahead of the real one (behind, if negative), and reports
    /// on everything.
    pub fn set_clock(&self, seconds: i64) {
        self.0.clock.store(seconds * 1000, Ordering::Relaxed);
        *self.sequences() = SequenceGenerator::new();
        let mut works = self.works();
        let held: Vec<String> = works.held.keys().cloned().collect();
        works.due.extend(held);
        drop(works);
        self.0.due.notify_one();
    }

    /// What it has, what it lost, and whether it is connected.
    #[must_use]
    pub fn look(&self) -> (BTreeMap<String, Held>, BTreeSet<String>, bool) {
        let works = self.works();
        let held = works.held.iter().map(|(id, work)| {
            let held = Held {
                version: work.version,
                tag: work.tag,
                reported: work.reported,
            };
            (id.clone(), held)
        });
        (held.collect(), works.lossy.clone(), works.connected)
    }

    fn works(&self) -> MutexGuard<'_, Works> {
        self.0.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sequences(&self) -> MutexGuard<'_, SequenceGenerator> {
        self.0
            .sequences
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn next_sequence(&self) -> i64 {
        let ahead = self.0.clock.load(Ordering::Relaxed);
        let now = jiff::Timestamp::now();
        let shifted = jiff::Timestamp::from_millisecond(now.as_millisecond() + ahead);
        let next = self.sequences().next(shifted.unwrap_or(now));
        next.to_string().parse().unwrap_or_default()
    }

    async fn listen(&self, mut random: Random) {
        let place = &self.0.place;
        while !place.shutdown.is_cancelled() {
            let why = tokio::select! {
                why = self.session(&mut random) => why,
                () = place.shutdown.cancelled() => return,
            };
            self.works().connected = false;
            self.0.connection.send_replace(None);
            if let Some((stream, why)) = why {
                place.recorder.add(What::Closed { stream, why });
            } else if random.percent(50) {
                // Nobody there: another server may be.
                self.0.way.turn();
            }
            place.sleep(PAUSE).await;
        }
    }

    /// One stream; its number and why it ended, if it began.
    async fn session(&self, random: &mut Random) -> Option<(Number, String)> {
        let Inner {
            cluster,
            place,
            way,
            ..
        } = &*self.0;
        let replica = way.server();
        let connection = way.connect().ok()?;
        let mut events = connection.subscribe("", cluster).await.ok()?;
        let stream = place.recorder.number();
        place.recorder.add(What::Opened {
            stream,
            listener: Listener::Agent(cluster.clone()),
            replica,
        });
        self.0.connection.send_replace(Some(connection.clone()));
        // Asked for in the background: this end must read while it publishes.
        let resync = self.resync(&connection, stream);
        let read = async {
            loop {
                match wire::next(&mut events, place.patience(SILENCE)).await {
                    Ok(event) => match wire::spec_parts(&event) {
                        Some(parts) => self.receive(stream, parts, random),
                        None => return "an event that isn't a spec".to_owned(),
                    },
                    Err(why) => return why,
                }
            }
        };
        tokio::pin!(resync);
        tokio::pin!(read);
        let why = tokio::select! {
            why = &mut read => why,
            done = &mut resync => match done {
                Ok(()) => read.await,
                Err(why) => why,
            },
        };
        Some((stream, why))
    }

    /// Says what it has.
    async fn resync(&self, connection: &Connection, stream: Number) -> Result<(), String> {
        let held: Vec<(String, i64)> = {
            let works = self.works();
            let held = works.held.iter();
            held.map(|(id, work)| (id.clone(), work.version)).collect()
        };
        let recorder = &self.0.place.recorder;
        let op = recorder.invoke(&self.0.cluster, Call::Resync { stream });
        let event = wire::spec_resync(&self.0.cluster, held.into_iter());
        let result = connection.publish(event).await;
        recorder.finish(op, wire::outcome(&result));
        match result {
            Ok(_) => {
                self.works().connected = true;
                Ok(())
            }
            Err(status) => Err(format!("the resync failed: {:?}", status.code())),
        }
    }

    fn receive(&self, stream: Number, parts: SpecParts, random: &mut Random) {
        let dropped = random.percent(self.0.moods.loses.load(Ordering::Relaxed));
        let mut works = self.works();
        self.0.place.recorder.add(What::Spec(Spec {
            stream,
            id: parts.id.clone(),
            version: parts.version,
            tag: parts.tag,
            deleting: parts.deleting,
            dropped,
        }));
        if dropped {
            works.lossy.insert(parts.id);
            return;
        }
        let held = works.held.get(&parts.id);
        let life = |tag: Option<Tag>| tag.map_or(0, |tag| tag.life);
        if parts.deleting {
            // The deletion of a life that is over already says nothing about the next one.
            let older =
                held.is_some_and(|held| parts.tag.is_some() && life(parts.tag) < life(held.tag));
            if !older {
                let tag = parts.tag.or(held.and_then(|held| held.tag));
                let metadata = parts
                    .metadata
                    .or_else(|| held.and_then(|held| held.metadata.clone()));
                let work = Work {
                    version: parts.version,
                    tag,
                    metadata,
                    deleting: true,
                    reported: None,
                };
                works.held.insert(parts.id.clone(), work);
            }
        } else {
            let newer = held.is_none_or(|held| {
                let (mine, theirs) = (life(held.tag), life(parts.tag));
                theirs > mine || (theirs == mine && !held.deleting && parts.version > held.version)
            });
            if !newer {
                return;
            }
            let work = Work {
                version: parts.version,
                tag: parts.tag,
                metadata: parts.metadata,
                deleting: false,
                reported: None,
            };
            works.held.insert(parts.id.clone(), work);
        }
        if parts.deleting && random.percent(LINGERING) {
            drop(works);
            let takes = Duration::from_millis(random.between(0, LINGERS));
            self.linger(parts.id, takes);
            return;
        }
        works.due.insert(parts.id);
        drop(works);
        self.0.due.notify_one();
    }

    /// Objects take their time to go; only then their end is reported.
    fn linger(&self, id: String, takes: Duration) {
        let agent = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            agent.works().due.insert(id);
            agent.0.due.notify_one();
        });
    }

    async fn publish(&self, connection: &Connection, id: &str, work: &Work, seen: Seen) -> Outcome {
        let (cluster, recorder) = (&self.0.cluster, &self.0.place.recorder);
        let report = Report {
            id: id.to_owned(),
            cluster: cluster.clone(),
            version: seen.version,
            tag: seen.tag,
            sequence: seen.sequence,
            deleted: work.deleting,
        };
        let event = wire::status_event(cluster, id, work.metadata.as_deref(), seen, work.deleting);
        let patience = self.0.place.patience(REPORT);
        let op = recorder.invoke(cluster, Call::Report(report));
        let outcome = wire::outcome(&connection.publish_within(event, patience).await);
        recorder.finish(op, outcome.clone());
        outcome
    }

    /// Reports what is due, one at a time, for as long as it takes.
    async fn report(&self, mut random: Random) {
        let place = &self.0.place;
        let mut connection = self.0.connection.subscribe();
        loop {
            let due = {
                let mut works = self.works();
                if works.due.is_empty() && self.0.moods.storm.load(Ordering::Relaxed) {
                    let ids: Vec<&String> = works.held.keys().collect();
                    let id = random.pick(&ids).map(|id| (*id).clone());
                    works.due.extend(id);
                }
                let ids: Vec<String> = works.due.iter().take(64).cloned().collect();
                random.pick(&ids).and_then(|id| works.due.take(id.as_str()))
            };
            let Some(id) = due else {
                tokio::select! {
                    () = self.0.due.notified() => {}
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                    () = place.shutdown.cancelled() => return,
                }
                continue;
            };
            if self.forgets(&id, &mut random) {
                continue;
            }
            let now = connection.borrow_and_update().clone();
            let Some(now) = now else {
                self.works().due.insert(id);
                tokio::select! {
                    _ = connection.changed() => {}
                    () = place.shutdown.cancelled() => return,
                }
                continue;
            };
            let sent = tokio::select! {
                sent = self.report_one(&now, &id, &mut random) => sent,
                () = place.shutdown.cancelled() => return,
            };
            if !sent {
                self.works().due.insert(id);
                place.sleep(PAUSE).await;
            }
        }
    }

    /// Whether the end of the work isn't reported, until the server asks again.
    fn forgets(&self, id: &str, random: &mut Random) -> bool {
        let loses = self.0.moods.loses.load(Ordering::Relaxed);
        let mut works = self.works();
        let ending = works.held.get(id).is_some_and(|work| work.deleting);
        let forgets = ending && random.percent(loses);
        if forgets {
            works.lossy.insert(id.to_owned());
        }
        forgets
    }

    /// Whether nothing more is to be said about this work for now.
    async fn report_one(&self, connection: &Connection, id: &str, random: &mut Random) -> bool {
        let Some(work) = self.works().held.get(id).cloned() else {
            return true;
        };
        let seen = Seen {
            version: work.version,
            sequence: self.next_sequence(),
            tag: work.tag,
        };
        let late = self.0.moods.late.load(Ordering::Relaxed);
        for _ in 0..if late > 0 { REPEATS } else { 0 } {
            let (agent, connection) = (self.clone(), connection.clone());
            let (id, work) = (id.to_owned(), work.clone());
            let pause = Duration::from_millis(random.between(0, late));
            tokio::spawn(async move {
                if agent.0.place.sleep(pause).await {
                    agent.publish(&connection, &id, &work, seen).await;
                }
            });
        }
        let outcome = self.publish(connection, id, &work, seen).await;
        let mut works = self.works();
        let Some(held) = works.held.get_mut(id) else {
            return true;
        };
        let same = held.tag == work.tag && held.deleting == work.deleting;
        match outcome {
            Outcome::Ok {
                answer: Answer::Later(later),
            } => {
                // Another clock was ahead of ours: go on from where it was.
                if let Ok(later) = later.to_string().parse::<SequenceId>() {
                    drop(works);
                    self.sequences().advance_past(later);
                }
                false
            }
            Outcome::Ok { .. } => {
                if same && work.deleting {
                    works.held.remove(id);
                    works.lossy.remove(id);
                } else if same && held.version == work.version {
                    held.reported = Some(seen.sequence);
                }
                true
            }
            // It won't get better by repetition.
            Outcome::Refused { .. } => true,
            Outcome::Unknown { .. } => false,
        }
    }
}
