//! Ids that were met lately. Bounded by time: what is older than twice the period is forgotten.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// Ids of events, each remembered for at least a period and at most two.
#[derive(Debug)]
pub(super) struct Lately {
    period: Duration,
    recent: HashSet<u128>,
    older: HashSet<u128>,
    /// When the recent ones began.
    since: Instant,
}

impl Lately {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            recent: HashSet::new(),
            older: HashSet::new(),
            since: Instant::now(),
        }
    }

    /// Remembers an id; whether it is new.
    pub(super) fn insert(&mut self, id: &str, now: Instant) -> bool {
        if now.duration_since(self.since) > self.period {
            self.older = std::mem::take(&mut self.recent);
            self.since = now;
        }
        let key = key(id);
        !self.older.contains(&key) && self.recent.insert(key)
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        let key = key(id);
        self.recent.contains(&key) || self.older.contains(&key)
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}

/// Nearly all ids are UUIDs.
fn key(id: &str) -> u128 {
    Uuid::parse_str(id).map_or_else(
        |_| {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            u128::from(hasher.finish())
        },
        |id| id.as_u128(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(90);

    #[test]
    fn ids_are_new_once_and_forgotten_in_time() {
        let mut lately = Lately::new(PERIOD);
        let start = Instant::now();
        let event = Uuid::new_v4().to_string();
        assert!(lately.insert(&event, start) && lately.insert("by-hand", start));
        assert!(!lately.insert(&event, start + PERIOD));
        assert!(!lately.insert("by-hand", start + PERIOD + Duration::from_secs(1)));
        assert!(lately.contains("by-hand"));
        for round in 2..5 {
            lately.insert("another", start + (PERIOD + Duration::from_secs(1)) * round);
        }
        assert_eq!(lately.len(), 1, "memory is bounded");
        assert!(!lately.contains("by-hand"));
    }
}
