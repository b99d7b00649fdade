//! The owner of all works: one state, spoken to by messages, which answers with what is to be done.
//!
//! Nothing in here does I/O or reads a clock. That is what makes it testable by the thousand: any order of messages can be
//! fed to it, and the effects can be checked against the invariants.
//!
//! - [`message`], [`Core`]: messages in, effects out; queues with a bound and a turn for each work; timers
//! - [`work`]: the life of one work; [`manifest`]: one manifest of it
//! - [`status`], [`feedback`], [`rules`], [`seen`]: what is reported
//! - [`pace`]: when to do something again

pub mod feedback;
pub mod manifest;
pub mod message;
pub mod pace;
pub mod rules;
pub mod seen;
pub mod status;
pub mod work;

mod queue;
mod registry;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use event_wire::codec::agent::SpecMessage;
use event_wire::payload::{ResourceVersion, StatusHashList};
use kube_access::Error;
use manifestwork::hash::status_hash;
use serde_json::Value;
use tokio::time::Instant;

use crate::job::{Done, Outcome};
use crate::record::{Identity, Record};
use crate::target::Target;
pub use message::{Effect, Figures, Message, Now, Settings};
use pace::PUBLISH;
use queue::Queue;
use registry::{Disturbed, Registry};
use work::{Decision, Phase, Work};

/// How long after a subscription records without a work that somebody is deleting are looked after. Until then their
/// work may yet arrive.
const ORPHAN_DELAY: Duration = Duration::from_secs(60);

/// The owner's state.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    works: HashMap<Arc<str>, Work>,
    registry: Registry,
    jobs: Queue,
    reports: Queue,
    timers: BTreeSet<(Instant, Arc<str>)>,
    wakes: HashMap<Arc<str>, Instant>,
    watching: HashMap<Target, HashSet<Arc<str>>>,
    watched_by: HashMap<Arc<str>, HashSet<Target>>,
    linked: bool,
    resync_at: Option<Instant>,
    resync_failures: u32,
    orphans_at: Option<Instant>,
}

// === impl Core ===

impl Core {
    /// Nothing is known.
    pub fn new(settings: Settings, identity: Arc<Identity>) -> Self {
        Self {
            jobs: Queue::new(settings.workers),
            reports: Queue::new(settings.publishers),
            settings,
            works: HashMap::new(),
            registry: Registry::new(identity),
            timers: BTreeSet::new(),
            wakes: HashMap::new(),
            watching: HashMap::new(),
            watched_by: HashMap::new(),
            linked: false,
            resync_at: None,
            resync_failures: 0,
            orphans_at: None,
        }
    }

    /// Takes in what happened and answers with what is to be done.
    pub fn handle(&mut self, message: Message, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let touched = self.take_in(message, now);
        for id in touched {
            self.settle(&id, now, &mut effects);
        }
        self.wake(now, &mut effects);
        self.pump(now, &mut effects);
        effects
    }

    /// When a [`Message::Tick`] is due at the latest.
    pub fn next_wake(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let resync = self.resync_at.filter(|_| self.linked);
        let orphans = self.orphans_at.filter(|_| self.linked);
        [timer, resync, orphans].into_iter().flatten().min()
    }

    /// A work by its id.
    pub fn work(&self, id: &str) -> Option<&Work> {
        self.works.get(id)
    }

    /// Figures for metrics and health.
    pub fn figures(&self) -> Figures {
        Figures {
            works: self.works.len(),
            deleting: self
                .works
                .values()
                .filter(|work| work.phase() != Phase::Live)
                .count(),
            waiting: self.jobs.waiting(),
            running: self.jobs.running(),
        }
    }

    /// Changes the state and names the works that it touched.
    fn take_in(&mut self, message: Message, now: Now) -> Vec<Arc<str>> {
        match message {
            Message::Spec(message) => vec![self.told(*message, now)],
            Message::StatusResync(known) => self.report_again(&known),
            Message::Linked => {
                self.linked = true;
                self.resync_at = Some(now.tick);
                self.resync_failures = 0;
                self.orphans_at = Some(now.tick + ORPHAN_DELAY);
                for work in self.works.values_mut() {
                    work.flush(now.tick);
                }
                self.works.keys().cloned().collect()
            }
            Message::Unlinked => {
                self.linked = false;
                Vec::new()
            }
            Message::Resynced(accepted) => {
                if !accepted {
                    self.resync_failures = self.resync_failures.saturating_add(1);
                    let wait = PUBLISH.wait(self.resync_failures, &self.settings.consumer);
                    self.resync_at = Some(now.tick + wait);
                }
                Vec::new()
            }
            Message::Done(done) => self.done(*done, now),
            Message::Observed(target, live) => self.observed(&target, &live, now),
            Message::Published {
                work,
                revision,
                accepted,
            } => {
                self.reports.ended();
                if let Some(work) = self.works.get_mut(&work) {
                    work.published(revision, accepted, now.tick);
                }
                vec![work]
            }
            Message::Records(records) => {
                let disturbed = self.registry.replace(records);
                let mut touched = self.records_changed(disturbed, now);
                touched.extend(self.works.keys().cloned());
                touched
            }
            Message::Record(record) => {
                let disturbed = self.registry.put(record);
                self.records_changed(disturbed, now)
            }
            Message::RecordGone(record) => {
                let disturbed = self.registry.gone(&record);
                self.records_changed(disturbed, now)
            }
            Message::NoRecords(problem) => {
                self.registry.unavailable(problem.clone());
                if self.registry.is_known() {
                    return Vec::new();
                }
                for work in self.works.values_mut() {
                    work.no_records(&problem);
                }
                self.works.keys().cloned().collect()
            }
            Message::Tick => Vec::new(),
        }
    }

