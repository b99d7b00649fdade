//! What other servers on the same database change: their notifications, and a look at the tables whenever some may have
//! been missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sql_store::postgres::{Client, Config, ConfigError, Notice, Pool, listen};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::{Error, Foreign};
use super::horizon::Horizon;
use super::lately::Lately;
use super::schema::go_is_here;
use super::{Instance, resyncs};
use crate::model::{Change, ClusterName, SpecChange};

const EVENTS: &str = "events";
const STATUS_EVENTS: &str = "status_events";
/// Notifications looked up together, at most.
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
        passed: Lately::new(REMEMBERED),
        reads: reads.clone(),
        instance: instance.clone(),
        changes,
        listening,
        horizon: Horizon::new(Instant::now()),
    };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = watcher.run(notices) => {}
        }
    });
    Ok(receiver)
}

/// Events, and what they say.
type Found = Vec<(String, News)>;

struct Watcher {
    /// Events that were passed on lately: tables are read with an overlap.
    passed: Lately,
    reads: Pool,
    instance: Instance,
    changes: mpsc::Sender<Foreign>,
    /// Set as soon as nothing is missed any more.
    listening: Arc<AtomicBool>,
    /// What was passed on.
    horizon: Horizon,
}

impl Watcher {
    async fn run(mut self, mut notices: mpsc::Receiver<Notice>) {
        let mut group = Vec::with_capacity(GROUP);
        while notices.recv_many(&mut group, GROUP).await > 0 {
            let hints = Hints::of(group.drain(..), &self.instance);
            let Some((found, since)) = self.catch_up(&hints).await else {
                return;
            };
            let (mut changes, mut words) = (Vec::new(), Vec::new());
            for news in self.new_ones(found, Instant::now()) {
                match news {
                    News::Change(change) => changes.push(change),
                    News::Resync(cluster) => words.push(cluster),
                }
            }
            if !changes.is_empty() && self.changes.send(Foreign::Changes(changes)).await.is_err() {
                return;
            }
            for cluster in words {
                if self.changes.send(Foreign::Resync(cluster)).await.is_err() {
                    return;
                }
            }
            if self.instance.go.load(Ordering::Relaxed)
                && let Err(error) = self.note_seen(&hints, since).await
            {
                tracing::warn!(%error, "Can't note which status events were seen; they are kept for longer.");
            }
        }
    }

