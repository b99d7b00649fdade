//! Reads a watch as its users do, keeps what it believes to exist, and fails when the watch breaks its word.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use maestro_client::{Error, Watch, WatchEvent};
use manifestwork::{ManifestWork, conditions, constants::condition::APPLIED};

use crate::support::PATIENCE;

/// How often it is looked whether something is so while nothing is told.
const LOOK: Duration = Duration::from_millis(100);

/// What a watch has told.
pub(super) struct Follower {
    watch: Watch,
    /// What exists, by name.
    view: BTreeMap<String, ManifestWork>,
    /// The creation time of the last life that ended, by name.
    ended: BTreeMap<String, Option<Timestamp>>,
    /// Everything that was told: a letter, the name, the version.
    told: Vec<String>,
    /// Why it was interrupted.
    pub(super) interruptions: Vec<Error>,
    synced: usize,
}

impl Follower {
    pub(super) fn new(watch: Watch) -> Self {
        Self {
            watch,
            view: BTreeMap::new(),
            ended: BTreeMap::new(),
            told: Vec::new(),
            interruptions: Vec::new(),
            synced: 0,
        }
    }

    /// What exists, by name.
    pub(super) fn view(&self) -> &BTreeMap<String, ManifestWork> {
        &self.view
    }

    /// The version of a work that exists; 0 if it doesn't.
    pub(super) fn version(&self, name: &str) -> i64 {
        self.view
            .get(name)
            .map_or(0, |work| work.metadata.generation)
    }

    /// Whether a work is told as applied in this version.
    pub(super) fn is_applied(&self, name: &str, version: i64) -> bool {
        self.view.get(name).is_some_and(|work| {
            let condition = conditions::find(&work.status.conditions, APPLIED);
            work.metadata.generation == version
                && condition.is_some_and(|condition| condition.observed_generation == version)
        })
    }

    /// What was told since the last call, without `Synced` and `Interrupted`, sorted by nothing but time.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Reads until something is so.
    pub(super) async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let reading = async {
            while !is_so(self) {
                // What is waited for need not be an event.
                let event = tokio::time::timeout(LOOK, self.watch.next_event()).await;
                if let Ok(event) = event {
                    self.hear(event.expect("a watch never ends"));
                }
            }
        };
        if tokio::time::timeout(PATIENCE, reading).await.is_err() {
            panic!(
                "waited in vain for {what}: {:?}, told lately: {:?}, interrupted by {:?}",
                self.view.keys(),
                self.told.iter().rev().take(20).collect::<Vec<_>>(),
                self.interruptions.last()
            );
        }
    }

    /// Reads until everything that exists has been told, and returns what was told since [`Follower::take`].
    pub(super) async fn until_synced(&mut self) -> Vec<String> {
        let before = self.synced;
        self.until("Synced", |follower| follower.synced > before)
            .await;
        self.take()
    }

    /// Reads until everything that exists has been told for the first time.
    pub(super) async fn until_synced_once(&mut self) {
        self.until("the first Synced", |follower| follower.synced > 0)
            .await;
    }

    /// Reads until the connection is told as lost.
    pub(super) async fn until_interrupted(&mut self) {
        let before = self.interruptions.len();
        let interrupted = |follower: &Self| follower.interruptions.len() > before;
        self.until("Interrupted", interrupted).await;
    }

    fn hear(&mut self, event: WatchEvent) {
        let place =
            |work: &ManifestWork| (work.metadata.creation_timestamp, work.metadata.generation);
        let line = |letter, work: &ManifestWork| {
            format!(
                "{letter} {} {}",
                work.metadata.name, work.metadata.generation
            )
        };
        match event {
            WatchEvent::Synced => self.synced += 1,
            WatchEvent::Interrupted(error) => self.interruptions.push(error.0),
            WatchEvent::Added(work) => {
                self.told.push(line('A', &work));
                let before = self.view.insert(work.metadata.name.clone(), *work);
                assert!(before.is_none(), "added twice: {:?}", self.told);
            }
            WatchEvent::Modified(work) => {
                self.told.push(line('M', &work));
                let now = place(&work);
                let before = self.view.insert(work.metadata.name.clone(), *work);
                let Some(before) = before else {
                    panic!("modified before it was added: {:?}", self.told)
                };
                assert!(place(&before) <= now, "it went back: {:?}", self.told);
            }
            WatchEvent::Deleted(work) => {
                self.told.push(line('D', &work));
                let life = work.metadata.creation_timestamp;
                if self.view.remove(&work.metadata.name).is_none() {
                    // A life that ended before it was seen; not one whose end was told.
                    let before = self.ended.get(&work.metadata.name);
                    assert!(before != Some(&life), "deleted twice: {:?}", self.told);
                }
                self.ended.insert(work.metadata.name.clone(), life);
            }
        }
    }
}
