//! What flows through the server: events, transactions, queues (`docs/protocol/maestro-metrics.md`).

use std::time::Duration;

use jiff::SignedDuration;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::default_buckets;
use crate::model::{Operation, SpecChange};
use crate::storage::facts::Gauges;

/// A gauge with fractions.
type Fraction = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Which way an event flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To an agent.
    Spec,
    /// To a source.
    Status,
}

/// Why an event was taken from a queue and not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// Something newer about the resource is in the queue.
    Superseded,
    /// The resource is gone.
    Gone,
    /// It isn't the stream's any more: a new life of its id belongs to somebody else.
    Moved,
    /// It has nothing to say yet.
    Empty,
    /// What is stored can't be read.
    Unreadable,
    /// Its receiver couldn't take it, and nothing more can be left out of it.
    TooLarge,
}

impl Skipped {
    fn name(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Gone => "gone",
            Self::Moved => "moved",
            Self::Empty => "empty",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
        }
    }
}

macro_rules! labels {
    ($($name:ident { $($field:ident),* })*) => {
        $(#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        struct $name { $($field: &'static str),* })*
    };
}

labels! {
    EventLabels { event_type, status }
    EventTypeLabels { event_type }
    StatusLabels { status }
    SkipLabels { direction, reason }
    QueueLabels { queue_name }
    LockLabels { r#type, status }
    CallLabels { call }
    ActionLabels { action }
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// Counters of one direction.
#[derive(Debug)]
struct Controller {
    total: Family<EventLabels, Counter>,
    duration: Durations<EventTypeLabels>,
    sync: Family<StatusLabels, Counter>,
    queue: &'static str,
}

impl Controller {
    fn new(queue: &'static str) -> Self {
        Self {
            total: Family::default(),
            duration: Family::new_with_constructor(default_buckets),
            sync: Family::default(),
            queue,
        }
    }

    fn count(&self, event_type: &'static str, status: &'static str) {
        let labels = EventLabels { event_type, status };
        self.total.get_or_create(&labels).inc();
    }
}

/// Handles of these metrics.
#[derive(Debug)]
pub struct Flow {
    specs: Controller,
    statuses: Controller,
    skipped: Family<SkipLabels, Counter>,
    depth: Family<QueueLabels, Gauge>,
    adds: Family<QueueLabels, Counter>,
    retries: Family<QueueLabels, Counter>,
    work: Durations<QueueLabels>,
    locks: Family<LockLabels, Gauge>,
    unlocks: Family<LockLabels, Gauge>,
    lock_duration: Durations<LockLabels>,
    batch: Histogram,
    lane_operations: Gauge,
    lane_bytes: Gauge,
    database: Durations<CallLabels>,
    resync: Histogram,
    republished: Counter,
    processed: Family<ActionLabels, Counter>,
    first_status: Histogram,
    status_latency: Histogram,
    oldest: Fraction,
    queue_usage: Fraction,
}

fn lock_buckets() -> Histogram {
    Histogram::new([0.1, 0.2, 0.5, 1.0, 2.0, 10.0])
}

fn work_buckets() -> Histogram {
    Histogram::new(exponential_buckets(1e-8, 10.0, 10))
}

fn database_buckets() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ])
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            specs: Controller::new("event-controller"),
            statuses: Controller::new("status-event-controller"),
            skipped: Family::default(),
            depth: Family::default(),
            adds: Family::default(),
            retries: Family::default(),
            work: Family::new_with_constructor(work_buckets),
            locks: Family::default(),
            unlocks: Family::default(),
            lock_duration: Family::new_with_constructor(lock_buckets),
            batch: Histogram::new([
                1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0,
            ]),
            lane_operations: Gauge::default(),
            lane_bytes: Gauge::default(),
            database: Family::new_with_constructor(database_buckets),
            resync: Histogram::new([0.1, 0.2, 0.5, 1.0, 2.0, 10.0, 30.0]),
            republished: Counter::default(),
            processed: Family::default(),
            first_status: Histogram::new([5.0, 30.0, 120.0, 600.0]),
            status_latency: Histogram::new([0.05, 0.1, 0.5, 1.0, 5.0]),
            oldest: Gauge::default(),
            queue_usage: Gauge::default(),
        }
    }
}

