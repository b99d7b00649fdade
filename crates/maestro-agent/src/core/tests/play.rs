//! A pretended cluster and server around a [`Core`]. Jobs and publications end when the play says so.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_wire::codec::agent::{Deletion, SpecMessage};
use jiff::{SignedDuration, Timestamp};
use kube_access::{Gvk, Resource};
use manifestwork::{ManifestWork, conditions};
use proptest::sample::Index;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::apply::owner::Owner;
use crate::core::seen::Terminating;
use crate::core::work::Phase;
use crate::core::{Core, Effect, Message, Now, Settings};
use crate::failure::Failure;
use crate::job::{Applied, Attempt, Done, Job, Outcome, RemoveOutcome, Task};
use crate::record::{Identity, Record};
use crate::remove::Held;
use crate::target::Target;

pub(super) const WORKERS: usize = 3;
const PUBLISHERS: usize = 2;

/// Something that happens.
#[derive(Clone)]
pub(super) enum Happening {
    Spec(Box<SpecMessage>),
    JobEnds(Index),
    JobIsLost(Index),
    JobFails(Index),
    RecordGone(String),
    PublicationEnds(Index),
    PublicationFails(Index),
    Sights,
    Wait(u64),
    Linked,
    Unlinked,
    Hold(String),
    Release(String),
    Remove(String),
    Touch(String),
}

/// One line each, so that a failing play can be read.
impl fmt::Debug for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(message) => match &**message {
                SpecMessage::Apply(work) => {
                    let manifests = work.spec.workload.manifests.iter();
                    let names: Vec<_> = manifests
                        .map(|text| text.meta().unwrap().metadata.name)
                        .collect();
                    let (id, version) = (&work.metadata.uid, work.metadata.generation);
                    write!(f, "apply {id} v{version} {names:?}")
                }
                SpecMessage::Delete(Deletion { metadata, .. }) => {
                    write!(f, "delete {} v{}", metadata.uid, metadata.generation)
                }
                SpecMessage::Invalid { metadata, .. } => {
                    write!(f, "invalid {} v{}", metadata.uid, metadata.generation)
                }
            },
            Self::JobEnds(_) => f.write_str("a job ends"),
            Self::JobIsLost(_) => f.write_str("a job is lost"),
            Self::JobFails(_) => f.write_str("a job fails"),
            Self::RecordGone(id) => write!(f, "the record of {id} is removed"),
            Self::PublicationEnds(_) => f.write_str("a publication ends"),
            Self::PublicationFails(_) => f.write_str("a publication fails"),
            Self::Sights => f.write_str("sights"),
            Self::Wait(seconds) => write!(f, "wait {seconds} s"),
            Self::Linked => f.write_str("linked"),
            Self::Unlinked => f.write_str("unlinked"),
            Self::Hold(name) => write!(f, "hold {name}"),
            Self::Release(name) => write!(f, "release {name}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::Touch(name) => write!(f, "touch {name}"),
        }
    }
}

/// How a job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Well,
    Failed,
    Lost,
}

/// Objects by name.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    objects: BTreeMap<String, Object>,
    held: BTreeSet<String>,
    lives: u64,
    /// Names that changed since the last sights.
    changed: BTreeSet<String>,
    records: HashMap<String, Record>,
}

#[derive(Debug, Clone)]
struct Object {
    uid: String,
    deleting: bool,
    touched: u64,
    /// What was applied.
    text: Value,
    owner: Value,
}

impl Cluster {
    pub(super) fn has(&self, name: &str) -> bool {
        self.objects.contains_key(name)
    }

    pub(super) fn hold(&mut self, name: &str) {
        self.held.insert(name.to_owned());
    }

    pub(super) fn release(&mut self, name: &str) {
        self.held.remove(name);
        if self.objects.get(name).is_some_and(|object| object.deleting) {
            self.objects.remove(name);
            self.changed.insert(name.to_owned());
        }
    }

    pub(super) fn release_all(&mut self) {
        for name in std::mem::take(&mut self.held) {
            self.release(&name);
        }
    }

    pub(super) fn touch(&mut self, name: &str) {
        if let Some(object) = self.objects.get_mut(name) {
            object.touched += 1;
            self.changed.insert(name.to_owned());
        }
    }

