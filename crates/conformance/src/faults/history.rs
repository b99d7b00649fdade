//! What happened in a round, as plain data: operations with their outcomes, events on streams, faults, and what was there when
//! everything was quiet again.
//!
//! A work is written many times, and its id may live again after it ended. Each write therefore puts a [`Tag`] into the manifest,
//! which agents copy into their statuses: whoever sees content knows which write made it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Microseconds since the start of the round.
pub type Micros = u64;

/// One second as [`Micros`].
pub const SECOND: Micros = 1_000_000;

/// Number of an operation or of a stream within a round.
pub type Number = u64;

/// Which life of an id, and which write of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Tag {
    /// 1 for the first life of an id.
    pub life: u32,
    /// The operation that wrote it.
    pub op: Number,
}

/// Everything that was recorded in a round, in the order of time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// What is asked of it.
    pub limits: Limits,
    /// Ordered by time.
    pub entries: Vec<Entry>,
}

/// The deadlines and sizes that are asserted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Multiplies every deadline: more than 1 on slow machines.
    pub time_scale: f64,
    /// Largest resident set of a server, bytes.
    pub memory: u64,
}

/// Something at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Micros,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can be recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum What {
    /// An operation begins.
    Invoke {
        /// Its number.
        op: Number,
        /// Who calls.
        actor: String,
        /// What is asked.
        call: Call,
    },
    /// An operation is answered. Without this entry it is unknown what became of it.
    Return {
        /// Its number.
        op: Number,
        /// The answer.
        outcome: Outcome,
    },
    /// A stream was accepted: its response headers arrived.
    Opened {
        /// Its number.
        stream: Number,
        /// Who listens.
        listener: Listener,
        /// Which server it was opened on, where that is known.
        replica: usize,
    },
    /// A stream ended or was given up.
    Closed {
        /// Its number.
        stream: Number,
        /// Why.
        why: String,
    },
    /// A spec event arrived at an agent.
    Spec(Spec),
    /// A status event arrived at a source.
    Status(Status),
    /// A fault begins.
    Fault {
        /// Its number in the plan.
        fault: usize,
        /// What is done, for people.
        text: String,
        /// Whom it hits.
        scope: Scope,
    },
    /// A fault is over.
    Over {
        /// Its number in the plan.
        fault: usize,
    },
    /// What was there after everything had been quiet for long enough.
    Snapshot(Box<Snapshot>),
    /// Long after the last fault the servers still didn't answer.
    Silent {
        /// What was tried.
        text: String,
    },
    /// How large the server is and how long its queues are.
    Sample(Sample),
    /// What the tables of the database hold that should go when all is quiet (I9).
    Tables {
        /// Rows by what they are; nothing else is in there.
        rows: BTreeMap<String, u64>,
    },
    /// A stretch of time whose deliveries are compared with those of other stretches (I7).
    Window {
        /// Which stretch starts here; `None` ends the last one.
        load: Option<Load>,
    },
}

/// Who listens on a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listener {
    /// The agent of this cluster.
    Agent(String),
    /// A subscriber of this source.
    Source(String),
}

/// What is disturbed by a fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of it.
    Everything,
    /// One server.
    Replica(usize),
    /// The agent of one cluster, or its connection.
    Cluster(String),
    /// The subscriber of one source, or its connection.
    Source(String),
}

/// How others behave while deliveries to quiet clusters are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Everybody is well.
    Calm,
    /// Another cluster or source is stuck or slow.
    Neighbour,
    /// Another cluster is away, with thousands of deletions that wait for it and are asked for again and again.
    Backlog,
}

impl Load {
    /// What somebody is put through in each of them.
    pub const TROUBLE: [Self; 2] = [Self::Neighbour, Self::Backlog];
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calm => "undisturbed",
            Self::Neighbour => "beside stuck and slow neighbours",
            Self::Backlog => "beside a dead cluster's backlog",
        })
    }
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// A source publishes a new work.
    Create {
        /// Id of the work.
        id: String,
        /// Where it goes.
        cluster: String,
        /// Whose it is.
        source: String,
        /// What it carries.
        tag: Tag,
    },
    /// A source publishes a new spec.
    Update {
        /// Id of the work.
        id: String,
        /// Version that it is based on; 0 = whatever is current.
        expect: i64,
        /// What it carries.
        tag: Tag,
    },
    /// Somebody asks for the deletion.
    Delete {
        /// Id of the work.
        id: String,
        /// The life that was meant.
        life: u32,
    },
    /// Somebody reads one work.
    Get {
        /// Id of the work.
        id: String,
    },
    /// Somebody walks the list of a source from the beginning to the end.
    Walk {
        /// Whose works.
        source: String,
    },
    /// An agent reports.
    Report(Report),
    /// An agent says what it has, or a source what it knows.
    Resync {
        /// The stream that is to be answered on.
        stream: Number,
    },
}

