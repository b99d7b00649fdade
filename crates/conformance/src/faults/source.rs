//! The traffic of a source: several hands that create, update, delete and read the same works.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_wire::Action;
use tokio_util::sync::CancellationToken;

use super::history::{Call, Outcome, Tag};
use super::place::{Door, Place, Way};
use super::random::Random;
use super::rest::Rest;
use super::wire::{self, Connection};

/// How long hands wait for answers, milliseconds: those who give up early leave writes behind that take effect later.
const PATIENCE: [u64; 3] = [5000, 300, 1500];
/// How often an id is tried again after its deletion.
const REBIRTHS: u32 = 150;

/// What hands do, by weight.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mix {
    /// New works.
    pub creates: u64,
    /// Several updates of one work, one after the other.
    pub updates: u64,
    /// Works that are deleted as soon as they are there.
    pub short_lives: u64,
    /// Deletions, some of them repeated.
    pub deletes: u64,
    /// The same id again after its deletion.
    pub rebirths: u64,
    /// How often in quick succession, at most.
    pub lives: u64,
    /// Reads of one work.
    pub gets: u64,
    /// Walks over the list.
    pub walks: u64,
    /// Pause between two actions of a hand, milliseconds.
    pub pause: u64,
}

/// A source with some works. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Source(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    prefix: String,
    clusters: Vec<String>,
    place: Place,
    rest: Rest,
    works: Mutex<Vec<Arc<Work>>>,
    numbers: AtomicUsize,
    /// Ends the traffic, before the round ends.
    stop: CancellationToken,
}

#[derive(Debug)]
struct Work {
    id: String,
    cluster: String,
    life: u32,
    /// As far as is known; 0 = not known.
    version: Mutex<i64>,
    /// A write without an answer may still take effect, also on the next life.
    haunted: AtomicBool,
    hands: AtomicUsize,
}

/// One of the hands of a source.
struct Hand {
    source: Source,
    name: String,
    way: Way,
    connection: Connection,
    patience: Duration,
    random: Random,
}

impl Source {
    /// A source that writes works named `<prefix>…` to these clusters until `stop`.
    #[must_use]
    pub fn new(
        place: &Place,
        rest: &Rest,
        name: &str,
        prefix: &str,
        clusters: &[String],
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            clusters: clusters.to_vec(),
            place: place.clone(),
            rest: rest.clone(),
            works: Mutex::default(),
            numbers: AtomicUsize::new(0),
            stop,
        }))
    }

    fn works(&self) -> MutexGuard<'_, Vec<Arc<Work>>> {
        self.0.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one hand until the traffic ends.
    ///
    /// # Errors
    /// No port for its link.
    pub async fn run(self, number: usize, mix: Mix, random: Random) -> anyhow::Result<()> {
        let place = &self.0.place;
        let server = number % place.servers.len().max(1);
        let way = Way::new(place, Door::Sources, server).await?;
        let patience = PATIENCE.get(number % PATIENCE.len());
        let patience = Duration::from_millis(patience.copied().unwrap_or(5000));
        let connection = way.connect_with(patience)?;
        let stop = self.0.stop.clone();
        let mut hand = Hand {
            name: format!("{}/{number}", self.0.name),
            source: self,
            way,
            connection,
            patience,
            random,
        };
        while !stop.is_cancelled() {
            hand.act(&mix).await;
            let pause = Duration::from_millis(hand.random.between(mix.pause / 2, mix.pause * 2));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }
}

