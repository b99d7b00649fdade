//! The records on the cluster as far as they concern this agent.

use std::collections::HashMap;
use std::sync::Arc;

use crate::record::{Identity, Record};

/// Names of works whose record was removed, replaced or marked, and not by us.
pub(super) type Disturbed = Vec<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Knowledge {
    /// They have not been read yet.
    None,
    /// They can't be read.
    Problem(String),
    /// They are known.
    Complete,
}

/// The records of this agent by the name of their work, and those that it may take over.
#[derive(Debug)]
pub(super) struct Registry {
    identity: Arc<Identity>,
    own: HashMap<String, Record>,
    others: HashMap<String, Record>,
    knowledge: Knowledge,
}

impl Registry {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self {
            identity,
            own: HashMap::new(),
            others: HashMap::new(),
            knowledge: Knowledge::None,
        }
    }

    /// Whether jobs can begin.
    pub(super) fn is_known(&self) -> bool {
        self.knowledge == Knowledge::Complete
    }

    /// Whether there is nothing to wait for: they are known, or can't be.
    pub(super) fn is_settled(&self) -> bool {
        self.knowledge != Knowledge::None
    }

    /// Why they can't be read.
    pub(super) fn problem(&self) -> Option<&str> {
        match &self.knowledge {
            Knowledge::Problem(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn unavailable(&mut self, problem: String) {
        // What was known once is good enough to go on with: every write names the version that it is based on.
        if self.knowledge != Knowledge::Complete {
            self.knowledge = Knowledge::Problem(problem);
        }
    }

    /// All records, as they are now. A list is believed whatever was known: the versions of a cluster that was restored
    /// from a copy go back.
    pub(super) fn replace(&mut self, records: Vec<Record>) -> Disturbed {
        self.knowledge = Knowledge::Complete;
        self.others.clear();
        let before = std::mem::take(&mut self.own);
        let mut disturbed = Vec::new();
        for record in records {
            if let Some(old) = before.get(&record.work)
                && old.uid == record.uid
                && old.deleting
            {
                // Known already; it is no news.
                self.own.insert(record.work.clone(), record);
            } else {
                disturbed.extend(self.put(record));
            }
        }
        for (work, old) in before {
            if self.own.get(&work).is_none_or(|now| now.uid != old.uid) {
                disturbed.push(work);
            }
        }
        disturbed
    }

    /// A record as somebody wrote it.
    pub(super) fn put(&mut self, record: Record) -> Disturbed {
        if self.identity.adopts(&record) {
            self.others.insert(record.name.clone(), record);
            return Vec::new();
        }
        if !self.identity.owns(&record) {
            return Vec::new();
        }
        let work = record.work.clone();
        let disturbed = match self.own.get(&work) {
            Some(known) if record.is_older_than(known) => return Vec::new(),
            Some(known) => known.uid != record.uid || (record.deleting && !known.deleting),
            None => record.deleting,
        };
        self.own.insert(work.clone(), record);
        if disturbed { vec![work] } else { Vec::new() }
    }

    /// A record as we wrote it.
    pub(super) fn put_own(&mut self, record: Record) {
        let newer = self
            .own
            .get(&record.work)
            .is_none_or(|known| !record.is_older_than(known));
        if newer {
            self.own.insert(record.work.clone(), record);
        }
    }

    /// A record is gone.
    pub(super) fn gone(&mut self, record: &Record) -> Disturbed {
        self.others.remove(&record.name);
        match self.own.get(&record.work) {
            Some(known) if known.uid == record.uid => {
                self.own.remove(&record.work);
                vec![record.work.clone()]
            }
            _ => Vec::new(),
        }
    }

    /// We removed the record of a work.
    pub(super) fn forget(&mut self, work: &str) {
        self.own.remove(work);
    }

    /// The record of a work.
    pub(super) fn of(&self, work: &str) -> Option<&Record> {
        self.own.get(work)
    }

    /// Records of the same work that are to be taken over.
    pub(super) fn adoptable(&self, work: &str) -> Vec<Record> {
        self.others
            .values()
            .filter(|record| record.work == work)
            .cloned()
            .collect()
    }

    /// Names of all works that have a record.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.own.keys().map(String::as_str)
    }

    /// Names of the works whose record is being deleted.
    pub(super) fn deleting(&self) -> Vec<String> {
        self.own
            .values()
            .filter(|record| record.deleting)
            .map(|record| record.work.clone())
            .collect()
    }
}
