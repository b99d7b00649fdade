//! Items of lists as they were shown before: what didn't change since is neither read nor written again.
//!
//! Whether a row changed is the database's word alone: the search that makes a list tells the revision of each row, and an
//! item is shown only if it was made of the row in that very state. So it makes no difference who writes: this server,
//! another one, or somebody at a prompt.
//!
//! Items are kept compressed. What was shown once is dropped before what was shown again, so that a walk over a large table
//! doesn't push out what is listed all the time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lz4_flex::block::{DecompressError, compress, decompress_into};

use super::present::{self, Item};
use crate::model::{Resource, ResourceId, Revision};

/// Bytes that an entry takes beside its text, roughly: id, revision, its places in the maps.
const OVERHEAD: usize = 384;

/// The items. Bounded.
#[derive(Debug)]
pub struct Shown {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<ResourceId, Entry>,
    /// Shown once.
    once: Queue,
    /// Shown again; at most three quarters of the bytes.
    again: Queue,
    turn: u64,
}

/// Who goes first; the oldest turn.
#[derive(Debug, Default)]
struct Queue {
    turns: BTreeMap<u64, ResourceId>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    revision: Revision,
    item: Packed,
    turn: u64,
    again: bool,
}

/// A compressed item. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    bytes: Arc<[u8]>,
    len: usize,
    brief: usize,
}

impl Packed {
    fn of(item: &Item) -> Self {
        Self {
            bytes: compress(item.text.as_bytes()).into(),
            len: item.text.len(),
            brief: item.brief,
        }
    }

    /// Appends the item as a list shows it.
    ///
    /// # Errors
    /// Never, as long as memory is sound.
    pub(super) fn unpack(&self, full: bool, out: &mut Vec<u8>) -> Result<(), DecompressError> {
        let start = out.len();
        out.resize(start + self.len, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        decompress_into(&self.bytes, room)?;
        if !full {
            present::cut(out, start + self.brief);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        OVERHEAD + self.bytes.len()
    }
}

impl Shown {
    /// Keeps at most so many bytes; 0 = nothing.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The item of a row in this state.
    pub(super) fn find(&self, id: &ResourceId, revision: &Revision) -> Option<Packed> {
        if self.capacity == 0 {
            return None;
        }
        self.state().find(id, revision, self.capacity)
    }

    /// Keeps the item that was made of a row.
    pub(super) fn keep(&self, row: &Resource, item: &Item) {
        // Worse than useless: one that takes the place of a good part of the rest.
        let largest = self.capacity / 8;
        if item.text.len() > largest {
            return;
        }
        let packed = Packed::of(item);
        self.state()
            .keep(&row.id, &row.revision, packed, self.capacity);
    }
}

impl State {
    fn find(&mut self, id: &ResourceId, revision: &Revision, capacity: usize) -> Option<Packed> {
        let entry = self.entries.get(id)?;
        if entry.revision != *revision {
            return None;
        }
        let item = entry.item.clone();
        self.place(id, true);
        // What doesn't fit among them any more has to prove itself again.
        while self.again.bytes > capacity / 4 * 3
            && let Some(oldest) = self.again.oldest()
        {
            self.place(&oldest, false);
        }
        Some(item)
    }

    fn keep(&mut self, id: &ResourceId, revision: &Revision, item: Packed, capacity: usize) {
        // A row that was shown again is likely to be so in its new state as well.
        let again = self.remove(id).is_some_and(|entry| entry.again);
        let entry = Entry {
            revision: revision.clone(),
            item,
            turn: 0,
            again: false,
        };
        self.entries.insert(id.clone(), entry);
        self.place(id, again);
        while self.once.bytes + self.again.bytes > capacity {
            let oldest = self.once.oldest().or_else(|| self.again.oldest());
            let Some(oldest) = oldest else { break };
            self.remove(&oldest);
        }
    }

    /// Puts an entry at the end of a queue.
    fn place(&mut self, id: &ResourceId, again: bool) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let size = entry.item.size();
        let from = if entry.again {
            &mut self.again
        } else {
            &mut self.once
        };
        from.take(entry.turn, size);
        self.turn += 1;
        (entry.turn, entry.again) = (self.turn, again);
        let to = if again {
            &mut self.again
        } else {
            &mut self.once
        };
        to.bytes += size;
        to.turns.insert(self.turn, id.clone());
    }

    fn remove(&mut self, id: &ResourceId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        let queue = if entry.again {
            &mut self.again
        } else {
            &mut self.once
        };
        queue.take(entry.turn, entry.item.size());
        Some(entry)
    }
}

impl Queue {
    fn oldest(&self) -> Option<ResourceId> {
        self.turns.first_key_value().map(|(_, id)| id.clone())
    }

    fn take(&mut self, turn: u64, size: usize) {
        if self.turns.remove(&turn).is_some() {
            self.bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests;
