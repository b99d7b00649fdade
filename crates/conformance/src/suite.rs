//! The tests: each a function whose name says what must hold, in a group, with what it needs.
//!
//! Names that begin with `f` and a number are field failures: things that broke at users of a Maestro server, told
//! in `docs/conformance.md`. A test accepts every right outcome, also where servers differ in how they get there.

mod connections;
mod deletes;
mod delivery;
mod elsewhere;
mod outage;
mod replicas;
mod rest;
mod rest_lists;
mod resync;
mod subscription;
mod versions;
mod wire;

use futures::future::LocalBoxFuture;

use crate::context::{Context, Stop, Verdict};

/// What a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Group {
    Deletes,
    Delivery,
    Connections,
    Wire,
    Rest,
    Subscription,
    Resync,
    Versions,
    Replicas,
}

/// What a test can't do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `--database-url`.
    Database,
    /// A second replica.
    Replica,
    /// `--health`.
    Health,
}

/// When a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// Beside others.
    Together,
    /// With nothing else going on: it disturbs others, or measures.
    Alone,
    /// At the very end: a server that fails it may be gone.
    Last,
}

/// How a test is run.
pub type Runner = fn(Context) -> LocalBoxFuture<'static, Verdict>;

/// A test.
#[derive(Clone, Debug)]
pub struct Test {
    /// Name of its function.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// What must hold, in a sentence.
    pub says: &'static str,
    /// What it can't do without.
    pub needs: &'static [Need],
    /// When it runs.
    pub turn: Turn,
    /// What it does; `None` for what can't be judged from outside of a server, which `says` why.
    pub run: Option<Runner>,
}

/// Declares a test by its function.
macro_rules! test {
    ($group:ident, $run:ident, $says:literal) => {
        crate::suite::Test {
            name: stringify!($run),
            group: crate::suite::Group::$group,
            says: $says,
            needs: &[],
            turn: crate::suite::Turn::Together,
            run: Some(|context| Box::pin($run(context))),
        }
    };
}

/// Ends the test as failed unless something holds; the text says what was expected and what was seen.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        let holds: bool = $holds;
        if !holds {
            return Err(crate::context::Stop::Failed(format!($($text)+)));
        }
    };
}

use {ensure, test};

// === impl Test ===

impl Test {
    const fn needing(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    const fn alone(mut self) -> Self {
        self.turn = Turn::Alone;
        self
    }

    const fn last(mut self) -> Self {
        self.turn = Turn::Last;
        self
    }
}

/// Every test, in the order of the report.
#[must_use]
pub fn all() -> Vec<Test> {
    [
        deletes::tests(),
        delivery::tests(),
        connections::tests(),
        outage::tests(),
        wire::tests(),
        rest::tests(),
        rest_lists::tests(),
        subscription::tests(),
        resync::tests(),
        versions::tests(),
        replicas::tests(),
        elsewhere::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Fails unless both are equal.
fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    what: &str,
    seen: T,
    expected: U,
) -> Verdict {
    if seen == expected {
        Ok(())
    } else {
        Err(Stop::Failed(format!(
            "{what}: expected {expected:?}, seen {seen:?}"
        )))
    }
}

/// Fails unless the server refused with a text that holds `text`; the status.
fn refused(
    what: &str,
    outcome: Result<(), tonic::Status>,
    text: &str,
) -> Result<tonic::Status, Stop> {
    match outcome {
        Ok(()) => Err(Stop::Failed(format!(
            "{what}: expected a refusal with {text:?}, seen: accepted"
        ))),
        Err(status) if status.message().contains(text) => Ok(status),
        Err(status) => Err(Stop::Failed(format!(
            "{what}: expected a refusal with {text:?}, seen {:?}: {:?}",
            status.code(),
            status.message()
        ))),
    }
}
