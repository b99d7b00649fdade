//! A look at the tables: finds what no notification told.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::super::{Error, Foreign};
use super::super::horizon::Horizon;
use super::{EVENTS, Found, GROUP, STATUS_EVENTS, Stop, Watcher, queries};

/// Looks each time that notifications may have been missed; ends when nobody wants to know.
pub(super) async fn whenever_missed(watcher: &Watcher) -> Option<()> {
    let mut horizon = Horizon::new(Instant::now());
    loop {
        watcher.missed.notified().await;
        while let Err(stop) = look(watcher, &mut horizon).await {
            stop.pause().await?;
        }
    }
}

async fn look(watcher: &Watcher, horizon: &mut Horizon) -> Result<(), Stop> {
    let lost = watcher.instance.doubts.overflowed();
    let attempt = horizon.attempt(Instant::now(), lost);
    if attempt.gap {
        tracing::warn!("Changes may have been missed for good: everything is compared.");
        let gap = watcher.changes.send(Foreign::Gap).await;
        gap.map_err(|_| Stop::Closed)?;
    }
    let overlooked = overlooked(watcher, attempt.since).await?;
    for group in overlooked.events.chunks(GROUP) {
        watcher.look_up(group, &[]).await?;
    }
    for group in overlooked.status_events.chunks(GROUP) {
        watcher.look_up(&[], group).await?;
    }
    watcher.pass_on(overlooked.words).await?;
    note_seen(watcher, attempt.since).await;
    horizon.caught_up(&attempt);
    watcher.listening.store(true, Ordering::Relaxed);
    Ok(())
}

/// What others wrote and nothing was told of.
struct Overlooked {
    events: Vec<String>,
    status_events: Vec<String>,
    words: Found,
}

async fn overlooked(watcher: &Watcher, since: Duration) -> Result<Overlooked, Error> {
    let asked = Instant::now();
    let client = watcher.reads.get().await?;
    let age = (since + asked.elapsed()).as_secs_f64();
    // Nearly all that the tables hold was written here or was passed on: its ids are all that is read of it.
    let news = |id: &str| !watcher.instance.wrote(id) && !watcher.passed().contains(id);
    watcher
        .reads
        .bounded(async {
            Ok(Overlooked {
                events: queries::ids(&client, EVENTS, age, news).await?,
                status_events: queries::ids(&client, STATUS_EVENTS, age, news).await?,
                words: queries::words(&client, age, &watcher.instance).await?,
            })
        })
        .await
}

/// Notes that this server has seen the status events of the last time, while a Go server asks for that.
async fn note_seen(watcher: &Watcher, since: Duration) {
    if !watcher.instance.go.load(Ordering::Relaxed) {
        return;
    }
    let noted = async {
        let client = watcher.reads.get().await?;
        let noting = queries::note_seen(&client, since.as_secs_f64(), &watcher.instance);
        watcher.reads.bounded(noting).await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, "Can't note which status events were seen; they are kept for longer.");
    }
}
