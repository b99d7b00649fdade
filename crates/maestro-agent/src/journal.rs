//! What operators read of jobs: something new at once, the same again only after a while. A work that is applied every few
//! minutes, or fails for days, doesn't fill a disk, and no contents of objects are written (F61).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{self, Failure};
use crate::job::{Applied, Done, Outcome, RemoveOutcome};

/// A failure, or a wait, that goes on is mentioned again after so long.
const AGAIN: Duration = Duration::from_mins(10);

/// What was said of each work last.
#[derive(Debug, Default)]
pub struct Journal {
    said: HashMap<Arc<str>, Said>,
}

#[derive(Debug)]
struct Said {
    state: State,
    at: Instant,
}

/// What is told apart: the causes of failures, not their words, which may hold times and request ids.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Applied { version: i64 },
    Failing { version: i64, causes: Vec<String> },
    Leaving { held: usize },
    Stuck { cause: String },
}

impl Journal {
    /// Writes what a job met, if that is news.
    pub fn job(&mut self, done: &Done, now: Instant) {
        let work = &done.work;
        match &done.outcome {
            Outcome::Applied(outcome) if outcome.halted => {}
            Outcome::Applied(outcome) => {
                if self.is_news(work, applied(outcome), now) {
                    say_applied(work, outcome);
                }
            }
            Outcome::Removed(outcome) if outcome.finished => {
                self.said.remove(work);
                tracing::info!(%work, "Everything of a work is gone.");
            }
            Outcome::Removed(outcome) => {
                if self.is_news(work, removed(outcome), now) {
                    say_removed(work, outcome);
                }
            }
            Outcome::Looked(_) | Outcome::Lost => {}
        }
    }

    fn is_news(&mut self, work: &Arc<str>, state: State, now: Instant) -> bool {
        if let Some(said) = self.said.get(work)
            && said.state == state
        {
            let settled = matches!(state, State::Applied { .. });
            if settled || now.duration_since(said.at) < AGAIN {
                tracing::debug!(%work, "A job ended like the one before.");
                return false;
            }
        }
        let said = Said { state, at: now };
        self.said.insert(Arc::clone(work), said);
        true
    }
}

fn applied(outcome: &Applied) -> State {
    let version = outcome.version;
    let attempts = outcome.attempts.iter().filter_map(|attempt| {
        let failure = attempt.result.as_ref().err()?;
        Some(format!("{} {}", attempt.ordinal, failure.cause))
    });
    let trouble = outcome.trouble.iter().map(|failure| failure.cause.clone());
    let causes: Vec<String> = attempts.chain(trouble).collect();
    if causes.is_empty() {
        State::Applied { version }
    } else {
        State::Failing { version, causes }
    }
}

fn removed(outcome: &RemoveOutcome) -> State {
    match &outcome.error {
        Some(error) => State::Stuck {
            cause: failure::cause(error),
        },
        None => State::Leaving {
            held: outcome.held.len(),
        },
    }
}

fn say_applied(work: &str, outcome: &Applied) {
    let version = outcome.version;
    let mut fails = false;
    for attempt in &outcome.attempts {
        if let Err(failure) = &attempt.result {
            fails = true;
            let meta = &attempt.meta;
            tracing::warn!(
                work,
                version,
                kind = meta.kind,
                namespace = meta.namespace,
                name = meta.name,
                error = failure.text(),
                "A manifest could not be applied; trying again."
            );
        }
    }
    if let Some(error) = outcome.trouble.as_ref().map(Failure::text) {
        fails = true;
        tracing::warn!(
            work,
            version,
            error,
            "A work could not be completed; trying again."
        );
    }
    if !fails {
        let manifests = outcome.attempts.len();
        tracing::info!(work, version, manifests, "A work was applied.");
    }
}

fn say_removed(work: &str, outcome: &RemoveOutcome) {
    if let Some(error) = &outcome.error {
        tracing::warn!(work, %error, "A work could not be removed; trying again.");
    } else {
        let objects = outcome.held.len();
        tracing::info!(work, objects, "A work waits for its objects to go.");
    }
}

#[cfg(test)]
mod tests {
    use kube_access::Error;
    use manifestwork::ResourceMeta;

    use super::*;
    use crate::job::Attempt;

    fn apply(version: i64, failure: Option<&str>) -> State {
        let result = failure.map_or(Ok(None), |text| Err(Failure::other(text)));
        applied(&Applied {
            version,
            attempts: vec![Attempt {
                ordinal: 0,
                meta: ResourceMeta::default(),
                target: None,
                result,
            }],
            ..Applied::default()
        })
    }

    #[test]
    fn f61_what_was_said_is_not_said_again() {
        let (mut journal, work, start) = (Journal::default(), Arc::from("w1"), Instant::now());
        let mut news = |after: Duration, state| journal.is_news(&work, state, start + after);
        let now = Duration::ZERO;
        assert!(news(now, apply(1, None)));
        assert!(!news(AGAIN * 10, apply(1, None)), "applied again, later");
        assert!(news(now, apply(2, None)), "another version");
        assert!(news(now, apply(2, Some("no"))), "it fails");
        assert!(!news(now, apply(2, Some("no"))), "it still fails");
        assert!(news(now, apply(2, Some("never"))), "it fails otherwise");
        assert!(news(AGAIN, apply(2, Some("never"))), "it fails for long");
        assert!(news(AGAIN, apply(2, None)), "it is mended");
    }

    #[test]
    fn f61_a_deletion_is_followed_but_not_repeated() {
        let (mut journal, work): (_, Arc<str>) = (Journal::default(), Arc::from("w1"));
        let start = Instant::now();
        let stuck = |seconds: u64| {
            let error = Error::Timeout(Duration::from_secs(seconds));
            let outcome = RemoveOutcome {
                error: Some(error),
                ..RemoveOutcome::default()
            };
            removed(&outcome)
        };
        let mut news = |after: Duration, state| journal.is_news(&work, state, start + after);
        let now = Duration::ZERO;
        assert!(news(now, State::Leaving { held: 2 }));
        assert!(!news(now, State::Leaving { held: 2 }));
        assert!(news(now, State::Leaving { held: 1 }));
        assert!(news(now, stuck(1)));
        assert!(!news(now, stuck(2)), "only the words differ");
        assert!(news(AGAIN, stuck(3)), "it is stuck for long");
        let outcome = Outcome::Removed(RemoveOutcome {
            finished: true,
            ..RemoveOutcome::default()
        });
        journal.job(&Done { work, outcome }, start);
        assert!(journal.said.is_empty(), "nothing is kept of what is gone");
    }
}
