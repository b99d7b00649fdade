//! The task that owns the engine, and what readers see of it.
//!
//! ```text
//! request ──Write──► queue ──► owner: engine, up to 64 writes ──► journal (one transaction) ──► view ──► reply
//!                                                                                                └──► watches
//! ```
//! Readers see a write only after it is stored. A watch keeps only a position in the history and reads from there when
//! it hears that there is something new, so a slow reader costs no memory and is told `410 Gone` if it falls behind
//! the kept history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{BATCHED_WRITES, HISTORY_BYTES, HISTORY_CHANGES, QUEUED_WRITES};
use crate::engine::{self, Change, Engine, Outcome, Write};
use crate::failure::Failure;
use crate::journal::Journal;
use crate::object::{Key, Object};
use crate::registry::Registry;

struct Job {
    write: Write,
    reply: oneshot::Sender<Result<Outcome, Failure>>,
}

/// Changes in order, with the oldest forgotten.
#[derive(Debug, Default)]
struct History {
    changes: VecDeque<Change>,
    bytes: usize,
    /// Changes up to this revision are forgotten.
    floor: u64,
}

impl History {
    fn push(&mut self, change: Change) {
        self.bytes += change.object.json.len();
        self.changes.push_back(change);
        while self.changes.len() > HISTORY_CHANGES || self.bytes > HISTORY_BYTES {
            let Some(oldest) = self.changes.pop_front() else {
                break;
            };
            self.bytes -= oldest.object.json.len();
            self.floor = oldest.revision;
        }
    }
}

/// What readers see.
struct View {
    objects: BTreeMap<Key, Arc<Object>>,
    history: History,
    registry: Arc<Registry>,
    revision: u64,
}

struct Shared {
    view: RwLock<View>,
    latest: watch::Sender<u64>,
}

/// A handle to the objects of a sandbox. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    writes: mpsc::Sender<Job>,
}

/// The owner of the engine, to be run as a task.
pub struct Owner {
    engine: Engine,
    journal: Option<Journal>,
    jobs: mpsc::Receiver<Job>,
    shared: Arc<Shared>,
}

/// A resourceVersion is older than the kept history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The oldest resourceVersion that can be continued from.
    pub oldest: u64,
}

/// Opens a store on an engine. The engine's pending background work is done by the owner first.
pub fn open(engine: Engine, journal: Option<Journal>) -> (Store, Owner) {
    let (writes, jobs) = mpsc::channel(QUEUED_WRITES);
    let revision = engine.revision();
    let view = View {
        objects: engine.objects().clone(),
        history: History {
            floor: revision,
            ..History::default()
        },
        registry: Arc::clone(engine.registry()),
        revision,
    };
    let shared = Arc::new(Shared {
        view: RwLock::new(view),
        latest: watch::Sender::new(revision),
    });
    let store = Store {
        shared: Arc::clone(&shared),
        writes,
    };
    (
        store,
        Owner {
            engine,
            journal,
            jobs,
            shared,
        },
    )
}