    /// Looks until it works; tells what was found, and how far the tables were read back. `None` when nobody wants to know.
    async fn catch_up(&mut self, hints: &Hints) -> Option<(Found, Option<Duration>)> {
        loop {
            let attempt = hints.resync.then(|| {
                let lost = self.instance.doubts.overflowed();
                self.horizon.attempt(Instant::now(), lost)
            });
            if attempt.is_some_and(|attempt| attempt.gap) {
                tracing::warn!("Changes may have been missed for good: everything is compared.");
                self.changes.send(Foreign::Gap).await.ok()?;
            }
            let since = attempt.map(|attempt| attempt.since);
            match self.look_up(hints, since).await {
                Ok(found) => {
                    if let Some(attempt) = attempt {
                        self.horizon.caught_up(&attempt);
                        self.listening.store(true, Ordering::Relaxed);
                    }
                    return Some((found, since));
                }
                Err(error) => {
                    tracing::warn!(%error, "Can't look up what other servers changed.");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// What wasn't passed on before.
    fn new_ones(&mut self, mut found: Found, now: Instant) -> Vec<News> {
        found.retain(|(event, _)| self.passed.insert(event, now));
        found.into_iter().map(|(_, news)| news).collect()
    }

    async fn look_up(&self, hints: &Hints, since: Option<Duration>) -> Result<Found, Error> {
        let mut found = hints.words.clone();
        let (specs, statuses) = (
            !hints.events.is_empty() || since.is_some(),
            !hints.status_events.is_empty() || since.is_some(),
        );
        if !specs && !statuses {
            return Ok(found);
        }
        let asked = Instant::now();
        let client = self.reads.get().await?;
        let age = since.map(|since| (since + asked.elapsed()).as_secs_f64());
        self.reads
            .bounded(async {
                if specs {
                    self::specs(&client, &hints.events, age, &self.instance, &mut found).await?;
                }
                if statuses {
                    let ids = &hints.status_events;
                    self::statuses(&client, ids, age, &self.instance, &mut found).await?;
                }
                if age.is_some() {
                    self::words(&client, age, &self.instance, &mut found).await?;
                }
                Ok::<(), Error>(())
            })
            .await?;
        Ok(found)
    }

    /// A Go server keeps status events until every server that is ready has noted that it saw them.
    async fn note_seen(&self, hints: &Hints, since: Option<Duration>) -> Result<(), Error> {
        let mut ids = hints.status_events.clone();
        ids.extend(hints.own_status_events.iter().cloned());
        if ids.is_empty() && since.is_none() {
            return Ok(());
        }
        let age = since.map(|since| since.as_secs_f64());
        let client = self.reads.get().await?;
        self.reads
            .bounded(async {
                let statement = client
                    .prepare_cached(concat!(
                        "insert into event_instances (event_id, instance_id) \
                         select s.id, i.id from status_events s, server_instances i \
                         where (s.id = any($1) or s.created_at >= now() - $2::float8 * interval '1 second') and i.id = $3 \
                             and not exists (select from event_instances n where n.event_id = s.id and n.instance_id = i.id) \
                             and ",
                        go_is_here!()
                    ))
                    .await?;
                client
                    .execute(&statement, &[&ids, &age, &self.instance.name])
                    .await?;
                Ok(())
            })
            .await
    }
}

/// What a group of notifications is about.
#[derive(Default)]
struct Hints {
    /// Some were lost.
    resync: bool,
    events: Vec<String>,
    status_events: Vec<String>,
    own_status_events: Vec<String>,
    /// What agents told other servers.
    words: Vec<(String, News)>,
}

#[derive(Clone)]
enum News {
    Change(Change),
    Resync(ClusterName),
}

impl Hints {
    fn of(notices: impl Iterator<Item = Notice>, instance: &Instance) -> Self {
        let mut hints = Self::default();
        for notice in notices {
            let (channel, payload) = match notice {
                Notice::Notify { channel, payload } => (channel, payload),
                Notice::Resync => {
                    hints.resync = true;
                    continue;
                }
            };
            let own = instance.wrote(&payload);
            match channel.as_str() {
                EVENTS if !own => hints.events.push(payload),
                STATUS_EVENTS if own => hints.own_status_events.push(payload),
                STATUS_EVENTS => hints.status_events.push(payload),
                resyncs::CHANNEL if !own => {
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

/// What agents told other servers since then.
async fn words(
    client: &Client,
    age: Option<f64>,
    instance: &Instance,
    found: &mut Vec<(String, News)>,
) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "select id, consumer_name from resyncs where at >= now() - $1::float8 * interval '1 second'",
        )
        .await?;
    for row in client.query(&statement, &[&age]).await? {
        let (id, cluster): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        if !instance.wrote(id) {
            found.push((id.to_owned(), News::Resync(cluster.into())));
        }
    }
    Ok(())
}

async fn specs(
    client: &Client,
    ids: &[String],
    age: Option<f64>,
    instance: &Instance,
    found: &mut Vec<(String, News)>,
) -> Result<(), Error> {
    let statement = client
        .prepare_cached(
            "select e.id, r.id, r.consumer_name, e.event_type from events e join resources r on r.id = e.source_id \
             where e.id = any($1) or e.created_at >= now() - $2::float8 * interval '1 second' order by e.created_at",
        )
        .await?;
    for row in client.query(&statement, &[&ids, &age]).await? {
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
        found.push((event.to_owned(), News::Change(change)));
    }
    Ok(())
}

async fn statuses(
    client: &Client,
    ids: &[String],
    age: Option<f64>,
    instance: &Instance,
    found: &mut Vec<(String, News)>,
) -> Result<(), Error> {
    // A Go server leaves the source out of updates.
    let statement = client
        .prepare_cached(
            "select s.id, s.resource_id, coalesce(nullif(s.resource_source, ''), r.source), s.status_event_type \
             from status_events s left join resources r on r.id = s.resource_id \
             where s.id = any($1) or s.created_at >= now() - $2::float8 * interval '1 second' order by s.created_at",
        )
        .await?;
    for row in client.query(&statement, &[&ids, &age]).await? {
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
        found.push((event.to_owned(), News::Change(change)));
    }
    Ok(())
}
