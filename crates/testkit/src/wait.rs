use std::time::{Duration, Instant};

/// First pause between two probes; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between two probes.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Calls `probe` until it returns `Some`, and returns that value.
///
/// The deadline should be generous (30 s and more): it only costs time when the test fails.
///
/// # Panics
/// When `within` has passed; the message names `what` was waited for.
#[allow(clippy::panic, reason = "this is an assertion of a test")]
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        if start.elapsed() > within {
            panic!("waited {:.1} s in vain for: {what}", within.as_secs_f64());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
