//! Keeps the database up to date about who is connected here and what was sent.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Hub;
use crate::storage::Store;

/// How often news are written: this old is what other servers know.
const NEWS: Duration = Duration::from_secs(1);
/// Every so many times, all streams are written, not only those with news: silence would look like death.
const ALL: u32 = 10;
/// Notes that are written in one statement.
const PORTION: usize = 2000;
/// How often notes about resources that are gone are removed.
const FORGET: Duration = Duration::from_secs(1800);

/// Runs until `shutdown`, and says at the end what was still to be said.
pub async fn keep_presence(
    store: std::sync::Arc<dyn Store>,
    hub: std::sync::Arc<Hub>,
    shutdown: CancellationToken,
) {
    let mut news = tokio::time::interval(NEWS);
    news.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut forget = tokio::time::interval(FORGET);
    let mut round = 0_u32;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = news.tick() => {
                write(&*store, &hub, round.is_multiple_of(ALL)).await;
                round = round.wrapping_add(1);
            }
            _ = forget.tick() => if let Err(error) = store.forget_sent().await {
                tracing::debug!(%error, "Old notes about deliveries could not be removed; it is tried again.");
            }
        }
    }
    // Streams end with the shutdown; a moment later all of them have said goodbye.
    tokio::time::sleep(Duration::from_millis(200)).await;
    write(&*store, &hub, false).await;
}

async fn write(store: &dyn Store, hub: &Hub, all: bool) {
    let (ended, streams) = hub.presence(all);
    if !ended.is_empty() || !streams.is_empty() {
        match store.note_presence(&ended, &streams).await {
            Ok(accepted) => {
                for cluster in accepted {
                    let _ = hub.accept_strangers(&cluster);
                }
            }
            Err(error) => {
                hub.presence_unwritten(ended, streams);
                tracing::debug!(%error, "Can't note which agents are connected; it is tried again.");
            }
        }
    }
    let mut worked = true;
    for portion in hub.log.take().chunks(PORTION) {
        if let Err(error) = store.note_sent(portion.to_vec()).await {
            worked = false;
            tracing::debug!(%error, "Can't note what was sent; it is tried again.");
            break;
        }
    }
    hub.log.written(worked);
}