impl Flow {
    fn controller(&self, way: Way) -> &Controller {
        match way {
            Way::Spec => &self.specs,
            Way::Status => &self.statuses,
        }
    }

    /// Something was put into the queues of streams.
    pub fn queued(&self, way: Way) {
        let queue_name = self.controller(way).queue;
        self.adds.get_or_create(&QueueLabels { queue_name }).inc();
    }

    /// Something was put back because it could not be read.
    pub fn put_back(&self, way: Way, count: usize) {
        let queue_name = self.controller(way).queue;
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.retries
            .get_or_create(&QueueLabels { queue_name })
            .inc_by(count);
    }

    /// How much waits in the queues of streams.
    pub fn depth(&self, way: Way, ids: usize) {
        let queue_name = self.controller(way).queue;
        self.depth
            .get_or_create(&QueueLabels { queue_name })
            .set(i64::try_from(ids).unwrap_or(i64::MAX));
    }

    /// An event was given to a connection, this long after its row was read.
    pub fn sent(&self, way: Way, event_type: &'static str, took: Duration) {
        let controller = self.controller(way);
        controller.count(event_type, "success");
        controller
            .duration
            .get_or_create(&EventTypeLabels { event_type })
            .observe(took.as_secs_f64());
        self.work
            .get_or_create(&QueueLabels {
                queue_name: controller.queue,
            })
            .observe(took.as_secs_f64());
    }

    /// An event was taken from a queue and not sent.
    pub fn skipped(&self, way: Way, event_type: &'static str, why: Skipped) {
        let status = match why {
            Skipped::Unreadable | Skipped::TooLarge => "error",
            _ => "skipped",
        };
        self.controller(way).count(event_type, status);
        let direction = match way {
            Way::Spec => "spec",
            Way::Status => "status",
        };
        let labels = SkipLabels {
            direction,
            reason: why.name(),
        };
        self.skipped.get_or_create(&labels).inc();
    }

    /// A resource got its first status, this long after it was created.
    pub fn first_status(&self, age: SignedDuration) {
        self.first_status.observe(age.as_secs_f64().max(0.0));
    }

    /// A status reached a stream of its source, this long after it was stored.
    pub fn status_delivered(&self, age: Duration) {
        self.status_latency.observe(age.as_secs_f64());
    }

    /// What should have been sent was compared with what was.
    pub fn synced(&self, way: Way, worked: bool) {
        let status = if worked { "success" } else { "error" };
        self.controller(way)
            .sync
            .get_or_create(&StatusLabels { status })
            .inc();
    }

    /// Agents were reminded of rows.
    pub fn reminded(&self, rows: usize) {
        self.republished
            .inc_by(u64::try_from(rows).unwrap_or(u64::MAX));
    }

    /// What an agent has was compared with what it should have.
    pub fn resynced(&self, took: Duration) {
        self.resync.observe(took.as_secs_f64());
    }

    /// A status was stored.
    pub fn status_stored(&self) {
        self.processed
            .get_or_create(&ActionLabels { action: "update" })
            .inc();
    }

    /// The database answered a call.
    pub fn database(&self, call: &'static str, took: Duration) {
        self.database
            .get_or_create(&CallLabels { call })
            .observe(took.as_secs_f64());
    }

    /// A transaction of the writer ended. `busy` tells which operations found their row locked by another server.
    pub fn transaction<'a>(
        &self,
        operations: impl Iterator<Item = (&'a Operation, bool)>,
        took: Duration,
    ) {
        let mut count = 0_u32;
        for (operation, busy) in operations {
            count += 1;
            let kind = match operation {
                Operation::Status(_) => "resource_status",
                _ => "resources",
            };
            let status = if busy { "ERROR" } else { "OK" };
            let labels = LockLabels {
                r#type: kind,
                status,
            };
            self.locks.get_or_create(&labels).inc();
            self.lock_duration
                .get_or_create(&labels)
                .observe(took.as_secs_f64());
            if !busy {
                // Locks end with their transaction, whatever becomes of it.
                self.unlocks.get_or_create(&labels).inc();
            }
        }
        self.batch.observe(f64::from(count));
        self.database("write", took);
    }

    /// How much waits for a transaction.
    pub fn lanes(&self, operations: usize, bytes: usize) {
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.lane_operations.set(number(operations));
        self.lane_bytes.set(number(bytes));
    }

