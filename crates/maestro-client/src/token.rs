//! The bearer token, followed as its file is rotated.

use std::{
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{Error, Token};

/// How long a token that was read from a file is used without looking again.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// Hands out the current token.
pub(crate) struct TokenSource {
    token: Option<Token>,
    fresh_for: Duration,
    held: Mutex<Held>,
}

/// What is known of a token's file.
#[derive(Default)]
struct Held {
    /// The last token that was read, unless a server has refused it.
    last: Option<String>,
    /// When the file was last looked at.
    looked: Option<Instant>,
    /// Why it couldn't be read then.
    trouble: Option<String>,
}

impl TokenSource {
    pub(crate) fn new(token: Option<Token>) -> Self {
        Self {
            token,
            fresh_for: FRESH_FOR,
            held: Mutex::default(),
        }
    }

    /// The token for the next call, if there is one. Surrounding white space of a file doesn't count.
    ///
    /// Files are away or empty for a moment while they are replaced by hand: the last token is good until a server says otherwise.
    pub(crate) async fn current(&self) -> Result<Option<String>, Error> {
        let path = match &self.token {
            None => return Ok(None),
            Some(Token::Literal(text)) => return Ok(Some(text.trim().to_owned())),
            Some(Token::File(path)) => path,
        };
        if let Some(text) = self.fresh() {
            return Ok(Some(text));
        }
        let looked = read(path).await;
        let (token, news) = self.lock().take_in(looked);
        if let Some(news) = news {
            tracing::warn!(why = %news, "the last token stays in use");
        }
        token
            .map(Some)
            .map_err(|message| Error::Unauthenticated { message })
    }

    /// Makes the next call read the file again: a server didn't take the token that was sent. Refusals may come late, so that another
    /// one is held by then, which stays.
    pub(crate) fn forget(&self, refused: Option<&str>) {
        let mut held = self.lock();
        if held.last.as_deref() == refused {
            held.last = None;
            held.looked = None;
        }
    }

    fn fresh(&self) -> Option<String> {
        let held = self.lock();
        let age = held.looked?.elapsed();
        held.last.clone().filter(|_| age < self.fresh_for)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Held {
    /// The token to use after a look at the file, or why there is none; and what is to be told, once per change: a file that stays
    /// away is looked at again and again.
    fn take_in(
        &mut self,
        looked: Result<String, String>,
    ) -> (Result<String, String>, Option<String>) {
        self.looked = Some(Instant::now());
        match looked {
            Ok(text) => {
                self.last = Some(text.clone());
                self.trouble = None;
                (Ok(text), None)
            }
            Err(trouble) => {
                let news = self.trouble.as_ref() != Some(&trouble);
                self.trouble = Some(trouble.clone());
                match &self.last {
                    Some(last) => (Ok(last.clone()), news.then_some(trouble)),
                    // Told by the error.
                    None => (Err(trouble), None),
                }
            }
        }
    }
}

/// What a file holds, or why it holds no token.
async fn read(path: &Path) -> Result<String, String> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| format!("read token file {}: {error}", path.display()))?;
    match text.trim() {
        "" => Err(format!("token file {} is empty", path.display())),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token in a file that is looked at each time.
    fn source(path: &Path) -> TokenSource {
        TokenSource {
            fresh_for: Duration::ZERO,
            ..TokenSource::new(Some(Token::File(path.to_owned())))
        }
    }

    #[tokio::test]
    async fn the_last_token_stays_while_its_file_can_not_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = source(&path);
        let current = async || source.current().await.map(Option::unwrap);
        assert!(matches!(
            current().await,
            Err(Error::Unauthenticated { .. })
        ));
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(current().await.unwrap(), "one");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(current().await.unwrap(), "one");
        std::fs::write(&path, " \n").unwrap();
        assert_eq!(current().await.unwrap(), "one");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(current().await.unwrap(), "two");
        // A server knows better.
        std::fs::write(&path, "").unwrap();
        source.forget(Some("two"));
        let error = current().await.unwrap_err().to_string();
        assert!(error.contains("is empty"), "{error}");
    }

    #[tokio::test]
    async fn a_late_refusal_of_an_old_token_leaves_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = source(&path);
        let current = async || source.current().await.map(Option::unwrap);
        std::fs::write(&path, "old").unwrap();
        assert_eq!(current().await.unwrap(), "old");
        std::fs::write(&path, "new").unwrap();
        // Of two calls with the old token the first is refused, and the file read again.
        source.forget(Some("old"));
        assert_eq!(current().await.unwrap(), "new");
        std::fs::remove_file(&path).unwrap();
        source.forget(Some("old"));
        source.forget(None);
        assert_eq!(current().await.unwrap(), "new");
        source.forget(Some("new"));
        assert!(current().await.is_err());
    }

    #[test]
    fn trouble_with_a_file_is_told_once_per_change() {
        let mut held = Held::default();
        let mut told = |looked: Result<&str, &str>| {
            let looked = looked.map(str::to_owned).map_err(str::to_owned);
            held.take_in(looked).1
        };
        assert_eq!(told(Err("away")), None, "the error says it");
        assert_eq!(told(Ok("one")), None);
        assert_eq!(told(Err("away")).as_deref(), Some("away"));
        assert_eq!(told(Err("away")), None);
        assert_eq!(told(Err("empty")).as_deref(), Some("empty"));
        assert_eq!(told(Ok("one")), None);
        assert_eq!(told(Err("empty")).as_deref(), Some("empty"));
    }
}
