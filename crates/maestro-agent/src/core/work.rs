//! One work from its first spec to its last status: a state machine on plain data.
//!
//! ```text
//!              spec                      everything gone        last status accepted
//!  (new) ──► Live ──── delete ──► Deleting ────────────► Gone ────────────► (forgotten, or its next life begins)
//!             ▲ │                    ▲ only completion leaves these two: no spec, no status and no
//!             └─┘ spec               │ restart of the connection takes the mark away
//! ```

mod decide;
mod report;
mod take_in;

use std::collections::HashSet;
use std::sync::Arc;

use event_wire::codec::agent::SpecMessage;
use kube_access::object;
use manifestwork::constants::WORK_FINALIZER;
use manifestwork::{AppliedResourceMeta, ObjectMeta, ResourceMeta, Status};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::manifest::Manifest;
use super::pace::{REMOVING, RETRY, jitter};
use super::seen::{Seen, Terminating};
use super::status::{self, Facts, ManifestFacts};
use super::{Now, Settings};
use crate::bundle::Bundle;
use crate::failure::Failure;
use crate::remove::Held;
use crate::target::Target;

pub use decide::Decision;
pub use report::Report;

/// Where a work is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its spec is to be on the cluster.
    Live,
    /// Its objects are on their way out.
    Deleting,
    /// Its objects are gone; the server has yet to hear of it.
    Gone,
}

/// A job that runs for a work.
#[derive(Debug)]
struct Running {
    halt: CancellationToken,
    /// The spec that it works on. Versions alone don't tell: they begin anew with another life of the id.
    bundle: Option<Arc<Bundle>>,
}

/// One work.
#[derive(Debug)]
pub struct Work {
    id: Arc<str>,
    metadata: ObjectMeta,
    phase: Phase,
    /// Nobody waits for a status: a record without a work is being removed.
    silent: bool,
    /// What is to be on the cluster; none if only the deletion is known.
    bundle: Option<Arc<Bundle>>,
    /// Why the newest spec can't be applied.
    invalid: Option<String>,
    /// What went wrong beside the manifests.
    trouble: Option<Failure>,
    /// One per manifest of the last full pass.
    manifests: Vec<Manifest>,
    /// The version that was last applied as a whole.
    passed: Option<i64>,
    /// Everything known to be applied.
    applied: Vec<AppliedResourceMeta>,
    /// Objects that were asked to go and are still there.
    held: Vec<Held>,
    running: Option<Running>,
    /// When to do the next full pass or the next removal at the earliest.
    due: Instant,
    failures: u32,
    /// When to look after objects that were dropped from the spec, and how often that was in vain.
    prune_at: Option<Instant>,
    prunes: u32,
    /// When to look at all objects, whatever was heard of them.
    look_at: Instant,
    status: Status,
    report: Report,
    /// The next life of the same id, whose spec came before this one ended.
    successor: Option<Box<SpecMessage>>,
}

impl Work {
    /// A work that was not known before.
    pub fn new(message: SpecMessage, settings: &Settings, now: Now) -> Self {
        let metadata = match &message {
            SpecMessage::Apply(work) => &work.metadata,
            SpecMessage::Delete(deletion) => &deletion.metadata,
            SpecMessage::Invalid { metadata, .. } => metadata,
        };
        let mut work = Self::empty(metadata.clone(), settings, now);
        match message {
            SpecMessage::Apply(spec) => work.accept(spec, now),
            SpecMessage::Delete(deletion) => work.begin_deletion(deletion.metadata, now),
            SpecMessage::Invalid { reason, .. } => work.invalid = Some(reason),
        }
        work
    }

    /// The removal of a record that no work stands for.
    pub fn of_record(name: &str, settings: &Settings, now: Now) -> Self {
        let metadata = ObjectMeta {
            uid: name.to_owned(),
            ..ObjectMeta::named(settings.consumer.as_str(), name)
        };
        let mut work = Self::empty(metadata, settings, now);
        work.phase = Phase::Deleting;
        work.silent = true;
        work
    }

    fn empty(mut metadata: ObjectMeta, settings: &Settings, now: Now) -> Self {
        metadata.finalizers = vec![WORK_FINALIZER.to_owned()];
        let id: Arc<str> = metadata.uid.as_str().into();
        let look_at = now.tick + settings.look_interval + jitter(settings.look_interval / 2, &id);
        Self {
            id,
            metadata,
            phase: Phase::Live,
            silent: false,
            bundle: None,
            invalid: None,
            trouble: None,
            manifests: Vec::new(),
            passed: None,
            applied: Vec::new(),
            held: Vec::new(),
            running: None,
            due: now.tick,
            failures: 0,
            prune_at: None,
            prunes: 0,
            look_at,
            status: Status::default(),
            report: Report::new(now.tick),
            successor: None,
        }
    }

