//! Brings statuses to one source stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_wire::proto;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::agenda::StatusEntry;
use super::hub::{Hub, SourceStream};
use super::outgoing::{Outbound, Sender};
use super::{Limits, encode, recent};
use crate::model::ResourceId;
use crate::seldom::seldom;
use crate::storage::{Error, Removal, Store};
use crate::telemetry::{Skipped, Way};

/// Rows read at once: a status of 20 KB and a spec of 30 KB each, this is what a slow source holds in memory.
const BATCH_ROWS: usize = 8;
/// The words for what happens to statuses in metrics.
const UPDATE: &str = "StatusUpdate";
const REMOVAL: &str = "StatusDelete";
/// First and longest pause after a failed read.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// One source stream's task.
pub struct Herald {
    /// Where rows come from.
    pub store: Arc<dyn Store>,
    /// Where the stream is registered.
    pub hub: Arc<Hub>,
    /// The stream.
    pub stream: Arc<SourceStream>,
    /// Where events go.
    pub out: Sender,
    /// How patient it is.
    pub limits: Limits,
}

enum Stop {
    Closed,
    Stalled,
    /// The source can't be told of everything any more.
    Behind,
}

impl Herald {
    /// Serves the stream until its receiver is gone, stalls or falls behind, or `shutdown`; a receiver that is still there
    /// is told to come back, and lists what it missed.
    pub async fn run(self, shutdown: CancellationToken) {
        let stop = tokio::select! {
            stop = self.serve() => stop,
            () = self.out.closed() => Stop::Closed,
            () = shutdown.cancelled() => {
                let _ = self.out.try_send(Err(Status::unavailable("the server is shutting down")));
                Stop::Closed
            }
        };
        self.hub.remove_source(&self.stream);
        match stop {
            Stop::Closed => return,
            Stop::Stalled => tracing::warn!(
                source = %self.stream.source,
                seconds = self.limits.stall.as_secs(),
                "A source took nothing from its stream: closing its connection."
            ),
            Stop::Behind => tracing::warn!(
                source = %self.stream.source,
                "A source can't be told of all that happened: closing its connection, it has to list again."
            ),
        }
        self.stream.connection.cut();
    }

    async fn serve(&self) -> Stop {
        let mut pause = RETRY.0;
        loop {
            let Some(entries) = self.stream.next(BATCH_ROWS).await else {
                return Stop::Behind;
            };
            let found = match self.read(&entries).await {
                Ok(found) => found,
                Err(error) => {
                    seldom!(warn, source = %self.stream.source, %error, "Can't read statuses.");
                    let flow = self.hub.telemetry.flow();
                    flow.put_back(Way::Status, entries.len());
                    self.stream.put_back(entries);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                    continue;
                }
            };
            pause = RETRY.0;
            if let Err(stop) = self.send(entries, found).await {
                return stop;
            }
        }
    }

