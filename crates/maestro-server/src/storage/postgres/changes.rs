//! What other servers on the same database change: their notifications, and a look at the tables whenever some may have
//! been missed. Neither waits for the other.

mod look;
mod queries;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sql_store::postgres::{Config, ConfigError, Notice, Pool, listen};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::super::{Error, Foreign};
use super::lately::Lately;
use super::{Instance, resyncs};
use crate::model::{Change, ClusterName};

const EVENTS: &str = "events";
const STATUS_EVENTS: &str = "status_events";
/// Events looked up together, at most.
const GROUP: usize = 500;
/// Changes that wait for the sweeper.
const QUEUE: usize = 16;
/// How long it is remembered what was passed on, at least: longer than two looks at the tables are apart.
const REMEMBERED: Duration = Duration::from_secs(90);
/// Pause after a failed look-up.
const RETRY: Duration = Duration::from_secs(1);

pub(super) fn watch(
    config: &Config,
    reads: &Pool,
    instance: &Instance,
    listening: Arc<AtomicBool>,
    stop: CancellationToken,
) -> Result<mpsc::Receiver<Foreign>, ConfigError> {
    let notices = listen(
        config,
        &[EVENTS, STATUS_EVENTS, resyncs::CHANNEL],
        stop.clone(),
    )?;
    let (changes, receiver) = mpsc::channel(QUEUE);
    let watcher = Watcher {
        passed: Mutex::new(Lately::new(REMEMBERED)),
        reads: reads.clone(),
        instance: instance.clone(),
        changes,
        listening,
        missed: Notify::new(),
    };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            _ = watcher.follow(notices) => {}
            _ = look::whenever_missed(&watcher) => {}
        }
    });
    Ok(receiver)
}

struct Watcher {
    /// Events that were passed on lately: tables are read with an overlap.
    passed: Mutex<Lately>,
    reads: Pool,
    instance: Instance,
    changes: mpsc::Sender<Foreign>,
    /// Set as soon as nothing is missed any more.
    listening: Arc<AtomicBool>,
    /// Some notifications may have been missed.
    missed: Notify,
}

/// Why something was not passed on.
enum Stop {
    /// Nobody wants to know.
    Closed,
    /// The database didn't say.
    Failed(Error),
}

#[derive(Clone)]
enum News {
    Change(Change),
    Resync(ClusterName),
}

/// Events, and what they say.
type Found = Vec<(String, News)>;

// === impl Stop ===

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Stop {
    /// Waits before another attempt; `None` when none is needed any more.
    async fn pause(self) -> Option<()> {
        let Self::Failed(error) = self else {
            return None;
        };
        tracing::warn!(%error, "Can't look up what other servers changed.");
        tokio::time::sleep(RETRY).await;
        Some(())
    }
}

// === impl Watcher ===

impl Watcher {
    /// Passes on what notifications are about.
    async fn follow(&self, mut notices: mpsc::Receiver<Notice>) -> Option<()> {
        let mut group = Vec::with_capacity(GROUP);
        while notices.recv_many(&mut group, GROUP).await > 0 {
            let hints = Hints::of(group.drain(..), &self.instance);
            if hints.missed {
                self.missed.notify_one();
            }
            while let Err(stop) = self.tell(&hints).await {
                stop.pause().await?;
            }
        }
        Some(())
    }

    async fn tell(&self, hints: &Hints) -> Result<(), Stop> {
        self.look_up(&hints.events, &hints.status_events).await?;
        self.pass_on(hints.words.clone()).await
    }

    /// Passes on what a group of events says.
    async fn look_up(&self, events: &[String], status_events: &[String]) -> Result<(), Stop> {
        if events.is_empty() && status_events.is_empty() {
            return Ok(());
        }
        let client = self.reads.get().await?;
        let found = self
            .reads
            .bounded(async {
                let mut found = Found::new();
                if !events.is_empty() {
                    queries::specs(&client, events, &self.instance, &mut found).await?;
                }
                if !status_events.is_empty() {
                    queries::statuses(&client, status_events, &self.instance, &mut found).await?;
                }
                Ok::<_, Error>(found)
            })
            .await?;
        drop(client);
        self.pass_on(found).await?;
        // Those whose resource is gone, too.
        let mut passed = self.passed();
        for id in events.iter().chain(status_events) {
            passed.insert(id, Instant::now());
        }
        Ok(())
    }

    /// Tells what wasn't told before.
    async fn pass_on(&self, mut found: Found) -> Result<(), Stop> {
        let now = Instant::now();
        found.retain(|(event, _)| self.passed().insert(event, now));
        let (mut changes, mut words) = (Vec::new(), Vec::new());
        for (_, news) in found {
            match news {
                News::Change(change) => changes.push(change),
                News::Resync(cluster) => words.push(Foreign::Resync(cluster)),
            }
        }
        let changes = (!changes.is_empty()).then_some(Foreign::Changes(changes));
        for news in changes.into_iter().chain(words) {
            self.changes.send(news).await.map_err(|_| Stop::Closed)?;
        }
        Ok(())
    }

    fn passed(&self) -> MutexGuard<'_, Lately> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a group of notifications is about.
#[derive(Default)]
struct Hints {
    /// Some were lost.
    missed: bool,
    events: Vec<String>,
    status_events: Vec<String>,
    /// What agents told other servers.
    words: Found,
}

// === impl Hints ===

impl Hints {
    fn of(notices: impl Iterator<Item = Notice>, instance: &Instance) -> Self {
        let mut hints = Self::default();
        for notice in notices {
            let (channel, payload) = match notice {
                Notice::Notify { channel, payload } => (channel, payload),
                Notice::Resync => {
                    hints.missed = true;
                    continue;
                }
            };
            if instance.wrote(&payload) {
                continue;
            }
            match channel.as_str() {
                EVENTS => hints.events.push(payload),
                STATUS_EVENTS => hints.status_events.push(payload),
                resyncs::CHANNEL => {
                    if let Some((id, cluster)) = payload.split_once(' ') {
                        let news = News::Resync(cluster.into());
                        hints.words.push((id.to_owned(), news));
                    }
                }
                _ => {}
            }
        }
        hints
    }
}
