//! Again after a conflict.

use crate::{
    Error,
    backoff::{self, Backoff},
};

/// Does something again while it ends in a conflict, at most `tries` times, with pauses of up to [`backoff::FIRST`]. Reading
/// belongs into the operation: a conflict means that what was read is old.
///
/// # Errors
/// The last conflict, or any other error at once.
///
/// # Cancel safety
/// That of the operation.
pub async fn retry_on_conflict<T, F, Fut>(tries: u32, mut operation: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut backoff = Backoff::default();
    let mut tried = 0;
    loop {
        tried += 1;
        match operation().await {
            Err(error) if error.is_conflict() && tried < tries => {
                tokio::time::sleep(backoff.next(backoff::FIRST)).await;
            }
            result => return result,
        }
    }
}
