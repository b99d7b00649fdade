//! What was given to agents lately, until it is written down. Explains; decides nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::model::ResourceId;
use crate::storage::facts::Sent;
use crate::storage::now;

/// Notes that wait to be written, at most: about 10 MB. More come only while the database is away; then they are left out.
const MOST: usize = 50_000;

/// The notes of this server, the newest of each resource.
#[derive(Debug, Default)]
pub struct SendLog {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fresh: HashMap<ResourceId, Sent>,
    /// Those that are being written.
    writing: HashMap<ResourceId, Sent>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) id: ResourceId,
    pub(super) version: i64,
    pub(super) deleting: bool,
    pub(super) event: String,
    pub(super) action: Cow<'static, str>,
}

impl Note {
    fn at(&self, at: Timestamp) -> Sent {
        Sent {
            id: self.id.clone(),
            version: self.version,
            deleting: self.deleting,
            event: self.event.clone(),
            action: self.action.clone(),
            at,
            times: 0,
            error: None,
        }
    }
}

impl SendLog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It goes out now.
    pub(super) fn sent(&self, note: &Note) {
        self.note(note, None);
    }

    /// It can't go out.
    pub(super) fn failed(&self, note: &Note, why: String) {
        self.note(note, Some(why));
    }

    fn note(&self, note: &Note, error: Option<String>) {
        let mut state = self.state();
        if state.fresh.len() >= MOST && !state.fresh.contains_key(&note.id) {
            return;
        }
        let now = now();
        let mut sent = note.at(now);
        if let Some(before) = state.fresh.get(&note.id)
            && (before.version, before.deleting) == (sent.version, sent.deleting)
        {
            sent.times = before.times;
        }
        match error {
            None => sent.times = sent.times.saturating_add(1),
            Some(why) => sent.error = Some((now, why)),
        }
        state.fresh.insert(note.id.clone(), sent);
    }

    /// What isn't written yet about a resource.
    #[must_use]
    pub fn unwritten(&self, id: &ResourceId) -> Option<Sent> {
        let state = self.state();
        state.fresh.get(id).or(state.writing.get(id)).cloned()
    }

    /// What is to be written now; call [`SendLog::written`] afterwards.
    pub(super) fn take(&self) -> Vec<Sent> {
        let mut state = self.state();
        state.writing = std::mem::take(&mut state.fresh);
        state.writing.values().cloned().collect()
    }

    /// What was taken is written, or lost: then it is kept for the next time, except what is newer by now.
    pub(super) fn written(&self, done: bool) {
        let mut state = self.state();
        let writing = std::mem::take(&mut state.writing);
        if done {
            return;
        }
        for (id, sent) in writing {
            state.fresh.entry(id).or_insert(sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(version: i64) -> Note {
        Note {
            id: "a".into(),
            version,
            deleting: false,
            event: format!("event-{version}"),
            action: "update_request".into(),
        }
    }

    #[test]
    fn the_newest_note_of_a_resource_is_kept_until_it_is_written() {
        let log = SendLog::default();
        log.sent(&note(1));
        log.sent(&note(1));
        assert_eq!(log.unwritten(&"a".into()).unwrap().times, 2);
        log.sent(&note(2));
        assert_eq!(log.take().len(), 1);
        assert_eq!(log.unwritten(&"a".into()).unwrap().version, 2);
        log.written(false);
        log.failed(&note(2), "too large".to_owned());
        let sent = log.take().pop().unwrap();
        assert_eq!(
            (sent.times, sent.error.unwrap().1.as_str()),
            (1, "too large")
        );
        log.written(true);
        assert_eq!(log.unwritten(&"a".into()), None);
    }
}
