//! What happens to a work: specs, results of jobs, sights of objects. Nothing here decides what to do next.

use std::sync::Arc;

use event_wire::codec::agent::SpecMessage;
use kube_access::Error;
use manifestwork::constants::WORK_FINALIZER;
use manifestwork::{ManifestWork, ObjectMeta};
use serde_json::Value;
use tokio::time::Instant;

use super::{Phase, Work};
use crate::apply::owner::Owner;
use crate::bundle::Bundle;
use crate::core::manifest::Manifest;
use crate::core::pace::{REMOVING, jitter};
use crate::core::{Now, Settings};
use crate::failure::{self, Failure};
use crate::job::{Applied, Attempt, RemoveOutcome};
use crate::target::Target;

/// Which life of the id a spec is about, compared with the known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Of an earlier life of the same id.
    Earlier,
    /// Of the same life.
    Same,
    /// Of a later life: the row was removed and made anew, and versions begin anew.
    Later,
}

impl Work {
    /// Takes in a spec event.
    pub fn told(&mut self, message: SpecMessage, now: Now) {
        match (self.phase, message) {
            (Phase::Live, SpecMessage::Apply(work)) => self.told_spec(work, now),
            (Phase::Live, SpecMessage::Invalid { metadata, reason }) => {
                if self.is_newer(&metadata) {
                    self.metadata = keep_finalizer(metadata);
                    self.invalid = Some(reason);
                }
            }
            (Phase::Live, SpecMessage::Delete(deletion)) => {
                if self.life(&deletion.metadata) != Life::Earlier {
                    self.begin_deletion(deletion.metadata, now);
                }
            }
            // A record that nobody stood for turns out to have a work. What was begun ends first.
            (_, message) if self.silent => match message {
                SpecMessage::Delete(deletion) => {
                    self.silent = false;
                    self.begin_deletion(deletion.metadata, now);
                }
                live => self.successor = Some(Box::new(live)),
            },
            // The mark stays whatever comes; only another life of the id is remembered for later.
            (Phase::Deleting | Phase::Gone, message) => {
                let metadata = match &message {
                    SpecMessage::Apply(work) => &work.metadata,
                    SpecMessage::Delete(deletion) => &deletion.metadata,
                    SpecMessage::Invalid { metadata, .. } => metadata,
                };
                if self.life(metadata) == Life::Later {
                    self.successor = Some(Box::new(message));
                } else if let SpecMessage::Delete(deletion) = message {
                    self.metadata.generation =
                        self.metadata.generation.max(deletion.metadata.generation);
                }
            }
        }
    }

    fn told_spec(&mut self, work: ManifestWork, now: Now) {
        if !self.is_newer(&work.metadata) {
            return;
        }
        let same_version = work.metadata.generation == self.metadata.generation;
        let same_life = self.life(&work.metadata) == Life::Same;
        let known = self.bundle.as_ref().filter(|_| self.invalid.is_none());
        let unchanged = known.is_some_and(|known| known.asks_the_same(&Bundle::new(&work)));
        if same_version && same_life && unchanged {
            return;
        }
        self.accept(work, now);
    }

    /// Makes a spec the one to be applied.
    pub(super) fn accept(&mut self, work: ManifestWork, now: Now) {
        let bundle = Bundle::new(&work);
        self.metadata = keep_finalizer(work.metadata);
        self.bundle = Some(Arc::new(bundle));
        self.invalid = None;
        self.passed = None;
        self.failures = 0;
        self.due = now.tick;
    }

    /// Sets the mark that no message takes away.
    pub(super) fn begin_deletion(&mut self, metadata: ObjectMeta, now: Now) {
        self.phase = Phase::Deleting;
        if self.metadata.labels.is_empty() {
            self.metadata.labels.clone_from(&metadata.labels);
        }
        self.metadata.generation = self.metadata.generation.max(metadata.generation);
        self.metadata.deletion_timestamp = metadata.deletion_timestamp;
        self.trouble = None;
        self.failures = 0;
        self.due = now.tick;
        if let Some(running) = &self.running {
            running.halt.cancel();
        }
    }

    /// Takes in what came of an application.
    pub fn applied(&mut self, done: Applied, settings: &Settings, now: Now) {
        let worked_on = self.running.take().and_then(|running| running.bundle);
        if done.record.is_some() {
            self.applied = done.applied;
        }
        let of_this_version = match (&worked_on, &self.bundle) {
            (Some(then), Some(now)) => Arc::ptr_eq(then, now),
            _ => false,
        };
        let began = done.record.is_some();
        match &self.bundle {
            Some(bundle) if of_this_version => {
                let bundle = Arc::clone(bundle);
                if done.full && began {
                    self.take_pass(done.attempts, &bundle, done.halted, settings, now.tick);
                    if !done.halted {
                        self.passed = Some(done.version);
                    }
                } else {
                    for attempt in done.attempts {
                        self.take_attempt(attempt, now.tick);
                    }
                }
            }
            _ => {}
        }
        if self.phase != Phase::Live {
            return;
        }
        self.held = done.held;
        if self.held.is_empty() {
            self.prunes = 0;
            self.prune_at = None;
        } else {
            self.prunes = self.prunes.saturating_add(1);
            self.prune_at = Some(now.tick + REMOVING.wait(self.prunes, &self.id));
        }
        match done.trouble {
            None => {
                self.trouble = None;
                if of_this_version {
                    self.failures = 0;
                }
            }
            Some(trouble) => {
                self.failed(now.tick);
                if began {
                    // The manifests are in place; what is missing is done by the next look at dropped objects.
                    self.prune_at = Some(self.due);
                }
                self.set_trouble(trouble);
            }
        }
    }

