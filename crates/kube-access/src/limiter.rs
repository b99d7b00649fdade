//! A token bucket for requests: steady rate with bursts, first come first served.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Lets `rate` requests per second through, and `burst` at once after a pause.
#[derive(Debug)]
pub(crate) struct Limiter {
    interval: Duration,
    burst: u32,
    /// The instant at which the bucket will be full again ("theoretical arrival time").
    full_at: Mutex<Instant>,
}

impl Limiter {
    /// `rate` in requests per second; 0 or less means no limit, hence `None`.
    pub(crate) fn new(rate: f64, burst: u32) -> Option<Self> {
        if !rate.is_finite() || rate <= 0.0 {
            return None;
        }
        Some(Self {
            interval: Duration::from_secs_f64(1.0 / rate),
            burst: burst.max(1),
            full_at: Mutex::new(Instant::now()),
        })
    }

    /// Waits for its turn. Cancel safe, though the turn is used up.
    pub(crate) async fn acquire(&self) {
        let wait = self.reserve(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, now: Instant) -> Duration {
        let mut full_at = self
            .full_at
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let start = (*full_at).max(now);
        *full_at = start + self.interval;
        let allowed_debt = self.interval * (self.burst - 1);
        (start - now).saturating_sub(allowed_debt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let limiter = Limiter::new(10.0, 3).unwrap();
        let now = Instant::now();
        *limiter.full_at.lock().unwrap() = now;
        let waits: Vec<_> = (0..5).map(|_| limiter.reserve(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
    }

    #[test]
    fn no_rate_no_limit() {
        assert!(Limiter::new(0.0, 1).is_none());
        assert!(Limiter::new(-1.0, 1).is_none());
        assert!(Limiter::new(f64::NAN, 1).is_none());
    }
}