    /// Its id on the server.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Its name, which names its record.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The version that is known.
    pub fn version(&self) -> i64 {
        self.metadata.generation
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether nobody waits for its status.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Its status as it would be reported now.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The objects that it needs to hear of.
    pub fn targets(&self) -> HashSet<Target> {
        if self.phase == Phase::Gone {
            return HashSet::new();
        }
        let of_manifests = self.manifests.iter().filter_map(Manifest::target);
        let of_held = self.held.iter().filter_map(|held| held.target.as_ref());
        of_manifests.chain(of_held).cloned().collect()
    }

    /// What comes after the end: the next life of the same id.
    pub fn into_successor(self) -> Option<SpecMessage> {
        self.successor.map(|message| *message)
    }

    /// Builds the status anew and tells whether it changed.
    pub fn refresh(&mut self, settings: &Settings, now: Now) -> bool {
        if self.silent {
            return false;
        }
        let held: Vec<(ResourceMeta, Seen)> = self.held_beyond_manifests();
        let mut manifests: Vec<ManifestFacts<'_>> =
            self.manifests.iter().map(Manifest::facts).collect();
        manifests.extend(held.iter().map(|(meta, seen)| ManifestFacts {
            meta: meta.clone(),
            applied: None,
            generation: self.metadata.generation,
            seen,
            feedback: None,
            rules: &[],
        }));
        let trouble = self.trouble.as_ref().map(Failure::text);
        let live = self.phase == Phase::Live;
        let facts = Facts {
            generation: self.metadata.generation,
            problem: self.invalid.as_deref().or(trouble.filter(|_| live)),
            manifests,
            deleting: !live,
            obstacle: trouble.filter(|_| self.phase == Phase::Deleting),
            deleted: (self.phase == Phase::Gone).then_some(settings.consumer.as_str()),
        };
        let nothing_known = self.phase == Phase::Live
            && facts.problem.is_none()
            && self.passed.is_none()
            && facts.manifests.is_empty();
        if nothing_known {
            return false;
        }
        let built = status::build(&self.status, &facts, now.at);
        if built == self.status {
            return false;
        }
        self.status = built;
        let complete = !self.manifests.iter().any(Manifest::is_unseen);
        self.report
            .changed(complete, self.phase == Phase::Gone, now.tick);
        true
    }

    /// Objects that hold a deletion and that no manifest stands for, as after a restart in the middle of it.
    fn held_beyond_manifests(&self) -> Vec<(ResourceMeta, Seen)> {
        if self.phase != Phase::Deleting {
            return Vec::new();
        }
        let first = self.manifests.len();
        self.held
            .iter()
            .filter_map(|held| held.target.as_ref().map(|target| (target, held)))
            .filter(|(target, _)| !self.manifests.iter().any(|m| m.target() == Some(target)))
            .enumerate()
            .map(|(index, (target, held))| {
                let seen = Seen::Present {
                    uid: held.entry.uid.clone(),
                    terminating: held.terminating.clone(),
                };
                (target.meta(first + index), seen)
            })
            .collect()
    }

    /// Takes in the object behind a target as it is now.
    fn held_is(&mut self, target: &Target, live: &Value) {
        for held in &mut self.held {
            if held.target.as_ref() == Some(target)
                && object::uid(live) == Some(held.entry.uid.as_str())
                && let Some(terminating) = Terminating::read(live)
            {
                held.terminating = Some(terminating);
            }
        }
    }

    /// Takes in that the object behind a target isn't there. When the last one that was asked to go is gone, the next
    /// ones can be.
    fn held_is_gone(&mut self, target: &Target, now: Instant) {
        let before = self.held.len();
        self.held
            .retain(|held| held.target.as_ref() != Some(target));
        if before == self.held.len() || self.held.iter().any(|held| held.terminating.is_some()) {
            return;
        }
        match self.phase {
            Phase::Deleting => self.due = self.due.min(now),
            Phase::Live => self.prune_at = Some(now),
            Phase::Gone => {}
        }
    }

    /// The next try comes after a growing wait.
    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let pace = if self.phase == Phase::Live {
            RETRY
        } else {
            REMOVING
        };
        self.due = now + pace.wait(self.failures, &self.id);
    }
}
