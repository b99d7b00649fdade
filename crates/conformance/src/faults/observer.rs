//! A subscriber of a source: knows the last status of every work, as far as its stream tells.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::agent::SILENCE;
use super::history::{Call, Listener, Number, Seen, Status, What};
use super::place::{Door, Place, Way};
use super::random::Random;
use super::wire::{self, Connection};

/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(150);

/// A subscriber that runs by itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: String,
    place: Place,
    way: Way,
    /// Milliseconds that it takes for each event.
    slowness: AtomicU64,
    known: Mutex<BTreeMap<String, Seen>>,
}

impl Observer {
    /// A subscriber of a source that connects to that server first.
    ///
    /// # Errors
    /// No port for its link.
    pub async fn new(place: &Place, source: &str, server: usize) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Inner {
            source: source.to_owned(),
            place: place.clone(),
            way: Way::new(place, Door::Sources, server).await?,
            slowness: AtomicU64::new(0),
            known: Mutex::default(),
        })))
    }

    /// Its source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Its way to the servers.
    #[must_use]
    pub fn way(&self) -> &Way {
        &self.0.way
    }

    /// Takes so long for each event from now on.
    pub fn set_slowness(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or_default();
        self.0.slowness.store(millis, Ordering::Relaxed);
    }

    /// What it knows.
    #[must_use]
    pub fn look(&self) -> BTreeMap<String, Seen> {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until the round is over.
    pub async fn run(self, mut random: Random) {
        let place = &self.0.place;
        while !place.shutdown.is_cancelled() {
            let why = tokio::select! {
                why = self.session() => why,
                () = place.shutdown.cancelled() => return,
            };
            if let Some((stream, why)) = why {
                place.recorder.add(What::Closed { stream, why });
            } else if random.percent(50) {
                self.0.way.turn();
            }
            place.sleep(PAUSE).await;
        }
    }

    /// One stream; its number and why it ended, if it began.
    async fn session(&self) -> Option<(Number, String)> {
        let Inner {
            source, place, way, ..
        } = &*self.0;
        let replica = way.server();
        let connection = way.connect().ok()?;
        let mut events = connection.subscribe(source, "").await.ok()?;
        let stream = place.recorder.number();
        // What was missed comes as the answer to the resync; what ended meanwhile doesn't come any more.
        self.known().clear();
        place.recorder.add(What::Opened {
            stream,
            listener: Listener::Source(source.clone()),
            replica,
        });
        let resync = self.resync(&connection, stream);
        let read = async {
            loop {
                match wire::next(&mut events, place.patience(SILENCE)).await {
                    Ok(event) => match wire::status_parts(&event) {
                        Some(parts) => self.receive(stream, parts),
                        None => return "an event that isn't a status".to_owned(),
                    },
                    Err(why) => return why,
                }
                let slowness = self.0.slowness.load(Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(slowness)).await;
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

    async fn resync(&self, connection: &Connection, stream: Number) -> Result<(), String> {
        let recorder = &self.0.place.recorder;
        let op = recorder.invoke(&self.0.source, Call::Resync { stream });
        let result = connection
            .publish(wire::status_resync(&self.0.source))
            .await;
        recorder.finish(op, wire::outcome(&result));
        match result {
            Ok(_) => Ok(()),
            Err(status) => Err(format!("the resync failed: {:?}", status.code())),
        }
    }

    fn receive(&self, stream: Number, parts: wire::StatusParts) {
        let mut known = self.known();
        self.0.place.recorder.add(What::Status(Status {
            stream,
            id: parts.id.clone(),
            seen: parts.seen,
            spec: parts.spec,
            metadata: parts.metadata,
            deleted: parts.deleted,
        }));
        let life = |seen: &Seen| seen.tag.map_or(0, |tag| tag.life);
        if parts.deleted {
            let over = known
                .get(&parts.id)
                .is_some_and(|held| life(held) <= life(&parts.seen));
            if over {
                known.remove(&parts.id);
            }
        } else {
            known.insert(parts.id, parts.seen);
        }
    }
}
