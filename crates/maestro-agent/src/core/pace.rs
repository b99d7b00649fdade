//! When to do something again. All waits are computed from plain data: the jitter comes from the id of the work, so that
//! many works that failed together don't return together.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// After a manifest could not be applied, or the record not be written.
pub const RETRY: Pace = Pace {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(30),
};
/// After another manager was found to hold a field. It may give the field up without a visible change.
pub const CONFLICT: Pace = Pace {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(8),
};
/// After somebody changed or removed an applied object. Longer and longer while it goes on.
pub const DISTURBED: Pace = Pace {
    first: Duration::from_secs(2),
    longest: Duration::from_secs(300),
};
/// While objects are asked to go and do not; changes of them are noticed at once.
pub const REMOVING: Pace = Pace {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
};
/// After a status could not be published.
pub const PUBLISH: Pace = Pace {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(10),
};

/// Waits that double up to a limit, each between half of itself and itself.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    first: Duration,
    longest: Duration,
}

impl Pace {
    /// The wait after so many failures in a row (at least one).
    pub fn wait(self, failures: u32, id: &str) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        whole / 2 + jitter(whole / 2, (id, failures))
    }
}

/// A part of `range` that depends on the seed only.
pub fn jitter(range: Duration, seed: impl Hash) -> Duration {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1024).unwrap_or_default();
    range * share / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit() {
        for failures in 1..40 {
            let wait = RETRY.wait(failures, "w");
            assert!(
                wait >= RETRY.first / 2 && wait <= RETRY.longest,
                "{failures}: {wait:?}"
            );
        }
        assert!(RETRY.wait(1, "w") <= Duration::from_millis(250));
        assert!(RETRY.wait(30, "w") >= Duration::from_secs(15));
    }

    #[test]
    fn f40_a_conflict_is_tried_again_within_ten_seconds() {
        assert!((1..100).all(|failures| CONFLICT.wait(failures, "w") < Duration::from_secs(10)));
    }
}
