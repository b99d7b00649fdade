//! The bearer token from a file, read again when its cache time is over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Largest token file, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

pub(crate) struct TokenFile {
    path: String,
    ttl: Duration,
    cached: Mutex<Option<(Instant, String)>>,
}

impl TokenFile {
    pub(crate) fn new(path: String, ttl: Duration) -> Self {
        Self {
            path,
            ttl,
            cached: Mutex::new(None),
        }
    }

    /// The token, without white space around it.
    pub(crate) async fn read(&self) -> Result<String, String> {
        {
            let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, token)) = cached.as_ref()
                && !self.ttl.is_zero()
                && at.elapsed() < self.ttl
            {
                return Ok(token.clone());
            }
        }
        let reading = |error: std::io::Error| {
            format!(
                "getting auth token: reading token file {}: {error}",
                self.path
            )
        };
        let size = tokio::fs::metadata(&self.path)
            .await
            .map_err(reading)?
            .len();
        if size > MAX_TOKEN_BYTES {
            return Err(format!(
                "getting auth token: token file {} is larger than {MAX_TOKEN_BYTES} bytes",
                self.path
            ));
        }
        let text = tokio::fs::read_to_string(&self.path)
            .await
            .map_err(reading)?;
        let token = text.trim().to_owned();
        if token.is_empty() {
            return Err(format!(
                "getting auth token: token file {} is empty",
                self.path
            ));
        }
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), token.clone()));
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_are_cached_for_their_time_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let file = |ttl| TokenFile::new(path.display().to_string(), ttl);
        let (uncached, cached) = (file(Duration::ZERO), file(Duration::from_secs(3600)));
        assert!(
            uncached
                .read()
                .await
                .unwrap_err()
                .contains("reading token file")
        );
        std::fs::write(&path, " one\n").unwrap();
        assert_eq!(uncached.read().await.unwrap(), "one");
        assert_eq!(cached.read().await.unwrap(), "one");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(uncached.read().await.unwrap(), "two");
        assert_eq!(cached.read().await.unwrap(), "one");
        std::fs::write(&path, " \n").unwrap();
        assert!(uncached.read().await.unwrap_err().contains("is empty"));
    }
}