    fn told(&mut self, message: SpecMessage, now: Now) -> Arc<str> {
        let id: Arc<str> = match &message {
            SpecMessage::Apply(work) => work.metadata.uid.as_str(),
            SpecMessage::Delete(deletion) => deletion.metadata.uid.as_str(),
            SpecMessage::Invalid { metadata, .. } => metadata.uid.as_str(),
        }
        .into();
        match self.works.get_mut(&id) {
            Some(work) => work.told(message, now),
            None => {
                let mut work = Work::new(message, &self.settings, now);
                if let Some(problem) = self.registry.problem() {
                    work.no_records(problem);
                }
                self.works.insert(Arc::clone(&id), work);
            }
        }
        id
    }

    fn done(&mut self, done: Done, now: Now) -> Vec<Arc<str>> {
        self.jobs.ended();
        let Some(work) = self.works.get_mut(&done.work) else {
            return Vec::new();
        };
        match done.outcome {
            Outcome::Applied(outcome) => {
                if let Some(record) = &outcome.record {
                    self.registry.put_own(record.clone());
                }
                work.applied(outcome, &self.settings, now);
            }
            Outcome::Removed(outcome) => {
                match &outcome.record {
                    Some(record) => self.registry.put_own(record.clone()),
                    None if outcome.finished => self.registry.forget(work.name()),
                    None => {}
                }
                work.removed(outcome, now);
            }
            Outcome::Looked(seen) => {
                work.looked(&self.settings, now);
                let mut touched = vec![done.work];
                for (target, live) in seen {
                    touched.extend(self.observed(&target, &live, now));
                }
                return touched;
            }
            Outcome::Lost => work.lost(now),
        }
        vec![done.work]
    }

    fn observed(
        &mut self,
        target: &Target,
        live: &Result<Option<Value>, Error>,
        now: Now,
    ) -> Vec<Arc<str>> {
        let interested: Vec<Arc<str>> = self
            .watching
            .get(target)
            .map(|ids| ids.iter().cloned().collect())
            .unwrap_or_default();
        for id in &interested {
            if let Some(work) = self.works.get_mut(id) {
                let owner = self.registry.of(work.name()).map(Record::owner);
                work.observed(target, live, owner.as_ref(), now);
            }
        }
        interested
    }

    fn records_changed(&mut self, disturbed: Disturbed, now: Now) -> Vec<Arc<str>> {
        let mut touched = Vec::new();
        for name in disturbed {
            for (id, work) in &mut self.works {
                if work.name() == name {
                    work.record_disturbed(now);
                    touched.push(Arc::clone(id));
                }
            }
        }
        touched
    }

    fn report_again(&mut self, known: &StatusHashList) -> Vec<Arc<str>> {
        let mut touched = Vec::new();
        for (id, work) in &mut self.works {
            let differs = known.status_hashes.is_empty()
                || known.status_hashes.iter().any(|hash| {
                    hash.resource_id == **id && hash.status_hash != status_hash(work.status())
                });
            if differs {
                work.report_again();
                touched.push(Arc::clone(id));
            }
        }
        touched
    }

    /// Brings everything that follows from the state of a work up to date: status, sights, queues, timer.
    fn settle(&mut self, id: &Arc<str>, now: Now, effects: &mut Vec<Effect>) {
        let Some(work) = self.works.get_mut(id) else {
            return;
        };
        work.refresh(&self.settings, now);
        if work.is_finished() {
            self.forget(id, now, effects);
            return;
        }
        let targets = work.targets();
        let mut wake: Option<Instant> = None;
        let job_possible = work.phase() != Phase::Live || self.registry.is_known();
        if job_possible {
            match work.next(now.tick) {
                Decision::Now(_) => self.jobs.push(id),
                Decision::At(at) => wake = Some(at),
                Decision::Never => {}
            }
        }
        if self.linked {
            match work.next_report(now.tick) {
                Decision::Now(()) => self.reports.push(id),
                Decision::At(at) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
                Decision::Never => {}
            }
        }
        self.set_timer(id, wake);
        self.set_targets(id, targets, effects);
    }