    /// Figures that the database knows; `None` = it didn't answer.
    pub fn gauges(&self, gauges: Option<&Gauges>, now: jiff::Timestamp) {
        let Some(gauges) = gauges else {
            self.oldest.set(f64::NAN);
            self.queue_usage.set(f64::NAN);
            return;
        };
        let age = |since: jiff::Timestamp| now.duration_since(since).as_secs_f64().max(0.0);
        self.oldest.set(gauges.oldest_unsettled.map_or(0.0, age));
        self.queue_usage.set(gauges.queue_usage.unwrap_or(0.0));
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for (controller, name, what) in [
            (&self.specs, "spec_controller", "Specs"),
            (&self.statuses, "status_controller", "Statuses"),
        ] {
            registry.register(
                format!("{name}_event_reconcile"),
                format!("{what} taken from the queues of streams"),
                controller.total.clone(),
            );
            registry.register(
                format!("{name}_event_reconcile_duration_seconds"),
                format!("{what}: time from reading the row to giving it to the connection"),
                controller.duration.clone(),
            );
            registry.register(
                format!("{name}_event_sync_operation"),
                format!("{what}: comparisons of what should have been sent with what was"),
                controller.sync.clone(),
            );
        }
        registry.register(
            "spec_controller_event_oldest_unreconciled_age_seconds",
            "Age of the oldest change that its agent hasn't settled; NaN while the database doesn't answer",
            self.oldest.clone(),
        );
        registry.register(
            "spec_controller_undelivered_resources_republished",
            "Resources that agents were reminded of",
            self.republished.clone(),
        );
        registry.register(
            "delivery_skipped_events",
            "Events that were taken from a queue and not sent",
            self.skipped.clone(),
        );
        registry.register(
            "workqueue_depth",
            "Resources in the queues of streams",
            self.depth.clone(),
        );
        registry.register(
            "workqueue_adds",
            "Changes put into the queues of streams",
            self.adds.clone(),
        );
        registry.register(
            "workqueue_retries",
            "Entries put back because they could not be read",
            self.retries.clone(),
        );
        registry.register(
            "workqueue_work_duration_seconds",
            "Time from reading a row to giving it to the connection",
            self.work.clone(),
        );
        // Gauges, because counters would be renamed to end in `_total`.
        registry.register(
            "advisory_lock_count",
            "Locks tried for operations; ERROR = another server had it",
            self.locks.clone(),
        );
        registry.register(
            "advisory_unlock_count",
            "Locks given back with their transaction",
            self.unlocks.clone(),
        );
        registry.register(
            "advisory_lock_duration",
            "Time of the transaction that tried the lock, in seconds",
            self.lock_duration.clone(),
        );
        registry.register(
            "writer_batch_operations",
            "Operations in one transaction",
            self.batch.clone(),
        );
        registry.register(
            "writer_waiting_operations",
            "Operations that wait for a transaction",
            self.lane_operations.clone(),
        );
        registry.register(
            "writer_waiting_bytes",
            "Bytes of the operations that wait for a transaction",
            self.lane_bytes.clone(),
        );
        registry.register(
            "database_call_duration_seconds",
            "Time until the database answered",
            self.database.clone(),
        );
        registry.register(
            "resources_spec_resync_duration_seconds",
            "Time to compare what an agent has with what it should have",
            self.resync.clone(),
        );
        registry.register(
            "resource_processed",
            "Statuses that were stored",
            self.processed.clone(),
        );
        registry.register(
            "resource_first_status_latency_seconds",
            "Time from creating a resource to storing its first status",
            self.first_status.clone(),
        );
        registry.register(
            "resource_status_event_processing_latency_seconds",
            "Time from storing a status to giving it to a stream of its source",
            self.status_latency.clone(),
        );
        registry.register(
            "postgres_notification_queue_usage",
            "How full the queue of notifications is, 0 to 1; NaN while the database doesn't answer",
            self.queue_usage.clone(),
        );
    }
}

/// Upstream's name of what happened to a spec.
#[must_use]
pub fn event_type(kind: SpecChange) -> &'static str {
    match kind {
        SpecChange::Created => "Create",
        SpecChange::Updated => "Update",
        SpecChange::Deleted => "Delete",
    }
}