impl Owner {
    /// Serves writes until `shutdown`, or until all handles are gone. A write that was taken is finished.
    pub async fn run(mut self, shutdown: CancellationToken) {
        self.engine.settle();
        if let Err(failure) = self.publish().await {
            tracing::error!(error = %failure.message, "Background work of the last run was not stored.");
        }
        let mut batch = Vec::with_capacity(BATCHED_WRITES);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                taken = self.jobs.recv_many(&mut batch, BATCHED_WRITES) => {
                    if taken == 0 {
                        break;
                    }
                }
            }
            let mut replies = Vec::with_capacity(batch.len());
            for job in batch.drain(..) {
                let result = self.engine.execute(job.write);
                replies.push((job.reply, result));
            }
            let stored = self.publish().await;
            for (reply, result) in replies {
                let result = match &stored {
                    Ok(()) => result,
                    Err(failure) => result.and(Err(failure.clone())),
                };
                // The client may have gone: its write stands.
                let _ = reply.send(result);
            }
        }
    }

    /// Stores the engine's changes and shows them to readers.
    async fn publish(&mut self) -> Result<(), Failure> {
        let changes = self.engine.take_changes();
        if changes.is_empty() {
            return Ok(());
        }
        let revision = self.engine.revision();
        if let Some(journal) = &self.journal
            && let Err(error) = journal.append(&changes, revision).await
        {
            tracing::error!(%error, "Changes could not be stored; they are undone.");
            self.engine.roll_back(&changes);
            return Err(Failure::internal("the change could not be stored"));
        }
        {
            let mut view = self
                .shared
                .view
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            for change in changes {
                if change.removed {
                    view.objects.remove(&change.object.key);
                } else {
                    view.objects
                        .insert(change.object.key.clone(), Arc::clone(&change.object));
                }
                view.history.push(change);
            }
            view.registry = Arc::clone(self.engine.registry());
            view.revision = revision;
        }
        self.shared.latest.send_replace(revision);
        Ok(())
    }
}

impl Store {
    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.shared
            .view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a write. When this returns `Ok`, it is stored and visible.
    ///
    /// # Errors
    /// The refusal, or 503 if the sandbox is stopping.
    ///
    /// # Cancel safety
    /// If dropped, the write may still be done.
    pub async fn write(&self, write: Write) -> Result<Outcome, Failure> {
        let stopping = || Failure::unavailable("the sandbox is stopping");
        let (reply, answer) = oneshot::channel();
        self.writes
            .send(Job { write, reply })
            .await
            .map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// The resource types that are served.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.view().registry)
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.view().objects.get(key).cloned()
    }

    /// The objects of a type, optionally of one namespace, from `start` on, and the resourceVersion of this state.
    pub fn list(
        &self,
        storage: &str,
        namespace: Option<&str>,
        start: Option<&Key>,
    ) -> (Vec<Arc<Object>>, u64) {
        let view = self.view();
        let objects = engine::range(&view.objects, storage, namespace)
            .skip_while(|object| start.is_some_and(|start| object.key <= *start))
            .cloned()
            .collect();
        (objects, view.revision)
    }

    /// Asks about all objects at one moment. `ask` must be quick: writes wait for it.
    pub fn with_objects<T>(&self, ask: impl FnOnce(&BTreeMap<Key, Arc<Object>>) -> T) -> T {
        ask(&self.view().objects)
    }

    /// The current resourceVersion.
    pub fn revision(&self) -> u64 {
        self.view().revision
    }

    /// Whether changes after `revision` are all still known.
    ///
    /// # Errors
    /// They aren't.
    pub fn check_history(&self, revision: u64) -> Result<(), Expired> {
        let floor = self.view().history.floor;
        if revision < floor {
            Err(Expired { oldest: floor })
        } else {
            Ok(())
        }
    }

    /// The first `limit` changes of a type after `revision`, oldest first, and the resourceVersion up to which they are
    /// complete.
    ///
    /// # Errors
    /// Some are forgotten.
    pub fn changes_after(
        &self,
        revision: u64,
        storage: &str,
        namespace: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Change>, u64), Expired> {
        let view = self.view();
        let history = &view.history;
        if revision < history.floor {
            return Err(Expired {
                oldest: history.floor,
            });
        }
        let first = history
            .changes
            .partition_point(|change| change.revision <= revision);
        let changes: Vec<Change> = history
            .changes
            .range(first..)
            .filter(|change| {
                let key = &change.object.key;
                &*key.storage == storage
                    && namespace.is_none_or(|namespace| &*key.namespace == namespace)
            })
            .take(limit)
            .cloned()
            .collect();
        let complete = match changes.last() {
            Some(last) if changes.len() == limit => last.revision,
            _ => view.revision,
        };
        Ok((changes, complete))
    }

    /// Hears the resourceVersion after each change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.latest.subscribe()
    }
}

#[cfg(test)]
mod tests;