    fn take_pass(
        &mut self,
        attempts: Vec<Attempt>,
        bundle: &Bundle,
        halted: bool,
        settings: &Settings,
        now: Instant,
    ) {
        let mut before = std::mem::take(&mut self.manifests);
        let mut after = Vec::with_capacity(bundle.items.len());
        for attempt in attempts {
            let known = attempt.target.as_ref().and_then(|target| {
                let index = before.iter().position(|m| m.target() == Some(target))?;
                Some(before.swap_remove(index))
            });
            let limit = settings.max_json_raw_length;
            after.extend(Manifest::new(attempt, known, bundle, limit, &self.id, now));
        }
        // Manifests that are complete were not tried again; those behind a halt were not reached. They stay as they are.
        after.extend(
            before
                .into_iter()
                .filter(|manifest| halted || manifest.is_complete()),
        );
        after.sort_by_key(|manifest| manifest.meta().ordinal);
        self.manifests = after;
    }

    fn take_attempt(&mut self, attempt: Attempt, now: Instant) {
        let ordinal = attempt.meta.ordinal;
        let id = Arc::clone(&self.id);
        if let Some(manifest) = self
            .manifests
            .iter_mut()
            .find(|manifest| manifest.meta().ordinal == ordinal)
        {
            manifest.tried_again(attempt, &id, now);
        }
    }

    /// Takes in what came of a removal.
    pub fn removed(&mut self, done: RemoveOutcome, now: Now) {
        self.running = None;
        if self.phase != Phase::Deleting {
            return;
        }
        match &done.error {
            Some(error) => self.set_trouble(error.clone().into()),
            None => self.trouble = None,
        }
        if done.error.is_some() && done.held.is_empty() {
            // It did not come far enough to know; what was known still holds.
            self.failed(now.tick);
            return;
        }
        let before = std::mem::replace(&mut self.held, done.held);
        if done.finished {
            self.phase = Phase::Gone;
            self.applied.clear();
            for manifest in &mut self.manifests {
                let target = manifest.target();
                if before.iter().any(|held| held.target.as_ref() == target) {
                    manifest.absent(&self.id, now.tick);
                }
            }
            return;
        }
        self.applied = self.held.iter().map(|held| held.entry.clone()).collect();
        self.failed(now.tick);
    }

    /// Takes in that a job looked at all objects.
    pub fn looked(&mut self, settings: &Settings, now: Now) {
        self.running = None;
        let spread = jitter(settings.look_interval / 2, (&self.id, self.failures));
        self.look_at = now.tick + settings.look_interval + spread;
    }

    /// Takes in that a job ended without a result.
    pub fn lost(&mut self, now: Now) {
        self.running = None;
        self.failed(now.tick);
        self.set_trouble(Failure::other("an internal error; the agent tries again"));
    }

    /// Takes in that records can't be read at all.
    pub fn no_records(&mut self, problem: &str) {
        if self.phase == Phase::Live && self.passed.is_none() {
            self.set_trouble(Failure::other(problem));
        }
    }

    /// Takes in that the record was removed, replaced or marked by somebody else.
    pub fn record_disturbed(&mut self, now: Now) {
        match self.phase {
            Phase::Live => {
                self.passed = None;
                self.due = self.due.max(now.tick);
            }
            Phase::Deleting => self.due = self.due.min(now.tick),
            Phase::Gone => {}
        }
    }

    /// Takes in an object as it is now; `None` if it isn't there.
    pub fn observed(
        &mut self,
        target: &Target,
        live: &Result<Option<Value>, Error>,
        owner: Option<&Owner>,
        now: Now,
    ) {
        let id = Arc::clone(&self.id);
        let matching = self
            .manifests
            .iter_mut()
            .filter(|manifest| manifest.target() == Some(target));
        for manifest in matching {
            match live {
                Ok(Some(live)) => manifest.present(live, owner, &id, now.tick),
                Ok(None) => manifest.absent(&id, now.tick),
                Err(error) => manifest.unreadable(error.to_string(), failure::cause(error)),
            }
        }
        match live {
            Ok(Some(live)) => self.held_is(target, live),
            Ok(None) => self.held_is_gone(target, now.tick),
            Err(_) => {}
        }
    }

    fn set_trouble(&mut self, trouble: Failure) {
        let same = self
            .trouble
            .as_ref()
            .is_some_and(|old| old.cause == trouble.cause);
        if !same {
            self.trouble = Some(trouble);
        }
    }

    fn life(&self, metadata: &ObjectMeta) -> Life {
        match (
            metadata.creation_timestamp,
            self.metadata.creation_timestamp,
        ) {
            (Some(theirs), Some(ours)) if theirs.as_second() < ours.as_second() => Life::Earlier,
            (Some(theirs), Some(ours)) if theirs.as_second() > ours.as_second() => Life::Later,
            _ => Life::Same,
        }
    }

    /// Whether a spec isn't older than what is known. Version 0 is "not known" and never older.
    fn is_newer(&self, metadata: &ObjectMeta) -> bool {
        match self.life(metadata) {
            Life::Earlier => false,
            Life::Later => true,
            Life::Same => {
                metadata.generation == 0 || metadata.generation >= self.metadata.generation
            }
        }
    }
}

/// Peers show the finalizer that they hold; the source's own are none of the agent's business.
fn keep_finalizer(mut metadata: ObjectMeta) -> ObjectMeta {
    metadata.finalizers = vec![WORK_FINALIZER.to_owned()];
    metadata
}