    /// Everything is done and said. The id may have a next life, which begins now.
    fn forget(&mut self, id: &Arc<str>, now: Now, effects: &mut Vec<Effect>) {
        self.set_timer(id, None);
        self.set_targets(id, HashSet::new(), effects);
        let successor = self.works.remove(id).and_then(Work::into_successor);
        if let Some(message) = successor {
            let id = self.told(message, now);
            self.settle(&id, now, effects);
        }
    }

    fn set_timer(&mut self, id: &Arc<str>, wake: Option<Instant>) {
        let before = match wake {
            Some(at) => self.wakes.insert(Arc::clone(id), at),
            None => self.wakes.remove(id),
        };
        if let Some(before) = before {
            self.timers.remove(&(before, Arc::clone(id)));
        }
        if let Some(at) = wake {
            self.timers.insert((at, Arc::clone(id)));
        }
    }

    fn set_targets(&mut self, id: &Arc<str>, wanted: HashSet<Target>, effects: &mut Vec<Effect>) {
        let before = self.watched_by.remove(id).unwrap_or_default();
        for target in before.difference(&wanted) {
            if let Some(ids) = self.watching.get_mut(target) {
                ids.remove(id);
                if ids.is_empty() {
                    self.watching.remove(target);
                    effects.push(Effect::Unwatch(target.clone()));
                }
            }
        }
        for target in wanted.difference(&before) {
            let ids = self.watching.entry(target.clone()).or_default();
            if ids.is_empty() {
                effects.push(Effect::Watch(target.clone()));
            }
            ids.insert(Arc::clone(id));
        }
        if !wanted.is_empty() {
            self.watched_by.insert(Arc::clone(id), wanted);
        }
    }

    /// Settles the works whose time has come, and does what isn't about one work.
    fn wake(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((at, id)) = self.timers.first().cloned() {
            if at > now.tick {
                break;
            }
            self.timers.remove(&(at, Arc::clone(&id)));
            self.wakes.remove(&id);
            self.settle(&id, now, effects);
        }
        if !self.linked {
            return;
        }
        // Records count too: a work whose row went while nobody was listening must be told to go. They are known first.
        if self.registry.is_settled() && self.resync_at.take_if(|at| *at <= now.tick).is_some() {
            effects.push(Effect::Resync(self.versions()));
        }
        if self.orphans_at.take_if(|at| *at <= now.tick).is_some() {
            self.orphans_at = Some(now.tick + ORPHAN_DELAY);
            for name in self.registry.deleting() {
                if !self.works.values().any(|work| work.name() == name) {
                    let work = Work::of_record(&name, &self.settings, now);
                    let id = Arc::clone(work.id());
                    self.works.insert(Arc::clone(&id), work);
                    self.settle(&id, now, effects);
                }
            }
        }
    }

    /// Hands out turns.
    fn pump(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(id) = self.jobs.pop() {
            let Some(work) = self.works.get_mut(&id) else {
                continue;
            };
            if let Decision::Now(step) = work.next(now.tick) {
                let record = self.registry.of(work.name()).cloned();
                let adopted = self.registry.adoptable(work.name());
                let job = work.start(step, record, adopted);
                effects.push(Effect::Start(Box::new(job)));
                self.jobs.began();
            }
        }
        while self.linked
            && let Some(id) = self.reports.pop()
        {
            let Some(work) = self.works.get_mut(&id) else {
                continue;
            };
            if work.next_report(now.tick) == Decision::Now(()) {
                let (revision, content) = work.publish();
                effects.push(Effect::Publish {
                    work: id,
                    revision,
                    content: Box::new(content),
                });
                self.reports.began();
            }
        }
    }

    /// What this agent has. Records whose work is not known count as version 0: the server sends what exists and says
    /// what doesn't.
    fn versions(&self) -> Vec<ResourceVersion> {
        let mut versions: Vec<ResourceVersion> = self
            .works
            .values()
            .filter(|work| !work.is_silent())
            .map(|work| ResourceVersion {
                resource_id: work.id().to_string(),
                resource_version: work.version(),
            })
            .collect();
        let known: HashSet<&str> = self.works.values().map(Work::name).collect();
        versions.extend(
            self.registry
                .names()
                .filter(|name| !known.contains(name))
                .map(|name| ResourceVersion {
                    resource_id: name.to_owned(),
                    resource_version: 0,
                }),
        );
        versions.sort_by(|left, right| left.resource_id.cmp(&right.resource_id));
        versions
    }
}

#[cfg(test)]
mod tests;
