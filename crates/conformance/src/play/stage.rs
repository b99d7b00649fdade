//! Time scale, deadlines and the recording that the players of one test share.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::{Access, Error, Recording};

/// How long an answer to a call may take, before scaling.
pub const ANSWER: Duration = Duration::from_secs(15);
/// How long an event is waited for unless a test says otherwise, before scaling: a lost notification is made good
/// within 30 s.
pub const EVENT: Duration = Duration::from_secs(35);

/// Factor on every deadline, for slow machines. From the environment: `CONFORMANCE_TIME_SCALE`, default 1.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct TimeScale(f64);

/// What the players of one test share. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// Everything that is done and seen.
    pub recording: Recording,
    /// Factor on deadlines.
    pub scale: TimeScale,
    /// How players are let in.
    pub access: Access,
}

// === impl TimeScale ===

impl TimeScale {
    /// A factor between 0.01 and 1000.
    ///
    /// # Errors
    /// A text for the user when it is outside.
    pub fn new(factor: f64) -> Result<Self, String> {
        if factor.is_finite() && (0.01..=1000.0).contains(&factor) {
            Ok(Self(factor))
        } else {
            Err(format!(
                "the time scale must be between 0.01 and 1000, not {factor}"
            ))
        }
    }

    /// The factor of `CONFORMANCE_TIME_SCALE`; 1 if that isn't set or isn't a factor.
    #[must_use]
    pub fn from_env() -> Self {
        std::env::var("CONFORMANCE_TIME_SCALE")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    /// A time, scaled.
    #[must_use]
    pub fn of(self, time: Duration) -> Duration {
        time.mul_f64(self.0)
    }
}

impl Default for TimeScale {
    fn default() -> Self {
        Self(1.0)
    }
}

impl std::str::FromStr for TimeScale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
        Self::new(factor)
    }
}

impl fmt::Display for TimeScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Stage ===

impl Stage {
    /// A stage with an empty recording.
    #[must_use]
    pub fn new(scale: TimeScale) -> Self {
        Self {
            recording: Recording::default(),
            scale,
            access: Access::default(),
        }
    }

    /// The same stage for players who are let in by this.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Gives a future so much time, scaled.
    ///
    /// # Errors
    /// [`Error::Deadline`] with `what` when it takes longer.
    pub async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let limit = self.scale.of(limit);
        tokio::time::timeout(limit, future)
            .await
            .map_err(|_| Error::Deadline {
                what: what.to_owned(),
                after: limit,
            })
    }

    /// Asks again and again until the answer is something. The limit is scaled.
    ///
    /// # Errors
    /// [`Error::Deadline`] when it never is; errors of `ask` end the waiting.
    pub async fn eventually<T>(
        &self,
        limit: Duration,
        what: &str,
        mut ask: impl AsyncFnMut() -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        const PAUSE: Duration = Duration::from_millis(50);
        self.within(limit, what, async {
            loop {
                if let Some(answer) = ask().await? {
                    return Ok(answer);
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await?
    }
}
