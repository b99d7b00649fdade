//! What a server does by itself while it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::delivery::Hub;
use crate::storage::{self, Store};
use crate::telemetry::Way;
use crate::writer::Writer;

/// How often the lengths of queues are measured.
const MEASURE_QUEUES: Duration = Duration::from_secs(5);
/// How often the database is asked for its figures.
const MEASURE_DATABASE: Duration = Duration::from_secs(15);

/// Tells the other servers on the database that this one lives.
pub(super) async fn say_alive(store: Arc<dyn Store>, interval: Duration, stop: CancellationToken) {
    let mut every = tokio::time::interval(interval);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => if let Err(error) = store.heartbeat().await {
                tracing::warn!(%error, "Can't give a sign of life in the database.");
            }
        }
    }
}

/// Keeps gauges up to date.
pub(super) async fn measure(
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    writer: Writer,
    stop: CancellationToken,
) {
    let mut queues = tokio::time::interval(MEASURE_QUEUES);
    let mut database = tokio::time::interval(MEASURE_DATABASE);
    database.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let flow = hub.telemetry.flow();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = queues.tick() => {
                let (specs, statuses) = hub.waiting();
                flow.depth(Way::Spec, specs);
                flow.depth(Way::Status, statuses);
                hub.telemetry.waiting(specs + statuses);
                let (operations, bytes) = writer.waiting();
                flow.lanes(operations, bytes);
            }
            _ = database.tick() => {
                let gauges = store.gauges().await;
                if let Err(error) = &gauges {
                    tracing::debug!(%error, "Figures of the database can't be read.");
                }
                flow.gauges(gauges.as_ref().ok(), storage::now());
            }
        }
    }
}