    fn apply(&mut self, name: &str, text: Value, owner: &Owner) -> Value {
        self.lives += 1;
        let uid = format!("u{}", self.lives);
        let object = self.objects.entry(name.to_owned()).or_insert(Object {
            uid,
            deleting: false,
            touched: 0,
            text: Value::Null,
            owner: owner.reference(),
        });
        object.text = text;
        self.changed.insert(name.to_owned());
        render(&object.clone(), self.held.contains(name))
    }

    /// Whether it is gone at once.
    fn delete(&mut self, name: &str) -> bool {
        if self.held.contains(name)
            && let Some(object) = self.objects.get_mut(name)
        {
            object.deleting = true;
            self.changed.insert(name.to_owned());
            return false;
        }
        if self.objects.remove(name).is_some() {
            self.changed.insert(name.to_owned());
        }
        true
    }

    fn sight(&self, name: &str) -> Option<Value> {
        let object = self.objects.get(name)?;
        Some(render(object, self.held.contains(name)))
    }
}

fn render(object: &Object, held: bool) -> Value {
    let mut live = object.text.clone();
    live["metadata"]["uid"] = json!(object.uid);
    live["metadata"]["labels"] = json!({"touched": object.touched.to_string()});
    live["metadata"]["ownerReferences"] = json!([object.owner]);
    if held {
        live["metadata"]["finalizers"] = json!(["f"]);
    }
    if object.deleting {
        live["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    live
}

/// What the server was told.
#[derive(Debug, Default)]
pub(super) struct Server {
    last: HashMap<String, ManifestWork>,
    deleted: HashSet<String>,
}

impl Server {
    pub(super) fn last(&self, id: &str) -> Option<&ManifestWork> {
        self.last.get(id)
    }

    pub(super) fn is_told_deleted(&self, id: &str) -> bool {
        self.deleted.contains(id)
    }
}

pub(super) struct Play {
    pub(super) core: Core,
    pub(super) cluster: Cluster,
    pub(super) server: Server,
    pub(super) passes: usize,
    now: Now,
    jobs: Vec<Job>,
    publications: Vec<(Arc<str>, u64, ManifestWork)>,
    watched: HashSet<Target>,
    /// Ids whose deletion was heard and not yet finished.
    marked: HashSet<String>,
    /// What the last spec of an id asks for.
    wanted: HashMap<String, Option<(i64, BTreeSet<String>)>>,
    linked: bool,
}

impl Play {
    pub(super) fn new() -> Self {
        let settings = Settings {
            consumer: "c1".to_owned(),
            workers: WORKERS,
            publishers: PUBLISHERS,
            max_json_raw_length: 1024,
            look_interval: Duration::from_secs(240),
        };
        let identity = Arc::new(Identity {
            hub_hash: "h".to_owned(),
            agent_id: "h".to_owned(),
            adopts: Vec::new(),
        });
        let mut play = Self {
            core: Core::new(settings, identity),
            cluster: Cluster::default(),
            server: Server::default(),
            passes: 0,
            now: Now {
                at: Timestamp::UNIX_EPOCH,
                tick: Instant::now(),
            },
            jobs: Vec::new(),
            publications: Vec::new(),
            watched: HashSet::new(),
            marked: HashSet::new(),
            wanted: HashMap::new(),
            linked: true,
        };
        play.tell(Message::Records(Vec::new()));
        play.tell(Message::Linked);
        play
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Spec(message) => {
                self.remember(&message);
                self.tell(Message::Spec(message));
            }
            Happening::JobEnds(index) => self.end_job(&index, End::Well),
            Happening::JobIsLost(index) => self.end_job(&index, End::Lost),
            Happening::JobFails(index) => self.end_job(&index, End::Failed),
            Happening::RecordGone(id) => {
                if let Some(record) = self.cluster.records.get(&id).cloned() {
                    self.tell(Message::RecordGone(record));
                }
            }
            Happening::PublicationEnds(index) => self.end_publication(&index, true),
            Happening::PublicationFails(index) => self.end_publication(&index, false),
            Happening::Sights => self.step_sights(),
            Happening::Wait(seconds) => {
                self.now.at += SignedDuration::from_secs(i64::try_from(seconds).unwrap());
                self.now.tick += Duration::from_secs(seconds);
                self.tell(Message::Tick);
            }
            Happening::Linked => {
                self.linked = true;
                self.tell(Message::Linked);
            }
            Happening::Unlinked => {
                self.linked = false;
                self.tell(Message::Unlinked);
            }
            Happening::Hold(name) => {
                self.cluster.hold(&name);
                self.cluster.touch(&name);
            }
            Happening::Release(name) => self.cluster.release(&name),
            Happening::Remove(name) => {
                self.cluster.delete(&name);
            }
            Happening::Touch(name) => self.cluster.touch(&name),
        }
        self.check();
    }

    /// Lets everything come to rest: until nothing but slow looks has happened for longer than any wait.
    pub(super) fn settle(&mut self) {
        const REST: Duration = Duration::from_secs(400);
        let mut quiet = Duration::ZERO;
        for _ in 0..2000 {
            while let Some(job) = self.jobs.pop() {
                if matches!(job.task, Task::Apply(_)) {
                    quiet = Duration::ZERO;
                }
                self.finish(job, End::Well);
                self.check();
            }
            while let Some((work, revision, content)) = self.publications.pop() {
                quiet = Duration::ZERO;
                self.accept(work, revision, content);
                self.check();
            }
            self.step_sights();
            if !self.jobs.is_empty() || !self.publications.is_empty() {
                continue;
            }
            let Some(at) = self.core.next_wake().filter(|_| quiet < REST) else {
                return;
            };
            let wait = at.saturating_duration_since(self.now.tick);
            quiet += wait;
            self.now.at += SignedDuration::try_from(wait).unwrap();
            self.now.tick = self.now.tick.max(at);
            self.tell(Message::Tick);
        }
        panic!("it does not come to rest: {:?}", self.core.figures());
    }

    /// Ends every job; what they lead to is on its way to the server then.
    pub(super) fn end_jobs(&mut self) {
        while let Some(job) = self.jobs.pop() {
            self.finish(job, End::Well);
            self.check();
        }
    }

    /// Ends every publication that is on its way, and returns how many there were.
    pub(super) fn end_publications(&mut self) -> usize {
        let ending = std::mem::take(&mut self.publications);
        let count = ending.len();
        for (work, revision, content) in ending {
            self.accept(work, revision, content);
            self.check();
        }
        count
    }

    pub(super) fn step_sights(&mut self) {
        for name in std::mem::take(&mut self.cluster.changed) {
            self.show(&target(&name));
        }
    }

    fn show(&mut self, target: &Target) {
        if self.watched.contains(target) {
            let sight = self.cluster.sight(&target.name);
            self.tell(Message::Observed(target.clone(), Ok(sight)));
        }
    }

    fn tell(&mut self, message: Message) {
        for effect in self.core.handle(message, self.now) {
            match effect {
                Effect::Start(job) => self.begin(*job),
                Effect::Publish {
                    work,
                    revision,
                    content,
                } => {
                    assert!(self.linked, "nothing is published without a subscription");
                    let twice = self.publications.iter().any(|(id, ..)| *id == work);
                    assert!(!twice, "one status of a work at a time");
                    self.publications.push((work, revision, *content));
                }
                Effect::Watch(target) => {
                    assert!(self.watched.insert(target.clone()), "watched twice");
                    self.cluster.changed.insert(target.name);
                }
                Effect::Unwatch(target) => assert!(self.watched.remove(&target), "not watched"),
                Effect::Resync(_) => {}
            }
        }
    }

    /// A job begins: nothing may be applied for a work that is to go.
    fn begin(&mut self, job: Job) {
        assert!(
            !self.jobs.iter().any(|other| other.work == job.work),
            "one job of a work at a time"
        );
        if matches!(job.task, Task::Apply(_)) {
            assert!(
                !self.marked.contains(&*job.work),
                "I1: an apply after the deletion was heard"
            );
        }
        self.jobs.push(job);
        assert!(self.jobs.len() <= WORKERS);
    }

    fn end_job(&mut self, index: &Index, end: End) {
        if self.jobs.is_empty() {
            return;
        }
        let job = self.jobs.swap_remove(index.index(self.jobs.len()));
        self.finish(job, end);
    }

    fn end_publication(&mut self, index: &Index, accepted: bool) {
        if self.publications.is_empty() {
            return;
        }
        let at = index.index(self.publications.len());
        let (work, revision, content) = self.publications.swap_remove(at);
        if accepted {
            self.accept(work, revision, content);
        } else {
            self.tell(Message::Published {
                work,
                revision,
                accepted: false,
            });
        }
    }

    fn accept(&mut self, work: Arc<str>, revision: u64, content: ManifestWork) {
        let id = work.to_string();
        if conditions::is_true(&content.status.conditions, "Deleted") {
            assert!(
                self.marked.remove(&id),
                "deleted without having been asked to"
            );
            let mine = format!("{id}-");
            let left: Vec<_> = self
                .cluster
                .objects
                .keys()
                .filter(|name| name.starts_with(&mine))
                .collect();
            assert!(left.is_empty(), "I5: {left:?} are left");
            assert!(!self.cluster.records.contains_key(&id));
            self.server.deleted.insert(id.clone());
            self.wanted.insert(id.clone(), None);
        } else {
            let before = self
                .server
                .last
                .get(&id)
                .map_or(0, |work| work.metadata.generation);
            assert!(
                content.metadata.generation >= before || self.server.deleted.contains(&id),
                "versions of statuses only grow"
            );
        }
        self.server.last.insert(id, content);
        self.tell(Message::Published {
            work,
            revision,
            accepted: true,
        });
    }

    fn finish(&mut self, job: Job, end: End) {
        let halted = job.halt.is_cancelled();
        let outcome = match &job.task {
            _ if end == End::Lost => Outcome::Lost,
            Task::Remove(task) if end == End::Failed => Outcome::Removed(RemoveOutcome {
                record: task.record.clone(),
                error: Some(kube_access::Error::Timeout(Duration::ZERO)),
                ..RemoveOutcome::default()
            }),
            Task::Apply(apply) => {
                if apply.only.is_none() {
                    self.passes += 1;
                }
                let mut attempts = Vec::new();
                let wanted = |ordinal: &usize| {
                    apply
                        .only
                        .as_ref()
                        .is_none_or(|only| only.contains(ordinal))
                };
                for ordinal in apply.bundle.apply_order().into_iter().filter(wanted) {
                    if halted {
                        break;
                    }
                    let name = &apply.bundle.items[ordinal].head.as_ref().unwrap().name;
                    let target = target(name);
                    let text = apply.bundle.items[ordinal].manifest.to_value();
                    let owner = record(&job.work, Vec::new()).owner();
                    let result = if end == End::Failed {
                        Err(Failure::other("refused"))
                    } else {
                        Ok(Some(self.cluster.apply(name, text, &owner)))
                    };
                    attempts.push(Attempt {
                        ordinal,
                        meta: target.meta(ordinal),
                        target: Some(target),
                        result,
                    });
                }
                self.applied(&job, apply, attempts, halted)
            }
            Task::Remove(_) => self.removed(&job.work),
            Task::Look(targets) => {
                let look = |target: &Target| (target.clone(), Ok(self.cluster.sight(&target.name)));
                Outcome::Looked(targets.iter().map(look).collect())
            }
        };
        let done = Done {
            work: job.work,
            outcome,
        };
        self.tell(Message::Done(Box::new(done)));
    }

    fn applied(
        &mut self,
        job: &Job,
        apply: &crate::job::Apply,
        attempts: Vec<Attempt>,
        halted: bool,
    ) -> Outcome {
        let names: BTreeSet<&str> = apply
            .bundle
            .items
            .iter()
            .map(|item| item.head.as_ref().unwrap().name.as_str())
            .collect();
        let before = self
            .cluster
            .records
            .get(&*job.work)
            .map_or(Vec::new(), |record| record.applied.clone());
        let mut held = Vec::new();
        let mut entries: Vec<_> = names
            .iter()
            .filter_map(|name| Some(target(name).entry(&self.cluster.objects.get(*name)?.uid)))
            .collect();
        for entry in before {
            if names.contains(entry.name.as_str()) {
                continue;
            }
            if halted {
                entries.push(entry);
            } else if !self.cluster.delete(&entry.name) {
                entries.push(entry.clone());
                held.push(self.hold_of(entry));
            }
        }
        let record = record(&job.work, entries.clone());
        self.cluster
            .records
            .insert(job.work.to_string(), record.clone());
        Outcome::Applied(Applied {
            version: apply.bundle.version,
            full: apply.only.is_none(),
            halted,
            record: Some(record),
            attempts,
            applied: entries,
            held,
            trouble: None,
        })
    }

    fn removed(&mut self, id: &str) -> Outcome {
        let Some(mut record) = self.cluster.records.get(id).cloned() else {
            return Outcome::Removed(RemoveOutcome {
                finished: true,
                ..RemoveOutcome::default()
            });
        };
        let mut held = Vec::new();
        for entry in std::mem::take(&mut record.applied) {
            if !self.cluster.delete(&entry.name) {
                record.applied.push(entry.clone());
                held.push(self.hold_of(entry));
            }
        }
        let finished = held.is_empty();
        if finished {
            self.cluster.records.remove(id);
        } else {
            self.cluster.records.insert(id.to_owned(), record.clone());
        }
        Outcome::Removed(RemoveOutcome {
            finished,
            record: (!finished).then_some(record),
            held,
            error: None,
        })
    }

    fn hold_of(&self, entry: manifestwork::AppliedResourceMeta) -> Held {
        let live = self.cluster.sight(&entry.name).unwrap();
        Held {
            target: Some(target(&entry.name)),
            terminating: Terminating::read(&live),
            entry,
        }
    }

    fn remember(&mut self, message: &SpecMessage) {
        match message {
            SpecMessage::Delete(deletion) => {
                let id = deletion.metadata.uid.clone();
                self.marked.insert(id);
            }
            SpecMessage::Apply(work) => {
                let id = &work.metadata.uid;
                if self.marked.contains(id) {
                    return;
                }
                let known = self.wanted.get(id).cloned().flatten();
                if known.is_none_or(|(version, _)| work.metadata.generation >= version) {
                    let names = work.spec.workload.manifests.iter();
                    let names = names
                        .map(|text| text.meta().unwrap().metadata.name)
                        .collect();
                    self.wanted
                        .insert(id.clone(), Some((work.metadata.generation, names)));
                }
            }
            SpecMessage::Invalid { metadata, .. } => {
                let known = self.wanted.get_mut(&metadata.uid);
                if self.marked.contains(&metadata.uid) {
                    return;
                }
                // The version is taken, the objects stay as they are.
                match known {
                    Some(Some((version, _))) => *version = (*version).max(metadata.generation),
                    _ => {
                        let nothing = (metadata.generation, BTreeSet::new());
                        self.wanted.insert(metadata.uid.clone(), Some(nothing));
                    }
                }
            }
        }
    }

    fn check(&self) {
        for id in &self.marked {
            if let Some(work) = self.core.work(id) {
                assert_ne!(
                    work.phase(),
                    Phase::Live,
                    "{id} lives although it was asked to go"
                );
            }
        }
        for job in &self.jobs {
            if matches!(job.task, Task::Apply(_)) && self.marked.contains(&*job.work) {
                assert!(job.halt.is_cancelled(), "a job in flight is not halted");
            }
        }
        assert_eq!(self.core.figures().running, self.jobs.len());
    }

    /// Everything is at rest: the cluster is as the last specs want it, and the server knows.
    pub(super) fn check_end(&self) {
        assert!(
            self.marked.is_empty(),
            "{:?} were never reported as deleted",
            self.marked
        );
        let wanted: BTreeSet<String> = self
            .wanted
            .values()
            .flatten()
            .flat_map(|(_, names)| names.iter().cloned())
            .collect();
        let there: BTreeSet<String> = self.cluster.objects.keys().cloned().collect();
        assert_eq!(there, wanted);
        for (id, wanted) in &self.wanted {
            let Some((version, _)) = wanted else {
                assert!(self.core.work(id).is_none());
                continue;
            };
            let told = self.server.last(id).unwrap();
            assert_eq!(told.metadata.generation, *version, "{id}");
            assert_eq!(told.status, *self.core.work(id).unwrap().status());
        }
    }
}

pub(super) fn target(name: &str) -> Target {
    Target {
        resource: Arc::new(Resource {
            gvk: Gvk::new("v1", "ConfigMap"),
            plural: "configmaps".to_owned(),
            namespaced: true,
            verbs: Vec::new(),
            subresources: Vec::new(),
        }),
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

fn record(id: &str, applied: Vec<manifestwork::AppliedResourceMeta>) -> Record {
    Record {
        name: format!("h-{id}"),
        uid: format!("record-{id}"),
        resource_version: String::new(),
        hub_hash: "h".to_owned(),
        agent_id: "h".to_owned(),
        work: id.to_owned(),
        deleting: false,
        finalizers: Vec::new(),
        applied,
    }
}
