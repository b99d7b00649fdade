//! Brings specs to one agent stream.

mod pace;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_wire::{Stamp, codec};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::pace::{BATCH_ROWS, Pace};
use super::agenda::Why;
use super::hub::{AgentStream, FRESHNESS, Hub, SpecWork};
use super::log::Note;
use super::outgoing::{Outbound, Sender};
use super::recent::Found;
use super::resync::{self, Held};
use super::{Limits, encode};
use crate::model::ResourceId;
use crate::seldom::seldom;
use crate::storage::{Error, Store};
use crate::telemetry::{Skipped, Way};

/// First and longest pause after a failed read.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// One agent stream's task.
pub struct Courier {
    /// Where rows come from.
    pub store: Arc<dyn Store>,
    /// Where the stream is registered.
    pub hub: Arc<Hub>,
    /// The stream.
    pub stream: Arc<AgentStream>,
    /// Where events go.
    pub out: Sender,
    /// How patient it is.
    pub limits: Limits,
}

/// Why a courier stops.
enum Stop {
    /// The receiver is gone.
    Closed,
    /// The receiver took nothing for too long.
    Stalled,
}

impl Courier {
    /// Serves the stream until its receiver is gone, stalls, or `shutdown`; a receiver that is still there is told to come
    /// back.
    pub async fn run(self, shutdown: CancellationToken) {
        let stop = tokio::select! {
            stop = self.serve() => stop,
            () = self.out.closed() => Stop::Closed,
            () = shutdown.cancelled() => {
                let _ = self.out.try_send(Err(Status::unavailable("the server is shutting down")));
                Stop::Closed
            }
        };
        let error = matches!(stop, Stop::Stalled).then(|| {
            let seconds = self.limits.stall.as_secs();
            format!(
                "the agent took nothing from its stream for {seconds} s; its connection was closed"
            )
        });
        self.hub.remove_agent(&self.stream, error);
        if matches!(stop, Stop::Stalled) {
            tracing::warn!(
                consumer = %self.stream.cluster,
                seconds = self.limits.stall.as_secs(),
                "An agent took nothing from its stream: closing its connection."
            );
            self.stream.connection.cut();
        }
    }

