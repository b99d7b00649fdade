//! How far the tables have to be read back after notifications were missed.

use std::time::{Duration, Instant};

/// Tables are read this far back from the last time that all was well: transactions commit later than they begin.
const OVERLAP: Duration = Duration::from_secs(30);
/// After a longer gap events may have been removed unseen (they are kept for longer than this).
const LONGEST_GAP: Duration = Duration::from_secs(180);

/// What was passed on. Ages are measured by this server's monotonic clock and looked up by the database's: clocks of servers
/// may differ.
#[derive(Debug)]
pub(super) struct Horizon {
    /// Everything before this time.
    seen: Instant,
    /// When everything was last compared.
    compared: Instant,
}

/// What an attempt to catch up has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// When it began.
    at: Instant,
    /// Changes are lost: everything has to be compared.
    pub(super) gap: bool,
    /// How old the events are that it has to look at, at most; counted from now.
    pub(super) since: Duration,
}

impl Horizon {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            seen: now,
            compared: now,
        }
    }

    /// Plans an attempt that begins now; each has to be planned anew, because the database counts ages from when it is
    /// asked. `lost` says that there is more to be compared than the tables tell.
    pub(super) fn attempt(&mut self, now: Instant, lost: bool) -> Attempt {
        // Comparing finds what came before, so that failing attempts needn't ask for it again at once.
        let gap = lost || now.duration_since(self.seen.max(self.compared)) > LONGEST_GAP;
        if gap {
            self.compared = now;
        }
        Attempt {
            at: now,
            gap,
            since: now.duration_since(self.seen) + OVERLAP,
        }
    }

    /// An attempt has found everything.
    pub(super) fn caught_up(&mut self, attempt: &Attempt) {
        self.seen = attempt.at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// F22, I6: looking failed for longer than the overlap, and what came in between was never passed on.
    #[test]
    fn f22_each_attempt_looks_back_from_its_own_time() {
        let start = Instant::now();
        let mut horizon = Horizon::new(start);
        for age in [20, 50, 100, 179] {
            let attempt = horizon.attempt(start + SECOND * age, false);
            assert_eq!(attempt.since, SECOND * age + OVERLAP);
            assert!(!attempt.gap);
        }
        let last = horizon.attempt(start + SECOND * 180, false);
        horizon.caught_up(&last);
        let next = horizon.attempt(start + SECOND * 190, false);
        assert_eq!(next.since, SECOND * 10 + OVERLAP);
    }

    #[test]
    fn a_gap_that_grows_while_looking_fails_is_told_once_for_each_longest_gap() {
        let start = Instant::now();
        let mut horizon = Horizon::new(start);
        let told = (20..=580).filter(|age| horizon.attempt(start + SECOND * *age, false).gap);
        assert_eq!(told.collect::<Vec<_>>(), [181, 362, 543]);
        let lost = horizon.attempt(start + SECOND * 581, true);
        assert!(lost.gap);
        assert_eq!(lost.since, SECOND * 581 + OVERLAP);
    }
}
