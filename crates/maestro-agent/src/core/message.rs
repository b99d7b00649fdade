//! What the owner is told, and what it asks for.

use std::sync::Arc;
use std::time::Duration;

use event_wire::codec::agent::SpecMessage;
use event_wire::payload::{ResourceVersion, StatusHashList};
use jiff::Timestamp;
use kube_access::Error;
use manifestwork::ManifestWork;
use serde_json::Value;
use tokio::time::Instant;

use crate::job::{Done, Job};
use crate::record::Record;
use crate::target::Target;

/// What the owner needs to know of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the consumer.
    pub consumer: String,
    /// Jobs at a time.
    pub workers: usize,
    /// Statuses on their way at a time.
    pub publishers: usize,
    /// Longest raw JSON of a feedback value, bytes.
    pub max_json_raw_length: usize,
    /// How often every object is looked at although nothing was heard of it; up to half longer.
    pub look_interval: Duration,
}

/// The time, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For people: transition times.
    pub at: Timestamp,
    /// For waits.
    pub tick: Instant,
}

/// What happens.
#[derive(Debug)]
pub enum Message {
    /// A spec event.
    Spec(Box<SpecMessage>),
    /// The server asks for statuses whose hash differs; an empty list asks for all.
    StatusResync(StatusHashList),
    /// A subscription stands.
    Linked,
    /// It doesn't any more.
    Unlinked,
    /// A resync request was accepted, or not.
    Resynced(bool),
    /// A job has ended.
    Done(Box<Done>),
    /// An object was seen, or not; or it can't be read.
    Observed(Target, Result<Option<Value>, Error>),
    /// A status was accepted, or not.
    Published {
        /// Id of the work.
        work: Arc<str>,
        /// Its revision.
        revision: u64,
        /// Whether the server has it.
        accepted: bool,
    },
    /// All records of this agent, as they are now.
    Records(Vec<Record>),
    /// A record was written.
    Record(Record),
    /// A record is gone.
    RecordGone(Record),
    /// Records can't be read.
    NoRecords(String),
    /// Nothing but the passing of time.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// A job for the pool.
    Start(Box<Job>),
    /// A status for the server.
    Publish {
        /// Id of the work.
        work: Arc<str>,
        /// Its revision.
        revision: u64,
        /// Its metadata and status.
        content: Box<ManifestWork>,
    },
    /// A spec resync request with everything that is known.
    Resync(Vec<ResourceVersion>),
    /// Sights of this object are wanted.
    Watch(Target),
    /// They aren't any more.
    Unwatch(Target),
}

/// Figures for metrics and health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Works that are known.
    pub works: usize,
    /// Of those, on their way out.
    pub deleting: usize,
    /// Works that wait for a job.
    pub waiting: usize,
    /// Jobs that run.
    pub running: usize,
}
