//! Compares what should have happened with what did, and looks after the database.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Hub, Limits};
use crate::storage::{Foreign, Store};

/// Reminders per sweep: paces a large backlog.
const REMINDERS: usize = 2000;
/// How often old rows are removed.
const PURGE: Duration = Duration::from_secs(60);

/// Runs until `shutdown`: reminds connected agents of what they haven't settled, with growing pauses and for as long as it
/// takes; passes on what other servers on the same database changed; removes what nobody needs.
pub async fn sweep(
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let mut foreign = store.foreign_changes();
    let mut reminders = tokio::time::interval(limits.sweep_interval);
    let mut purge = tokio::time::interval(PURGE);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = reminders.tick() => remind(&*store, &hub, &limits).await,
            _ = purge.tick() => {
                if let Err(error) = store.purge().await {
                    tracing::warn!(%error, "Old rows could not be removed; it is tried again.");
                }
            }
            changes = async {
                match &mut foreign {
                    Some(receiver) => receiver.recv().await,
                    None => std::future::pending().await,
                }
            } => match changes {
                Some(Foreign::Changes(changes)) => changes.iter().for_each(|change| hub.changed(change)),
                Some(Foreign::Gap) => hub.gap(),
                None => foreign = None,
            },
        }
    }
}

async fn remind(store: &dyn Store, hub: &Hub, limits: &Limits) {
    let clusters = hub.clusters();
    if clusters.is_empty() {
        return;
    }
    match store.overdue(&clusters, limits.grace, REMINDERS).await {
        Ok(overdue) => {
            if !overdue.is_empty() {
                let deleting = overdue.iter().filter(|row| row.deleting).count();
                tracing::info!(
                    resources = overdue.len(),
                    deleting,
                    "Reminding agents of what they haven't settled."
                );
            }
            for row in overdue {
                hub.remind(&row.cluster, &row.id);
            }
        }
        Err(error) => tracing::warn!(%error, "Can't look for unsettled resources."),
    }
}
