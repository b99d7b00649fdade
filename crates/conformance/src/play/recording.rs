//! What happened, in order, with times.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_wire::attribute::name;
use event_wire::{Attribute, Event, SequenceId};
use serde_json::Value;
use tonic::Code;

/// Entries that a recording holds unless told otherwise; the oldest go first.
pub const DEFAULT_LIMIT: usize = 200_000;

/// Everything that the players of a stage did and saw. Clones share one list.
#[derive(Clone, Debug)]
pub struct Recording {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    limit: usize,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    entries: VecDeque<Entry>,
    dropped: u64,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it was over, since the start of the recording.
    pub at: Duration,
    /// Who did or saw it.
    pub actor: Arc<str>,
    /// What it was.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum What {
    /// A stream was opened.
    Opened {
        /// Number of the stream, unique in the process.
        stream: u64,
        /// The header of that name.
        subscription_id: Option<String>,
    },
    /// An event came.
    Received(Arc<Seen>),
    /// A heartbeat came.
    Heartbeat {
        /// On which stream.
        stream: u64,
    },
    /// Something came that is no event.
    Unreadable {
        /// On which stream.
        stream: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A stream ended.
    Ended {
        /// Which.
        stream: u64,
        /// How.
        why: String,
    },
    /// An event was published.
    Published {
        /// When the call began.
        started: Duration,
        /// The event.
        event: Arc<Event>,
        /// What the server said.
        outcome: Result<(), Refusal>,
    },
    /// A REST call was made.
    Called {
        /// When it began.
        started: Duration,
        /// Method, path and query.
        request: String,
        /// Status, or why there was none.
        outcome: Result<u16, String>,
    },
    /// Anything else.
    Note(String),
}

/// How a server refused an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// gRPC code.
    pub code: Code,
    /// Text.
    pub message: String,
}

/// An event that was received.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, since the start of the recording.
    pub at: Duration,
    /// On which stream (see [`What::Opened`]).
    pub stream: u64,
    /// The event.
    pub event: Event,
}

// === impl Recording ===

impl Recording {
    /// A recording that holds at most so many entries.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                started: Instant::now(),
                limit,
                list: Mutex::default(),
            }),
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.inner.started.elapsed()
    }

    /// Adds an entry with the current time.
    pub fn add(&self, actor: &Arc<str>, what: What) {
        let entry = Entry {
            at: self.now(),
            actor: Arc::clone(actor),
            what,
        };
        let mut list = self.list();
        if list.entries.len() >= self.inner.limit {
            list.entries.pop_front();
            list.dropped += 1;
        }
        list.entries.push_back(entry);
    }

    /// Adds a remark.
    pub fn note(&self, text: impl Into<String>) {
        self.add(&Arc::from("note"), What::Note(text.into()));
    }

    /// Everything so far; a copy that shares the events.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.list().entries.iter().cloned().collect()
    }

    /// Takes everything so far out.
    #[must_use]
    pub fn drain(&self) -> Vec<Entry> {
        std::mem::take(&mut self.list().entries).into()
    }

    /// How many entries were given up because of the limit.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.list().dropped
    }

    /// The last entries, a line each; heartbeats are left out.
    #[must_use]
    pub fn tail(&self, lines: usize) -> Vec<String> {
        let list = self.list();
        let mut found: Vec<String> = list
            .entries
            .iter()
            .rev()
            .filter(|entry| !matches!(entry.what, What::Heartbeat { .. }))
            .take(lines)
            .map(ToString::to_string)
            .collect();
        found.reverse();
        found
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.inner
            .list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Recording {
    fn default() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }
}

// === impl Seen ===

impl Seen {
    /// Id of the resource; empty if the event has none.
    #[must_use]
    pub fn id(&self) -> &str {
        self.event.resource_id().unwrap_or_default()
    }

    /// Version of the resource; 0 if the event has none.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.event.resource_version().unwrap_or_default()
    }

    /// True if the event says that the resource is to go.
    #[must_use]
    pub fn deleting(&self) -> bool {
        self.event.extensions.contains_key(name::DELETION_TIMESTAMP)
    }

    /// Last word of the type, such as `create_request`.
    #[must_use]
    pub fn action(&self) -> String {
        self.event.event_type.action.to_string()
    }

    /// Position of a status event.
    #[must_use]
    pub fn sequence(&self) -> Option<SequenceId> {
        self.event.sequence_id().ok()
    }

    /// The data as JSON; null if there is none or it can't be read.
    #[must_use]
    pub fn data(&self) -> Value {
        self.event
            .data
            .as_deref()
            .and_then(|data| serde_json::from_slice(data).ok())
            .unwrap_or_default()
    }

    /// The metadata extension as JSON; null if there is none or it can't be read.
    #[must_use]
    pub fn metadata(&self) -> Value {
        match self.event.extensions.get(name::METADATA) {
            Some(Attribute::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            _ => Value::Null,
        }
    }

    /// A condition of the whole work in the data of a status event.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<Value> {
        let data = self.data();
        let conditions = data.get("conditions")?.as_array()?;
        conditions
            .iter()
            .find(|condition| condition.get("type").is_some_and(|found| found == kind))
            .cloned()
    }

    /// True if a condition of the whole work is `True`.
    #[must_use]
    pub fn is_true(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| {
            condition
                .get("status")
                .is_some_and(|status| status == "True")
        })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        short(&self.event, f)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3}s {}: ", self.at.as_secs_f64(), self.actor)?;
        match &self.what {
            What::Opened {
                stream,
                subscription_id,
            } => write!(
                f,
                "stream {stream} opened ({})",
                subscription_id.as_deref().unwrap_or("no subscription-id")
            ),
            What::Received(seen) => write!(f, "stream {} brought {seen}", seen.stream),
            What::Heartbeat { stream } => write!(f, "stream {stream} heartbeat"),
            What::Unreadable { stream, why } => {
                write!(f, "stream {stream} brought something unreadable: {why}")
            }
            What::Ended { stream, why } => write!(f, "stream {stream} ended: {why}"),
            What::Published {
                started,
                event,
                outcome,
            } => {
                f.write_str("published ")?;
                short(event, f)?;
                match outcome {
                    Ok(()) => f.write_str(" -> accepted")?,
                    Err(refusal) => write!(f, " -> {refusal}")?,
                }
                took(self.at, *started, f)
            }
            What::Called {
                started,
                request,
                outcome,
            } => {
                match outcome {
                    Ok(status) => write!(f, "{request} -> {status}")?,
                    Err(why) => write!(f, "{request} -> {why}")?,
                }
                took(self.at, *started, f)
            }
            What::Note(text) => f.write_str(text),
        }
    }
}

fn took(end: Duration, start: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let took = end.saturating_sub(start);
    if took > Duration::from_millis(100) {
        write!(f, " ({took:.1?})")?;
    }
    Ok(())
}

/// An event in half a line.
fn short(event: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let kind = &event.event_type;
    write!(f, "{}.{}", kind.subresource, kind.action)?;
    if let Ok(id) = event.resource_id() {
        write!(f, " id={id}")?;
    }
    if let Ok(version) = event.resource_version() {
        write!(f, " v={version}")?;
    }
    if event.extensions.contains_key(name::DELETION_TIMESTAMP) {
        f.write_str(" deleting")?;
    }
    if let Ok(sequence) = event.sequence_id() {
        write!(f, " seq={sequence}")?;
    }
    if let Some(data) = &event.data {
        write!(f, " data={}B", data.len())?;
    }
    Ok(())
}
