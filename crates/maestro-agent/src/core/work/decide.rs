//! What to do next for a work. A pure function of its state and the time.

use std::collections::BTreeSet;
use std::sync::Arc;

use manifestwork::conditions;
use manifestwork::constants::condition::COMPLETE;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Phase, Running, Work};
use crate::apply::merge::Compare;
use crate::core::manifest::Manifest;
use crate::job::{Apply, Job, Remove, Task};
use crate::record::Record;

/// What is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<T> {
    /// Something, at once.
    Now(T),
    /// Something, but not before this time.
    At(Instant),
    /// Nothing, until something happens.
    Never,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Apply everything.
    Pass,
    /// Apply some manifests again; with none of them, only clean up behind the work.
    Repeat(BTreeSet<usize>),
    /// Remove everything.
    Remove,
    /// Look at all objects.
    Look,
}

impl Work {
    /// Decides what to do. While a job runs there is nothing to do, whatever happens.
    pub fn next(&self, now: Instant) -> Decision<Step> {
        if self.running.is_some() {
            return Decision::Never;
        }
        match self.phase {
            Phase::Gone => Decision::Never,
            Phase::Deleting => when(self.due, now, || Step::Remove),
            Phase::Live => self.next_live(now),
        }
    }

    fn next_live(&self, now: Instant) -> Decision<Step> {
        let Some(bundle) = &self.bundle else {
            return Decision::Never;
        };
        if conditions::is_true(&self.status.conditions, COMPLETE) {
            return Decision::Never;
        }
        if self.passed != Some(bundle.version) {
            return when(self.due, now, || Step::Pass);
        }
        let due: BTreeSet<usize> = self
            .manifests
            .iter()
            .filter(|manifest| manifest.due().is_some_and(|due| due <= now))
            .filter_map(|manifest| usize::try_from(manifest.meta().ordinal).ok())
            .collect();
        if !due.is_empty() || self.prune_at.is_some_and(|at| at <= now) {
            return Decision::Now(Step::Repeat(due));
        }
        if self.look_at <= now {
            return Decision::Now(Step::Look);
        }
        let later = self.manifests.iter().filter_map(Manifest::due);
        later
            .chain(self.prune_at)
            .chain([self.look_at])
            .min()
            .map_or(Decision::Never, Decision::At)
    }

    /// Turns a step into a job; from here on it runs.
    pub fn start(&mut self, step: Step, record: Option<Record>, adopted: Vec<Record>) -> Job {
        let halt = CancellationToken::new();
        let task = match step {
            Step::Remove => Task::Remove(Box::new(Remove {
                name: self.metadata.name.clone(),
                record,
                bundle: self.bundle.clone(),
                applied: self.applied.clone(),
            })),
            Step::Look => Task::Look(self.targets().into_iter().collect()),
            Step::Pass => self.apply_task(None, Compare::Exact, record, adopted),
            Step::Repeat(ordinals) => {
                let failed = |manifest: &Manifest| {
                    usize::try_from(manifest.meta().ordinal)
                        .is_ok_and(|ordinal| ordinals.contains(&ordinal))
                        && !manifest.is_disturbed()
                };
                // What failed is applied as at first; what somebody changed only as far as it is ours.
                let compare = if self.manifests.iter().any(failed) {
                    Compare::Exact
                } else {
                    Compare::Required
                };
                self.apply_task(Some(ordinals), compare, record, Vec::new())
            }
        };
        self.prune_at = None;
        self.running = Some(Running {
            halt: halt.clone(),
            bundle: self.bundle.clone(),
        });
        Job {
            work: Arc::clone(&self.id),
            task,
            halt,
        }
    }

    fn apply_task(
        &self,
        only: Option<BTreeSet<usize>>,
        compare: Compare,
        record: Option<Record>,
        adopted: Vec<Record>,
    ) -> Task {
        let Some(bundle) = self.bundle.clone() else {
            return Task::Look(Vec::new());
        };
        let skip = self
            .manifests
            .iter()
            .filter(|manifest| manifest.is_complete())
            .filter_map(|manifest| usize::try_from(manifest.meta().ordinal).ok())
            .collect();
        Task::Apply(Box::new(Apply {
            bundle,
            name: self.metadata.name.clone(),
            labels: self.metadata.labels.clone(),
            record,
            adopted,
            only,
            skip,
            compare,
            applied: self.applied.clone(),
        }))
    }
}

fn when(due: Instant, now: Instant, step: impl FnOnce() -> Step) -> Decision<Step> {
    if due <= now {
        Decision::Now(step())
    } else {
        Decision::At(due)
    }
}
