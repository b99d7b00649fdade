//! The Kubernetes API as a judge, asked no more than needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube_access::reviews::{self, Reviews, Source, User};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::bearer::Bearer;
use super::cache::Cache;
use super::settings::{AuthnConfig, Error};

/// Reviews under way at once; more wait. A stranger with many tokens costs the Kubernetes API no more than this.
const MAX_REVIEWS: usize = 32;
/// How long a call waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Asks the Kubernetes API, and remembers good answers for a short while. Refusals and failures are never remembered.
pub struct Reviewer {
    reviews: Reviews,
    tokens: Cache<[u8; 32], Arc<User>>,
    permissions: Cache<[u8; 32], ()>,
    turns: Semaphore,
}

/// The Kubernetes API gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

impl Reviewer {
    /// Reads the credentials that the settings name.
    ///
    /// # Errors
    /// When they can't be used.
    pub async fn open(config: &AuthnConfig) -> Result<Self, Error> {
        let source = match &config.authorizer_config {
            Some(path) => Source::Kubeconfig(path.clone()),
            None => Source::InCluster,
        };
        let reviews = Reviews::open(source, reviews::TIMEOUT).await?;
        tracing::info!(
            url = reviews.url(),
            "Tokens and permissions are reviewed by the Kubernetes API."
        );
        Ok(Self {
            reviews,
            tokens: Cache::new(config.cache_ttl),
            permissions: Cache::new(config.cache_ttl),
            turns: Semaphore::new(MAX_REVIEWS),
        })
    }

    /// Whose token it is; `None` = nobody's.
    ///
    /// # Errors
    /// [`Unanswered`]: nobody may be let in.
    pub async fn user(&self, token: &Bearer) -> Result<Option<Arc<User>>, Unanswered> {
        let key = token.digest();
        if let Some(user) = self.tokens.get(&key, Instant::now()) {
            return Ok(Some(user));
        }
        let _turn = self.turn().await?;
        // Whoever waited before may have asked the same.
        if let Some(user) = self.tokens.get(&key, Instant::now()) {
            return Ok(Some(user));
        }
        let asked = Instant::now();
        let user = answer("TokenReview", self.reviews.token(token.expose()).await)?.map(Arc::new);
        if let Some(user) = &user {
            self.tokens.put(key, Arc::clone(user), asked);
        }
        Ok(user)
    }

    /// Whether a user may do `verb` on a path that is no resource.
    ///
    /// # Errors
    /// [`Unanswered`]: it may not.
    pub async fn may(&self, user: &User, verb: &str, path: &str) -> Result<bool, Unanswered> {
        let key = question(user, verb, path);
        let known = |now| self.permissions.get(&key, now).is_some();
        if known(Instant::now()) {
            return Ok(true);
        }
        let _turn = self.turn().await?;
        if known(Instant::now()) {
            return Ok(true);
        }
        let asked = Instant::now();
        let allowed = answer(
            "SubjectAccessReview",
            self.reviews.may(user, verb, path).await,
        )?;
        if allowed {
            self.permissions.put(key, (), asked);
        }
        Ok(allowed)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Unanswered> {
        match tokio::time::timeout(MAX_WAIT, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => {
                tracing::warn!("Too many reviews wait for the Kubernetes API.");
                Err(Unanswered)
            }
        }
    }
}

/// What went wrong is for the log of this server, not for strangers.
fn answer<T>(review: &str, answer: Result<T, reviews::Error>) -> Result<T, Unanswered> {
    answer.map_err(|error| {
        tracing::warn!(review, %error, "The Kubernetes API gave no answer: nobody is let in.");
        Unanswered
    })
}

/// Stands for a question. Lengths keep `a` + `bc` and `ab` + `c` apart.
fn question(user: &User, verb: &str, path: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    let groups = user.groups.iter().map(String::as_str);
    for part in [user.username.as_str(), verb, path]
        .into_iter()
        .chain(groups)
    {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_differ_when_their_parts_do() {
        let user = |name: &str, groups: &[&str]| User {
            username: name.to_owned(),
            groups: groups.iter().map(ToString::to_string).collect(),
        };
        let all = [
            question(&user("u", &["a", "b"]), "pub", "/sources/s"),
            question(&user("u", &["ab"]), "pub", "/sources/s"),
            question(&user("u", &["a", "b"]), "sub", "/sources/s"),
            question(&user("u", &["a", "b"]), "pub", "/sources/s2"),
            question(&user("ua", &["b"]), "pub", "/sources/s"),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| one != other));
        }
    }
}