impl Hand {
    async fn act(&mut self, mix: &Mix) {
        let weights = [
            mix.creates,
            mix.updates,
            mix.short_lives,
            mix.deletes,
            mix.rebirths,
            mix.gets,
            mix.walks,
        ];
        match self.random.weighted(&weights) {
            0 => {
                if let Some(work) = self.create_new().await {
                    self.source.works().push(work);
                }
            }
            1 => self.update_often().await,
            2 => {
                if let Some(work) = self.create_new().await {
                    self.end(&work).await;
                }
            }
            3 => {
                if let Some(work) = self.take() {
                    self.end(&work).await;
                }
            }
            4 => {
                let work = match self.take() {
                    Some(work) => Some(work),
                    None => self.create_new().await,
                };
                if let Some(work) = work {
                    let lives = self.random.between(1, mix.lives.max(1));
                    self.live_again(work, lives).await;
                }
            }
            5 => {
                if let Some(work) = self.borrow() {
                    self.look(&work).await;
                    give_back(&work);
                }
            }
            _ => {
                let (inner, server) = (Arc::clone(&self.source.0), self.server());
                inner.rest.walk(&self.name, server, &inner.name).await;
            }
        }
    }

    fn server(&mut self) -> usize {
        let servers = self.source.0.place.servers.len();
        self.random.below(servers)
    }

    /// A work that others may use at the same time.
    fn borrow(&mut self) -> Option<Arc<Work>> {
        let works = self.source.works();
        let work = self.random.pick(&works).cloned()?;
        work.hands.fetch_add(1, Ordering::Relaxed);
        Some(work)
    }

    /// A work that nobody else begins to use.
    fn take(&mut self) -> Option<Arc<Work>> {
        let mut works = self.source.works();
        if works.is_empty() {
            return None;
        }
        let index = self.random.below(works.len());
        Some(works.swap_remove(index))
    }

