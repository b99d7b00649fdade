//! Tries beside each other.

use std::time::Duration;

use futures::{StreamExt as _, stream::FuturesUnordered};

/// Tries something, again beside it while there is no answer for the next of these waits. The first answer counts, good or bad.
pub(super) async fn staggered<T, F>(
    mut waits: impl Iterator<Item = Duration>,
    mut start: impl FnMut() -> F,
) -> T
where
    F: Future<Output = T>,
{
    let mut tries = FuturesUnordered::new();
    loop {
        tries.push(start());
        let wait = waits.next().unwrap_or(Duration::MAX);
        if let Ok(Some(answer)) = tokio::time::timeout(wait, tries.next()).await {
            return answer;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    const WAITS: [Duration; 3] = [
        Duration::from_millis(100),
        Duration::from_millis(200),
        Duration::MAX,
    ];

    #[tokio::test]
    async fn what_is_swallowed_is_tried_again_beside_it() {
        let count = AtomicUsize::new(0);
        let start = || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                if number < 2 {
                    std::future::pending::<()>().await;
                }
                number
            }
        };
        let started = Instant::now();
        assert_eq!(staggered(WAITS.into_iter(), start).await, 2);
        assert!(started.elapsed() >= WAITS[0] + WAITS[1]);
    }

    #[tokio::test]
    async fn the_first_try_may_still_answer() {
        let count = AtomicUsize::new(0);
        let start = || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                if number > 0 {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(WAITS[0] * 2).await;
                number
            }
        };
        assert_eq!(staggered(WAITS.into_iter(), start).await, 0);
    }

    #[tokio::test]
    async fn a_refusal_is_told_at_once() {
        let start = async || Err::<(), _>("refused");
        assert!(staggered([Duration::MAX].into_iter(), start).await.is_err());
    }
}