    async fn serve(&self) -> Stop {
        let mut pace = Pace::default();
        let mut pause = RETRY.0;
        let mut patience = Some(Box::pin(tokio::time::sleep(self.limits.resync_wait)));
        loop {
            let work = tokio::select! {
                biased;
                work = self.stream.next(pace.rows()) => work,
                () = async {
                    match &mut patience {
                        Some(patience) => patience.await,
                        None => std::future::pending().await,
                    }
                } => {
                    patience = None;
                    SpecWork::Unsettled
                }
            };
            let result = match work {
                SpecWork::Resync(held) => {
                    patience = None;
                    self.resync(held).await
                }
                SpecWork::Unsettled => self.send_unsettled().await.map(|()| None),
                SpecWork::Orphans(orphans) => self.delete_accepted(orphans).await,
                SpecWork::Send(ids) => self.send(ids, &mut pace).await,
            };
            match result {
                Ok(None) => pause = RETRY.0,
                Ok(Some(stop)) => return stop,
                Err(error) => {
                    seldom!(warn, consumer = %self.stream.cluster, %error, "Can't read what an agent should get.");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }

    /// Everything that isn't settled: for an agent that doesn't say what it has, and after a gap.
    async fn send_unsettled(&self) -> Result<(), Error> {
        const PAGE: usize = 1000;
        let mut after = None;
        loop {
            let page = self
                .store
                .unsettled(&self.stream.cluster, after.as_ref(), PAGE)
                .await;
            let page = page.inspect_err(|_| self.stream.retry_unsettled())?;
            let full = page.len() == PAGE;
            after = page.last().cloned();
            self.stream.add_backlog(page);
            if !full {
                return Ok(());
            }
        }
    }

    async fn resync(&self, held: Arc<Held>) -> Result<Option<Stop>, Error> {
        let cluster = &self.stream.cluster;
        let started = Instant::now();
        let total = held.len();
        let mut lacking = 0;
        let compared = resync::compare(&*self.store, cluster, &held, |ids| {
            lacking += ids.len();
            self.stream.add_backlog(ids);
        })
        .await;
        let orphans = match compared {
            Ok(orphans) => orphans,
            Err(error) => {
                self.stream.retry_resync(held);
                return Err(error);
            }
        };
        self.stream.resynced();
        self.hub.telemetry.flow().resynced(started.elapsed());
        tracing::info!(
            consumer = %cluster,
            has = total,
            lacks = lacking,
            orphans = orphans.delete.len(),
            suspicious = orphans.suspicious.count,
            "Compared what an agent has with what it should have."
        );
        if orphans.suspicious.count > 0 {
            tracing::warn!(
                consumer = %cluster,
                resources = orphans.suspicious.count,
                "An agent has resources that this server never knew; they are left alone."
            );
        }
        self.hub.note_strangers(cluster, orphans.suspicious);
        Ok(self.delete_orphans(orphans.delete).await)
    }

    /// Tells the agent to delete what this server doesn't know.
    async fn delete_orphans(&self, orphans: Vec<(ResourceId, i64)>) -> Option<Stop> {
        for (id, version) in orphans {
            let event = codec::server::orphan_deletion(
                id.as_str(),
                i32::try_from(version).unwrap_or(0),
                self.stream.cluster.as_str(),
                Stamp::now(),
            );
            let outbound = Outbound {
                event: event.into(),
                stands: Box::new(|| true),
            };
            if let Err(stop) = self.emit(outbound).await {
                return Some(stop);
            }
        }
        None
    }

    /// Deletes what an operator gave up, except what exists by now.
    async fn delete_accepted(
        &self,
        mut orphans: Vec<(ResourceId, i64)>,
    ) -> Result<Option<Stop>, Error> {
        match self.living(&orphans).await {
            Ok(living) => {
                orphans.retain(|(id, _)| !living.contains(id));
                Ok(self.delete_orphans(orphans).await)
            }
            Err(error) => {
                self.stream.retry_orphans(orphans);
                Err(error)
            }
        }
    }

    /// Those that the agent should have by now.
    async fn living(&self, orphans: &[(ResourceId, i64)]) -> Result<HashSet<ResourceId>, Error> {
        let mut living = HashSet::new();
        for page in orphans.chunks(BATCH_ROWS) {
            let ids: Vec<ResourceId> = page.iter().map(|(id, _)| id.clone()).collect();
            let known = self.store.clusters_of(&ids).await?;
            let own = known
                .into_iter()
                .filter(|(_, owner)| *owner == self.stream.cluster);
            living.extend(own.map(|(id, _)| id));
        }
        Ok(living)
    }

    async fn send(
        &self,
        taken: Vec<(ResourceId, Why)>,
        pace: &mut Pace,
    ) -> Result<Option<Stop>, Error> {
        let flow = self.hub.telemetry.flow();
        let asked_at = Instant::now();
        let ids: Vec<ResourceId> = taken.iter().map(|(id, _)| id.clone()).collect();
        let rows = match self.hub.recent.rows(&*self.store, &ids, false).await {
            Ok(rows) => rows,
            Err(error) => {
                flow.put_back(Way::Spec, taken.len());
                self.stream.put_back(taken);
                return Err(error);
            }
        };
        let read_at = Instant::now();
        flow.database("read_specs", read_at.duration_since(asked_at));
        pace.learn(rows.len(), rows.iter().map(size).sum());
        let asked = ids.len();
        let mut rows: HashMap<ResourceId, Found> = rows
            .into_iter()
            .map(|found| (found.row.id.clone(), found))
            .collect();
        let mut taken = taken.into_iter();
        while let Some((id, why)) = taken.next() {
            let kind = why.event_type();
            let Some(found) = rows.remove(&id) else {
                flow.skipped(Way::Spec, kind, Skipped::Gone);
                continue;
            };
            let row = &found.row;
            // A row may have moved to another cluster in a new life of its id.
            if row.cluster != self.stream.cluster {
                flow.skipped(Way::Spec, kind, Skipped::Moved);
                continue;
            }
            let row_asked_at = found.asked_at;
            if row_asked_at.elapsed() > FRESHNESS {
                if read_at.duration_since(row_asked_at) > FRESHNESS {
                    // Nothing of such an answer can be sent: a smaller question is answered sooner.
                    seldom!(warn, consumer = %self.stream.cluster, "The database answers so slowly that specs are old when they come; they are read again.");
                    pace.slower(asked);
                }
                self.stream
                    .put_back(std::iter::once((id, why)).chain(taken).collect());
                return Ok(None);
            }
            let mut note = Note {
                id: id.clone(),
                version: row.version,
                deleting: row.deleted_at.is_some(),
                event: String::new(),
                action: "".into(),
            };
            let event = match encode::spec(&found, why) {
                Ok(event) => event,
                Err(error) => {
                    seldom!(error, %id, %error, "A stored resource can't be sent; it is passed over.");
                    self.hub.log.failed(&note, error.to_string());
                    flow.skipped(Way::Spec, kind, Skipped::Unreadable);
                    continue;
                }
            };
            drop(found);
            note.event.clone_from(&event.id);
            note.action = encode::action_of(&event.r#type);
            let (stream, hub) = (Arc::clone(&self.stream), Arc::clone(&self.hub));
            let stands = Box::new(move || {
                let stands = stream.still_stands(&id, why, row_asked_at);
                let flow = hub.telemetry.flow();
                if stands {
                    hub.log.sent(&note);
                    flow.sent(Way::Spec, kind, read_at.elapsed());
                } else {
                    flow.skipped(Way::Spec, kind, Skipped::Superseded);
                }
                stands
            });
            if let Err(stop) = self.emit(Outbound { event, stands }).await {
                return Ok(Some(stop));
            }
        }
        pace.faster(asked);
        Ok(None)
    }

    async fn emit(&self, outbound: Outbound) -> Result<(), Stop> {
        loop {
            match tokio::time::timeout(self.limits.stall, self.out.reserve()).await {
                Ok(Ok(permit)) => {
                    permit.send(Ok(outbound));
                    return Ok(());
                }
                Ok(Err(_)) => return Err(Stop::Closed),
                // A Go agent can't read while it publishes.
                Err(_) if self.stream.connection.is_publishing() => {}
                Err(_) => return Err(Stop::Stalled),
            }
        }
    }
}

/// Bytes of documents that a row brought, roughly.
fn size(found: &Found) -> usize {
    let kept = found.spec.as_ref().map_or(0, |spec| spec.size());
    found.row.payload.len() + kept
}
