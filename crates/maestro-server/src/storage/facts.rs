//! What operators want to know about deliveries: who is connected where, what was sent when, who decided what.
//!
//! These facts explain; nothing is ever decided by them. They are written in batches, away from the path that works take,
//! so that what another server knows is seen here a second or two later.

use std::borrow::Cow;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::Error;
use crate::model::{ClusterName, ResourceId};

/// Unsettled rows that are counted, at most.
pub const PENDING_COUNTED: u64 = 10_000;
/// Entries of the audit that are shown, at most; the newest.
pub const AUDIT_SHOWN: u32 = 500;
/// Notes on resources that were sent again, of one consumer; the newest. Anybody may ask for that, so they aren't kept for ever.
pub const RESENDS_KEPT: u32 = 100;
/// How long such notes are kept.
pub const RESENDS_KEPT_FOR: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 3600);
/// A stream that its server didn't speak of for so long has ended with its server.
pub const PRESENCE_KEPT: std::time::Duration = std::time::Duration::from_secs(30);

/// The part of the storage that explains.
#[async_trait]
pub trait Facts: Send + Sync {
    /// Notes what was sent to agents; a newer note on the same resource replaces an older one.
    async fn note_sent(&self, sent: Vec<Sent>) -> Result<(), Error>;

    /// Notes which streams this server has and which have ended, those of registered clusters: any name can connect. Returns the clusters whose orphans an operator has given
    /// up since, on any server; each is returned once, and only to the server that notes its stream.
    async fn note_presence(
        &self,
        ended: &[Ended],
        streams: &[Presence],
    ) -> Result<Vec<ClusterName>, Error>;

    /// How often and when a resource was sent.
    async fn dispatch(&self, id: &ResourceId) -> Result<Dispatch, Error>;

    /// What is known about the agent of a cluster; `None` = it never was here.
    async fn presence(&self, cluster: &ClusterName) -> Result<Option<LastPresence>, Error>;

    /// Id of the consumer of a cluster, if it is registered.
    async fn consumer_id(&self, cluster: &ClusterName) -> Result<Option<String>, Error>;

    /// What an agent hasn't settled.
    async fn pending(&self, cluster: &ClusterName) -> Result<Pending, Error>;

    /// Asks every server to send a resource once more, and keeps who asked, the newest [`RESENDS_KEPT`] of a consumer for
    /// [`RESENDS_KEPT_FOR`]; `None` when there is no such resource.
    async fn resend(&self, id: &ResourceId, who: &str) -> Result<Option<Resend>, Error>;

    /// Lets the agent of a cluster delete its orphans, wherever it is connected.
    async fn accept_orphans(&self, cluster: &ClusterName) -> Result<(), Error>;

    /// Keeps what an operator did.
    async fn note_audit(&self, entry: &AuditEntry) -> Result<(), Error>;

    /// What operators did about a consumer (by id, or by name), the newest first, at most [`AUDIT_SHOWN`].
    async fn audit(&self, consumer: &str) -> Result<Vec<AuditEntry>, Error>;

    /// Forgets what was sent of resources that are gone.
    async fn forget_sent(&self) -> Result<(), Error>;

    /// Figures of the database for metrics.
    async fn gauges(&self) -> Result<Gauges, Error>;
}

/// A spec that was given to an agent's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which resource.
    pub id: ResourceId,
    /// Its version.
    pub version: i64,
    /// Whether it said that the resource is to go.
    pub deleting: bool,
    /// Id of the event.
    pub event: String,
    /// Its action, such as `create_request`.
    pub action: Cow<'static, str>,
    /// When; of several, the last time.
    pub at: Timestamp,
    /// How often.
    pub times: u32,
    /// What went wrong last, and when.
    pub error: Option<(Timestamp, String)>,
}

/// A stream of an agent, as its server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whose.
    pub cluster: ClusterName,
    /// Which stream.
    pub stream: Uuid,
    /// When it began.
    pub since: Timestamp,
    /// When the agent last said what it has.
    pub resynced: Option<Timestamp>,
    /// Resources that wait for a place on the stream.
    pub waiting: u64,
    /// Resources of the agent that this server doesn't know and doesn't dare to delete.
    pub orphans: u64,
}

/// A stream that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose.
    pub cluster: ClusterName,
    /// Which stream.
    pub stream: Uuid,
    /// When.
    pub at: Timestamp,
    /// When the agent last said what it has.
    pub resynced: Option<Timestamp>,
    /// Why, if it wasn't the agent's wish.
    pub error: Option<String>,
}

/// The agent of a cluster as the servers saw it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPresence {
    /// The server that has its stream; `None` = it isn't connected.
    pub instance: Option<String>,
    /// When the stream began.
    pub since: Option<Timestamp>,
    /// When it was last connected.
    pub last_seen: Timestamp,
    /// When it last said what it has.
    pub last_resync: Option<Timestamp>,
    /// Resources that wait for a place on its stream.
    pub waiting: u64,
    /// Resources of it that nobody here knows.
    pub orphans: u64,
    /// Why its last stream ended, if it wasn't the agent's wish.
    pub last_error: Option<(Timestamp, String)>,
}

/// How often and when a resource was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dispatch {
    /// What was sent last.
    pub sent: Option<Sent>,
    /// By which server.
    pub instance: Option<String>,
    /// Reminders of the present version.
    pub reminders: u32,
    /// When the next one is due, if there was one before.
    pub next_reminder: Option<Timestamp>,
}

/// What an agent hasn't settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Rows, at most [`PENDING_COUNTED`].
    pub total: u64,
    /// Those among them that are to go.
    pub deleting: u64,
    /// The one that waits longest.
    pub oldest: Option<(ResourceId, Timestamp)>,
}

/// A resource that is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resend {
    /// To whom.
    pub cluster: ClusterName,
    /// Its version.
    pub version: i64,
    /// Whether it is to go.
    pub deleting: bool,
}

/// What an operator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Id of the entry.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// What: one of [`action`].
    pub action: String,
    /// Id of the consumer; empty in old entries.
    pub consumer: String,
    /// Its name.
    pub cluster: ClusterName,
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
    /// Ids of the resources concerned.
    pub resources: Vec<String>,
}

/// Figures of the database.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    /// How full the queue of notifications is, 0 to 1.
    pub queue_usage: Option<f64>,
    /// When the oldest row changed that its agent hasn't settled.
    pub oldest_unsettled: Option<Timestamp>,
}

/// Names of what operators do.
pub mod action {
    /// The end of a cluster began: its first resources went.
    pub const FORCE_REMOVE_BEGUN: &str = "force-remove-begun";
    /// Somebody asked again for the end of a cluster that had begun, and more resources went.
    pub const FORCE_REMOVE_CONTINUED: &str = "force-remove-continued";
    /// A cluster was ended: all of its resources are gone.
    pub const FORCE_REMOVE: &str = "force-remove";
    /// Unknown resources of a cluster were given up.
    pub const ACCEPT_ORPHANS: &str = "accept-orphans";
    /// A resource was sent again.
    pub const RESEND: &str = "resend";
}
