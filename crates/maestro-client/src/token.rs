//! The bearer token, followed as its file is rotated.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{Error, Token};

/// How long a token that was read from a file is used without looking again.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// Hands out the current token.
pub(crate) struct TokenSource {
    token: Option<Token>,
    cached: Mutex<Option<(Instant, String)>>,
}

impl TokenSource {
    pub(crate) fn new(token: Option<Token>) -> Self {
        Self {
            token,
            cached: Mutex::new(None),
        }
    }

    /// The token for the next call, if there is one. Surrounding white space of a file doesn't count.
    pub(crate) async fn current(&self) -> Result<Option<String>, Error> {
        let path = match &self.token {
            None => return Ok(None),
            Some(Token::Literal(text)) => return Ok(Some(text.trim().to_owned())),
            Some(Token::File(path)) => path,
        };
        if let Some(text) = self.cached() {
            return Ok(Some(text));
        }
        let text =
            tokio::fs::read_to_string(path)
                .await
                .map_err(|error| Error::Unauthenticated {
                    message: format!("read token file {}: {error}", path.display()),
                })?;
        let text = text.trim().to_owned();
        if text.is_empty() {
            return Err(Error::Unauthenticated {
                message: format!("token file {} is empty", path.display()),
            });
        }
        *self.lock() = Some((Instant::now(), text.clone()));
        Ok(Some(text))
    }

    /// Makes the next call read the file again: the server didn't take the token.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    fn cached(&self) -> Option<String> {
        self.lock()
            .as_ref()
            .filter(|(read, _)| read.elapsed() < FRESH_FOR)
            .map(|(_, text)| text.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.cached
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