/// What an agent reports of a work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Id of the work.
    pub id: String,
    /// The agent's cluster.
    pub cluster: String,
    /// Version that it has; that of the deletion event when there is no content any more.
    pub version: i64,
    /// What it has; `None` when it never had content.
    pub tag: Option<Tag>,
    /// Sequence id.
    pub sequence: i64,
    /// Whether it says that everything is gone.
    pub deleted: bool,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Ok {
        /// What came back.
        #[serde(default, skip_serializing_if = "Answer::is_nothing")]
        answer: Answer,
    },
    /// It was refused, and nothing changed.
    Refused {
        /// The class of the refusal.
        code: String,
        /// The server's text.
        text: String,
    },
    /// It may have been done or not.
    Unknown {
        /// What is known.
        text: String,
    },
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Nothing of interest.
    #[default]
    Nothing,
    /// The row, if there is one.
    Row(Option<Row>),
    /// The ids of a walk, in order, and so doubles too.
    Ids(Vec<String>),
    /// The sequence id that the server has instead of the one it was given.
    Later(i64),
}

/// A work as the server shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Id of the work.
    pub id: String,
    /// Where it goes.
    pub cluster: String,
    /// Current version.
    pub version: i64,
    /// Whether its deletion was asked for.
    pub deleting: bool,
    /// What its spec carries.
    pub tag: Option<Tag>,
    /// The stored status.
    pub status: Option<Seen>,
}

/// A status as somebody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Version that it is about.
    pub version: i64,
    /// Its sequence id.
    pub sequence: i64,
    /// What the agent had when it made it.
    pub tag: Option<Tag>,
}

/// A spec event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Where it came from.
    pub stream: Number,
    /// Id of the work.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// What it carries, if it carries anything.
    pub tag: Option<Tag>,
    /// Whether it is a deletion.
    pub deleting: bool,
    /// Whether the agent lost it (a fault).
    #[serde(default)]
    pub dropped: bool,
}

/// A status event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it came from.
    pub stream: Number,
    /// Id of the work.
    pub id: String,
    /// What was reported.
    pub seen: Seen,
    /// What the spec beside it carries; `None` = there is no spec.
    pub spec: Option<Tag>,
    /// Whether it has the metadata of the work.
    pub metadata: bool,
    /// Whether it says that everything is gone.
    pub deleted: bool,
}

/// Everything that can be seen at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// All works of the round, by id.
    pub rows: BTreeMap<String, Row>,
    /// Each work's source, as it was created.
    pub sources: BTreeMap<String, String>,
    /// What each cluster has, by cluster and id.
    pub clusters: BTreeMap<String, BTreeMap<String, Held>>,
    /// What each subscriber knows, by source and id.
    pub known: BTreeMap<String, BTreeMap<String, Seen>>,
    /// Works whose agent lost something and waits for a reminder.
    pub lossy: BTreeSet<String>,
}

/// What an agent has of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Version of the spec.
    pub version: i64,
    /// What it carries.
    pub tag: Option<Tag>,
    /// Sequence id of the last report that was accepted.
    pub reported: Option<i64>,
}

/// A measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sample", rename_all = "snake_case")]
pub enum Sample {
    /// Resident set of a server, bytes.
    Memory {
        /// Which one.
        replica: usize,
        /// Bytes.
        bytes: u64,
    },
    /// The work with the most deletions that wait.
    PendingDeletes {
        /// Its id.
        id: String,
        /// How many.
        count: u64,
    },
}

// === impl Tag ===

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.life, self.op)
    }
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('.').and_then(|(life, op)| {
            Some(Self {
                life: life.parse().ok()?,
                op: op.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| format!("{text:?} is not <life>.<operation>"))
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.to_string()
    }
}

impl TryFrom<String> for Tag {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            memory: 256 << 20,
        }
    }
}

impl Limits {
    /// A deadline of so many seconds on this machine.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "deadlines are minutes at most"
    )]
    pub fn seconds(&self, seconds: f64) -> Micros {
        (seconds * self.time_scale * SECOND as f64) as Micros
    }
}

// === impl Outcome and its parts ===

impl Outcome {
    /// Done, and nothing came back.
    #[must_use]
    pub fn done() -> Self {
        Self::Ok {
            answer: Answer::Nothing,
        }
    }
}

impl Answer {
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

impl Seen {
    /// What decides which of two statuses of one life is newer.
    #[must_use]
    pub fn order(&self) -> (i64, i64) {
        (self.version, self.sequence)
    }
}

impl What {
    /// The work that it is about, if it is about one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Invoke { call, .. } => call.id(),
            Self::Spec(spec) => Some(&spec.id),
            Self::Status(status) => Some(&status.id),
            _ => None,
        }
    }
}

impl Call {
    /// The work that it is about, if it is about one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Create { id, .. }
            | Self::Update { id, .. }
            | Self::Delete { id, .. }
            | Self::Get { id }
            | Self::Report(Report { id, .. }) => Some(id),
            Self::Walk { .. } | Self::Resync { .. } => None,
        }
    }
}
