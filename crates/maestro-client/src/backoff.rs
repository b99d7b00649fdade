//! How long to wait before the next try.

use std::time::{Duration, Instant};

/// First wait.
pub const FIRST: Duration = Duration::from_millis(200);
/// Longest wait while nobody answers at the address: trying costs nobody anything, and a server that is back is found within a
/// second, connecting included.
pub const LONGEST_UNREACHABLE: Duration = Duration::from_millis(750);
/// Longest wait for a server that answers, but not well.
pub const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double, with jitter, up to a limit that depends on what went wrong.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Starts over: the last try went well.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// The next wait: between half of its step and the whole.
    pub fn next(&mut self, longest: Duration) -> Duration {
        let step = FIRST.saturating_mul(1 << self.tries.min(10)).min(longest);
        self.tries = self.tries.saturating_add(1);
        step.mul_f64(0.5 + 0.5 * jitter())
    }
}

/// Until when something is tried. A limit that is longer than clocks can tell is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Instant::now().checked_add(limit))
    }

    /// Whether there is time for a wait.
    pub(crate) fn allows(self, wait: Duration) -> bool {
        self.0
            .is_none_or(|end| wait < end.saturating_duration_since(Instant::now()))
    }
}

/// A number from 0 to 1; good enough to spread clients, not for secrets.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_over() {
        let mut backoff = Backoff::default();
        let mut step = FIRST;
        for _ in 0..40 {
            let wait = backoff.next(LONGEST);
            assert!(wait >= step / 2 && wait <= step, "{wait:?} {step:?}");
            step = (step * 2).min(LONGEST);
        }
        // What `docs/protocol/source-client.md` promises: a server that is back is found within a second, connecting included.
        let longest = Duration::from_millis(750);
        assert_eq!(LONGEST_UNREACHABLE, longest);
        assert!((0..100).all(|_| backoff.next(LONGEST_UNREACHABLE) <= longest));
        backoff.reset();
        assert!(backoff.next(LONGEST) <= FIRST);
    }

    #[test]
    fn a_limit_may_be_longer_than_clocks_can_tell() {
        assert!(Deadline::after(Duration::MAX).allows(LONGEST));
        assert!(Deadline::after(LONGEST).allows(FIRST));
        assert!(!Deadline::after(FIRST).allows(LONGEST));
        assert!(!Deadline::after(Duration::ZERO).allows(Duration::ZERO));
    }
}
