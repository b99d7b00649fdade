//! What is known about resources between runs, for re-runs only: their last pulse, and which objects are theirs.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use event_broker::Event;

use super::End;
use crate::pipeline::outcome::Touched;

/// Resources whose objects are remembered. Beyond, the next pulse is what notices a change.
const MAX_REMEMBERED: usize = 50_000;
/// Changes of objects that no run has claimed yet.
const MAX_UNCLAIMED: usize = 256;

struct Entry {
    event: Event,
    touched: BTreeSet<Touched>,
    /// Runs in a row that wrote something.
    writes: u32,
    /// Re-runs in a row that failed for a passing reason.
    failures: u32,
}

#[derive(Default)]
pub(super) struct Memory {
    entries: HashMap<String, Entry>,
    owners: BTreeMap<Touched, String>,
    /// Objects that changed before a run said that it looks after them: the oldest are forgotten first.
    unclaimed: VecDeque<Touched>,
}

impl Memory {
    /// The resource that an object belongs to.
    pub(super) fn owner(&self, touched: &Touched) -> Option<&str> {
        self.owners.get(touched).map(String::as_str)
    }

    /// The last pulse for a resource.
    pub(super) fn event(&self, key: &str) -> Option<&Event> {
        self.entries.get(key).map(|entry| &entry.event)
    }

    /// Runs in a row that wrote something.
    pub(super) fn writes(&self, key: &str) -> u32 {
        self.entries.get(key).map_or(0, |entry| entry.writes)
    }

    /// Counts a failed re-run; answers with those before it, `None` for an unknown resource.
    pub(super) fn failed(&mut self, key: &str) -> Option<u32> {
        let entry = self.entries.get_mut(key)?;
        let before = entry.failures;
        entry.failures = before.saturating_add(1);
        Some(before)
    }

    /// An object changed that belongs to nobody: perhaps the run that makes it is still under way.
    pub(super) fn unclaimed(&mut self, touched: &Touched) {
        if !self.unclaimed.contains(touched) {
            self.unclaimed.truncate(MAX_UNCLAIMED - 1);
            self.unclaimed.push_front(touched.clone());
        }
    }

    /// The changed objects among these that nobody had claimed.
    pub(super) fn claim(&mut self, touched: &[Touched]) -> VecDeque<Touched> {
        let (claimed, unclaimed) = std::mem::take(&mut self.unclaimed)
            .into_iter()
            .partition(|changed| touched.contains(changed));
        self.unclaimed = unclaimed;
        claimed
    }

    /// An object from before the start belongs to the resource. A pulse that came since counts more than the one of then.
    pub(super) fn found(&mut self, key: &str, event: Event, touched: &Touched) {
        if self.is_full_for(key) {
            return;
        }
        let entry = self.entries.entry(key.to_owned()).or_insert_with(|| Entry {
            event,
            touched: BTreeSet::new(),
            writes: 0,
            failures: 0,
        });
        entry.touched.insert(touched.clone());
        self.owners.insert(touched.clone(), key.to_owned());
    }

    /// A run ended, and the resource is still there.
    pub(super) fn remember(&mut self, key: &str, event: Event, end: &End<'_>) {
        if self.is_full_for(key) {
            return;
        }
        let mut touched: BTreeSet<Touched> = end.touched.iter().cloned().collect();
        let old = self.entries.remove(key);
        if let Some(old) = &old {
            if end.complete {
                for gone in old.touched.difference(&touched) {
                    self.owners.remove(gone);
                }
            } else {
                // A run that stopped early has not seen everything.
                touched.extend(old.touched.iter().cloned());
            }
        }
        if touched.is_empty() {
            return;
        }
        for touched in &touched {
            self.owners.insert(touched.clone(), key.to_owned());
        }
        let writes = if end.wrote {
            old.as_ref()
                .map_or(0, |entry| entry.writes)
                .saturating_add(1)
        } else {
            0
        };
        let failures = if end.complete {
            0
        } else {
            old.as_ref().map_or(0, |entry| entry.failures)
        };
        self.entries.insert(
            key.to_owned(),
            Entry {
                event,
                touched,
                writes,
                failures,
            },
        );
    }

    /// The resource is gone: its objects concern nobody.
    pub(super) fn forget(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            for touched in entry.touched {
                self.owners.remove(&touched);
            }
        }
    }

    fn is_full_for(&self, key: &str) -> bool {
        self.entries.len() >= MAX_REMEMBERED && !self.entries.contains_key(key)
    }
}
