//! What people and machines see of a run.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::context::{Doors, Target};
use crate::runner::{Judged, Options, Outcome};

/// The line that is shown when a test is over.
#[must_use]
pub fn progress(done: usize, of: usize, judged: &Judged) -> String {
    let word = word(judged.outcome);
    let name = judged.name;
    let mut line = format!(
        "[{done:>3}/{of}] {word:<4} {name} ({:.1} s)",
        judged.seconds
    );
    let remark = judged.remark();
    if judged.outcome == Outcome::Fail {
        let _ = write!(line, "\n          {remark}");
    } else if !remark.is_empty() {
        let _ = write!(line, ": {remark}");
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
            test.remark()
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

/// How many passed, failed, and weren't applicable; and how many of those that passed were judged in part only.
#[must_use]
pub fn sum(judged: &[Judged]) -> String {
    let count = |outcome| judged.iter().filter(|test| test.outcome == outcome).count();
    let in_part = match in_part(judged) {
        0 => String::new(),
        some => format!(" ({some} in part)"),
    };
    format!(
        "{} passed{in_part}, {} failed, {} not applicable",
        count(Outcome::Pass),
        count(Outcome::Fail),
        count(Outcome::NotApplicable)
    )
}

fn in_part(judged: &[Judged]) -> usize {
    let in_part = |test: &&Judged| test.outcome == Outcome::Pass && !test.not_judged.is_empty();
    judged.iter().filter(in_part).count()
}

/// The same for machines, with what was run against what. Nothing that is secret: of the database, only that it was
/// given.
#[must_use]
pub fn document(judged: &[Judged], options: &Options) -> Value {
    let count = |outcome| judged.iter().filter(|test| test.outcome == outcome).count();
    json!({
        "tool": "conformance",
        "version": env!("CARGO_PKG_VERSION"),
        "target": target(&options.target),
        "profile": options.profile,
        "timeScale": options.scale,
        "passed": count(Outcome::Pass),
        "passedInPart": in_part(judged),
        "failed": count(Outcome::Fail),
        "notApplicable": count(Outcome::NotApplicable),
        "tests": judged,
    })
}

fn target(target: &Target) -> Value {
    let doors = |doors: &Doors| json!({"rest": without_user(&doors.rest), "sourceGrpc": doors.source, "agentGrpc": doors.agent});
    json!({
        "server": doors(&target.first),
        "replica": target.second.as_ref().map(doors),
        "thirdReplicaSourceGrpc": target.third,
        "health": target.health.as_deref().map(without_user),
        "database": target.database.is_some(),
        "serverPid": target.pid,
        "tls": target.access.has_tls(),
        "clientCertificate": target.access.has_certificate(),
        "token": target.access.token().is_some(),
    })
}

/// An URL without name and password.
fn without_user(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url) else {
        return url.to_owned();
    };
    if parsed.username().is_empty() && parsed.password().is_none() {
        return url.to_owned();
    }
    // Only URLs without host refuse this, and they can't have either.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.to_string()
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "FAIL",
        Outcome::NotApplicable => "n/a",
    }
}
