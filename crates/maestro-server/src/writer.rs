//! The only way to change a resource: concurrent operations share transactions, and each caller gets its own answer after
//! the commit.
//!
//! Operations wait in one lane per source and per cluster. While a transaction is on its way, the lanes fill (there is no
//! timer); the next one takes them in turn, so that a flood in one lane costs the others at most their share. Operations on
//! one resource keep their order and are never in the same transaction.

mod lanes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::Hub;
use crate::model::{Done, Operation, Refusal};
use crate::seldom::seldom;
use crate::storage::{Batch, Error, Slot, Store, now};

pub use lanes::Lane;
use lanes::{Lanes, Waiting};

/// Transactions on their way at once: one commits while the next is prepared.
const WORKERS: usize = 2;
/// How long an operation is tried again because another server holds its row.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// Pause after a transaction in which every row was held by another server.
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// Takes operations and answers them. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    lanes: Arc<Lanes>,
}

/// Why an operation didn't happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl Writer {
    /// Starts the tasks that write; they end with `shutdown`, after what was accepted is written.
    #[must_use]
    pub fn start(
        store: Arc<dyn Store>,
        hub: Arc<Hub>,
        isolate_sources: bool,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let lanes = Arc::new(Lanes::default());
        for _ in 0..WORKERS {
            let worker = Worker {
                store: Arc::clone(&store),
                hub: Arc::clone(&hub),
                lanes: Arc::clone(&lanes),
                isolate_sources,
            };
            tasks.spawn(worker.run(shutdown.clone()));
        }
        Self { lanes }
    }

    /// Operations that wait for a transaction, and their bytes: for metrics.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.lanes.depth()
    }

    /// Runs one operation; when this returns, it survives any crash.
    ///
    /// # Errors
    /// The refusal, or what the database failed with. After [`Error::Unavailable`] it may have happened all the same.
    ///
    /// # Cancel safety
    /// Dropping the future doesn't take the operation back.
    pub async fn submit(&self, lane: Lane, operation: Operation) -> Result<Done, WriteError> {
        let (answer, receiver) = oneshot::channel();
        self.lanes
            .push(
                lane,
                Waiting {
                    operation,
                    answer,
                    busy_since: None,
                },
            )
            .await;
        receiver
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the server is shutting down").into()))
    }
}

struct Worker {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    lanes: Arc<Lanes>,
    isolate_sources: bool,
}

impl Worker {
    async fn run(self, shutdown: CancellationToken) {
        loop {
            let taken = tokio::select! {
                biased;
                taken = self.lanes.take() => taken,
                () = shutdown.cancelled() => {
                    self.lanes.close();
                    return;
                }
            };
            self.write(taken).await;
        }
    }

    async fn write(&self, taken: Vec<(Lane, Waiting)>) {
        let operations: Arc<[Operation]> = taken
            .iter()
            .map(|(_, waiting)| waiting.operation.clone())
            .collect();
        let total = taken.len();
        let started = Instant::now();
        let since = now();
        let applied = self.apply(Arc::clone(&operations)).await;
        let busy = |at: usize| {
            let slot = applied.as_ref().ok().and_then(|slots| slots.get(at));
            matches!(slot, Some(Slot::Busy))
        };
        let outcomes = operations
            .iter()
            .enumerate()
            .map(|(at, one)| (one, busy(at)));
        let flow = self.hub.telemetry.flow();
        flow.transaction(outcomes, started.elapsed());
        let slots = match applied {
            Ok(slots) => slots.into_iter().map(Ok).collect(),
            Err(error @ Error::Unavailable(_)) => {
                // It may have been committed; trying again could report a conflict with itself.
                let text = error.to_string();
                taken
                    .iter()
                    .map(|_| Err(Error::unavailable(text.clone())))
                    .collect()
            }
            Err(error) => {
                if total > 1 {
                    seldom!(warn, %error, operations = total, "A transaction failed; its operations run one by one.");
                }
                self.one_by_one(&operations).await
            }
        };
        let until = now();
        let mut busy = 0;
        for ((lane, mut waiting), slot) in taken.into_iter().zip(slots) {
            let id = waiting.operation.id().clone();
            match slot {
                Ok(Slot::Busy) => {
                    let since = *waiting.busy_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < BUSY_LIMIT {
                        busy += 1;
                        self.lanes.put_back(lane, waiting);
                    } else {
                        let error = Error::unavailable("another server holds the resource");
                        let _ = waiting.answer.send(Err(error.into()));
                    }
                }
                Ok(Slot::Decided { outcome, change }) => {
                    if let Ok(done) = &outcome {
                        let recent = &self.hub.recent;
                        recent.note(&waiting.operation, done, since, until);
                        if let Done::Stored {
                            first_since: Some(created),
                        } = done
                        {
                            let flow = self.hub.telemetry.flow();
                            flow.first_status(until.duration_since(*created));
                        }
                    }
                    // First the streams, then the answer: who was answered may expect delivery.
                    if let Some(change) = change {
                        self.hub.changed(&change);
                    }
                    let _ = waiting.answer.send(outcome.map_err(WriteError::from));
                }
                Err(error) => {
                    let _ = waiting.answer.send(Err(error.into()));
                }
            }
            self.lanes.finished(&id);
        }
        if busy == total {
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }

    async fn apply(&self, operations: Arc<[Operation]>) -> Result<Vec<Slot>, Error> {
        let total = operations.len();
        let batch = Batch {
            operations,
            isolate_sources: self.isolate_sources,
        };
        let slots = self.store.apply(batch).await?;
        if slots.len() == total {
            Ok(slots)
        } else {
            Err(Error::other("the storage lost an operation"))
        }
    }

    /// Something in the batch can't be written; the rest can.
    async fn one_by_one(&self, operations: &[Operation]) -> Vec<Result<Slot, Error>> {
        let mut slots = Vec::with_capacity(operations.len());
        for operation in operations {
            let slot = match self.apply(Arc::new([operation.clone()])).await {
                Ok(mut alone) => alone
                    .pop()
                    .ok_or_else(|| Error::other("the storage lost an operation")),
                Err(Error::Invalid(cause)) => {
                    seldom!(warn, id = %operation.id(), trace_id = operation.trace_id(), error = %cause, "An event can't be stored.");
                    Ok(Slot::Decided {
                        outcome: Err(Refusal::NotStorable),
                        change: None,
                    })
                }
                Err(error) => {
                    seldom!(error, id = %operation.id(), trace_id = operation.trace_id(), %error, "An operation failed.");
                    Err(error)
                }
            };
            slots.push(slot);
        }
        slots
    }
}
