//! Round after round, until the time is over or something is found.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use super::check::delivery;
use super::check::sometimes::sometimes;
use super::check::{Violation, check};
use super::history::{History, Limits, Micros, Sample, What};
use super::index::Index;
use super::minimise;
use super::plan::{Plan, Profile};
use super::round;
use super::stack::{self, Stack};

/// Violations that are told in full; the others are counted.
const TOLD: usize = 3;
/// Lines of a story that are printed; all of it is in the folder.
const LINES: usize = 80;

/// What is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of the first round; the next ones follow.
    pub seed: u64,
    /// No round begins after this time.
    pub time: Duration,
    /// At most so many rounds.
    pub rounds: u64,
    /// Size of rounds.
    pub profile: Profile,
    /// Whether rounds go on after a violation.
    pub keep_going: bool,
    /// How often a violation is tried again with fewer faults.
    pub attempts: u32,
    /// Deadlines and sizes.
    pub limits: Limits,
    /// The processes.
    pub stack: stack::Options,
}

/// What came out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// One entry a round.
    pub rounds: Vec<Round>,
    /// How often rare paths were walked, over all rounds.
    pub sometimes: BTreeMap<String, u64>,
    /// Where logs, histories and stories are.
    pub folder: PathBuf,
}

/// What came out of a round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Its seed.
    pub seed: u64,
    /// What was planned.
    pub faults: Vec<String>,
    /// Operations.
    pub operations: usize,
    /// Events on streams.
    pub events: usize,
    /// How long it took.
    pub seconds: f64,
    /// The largest resident set of a server, MiB.
    pub memory: u64,
    /// 99th percentiles of deliveries to quiet clusters, milliseconds, by how others fare. Only in rounds that look at the pace.
    pub pace: BTreeMap<String, f64>,
    /// What must not have been.
    pub violations: Vec<Violation>,
    /// The smallest set of faults that still showed it, if that was looked for.
    pub enough: Option<Vec<String>>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.rounds.iter().all(|round| round.violations.is_empty())
    }
}

/// Runs rounds; `tell` gets lines for people.
///
/// # Errors
/// When the processes can't be started, or don't come back after a fault.
pub async fn run(options: &Options, mut tell: impl FnMut(&str)) -> anyhow::Result<Report> {
    let started = Instant::now();
    let folder = options.stack.folder.clone();
    tell(&format!("logs and histories: {}", folder.display()));
    let mut report = Report {
        folder,
        ..Report::default()
    };
    let mut stack = Arc::new(Stack::start(options.stack.clone()).await?);
    for number in 0..options.rounds {
        if started.elapsed() > options.time {
            break;
        }
        let seed = options.seed.wrapping_add(number);
        let plan = Plan::new(seed, options.profile);
        let began = Instant::now();
        let history = round::play(&stack, &plan, number, &options.limits)
            .await
            .with_context(|| format!("round {number}, seed {seed}"))?;
        let (round, counts) = judge(&plan, &history, began.elapsed());
        for (name, count) in counts {
            *report.sometimes.entry(name.to_owned()).or_default() += count;
        }
        tell(&progress(number, &round));
        report.rounds.push(round);
        let Some(round) = report
            .rounds
            .last_mut()
            .filter(|round| !round.violations.is_empty())
        else {
            continue;
        };
        explain(options, &history, round, &mut tell)?;
        if !options.keep_going {
            drop(stack);
            round.enough = fewer_faults(options, &plan, &round.violations, &mut tell).await;
            return Ok(report);
        }
        // What is broken now mustn't spoil the next rounds.
        drop(stack);
        stack = Arc::new(Stack::start(options.stack.clone()).await?);
    }
    Ok(report)
}

fn judge(plan: &Plan, history: &History, took: Duration) -> (Round, BTreeMap<&'static str, u64>) {
    let index = Index::new(history);
    let event =
        |entry: &&super::history::Entry| matches!(entry.what, What::Spec(_) | What::Status(_));
    let round = Round {
        seed: plan.seed,
        faults: plan.faults.iter().map(told).collect(),
        operations: index.ops.len(),
        events: history.entries.iter().filter(event).count(),
        seconds: took.as_secs_f64(),
        memory: memory(history) >> 20,
        pace: pace(&index),
        violations: check(history),
        enough: None,
    };
    (round, sometimes(&index))
}

