//! What people and machines see of a run.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::runner::{Judged, Outcome};

/// The line that is shown when a test is over.
#[must_use]
pub fn progress(done: usize, of: usize, judged: &Judged) -> String {
    let word = word(judged.outcome);
    let name = judged.name;
    let mut line = format!(
        "[{done:>3}/{of}] {word:<4} {name} ({:.1} s)",
        judged.seconds
    );
    if judged.outcome == Outcome::Fail {
        let _ = write!(line, "\n          {}", judged.reason);
    }
    line
}

/// The table, what failed with what was seen, and the sum.
#[must_use]
pub fn table(judged: &[Judged]) -> String {
    let mut text = String::new();
    let width = judged.iter().map(|test| test.name.len()).max().unwrap_or(0);
    for test in judged {
        let group = format!("{:?}", test.group).to_lowercase();
        let _ = writeln!(
            text,
            "{:<4}  {group:<12}  {:<width$}  {:>6.1} s  {}",
            word(test.outcome),
            test.name,
            test.seconds,
            test.reason
        );
    }
    for test in judged.iter().filter(|test| test.outcome == Outcome::Fail) {
        let _ = writeln!(
            text,
            "\nFAIL {}\n  must hold: {}\n  {}",
            test.name, test.says, test.reason
        );
        for line in &test.recording {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = write!(text, "\n{}", sum(judged));
    text
}

/// How many passed, failed, and weren't applicable.
#[must_use]
pub fn sum(judged: &[Judged]) -> String {
    let count = |outcome| judged.iter().filter(|test| test.outcome == outcome).count();
    format!(
        "{} passed, {} failed, {} not applicable",
        count(Outcome::Pass),
        count(Outcome::Fail),
        count(Outcome::NotApplicable)
    )
}

/// The same for machines.
#[must_use]
pub fn document(judged: &[Judged]) -> Value {
    let count = |outcome| judged.iter().filter(|test| test.outcome == outcome).count();
    json!({
        "passed": count(Outcome::Pass),
        "failed": count(Outcome::Fail),
        "notApplicable": count(Outcome::NotApplicable),
        "tests": judged,
    })
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "FAIL",
        Outcome::NotApplicable => "n/a",
    }
}
