//! Log lines about what may happen thousands of times in a second: written at most every ten seconds each, with the number of
//! those that were held back. What happens per message is counted in metrics; at most its first occurrence is told here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(10);

/// One kind of line; a `static` beside where it is written.
#[derive(Debug)]
pub struct Seldom {
    last: Mutex<Option<Instant>>,
    held_back: AtomicU64,
}

impl Seldom {
    /// Nothing was written yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last: Mutex::new(None),
            held_back: AtomicU64::new(0),
        }
    }

    /// Whether the line may be written now: then, how many were held back since the last one.
    pub fn may(&self) -> Option<u64> {
        self.may_at(Instant::now())
    }

    fn may_at(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *last = Some(now);
        Some(self.held_back.swap(0, Ordering::Relaxed))
    }
}

/// Writes a line of `tracing` if its turn has come: `seldom!(warn, %error, "It failed.")`.
macro_rules! seldom {
    ($level:ident, $($line:tt)+) => {{
        static LINE: $crate::seldom::Seldom = $crate::seldom::Seldom::new();
        if let Some(held_back) = LINE.may() {
            tracing::$level!(held_back, $($line)+);
        }
    }};
}
pub(crate) use seldom;

impl Default for Seldom {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f61_a_flood_is_one_line_and_a_number() {
        let line = Seldom::new();
        let start = Instant::now();
        assert_eq!(line.may_at(start), Some(0));
        for _ in 0..5000 {
            assert_eq!(line.may_at(start + PAUSE / 2), None);
        }
        assert_eq!(line.may_at(start + PAUSE), Some(5000));
        assert_eq!(line.may_at(start + PAUSE * 3), Some(0));
    }
}
