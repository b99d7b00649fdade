//! What the applier pool does for one work at a time. A job decides nothing about the life of a work: it carries out
//! what the owner asked for and tells what it met.

mod apply;
mod remove;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube_access::{Client, Error};
use manifestwork::{AppliedResourceMeta, ResourceMeta};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::apply::merge::Compare;
use crate::bundle::Bundle;
use crate::failure::Failure;
use crate::record::{Identity, Record, Records};
use crate::remove::Held;
use crate::target::Target;

/// Something to do for one work.
#[derive(Debug, Clone)]
pub struct Job {
    /// Id of the work.
    pub work: Arc<str>,
    /// What to do.
    pub task: Task,
    /// Cancelled when the work is to go: no further object is begun.
    pub halt: CancellationToken,
}

/// What to do.
#[derive(Debug, Clone)]
pub enum Task {
    /// Apply manifests and clean up behind them.
    Apply(Box<Apply>),
    /// Remove everything that the record names, and the record.
    Remove(Box<Remove>),
    /// Look at objects that nothing has been heard of.
    Look(Vec<Target>),
}

/// Apply manifests.
#[derive(Debug, Clone)]
pub struct Apply {
    /// The spec.
    pub bundle: Arc<Bundle>,
    /// Name of the work, which names its record.
    pub name: String,
    /// Labels for a new record.
    pub labels: BTreeMap<String, String>,
    /// The record, if there is one.
    pub record: Option<Record>,
    /// Records of the same work under other server addresses, to be taken over.
    pub adopted: Vec<Record>,
    /// Which manifests to apply; none means all of them.
    pub only: Option<BTreeSet<usize>>,
    /// Manifests that have done what they were for and are not applied again.
    pub skip: BTreeSet<usize>,
    /// How closely the Update strategy compares.
    pub compare: Compare,
    /// What is known to be applied, beyond the record.
    pub applied: Vec<AppliedResourceMeta>,
}

/// Remove a work's objects and its record.
#[derive(Debug, Clone)]
pub struct Remove {
    /// Name of the work.
    pub name: String,
    /// The record, if there is one.
    pub record: Option<Record>,
    /// The spec, if it is known: it tells which objects stay.
    pub bundle: Option<Arc<Bundle>>,
    /// What is known to be applied, beyond the record.
    pub applied: Vec<AppliedResourceMeta>,
}

/// What came of a job.
#[derive(Debug, Clone)]
pub struct Done {
    /// Id of the work.
    pub work: Arc<str>,
    /// What was met.
    pub outcome: Outcome,
}

/// What was met.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Of [`Task::Apply`].
    Applied(Applied),
    /// Of [`Task::Remove`].
    Removed(RemoveOutcome),
    /// Of [`Task::Look`].
    Looked(Vec<(Target, Result<Option<Value>, Error>)>),
    /// The job ended in a defect; what it did is not known.
    Lost,
}

/// Of [`Task::Apply`].
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// The version that was applied.
    pub version: i64,
    /// Whether all manifests were asked for.
    pub full: bool,
    /// Whether it was halted before its end.
    pub halted: bool,
    /// The record as it is now.
    pub record: Option<Record>,
    /// One per manifest that was tried.
    pub attempts: Vec<Attempt>,
    /// Everything known to be applied.
    pub applied: Vec<AppliedResourceMeta>,
    /// Objects dropped from the spec that are still there.
    pub held: Vec<Held>,
    /// What went wrong beside the manifests.
    pub trouble: Option<Failure>,
}

/// What came of one manifest.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its ordinal.
    pub ordinal: usize,
    /// The name under which it is reported.
    pub meta: ResourceMeta,
    /// The object, if discovery knows its kind.
    pub target: Option<Target>,
    /// The object as it is now, if the strategy looks; or why not.
    pub result: Result<Option<Value>, Failure>,
}

/// Of [`Task::Remove`].
#[derive(Debug, Clone, Default)]
pub struct RemoveOutcome {
    /// Whether the record is gone, and with it everything.
    pub finished: bool,
    /// The record as it is now, if it is still there.
    pub record: Option<Record>,
    /// Objects that are still there.
    pub held: Vec<Held>,
    /// What went wrong.
    pub error: Option<Error>,
}

/// Carries out jobs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Runner {
    client: Client,
    records: Records,
    identity: Arc<Identity>,
}

// === impl Runner ===

impl Runner {
    /// A runner that writes through this client.
    pub fn new(client: Client, identity: Arc<Identity>) -> Self {
        Self {
            records: Records::new(client.clone(), Arc::clone(&identity)),
            client,
            identity,
        }
    }

    /// Does a job.
    ///
    /// # Cancel safety
    /// Not cancel safe: an abandoned job leaves its work half done. Halt it instead.
    pub async fn run(&self, job: Job) -> Done {
        let outcome = match job.task {
            Task::Apply(task) => Outcome::Applied(apply::run(self, *task, &job.halt).await),
            Task::Remove(task) => Outcome::Removed(remove::run(self, *task).await),
            Task::Look(targets) => {
                let mut seen = Vec::with_capacity(targets.len());
                for target in targets {
                    if job.halt.is_cancelled() {
                        break;
                    }
                    let found = target.find(&self.client).await;
                    seen.push((target, found));
                }
                Outcome::Looked(seen)
            }
        };
        Done {
            work: job.work,
            outcome,
        }
    }
}
