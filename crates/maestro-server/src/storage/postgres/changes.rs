//! What other servers on the same database change: their notifications, and a look at the tables whenever some may have
//! been missed.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sql_store::postgres::{Client, Config, ConfigError, Notice, Pool, listen};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::{Error, Foreign, now};
use super::Instance;
use crate::model::{Change, SpecChange};

const EVENTS: &str = "events";
const STATUS_EVENTS: &str = "status_events";
/// Notifications looked up together, at most.
const GROUP: usize = 500;
/// Changes that wait for the sweeper.
const QUEUE: usize = 16;
/// Tables are read this far back from the last time that all was well: transactions commit later than they begin.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);
/// After a longer gap events may have been removed unseen (they are kept for 15 minutes).
const LONGEST_GAP: SignedDuration = SignedDuration::from_mins(10);
/// How long it is remembered what was passed on: longer than any look back.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(120);
/// Pause after a failed look-up.
const RETRY: Duration = Duration::from_secs(1);

pub(super) fn watch(
    config: &Config,
    reads: &Pool,
    instance: &Instance,
    stop: CancellationToken,
) -> Result<mpsc::Receiver<Foreign>, ConfigError> {
    let notices = listen(config, &[EVENTS, STATUS_EVENTS], stop.clone())?;
    let (changes, receiver) = mpsc::channel(QUEUE);
    let watcher = Watcher {
        passed: VecDeque::new(),
        passed_ids: HashSet::new(),
        reads: reads.clone(),
        instance: instance.clone(),
        changes,
        seen: now(),
    };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = watcher.run(notices) => {}
        }
    });
    Ok(receiver)
}

struct Watcher {
    /// Events that were passed on lately, oldest first: tables are read with an overlap.
    passed: VecDeque<(Timestamp, String)>,
    passed_ids: HashSet<String>,
    reads: Pool,
    instance: Instance,
    changes: mpsc::Sender<Foreign>,
    /// Everything before this time was passed on.
    seen: Timestamp,
}

impl Watcher {
    async fn run(mut self, mut notices: mpsc::Receiver<Notice>) {
        let mut group = Vec::with_capacity(GROUP);
        while notices.recv_many(&mut group, GROUP).await > 0 {
            let mut resync = false;
            let (mut events, mut status_events) = (Vec::new(), Vec::new());
            for notice in group.drain(..) {
                match notice {
                    Notice::Notify { payload, .. } if self.instance.wrote(&payload) => {}
                    Notice::Notify { channel, payload } if channel == EVENTS => {
                        events.push(payload);
                    }
                    Notice::Notify { payload, .. } => status_events.push(payload),
                    Notice::Resync => resync = true,
                }
            }
            let since = resync.then(|| self.seen - OVERLAP);
            let started = now();
            if resync && started.duration_since(self.seen) > LONGEST_GAP {
                tracing::warn!("Heard nothing from the database for long: everything is compared.");
                if self.changes.send(Foreign::Gap).await.is_err() {
                    return;
                }
            }
            let changes = loop {
                match self.look_up(&events, &status_events, since).await {
                    Ok(changes) => break changes,
                    Err(error) => {
                        tracing::warn!(%error, "Can't look up what other servers changed.");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            };
            if resync {
                self.seen = started;
            }
            let changes = self.new_ones(changes, started);
            let passed =
                changes.is_empty() || self.changes.send(Foreign::Changes(changes)).await.is_ok();
            if !passed {
                return;
            }
        }
    }

    /// The changes whose events weren't passed on before.
    fn new_ones(&mut self, changes: Vec<(String, Change)>, now: Timestamp) -> Vec<Change> {
        while self
            .passed
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED)
        {
            if let Some((_, event)) = self.passed.pop_front() {
                self.passed_ids.remove(&event);
            }
        }
        let mut fresh = Vec::new();
        for (event, change) in changes {
            if self.passed_ids.insert(event.clone()) {
                self.passed.push_back((now, event));
                fresh.push(change);
            }
        }
        fresh
    }

    async fn look_up(
        &self,
        events: &[String],
        status_events: &[String],
        since: Option<Timestamp>,
    ) -> Result<Vec<(String, Change)>, Error> {
        let mut changes = Vec::new();
        if events.is_empty() && status_events.is_empty() && since.is_none() {
            return Ok(changes);
        }
        let client = self.reads.get().await?;
        self.reads
            .bounded(async {
                if !events.is_empty() || since.is_some() {
                    specs(&client, events, since, &self.instance, &mut changes).await?;
                }
                if !status_events.is_empty() || since.is_some() {
                    statuses(&client, status_events, since, &self.instance, &mut changes).await?;
                }
                Ok::<(), Error>(())
            })
            .await?;
        Ok(changes)
    }
}

async fn specs(
    client: &Client,
    ids: &[String],
    since: Option<Timestamp>,
    instance: &Instance,
    changes: &mut Vec<(String, Change)>,
) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "select e.id, r.id, r.consumer_name, e.event_type from events e join resources r on r.id = e.source_id \
             where e.id = any($1) or e.created_at >= $2 order by e.created_at",
        )
        .await?;
    for row in client.query(&statement, &[&ids, &since]).await? {
        let event: &str = row.try_get(0)?;
        let Some(cluster) = row.try_get::<_, Option<&str>>(2)? else {
            continue;
        };
        if instance.wrote(event) {
            continue;
        }
        let kind = match row.try_get::<_, Option<&str>>(3)? {
            Some("Create") => SpecChange::Created,
            Some("Delete") => SpecChange::Deleted,
            _ => SpecChange::Updated,
        };
        let id = row.try_get::<_, &str>(1)?.into();
        let change = Change::Spec {
            id,
            cluster: cluster.into(),
            kind,
        };
        changes.push((event.to_owned(), change));
    }
    Ok(())
}

async fn statuses(
    client: &Client,
    ids: &[String],
    since: Option<Timestamp>,
    instance: &Instance,
    changes: &mut Vec<(String, Change)>,
) -> Result<(), Error> {
    // A Go server leaves the source out of updates.
    let statement = client
        .prepare_cached(
            "select s.id, s.resource_id, coalesce(nullif(s.resource_source, ''), r.source), s.status_event_type \
             from status_events s left join resources r on r.id = s.resource_id \
             where s.id = any($1) or s.created_at >= $2 order by s.created_at",
        )
        .await?;
    for row in client.query(&statement, &[&ids, &since]).await? {
        let event: &str = row.try_get(0)?;
        let (id, source): (Option<&str>, Option<&str>) = (row.try_get(1)?, row.try_get(2)?);
        let (Some(id), Some(source)) = (id, source) else {
            continue;
        };
        if instance.wrote(event) {
            continue;
        }
        let (id, source) = (id.into(), source.into());
        let change = match row.try_get::<_, Option<&str>>(3)? {
            Some("StatusDelete") => Change::Removed {
                id,
                source,
                event: event.to_owned(),
            },
            _ => Change::Status { id, source },
        };
        changes.push((event.to_owned(), change));
    }
    Ok(())
}