    async fn read(&self, entries: &[StatusEntry]) -> Result<Found, Error> {
        let (mut ids, mut events) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                StatusEntry::Updated(id) => ids.push(id.clone()),
                StatusEntry::Removed(event) => events.push(event.clone()),
            }
        }
        let mut found = Found::default();
        let asked_at = Instant::now();
        if !ids.is_empty() {
            let rows = self.hub.recent.rows(&*self.store, &ids, true).await?;
            found.rows = rows
                .into_iter()
                .map(|row| (row.row.id.clone(), row))
                .collect();
        }
        if !events.is_empty() {
            let removals = self.store.removals(&events).await?;
            found.removals = removals
                .into_iter()
                .map(|removal| (removal.event.clone(), removal))
                .collect();
        }
        found.read_at = Some(Instant::now());
        let flow = self.hub.telemetry.flow();
        flow.database("read_statuses", asked_at.elapsed());
        Ok(found)
    }

    async fn send(&self, entries: Vec<StatusEntry>, mut found: Found) -> Result<(), Stop> {
        let flow = self.hub.telemetry.flow();
        let read_at = found.read_at.unwrap_or_else(Instant::now);
        for entry in entries {
            let (sending, message) = match entry {
                StatusEntry::Updated(id) => {
                    let Some(with_documents) = found.rows.remove(&id) else {
                        flow.skipped(Way::Status, UPDATE, Skipped::Gone);
                        continue;
                    };
                    let row = &with_documents.row;
                    if row.source != self.stream.source {
                        flow.skipped(Way::Status, UPDATE, Skipped::Moved);
                        continue;
                    }
                    let sending = Sending {
                        id: Some(id),
                        kind: UPDATE,
                        read_at,
                        stored_at: Some(row.updated_at),
                    };
                    (sending, encode::status(&with_documents))
                }
                StatusEntry::Removed(event) => {
                    // It waited for longer than last words are kept, and nobody can say them any more.
                    let Some(removal) = found.removals.remove(&event) else {
                        flow.skipped(Way::Status, REMOVAL, Skipped::Gone);
                        return Err(Stop::Behind);
                    };
                    let sending = Sending {
                        id: None,
                        kind: REMOVAL,
                        read_at,
                        stored_at: None,
                    };
                    (sending, encode::removal(&removal).map(Some))
                }
            };
            match message {
                Ok(Some(message)) => self.emit(sending, message).await?,
                Ok(None) => flow.skipped(Way::Status, sending.kind, Skipped::Empty),
                Err(error) => {
                    let why = match &error {
                        event_wire::Error::TooLarge { .. } => Skipped::TooLarge,
                        _ => Skipped::Unreadable,
                    };
                    flow.skipped(Way::Status, sending.kind, why);
                    // An end is told once: a source that can't get it must compare what it has.
                    if sending.id.is_none() {
                        return Err(Stop::Behind);
                    }
                    seldom!(
                        error,
                        source = %self.stream.source,
                        %error,
                        "A stored status can't be sent; it is passed over."
                    );
                }
            }
        }
        Ok(())
    }

    /// Sends one event, unless a newer status is known by the time that there is room.
    async fn emit(&self, sending: Sending, event: proto::CloudEvent) -> Result<(), Stop> {
        let (stream, hub) = (Arc::clone(&self.stream), Arc::clone(&self.hub));
        let stands = Box::new(move || {
            let newest = sending.id.as_ref().is_none_or(|id| stream.is_newest(id));
            let flow = hub.telemetry.flow();
            if newest {
                flow.sent(Way::Status, sending.kind, sending.read_at.elapsed());
                hub.telemetry.sent_to_source(stream.source.as_str());
                if let Some(stored_at) = sending.stored_at {
                    let age = jiff::Timestamp::now().duration_since(stored_at);
                    flow.status_delivered(Duration::try_from(age).unwrap_or_default());
                }
            } else {
                flow.skipped(Way::Status, sending.kind, Skipped::Superseded);
            }
            newest
        });
        let outbound = Outbound { event, stands };
        loop {
            match tokio::time::timeout(self.limits.stall, self.out.reserve()).await {
                Ok(Ok(permit)) => {
                    permit.send(Ok(outbound));
                    return Ok(());
                }
                Ok(Err(_)) => return Err(Stop::Closed),
                Err(_) if self.stream.connection.is_publishing() => {}
                Err(_) => return Err(Stop::Stalled),
            }
        }
    }
}

/// What is known about an event on its way.
struct Sending {
    /// Whose status it is; the end of a resource is never superseded.
    id: Option<ResourceId>,
    /// The word for it in metrics.
    kind: &'static str,
    read_at: Instant,
    /// When the status was stored.
    stored_at: Option<jiff::Timestamp>,
}

#[derive(Default)]
struct Found {
    rows: HashMap<ResourceId, recent::Found>,
    removals: HashMap<String, Removal>,
    read_at: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::super::Outgoing;
    use super::super::connection::Connection;
    use super::*;
    use crate::model::Change;
    use crate::storage::sqlite::Sqlite;
    use crate::telemetry::Telemetry;

    fn herald(out: Sender) -> Herald {
        let hub = Arc::new(Hub::new(Telemetry::default()));
        Herald {
            store: Arc::new(Sqlite::in_memory().unwrap()),
            stream: hub.add_source("s1".into(), Connection::new()),
            hub,
            out,
            limits: Limits::default(),
        }
    }

    /// I4: the source would wait for ever for the end of a resource that nobody will tell it.
    #[tokio::test]
    async fn a_source_whose_removals_are_no_longer_kept_has_to_list() {
        let (out, _outgoing) = Outgoing::new(None, ());
        let herald = herald(out);
        herald.hub.changed(&Change::Removed {
            id: "r1".into(),
            source: "s1".into(),
            event: "purged".into(),
        });
        let stop = tokio::time::timeout(Duration::from_secs(10), herald.serve()).await;
        assert!(matches!(stop, Ok(Stop::Behind)), "the stream goes on");
    }

    /// I4, too.
    #[tokio::test]
    async fn a_source_that_cannot_be_told_an_end_has_to_list() {
        let (out, _outgoing) = Outgoing::new(None, ());
        let herald = herald(out);
        let removal = Removal {
            event: "e1".to_owned(),
            id: "r1".into(),
            payload: "{}".to_owned(),
            status: "no event".to_owned(),
        };
        let mut found = Found::default();
        found.removals.insert("e1".to_owned(), removal);
        let entries = vec![StatusEntry::Removed("e1".to_owned())];
        let sent = herald.send(entries, found).await;
        assert!(matches!(sent, Err(Stop::Behind)), "the stream goes on");
    }
}
