//! The bearer token, read when it is needed.

use std::{
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{config::Token, error::Error};

/// A token and what was last read of it.
pub(crate) struct Source {
    token: Token,
    read: Mutex<Option<(Instant, String)>>,
}

impl Source {
    pub(crate) fn new(token: Token) -> Self {
        Self {
            token,
            read: Mutex::new(None),
        }
    }

    /// The token to send now.
    pub(crate) async fn current(&self) -> Result<String, Error> {
        match &self.token {
            Token::Literal(token) => Ok(token.clone()),
            Token::File { path, cache } => {
                if let Some(token) = self.cached(*cache) {
                    return Ok(token);
                }
                let token = read(path).await?;
                if !cache.is_zero() {
                    *self.slot() = Some((Instant::now(), token.clone()));
                }
                Ok(token)
            }
        }
    }

    fn cached(&self, cache: Duration) -> Option<String> {
        let slot = self.slot();
        let (at, token) = slot.as_ref()?;
        (at.elapsed() < cache).then(|| token.clone())
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.read
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn read(path: &Path) -> Result<String, Error> {
    let fail = |reason: String| Error::Token {
        path: path.to_owned(),
        reason,
    };
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| fail(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(fail("is empty".to_owned()));
    }
    Ok(token.to_owned())
}