    async fn create_new(&mut self) -> Option<Arc<Work>> {
        let inner = &self.source.0;
        let number = inner.numbers.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}{}-{number}", inner.prefix, inner.name);
        let cluster = self.random.pick(&inner.clusters)?.clone();
        self.create(id, cluster, 1).await
    }

    /// Publishes a create; the work if it may be there now.
    async fn create(&mut self, id: String, cluster: String, life: u32) -> Option<Arc<Work>> {
        let inner = Arc::clone(&self.source.0);
        let op = inner.place.recorder.number();
        let tag = Tag { life, op };
        let call = Call::Create {
            id: id.clone(),
            cluster: cluster.clone(),
            source: inner.name.clone(),
            tag,
        };
        let data = wire::bundle(&id, tag, self.ballast());
        let action = Action::CreateRequest;
        let event = wire::spec_event(&inner.name, action, &id, &cluster, 0, Some(&data));
        let outcome = self.publish(op, call, event).await;
        let (version, haunted) = match outcome {
            Outcome::Ok { .. } => (1, false),
            Outcome::Refused { .. } => return None,
            Outcome::Unknown { .. } => (0, true),
        };
        Some(Arc::new(Work {
            id,
            cluster,
            life,
            version: Mutex::new(version),
            haunted: AtomicBool::new(haunted),
            hands: AtomicUsize::new(0),
        }))
    }

    async fn update_often(&mut self) {
        let Some(work) = self.borrow() else { return };
        for _ in 0..self.random.between(1, 6) {
            // Now and then without naming a version.
            let expect = if self.random.percent(15) {
                0
            } else {
                version(&work)
            };
            self.update(&work, expect).await;
            if self.source.0.stop.is_cancelled() {
                break;
            }
        }
        give_back(&work);
    }

    async fn update(&mut self, work: &Work, expect: i64) {
        let inner = Arc::clone(&self.source.0);
        let op = inner.place.recorder.number();
        let tag = Tag {
            life: work.life,
            op,
        };
        let id = work.id.clone();
        let data = wire::bundle(&id, tag, self.ballast());
        let action = Action::UpdateRequest;
        let event = wire::spec_event(&inner.name, action, &id, &work.cluster, expect, Some(&data));
        let outcome = self
            .publish(op, Call::Update { id, expect, tag }, event)
            .await;
        match outcome {
            Outcome::Ok { .. } if expect > 0 => set_version(work, expect + 1),
            Outcome::Refused { code, .. } if code == "NotFound" => {}
            Outcome::Unknown { .. } => {
                work.haunted.store(true, Ordering::Relaxed);
                self.look(work).await;
            }
            _ => self.look(work).await,
        }
    }

    /// Reads the current version.
    async fn look(&mut self, work: &Work) {
        let (inner, server) = (Arc::clone(&self.source.0), self.server());
        let row = inner.rest.get(&self.name, server, &work.id).await;
        set_version(work, row.map_or(0, |row| row.version));
    }

    /// Asks for the deletion until it is granted, and now and then a few times more; some right after an update, whose news
    /// may be slower.
    async fn end(&mut self, work: &Work) {
        if self.random.percent(25) {
            self.update(work, 0).await;
        }
        let mut more = if self.random.percent(30) {
            self.random.between(1, 5)
        } else {
            0
        };
        loop {
            match self.delete(work).await {
                Outcome::Unknown { .. } => {
                    work.haunted.store(true, Ordering::Relaxed);
                    if !self.source.0.place.sleep(Duration::from_millis(100)).await {
                        return;
                    }
                }
                Outcome::Refused { .. } => return,
                Outcome::Ok { .. } if more == 0 => return,
                Outcome::Ok { .. } => more -= 1,
            }
        }
    }

    async fn delete(&mut self, work: &Work) -> Outcome {
        let inner = Arc::clone(&self.source.0);
        if self.random.percent(40) {
            let server = self.server();
            return inner
                .rest
                .delete(&self.name, server, &work.id, work.life)
                .await;
        }
        let op = inner.place.recorder.number();
        let (id, life) = (work.id.clone(), work.life);
        let action = Action::DeleteRequest;
        let event = wire::spec_event(&inner.name, action, &id, &work.cluster, 0, None);
        self.publish(op, Call::Delete { id, life }, event).await
    }

    /// Ends a work and begins its next life, so many times; the last of them stays.
    async fn live_again(&mut self, mut work: Arc<Work>, lives: u64) {
        for _ in 0..lives {
            self.end(&work).await;
            let Some(next) = self.again(&work).await else {
                return;
            };
            work = next;
        }
        self.source.works().push(work);
    }

    /// Creates the id anew as soon as it is free, if nothing is on its way that could hit the new life.
    async fn again(&mut self, work: &Arc<Work>) -> Option<Arc<Work>> {
        for attempt in 1..=REBIRTHS {
            let busy = work.hands.load(Ordering::Acquire) > 0;
            if work.haunted.load(Ordering::Relaxed) || self.source.0.stop.is_cancelled() {
                return None;
            }
            if !busy {
                let life = work.life + attempt;
                let (id, cluster) = (work.id.clone(), work.cluster.clone());
                if let Some(work) = self.create(id, cluster, life).await {
                    return Some(work);
                }
            }
            if !self.source.0.place.sleep(Duration::from_millis(20)).await {
                return None;
            }
        }
        None
    }

    async fn publish(&mut self, op: u64, call: Call, event: event_wire::Event) -> Outcome {
        let recorder = self.source.0.place.recorder.clone();
        recorder.invoke_as(op, &self.name, call);
        let outcome = wire::outcome(&self.connection.publish(event).await);
        recorder.finish(op, outcome.clone());
        if matches!(outcome, Outcome::Unknown { .. }) {
            // Another connection, and perhaps another server.
            if self.random.percent(50) {
                self.way.turn();
            }
            if let Ok(connection) = self.way.connect_with(self.patience) {
                self.connection = connection;
            }
        }
        outcome
    }

    fn ballast(&mut self) -> usize {
        let largest = if self.random.percent(5) { 40_000 } else { 2000 };
        self.random.below(largest)
    }
}

fn give_back(work: &Work) {
    work.hands.fetch_sub(1, Ordering::Release);
}

fn version(work: &Work) -> i64 {
    *work.version.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set_version(work: &Work, version: i64) {
    *work.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
}
