//! Compares what should have happened with what did, and looks after the database.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Held, Hub, Limits};
use crate::storage::{Foreign, Store};
use crate::telemetry::Way;

/// Reminders per sweep: paces a large backlog.
const REMINDERS: usize = 2000;
/// How often events that nobody else has to handle are closed.
const CLOSE_EVENTS: Duration = Duration::from_secs(2);
/// How often old rows are removed, at most; more often when they are kept for less.
const PURGE: Duration = Duration::from_secs(30);

/// Runs until `shutdown`: reminds connected agents of what they haven't settled, with growing pauses and for as long as it
/// takes; passes on what other servers on the same database changed; removes what nobody needs. None of the three waits for
/// another.
pub async fn sweep(
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let work = async {
        tokio::join!(
            follow(&*store, &hub),
            remind(&*store, &hub, &limits),
            look_after(&*store, &hub, &limits),
        )
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        _ = work => {}
    }
}

/// Passes on what other servers changed.
async fn follow(store: &dyn Store, hub: &Hub) {
    let Some(mut foreign) = store.foreign_changes() else {
        return;
    };
    while let Some(news) = foreign.recv().await {
        match news {
            Foreign::Changes(changes) => changes.iter().for_each(|change| hub.changed(change)),
            Foreign::Gap => hub.gap(),
            Foreign::Resync(cluster) => {
                if hub.agents_of(&cluster).is_empty() {
                    continue;
                }
                match store.forwarded_resync(&cluster).await {
                    Ok(versions) => {
                        if let Some(held) = versions.as_deref().and_then(Held::from_text) {
                            hub.resync_from_elsewhere(&cluster, &Arc::new(held));
                        }
                    }
                    // An agent that isn't heard gets everything that it hasn't settled.
                    Err(error) => {
                        tracing::warn!(consumer = %cluster, %error, "Can't read what an agent told another server.");
                    }
                }
            }
        }
    }
}

async fn look_after(store: &dyn Store, hub: &Hub, limits: &Limits) {
    let mut events = tokio::time::interval(CLOSE_EVENTS);
    let mut purge = tokio::time::interval(PURGE.min(limits.events_kept));
    for interval in [&mut events, &mut purge] {
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = events.tick() => {
                if let Err(error) = store.close_events(&hub.clusters()).await {
                    tracing::warn!(%error, "Events could not be closed; it is tried again.");
                }
            }
            _ = purge.tick() => {
                if let Err(error) = store.purge(&hub.clusters(), limits.events_kept).await {
                    tracing::warn!(%error, "Old rows could not be removed; it is tried again.");
                }
            }
        }
    }
}

async fn remind(store: &dyn Store, hub: &Hub, limits: &Limits) {
    let mut sweeps = tokio::time::interval(limits.sweep_interval);
    sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        sweeps.tick().await;
        let clusters = hub.clusters();
        if clusters.is_empty() {
            continue;
        }
        let overdue = store.overdue(&clusters, limits.grace, REMINDERS).await;
        hub.telemetry.flow().synced(Way::Spec, overdue.is_ok());
        match overdue {
            Ok(overdue) => {
                if !overdue.is_empty() {
                    let deleting = overdue.iter().filter(|row| row.deleting).count();
                    tracing::info!(
                        resources = overdue.len(),
                        deleting,
                        "Reminding agents of what they haven't settled."
                    );
                }
                hub.telemetry.flow().reminded(overdue.len());
                for row in overdue {
                    hub.remind(&row.cluster, &row.id);
                }
            }
            Err(error) => tracing::warn!(%error, "Can't look for unsettled resources."),
        }
    }
}