fn memory(history: &History) -> u64 {
    let samples = history.entries.iter().map(|entry| match entry.what {
        What::Sample(Sample::Memory { bytes, .. }) => bytes,
        _ => 0,
    });
    samples.max().unwrap_or_default()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "latencies are far below 2^53 microseconds"
)]
fn pace(index: &Index<'_>) -> BTreeMap<String, f64> {
    let times = delivery::latencies(index);
    let millis = |times: &[Micros]| delivery::percentile_99(times) as f64 / 1000.0;
    times
        .iter()
        .map(|(load, times)| (load.to_string(), millis(times)))
        .collect()
}

fn told(planned: &super::plan::Planned) -> String {
    format!(
        "at {} ms for {} ms: {}",
        planned.after, planned.lasts, planned.fault
    )
}

fn progress(number: u64, round: &Round) -> String {
    let verdict = match round.violations.len() {
        0 => "holds".to_owned(),
        count => format!("{count} VIOLATIONS"),
    };
    let mut pace = String::new();
    for (load, millis) in &round.pace {
        pace.push_str(&format!(", p99 {millis:.0} ms {load}"));
    }
    format!(
        "round {number}, seed {}: {} faults, {} operations, {} events, {} MiB in {:.0} s{pace}: {verdict}",
        round.seed,
        round.faults.len(),
        round.operations,
        round.events,
        round.memory,
        round.seconds
    )
}

/// Prints and keeps what was found.
fn explain(
    options: &Options,
    history: &History,
    round: &Round,
    tell: &mut impl FnMut(&str),
) -> anyhow::Result<()> {
    let folder = &options.stack.folder;
    let file = folder.join(format!("history-{}.json", round.seed));
    std::fs::write(&file, serde_json::to_vec(history)?)?;
    tell(&format!(
        "seed {}; its history: {}",
        round.seed,
        file.display()
    ));
    for fault in &round.faults {
        tell(&format!("  planned {fault}"));
    }
    for (number, violation) in round.violations.iter().enumerate() {
        tell(&violation.to_string());
        if number >= TOLD {
            continue;
        }
        let lines = minimise::lines(&minimise::story(history, violation));
        let file = folder.join(format!("story-{}-{number}.txt", round.seed));
        std::fs::write(&file, format!("{violation}\n\n{}\n", lines.join("\n")))?;
        for line in lines.iter().take(LINES) {
            tell(&format!("    {line}"));
        }
        if lines.len() > LINES {
            tell(&format!("    … all of it: {}", file.display()));
        }
    }
    Ok(())
}

/// Plays the seed again with fewer and fewer faults; those that are left, if the violation came again at all.
async fn fewer_faults(
    options: &Options,
    plan: &Plan,
    violations: &[Violation],
    tell: &mut impl FnMut(&str),
) -> Option<Vec<String>> {
    let wanted = violations.first()?.invariant;
    let mut plan = plan.clone();
    let mut again = None;
    let mut attempts = 0..options.attempts;
    // The same faults first, for rounds aren't the same twice; then with less traffic, and without one fault after the other.
    let mut leave_out: Option<usize> = None;
    let mut many_hands = false;
    while attempts.next().is_some() {
        let mut candidate = plan.clone();
        if again.is_some() && plan.hands > 1 && !many_hands {
            candidate.hands = 1;
        } else if let Some(index) = leave_out {
            if index >= candidate.faults.len() {
                break;
            }
            candidate.faults.remove(index);
        }
        let shown = shows(options, &candidate, wanted).await.unwrap_or(false);
        tell(&format!(
            "again with {} faults and {} hands a source: {}",
            candidate.faults.len(),
            candidate.hands,
            if shown { "it shows" } else { "it holds" }
        ));
        let fewer_hands = candidate.hands < plan.hands;
        if !shown && fewer_hands {
            // It takes many hands; don't ask again.
            many_hands = true;
        }
        if shown {
            plan = candidate;
            again = Some(plan.faults.iter().map(told).collect());
            leave_out.get_or_insert(0);
        } else if !fewer_hands {
            leave_out = leave_out.map(|index| index + 1);
        }
    }
    again
}

async fn shows(
    options: &Options,
    plan: &Plan,
    wanted: super::check::Invariant,
) -> anyhow::Result<bool> {
    let stack = Arc::new(Stack::start(options.stack.clone()).await?);
    let history = round::play(&stack, plan, 0, &options.limits).await?;
    let found = check(&history);
    Ok(found.iter().any(|violation| violation.invariant == wanted))
}
