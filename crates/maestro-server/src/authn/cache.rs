//! Good answers, remembered for a short while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Answers that are remembered at once; further ones are asked for each time.
pub(super) const CAPACITY: usize = 4096;

/// At most [`CAPACITY`] answers, each for the same time.
pub(super) struct Cache<K, V> {
    ttl: Duration,
    entries: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// Remembers nothing yet; with a time of 0, never.
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            entries: Mutex::default(),
        }
    }

    /// What is remembered.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, value) = entries.get(key)?;
        (now.duration_since(*since) < self.ttl).then(|| value.clone())
    }

    /// Remembers, if there is room.
    pub(super) fn put(&self, key: K, value: V, now: Instant) {
        if self.ttl.is_zero() {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.retain(|_, (since, _)| now.duration_since(*since) < self.ttl);
        }
        if entries.len() < CAPACITY || entries.contains_key(&key) {
            entries.insert(key, (now, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forgotten_in_time_and_bounded() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let cache = Cache::new(second);
        cache.put(0, "a", start);
        assert_eq!(cache.get(&0, start + second / 2), Some("a"));
        assert_eq!(cache.get(&0, start + second), None);
        for key in 0..2 * CAPACITY {
            cache.put(key, "b", start);
        }
        assert_eq!(cache.get(&(CAPACITY - 1), start), Some("b"));
        assert_eq!(cache.get(&CAPACITY, start), None, "full");
        cache.put(CAPACITY, "c", start + second);
        assert_eq!(
            cache.get(&CAPACITY, start + second),
            Some("c"),
            "room again"
        );

        let never = Cache::new(Duration::ZERO);
        never.put(0, "a", start);
        assert_eq!(never.get(&0, start), None);
    }
}
