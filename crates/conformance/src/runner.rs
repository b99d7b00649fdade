//! Runs tests: beside each other where they may, within time, each with names of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde::Serialize;

use crate::context::{Context, Profile, Stop, Target};
use crate::play::{Stage, TimeScale};
use crate::suite::{Group, Need, Test, Turn};

/// Time that one test may take, before scaling; the long quiet ones of the full profile get as much again as they need.
const TEST_LIMIT: Duration = Duration::from_secs(150);
const FULL_TEST_LIMIT: Duration = Duration::from_secs(2400);
/// Lines of the recording that a failure shows.
const SHOWN_LINES: usize = 25;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is judged.
    pub target: Arc<Target>,
    /// How much each test does.
    pub profile: Profile,
    /// Factor on deadlines.
    pub scale: TimeScale,
    /// Tests that run beside each other, at most.
    pub at_once: usize,
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What must hold held.
    Pass,
    /// It didn't.
    Fail,
    /// It can't be judged here.
    NotApplicable,
}

/// A test that is over.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Its name.
    pub name: &'static str,
    /// Its group.
    pub group: Group,
    /// What must hold.
    pub says: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it failed, or isn't applicable; empty for those that passed.
    pub reason: String,
    /// Parts of what must hold that were not looked at, each with the reason; a pass doesn't speak for them.
    #[serde(rename = "notJudged", skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<String>,
    /// Seconds that it took.
    pub seconds: f64,
    /// The end of what was done and seen, if it failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recording: Vec<String>,
}

/// Runs tests and tells of each when it is over. They come back in the order in which they were given.
pub async fn run(tests: Vec<Test>, options: &Options, tell: impl Fn(&Judged)) -> Vec<Judged> {
    let mut judged: Vec<(usize, Judged)> = Vec::with_capacity(tests.len());
    let tests: Vec<(usize, Test)> = tests.into_iter().enumerate().collect();
    for turn in [Turn::Together, Turn::Alone, Turn::Last] {
        let at_once = match turn {
            Turn::Together => options.at_once.max(1),
            Turn::Alone | Turn::Last => 1,
        };
        let mine = tests.iter().filter(|(_, test)| test.turn == turn).cloned();
        let mut over = stream::iter(mine)
            .map(|(position, test)| async move { (position, judge(test, options).await) })
            .buffer_unordered(at_once);
        while let Some((position, test)) = over.next().await {
            tell(&test);
            judged.push((position, test));
        }
    }
    judged.sort_by_key(|(position, _)| *position);
    judged.into_iter().map(|(_, judged)| judged).collect()
}

async fn judge(test: Test, options: &Options) -> Judged {
    let over = |outcome: Outcome, reason: String| Judged {
        name: test.name,
        group: test.group,
        says: test.says,
        outcome,
        reason,
        not_judged: Vec::new(),
        seconds: 0.0,
        recording: Vec::new(),
    };
    let Some(run) = test.run else {
        return over(Outcome::NotApplicable, test.says.to_owned());
    };
    if let Some(missing) = test
        .needs
        .iter()
        .find_map(|need| missing(*need, &options.target))
    {
        return over(Outcome::NotApplicable, format!("needs {missing}"));
    }
    let context = Context::new(
        Arc::clone(&options.target),
        Stage::new(options.scale).with_access(options.target.access.clone()),
        options.profile,
    );
    let limit = options.scale.of(match options.profile {
        Profile::Ci => TEST_LIMIT,
        Profile::Full => FULL_TEST_LIMIT,
    });
    let started = Instant::now();
    // On a thread of its own, so that a panic is a failure of one test.
    let (runtime, own) = (tokio::runtime::Handle::current(), context.clone());
    let task = tokio::task::spawn_blocking(move || {
        runtime.block_on(async { tokio::time::timeout(limit, run(own)).await })
    });
    let verdict = match task.await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => Err(Stop::Failed(format!("not over after {limit:.0?}"))),
        Err(error) => Err(Stop::Failed(format!("the test itself broke: {error}"))),
    };
    let seconds = started.elapsed().as_secs_f64();
    let recording = match &verdict {
        Err(Stop::Failed(_)) => context.stage.recording.tail(SHOWN_LINES),
        _ => Vec::new(),
    };
    // What is left behind disturbs nobody: every test has names of its own.
    let _ = context.clean_up().await;
    let (outcome, reason) = match verdict {
        Ok(()) => (Outcome::Pass, String::new()),
        Err(Stop::Failed(why)) => (Outcome::Fail, why),
        Err(Stop::NotApplicable(why)) => (Outcome::NotApplicable, why),
    };
    Judged {
        not_judged: context.left_out(),
        seconds,
        recording,
        ..over(outcome, reason)
    }
}

// === impl Judged ===

impl Judged {
    /// Why it failed or isn't applicable, or what a pass doesn't speak for; empty if there is nothing to say.
    #[must_use]
    pub fn remark(&self) -> String {
        if self.outcome == Outcome::Pass && !self.not_judged.is_empty() {
            format!("not judged: {}", self.not_judged.join("; "))
        } else {
            self.reason.clone()
        }
    }
}

fn missing(need: Need, target: &Target) -> Option<&'static str> {
    match need {
        Need::Database if target.database.is_none() => Some("--database-url"),
        Need::Replica if target.second.is_none() => {
            Some("--rest-2, --source-grpc-2 and --agent-grpc-2")
        }
        Need::Health if target.health.is_none() => Some("--health"),
        _ => None,
    }
}
