//! One event through the pipeline without broker, API or cluster: recorded answers in, a trace out.
//!
//! Reading order: [`Input`] and [`dry_run`] here, `answers` (API responses), `cluster` (objects in memory), `trace`
//! (text and JSON). Formats: `docs/protocol/adapter-pipeline.md`, "Dry run".

mod answers;
mod cluster;
mod trace;

use std::path::Path;
use std::sync::Arc;

use event_broker::Event;

use crate::config::{Config, TaskConfig};
use crate::pipeline::outcome::Outcome;
use crate::pipeline::{Pipeline, Transports};
use crate::policy::ResourcePolicy;
pub use answers::Answers;
pub use cluster::Discovery;
use cluster::{Cluster, Operation};

/// Largest input file, in bytes (16 MiB).
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Why a dry run can't begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);

/// What a dry run starts from.
#[derive(Debug, Clone)]
pub struct Input {
    /// The pulse.
    pub event: Event,
    /// Recorded answers of the API; the default answers 200 `{}` to everything.
    pub answers: Answers,
    /// Objects that exist, and how applied objects look afterwards.
    pub discovery: Discovery,
}

impl Input {
    /// Reads the three files; `answers` and `discovery` may be absent.
    ///
    /// # Errors
    /// A file can't be read or does not have its format.
    pub fn read(
        event: &Path,
        answers: Option<&Path>,
        discovery: Option<&Path>,
    ) -> Result<Self, Error> {
        let text = read(event, "event")?;
        let event = Event::from_json(text.as_bytes()).map_err(|error| {
            Error(format!(
                "invalid CloudEvent in {:?}: {error}",
                event.display().to_string()
            ))
        })?;
        let answers = match answers {
            Some(path) => Answers::parse(&path.display().to_string(), &read(path, "responses")?)?,
            None => Answers::default(),
        };
        let discovery = match discovery {
            Some(path) => Discovery::parse(&read(path, "discovery")?)?,
            None => Discovery::default(),
        };
        Ok(Self {
            event,
            answers,
            discovery,
        })
    }
}

fn read(path: &Path, what: &str) -> Result<String, Error> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| {
        Error(format!(
            "failed to read dryrun {what} file {shown:?}: {error}"
        ))
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        return Err(Error(format!(
            "dryrun {what} file {shown:?} has {size} bytes, the limit is {MAX_FILE_BYTES}"
        )));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// What a dry run did.
pub struct Report {
    outcome: Outcome,
    operations: Vec<Operation>,
}

impl Report {
    /// Whether any phase failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.outcome.failed()
    }

    /// The trace for people.
    #[must_use]
    pub fn text(&self, verbose: bool) -> String {
        trace::text(&self.outcome, verbose)
    }

    /// The trace for programs, indented by two spaces.
    #[must_use]
    pub fn json(&self, verbose: bool) -> String {
        trace::json(&self.outcome, &self.operations, verbose)
    }

    /// `Error in <phase>: …`, one line per failed phase.
    pub fn errors(&self) -> impl Iterator<Item = String> {
        self.outcome
            .trace
            .errors
            .iter()
            .map(|(phase, message)| format!("Error in {phase}: {message}"))
    }
}

/// Runs one event in memory.
pub async fn dry_run(
    config: Config,
    task: TaskConfig,
    input: Input,
    policies: Vec<Arc<dyn ResourcePolicy>>,
) -> Report {
    let cluster = Arc::new(Cluster::new(input.discovery));
    let transports = Transports {
        kubernetes: Some(cluster.clone()),
        maestro: Some(cluster.clone()),
    };
    let answers = input.answers.for_api(&config.clients.hyperfleet_api);
    let mut pipeline = Pipeline::new(
        Arc::new(config),
        Arc::new(task),
        Arc::new(answers),
        transports,
        policies,
    );
    pipeline.recording = true;
    let outcome = pipeline.run(&input.event).await;
    Report {
        outcome,
        operations: cluster.operations(),
    }
}
