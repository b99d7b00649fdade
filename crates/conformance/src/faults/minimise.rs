//! The shortest story of a violation: only what concerns its works, as lines for people.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Invariant, Violation, check, clock};
use super::history::{Answer, Call, Entry, History, Listener, Number, Outcome, Scope, What};

/// Entries before and after which nothing is shown when a violation names no work.
const NEIGHBOURHOOD: usize = 60;
/// Histories longer than this aren't shortened further: each attempt checks the rest again.
const TRY_EACH: usize = 3000;

/// The part of the history that still shows the violation, or its neighbourhood if it shows only as a whole.
#[must_use]
pub fn story(history: &History, violation: &Violation) -> History {
    let mut short = concerning(history, violation);
    // The very same text: silence that was made by leaving something out is no evidence.
    let same = |candidate: &History| check(candidate).contains(violation);
    if short.entries.len() > TRY_EACH || !same(&short) {
        return short;
    }
    let mut units = units(&short);
    let mut portion = units.len().div_ceil(2);
    while portion > 0 {
        let mut from = 0;
        while from < units.len() {
            let until = (from + portion).min(units.len());
            let left_out: BTreeSet<usize> = units
                .get(from..until)
                .into_iter()
                .flatten()
                .flatten()
                .copied()
                .collect();
            let candidate = without(&short, &left_out);
            if same(&candidate) {
                short = candidate;
                units = self::units(&short);
            } else {
                from = until;
            }
        }
        portion /= 2;
    }
    short
}

/// Indices of entries that can only be left out together: a call and its answer, a stream and what came on it, a fault and its end.
/// Single events come last, so that a stream can also lose some of them.
fn units(history: &History) -> Vec<Vec<usize>> {
    let mut whole: BTreeMap<(u8, Number), Vec<usize>> = BTreeMap::new();
    let mut single = Vec::new();
    for (index, entry) in history.entries.iter().enumerate() {
        let unit = match &entry.what {
            What::Invoke { op, .. } | What::Return { op, .. } => (0, *op),
            What::Opened { stream, .. } | What::Closed { stream, .. } => (1, *stream),
            What::Spec(spec) => {
                single.push(vec![index]);
                (1, spec.stream)
            }
            What::Status(status) => {
                single.push(vec![index]);
                (1, status.stream)
            }
            What::Fault { fault, .. } | What::Over { fault } => (2, *fault as Number),
            _ => {
                single.push(vec![index]);
                continue;
            }
        };
        whole.entry(unit).or_default().push(index);
    }
    whole.into_values().chain(single).collect()
}

fn without(history: &History, left_out: &BTreeSet<usize>) -> History {
    let entries = history.entries.iter().enumerate();
    let kept = entries.filter(|(index, _)| !left_out.contains(index));
    History {
        limits: history.limits.clone(),
        entries: kept.map(|(_, entry)| entry.clone()).collect(),
    }
}

fn concerning(history: &History, violation: &Violation) -> History {
    let ids: BTreeSet<&str> = violation.ids.iter().map(String::as_str).collect();
    if ids.is_empty() {
        return neighbourhood(history, violation);
    }
    let mut ops = BTreeSet::new();
    let mut streams = BTreeSet::new();
    let mut clusters = BTreeSet::new();
    for entry in &history.entries {
        let concerned = entry.what.id().is_some_and(|id| ids.contains(id));
        match &entry.what {
            What::Invoke { op, call, .. } => {
                let walk =
                    matches!(call, Call::Walk { .. }) && violation.invariant == Invariant::I12;
                if concerned || walk {
                    ops.insert(*op);
                }
                if let (true, Call::Create { cluster, .. }) = (concerned, call) {
                    clusters.insert(cluster.clone());
                }
            }
            What::Spec(spec) if concerned => {
                streams.insert(spec.stream);
            }
            What::Status(status) if concerned => {
                streams.insert(status.stream);
            }
            _ => {}
        }
    }
    // Streams on which the silence is the point.
    for entry in &history.entries {
        match &entry.what {
            What::Opened {
                stream, listener, ..
            } => {
                let cluster = matches!(listener, Listener::Agent(name) if clusters.contains(name));
                let source =
                    matches!(listener, Listener::Source(_)) && violation.invariant == Invariant::I4;
                if cluster || source {
                    streams.insert(*stream);
                }
            }
            What::Invoke {
                op,
                call: Call::Resync { stream },
                ..
            } if streams.contains(stream) => {
                ops.insert(*op);
            }
            _ => {}
        }
    }
    let keep = |entry: &&Entry| match &entry.what {
        What::Invoke { op, .. } | What::Return { op, .. } => ops.contains(op),
        What::Opened { stream, .. } | What::Closed { stream, .. } => streams.contains(stream),
        What::Spec(_) | What::Status(_) => entry.what.id().is_some_and(|id| ids.contains(id)),
        What::Fault { .. } | What::Over { .. } | What::Snapshot(_) | What::Silent { .. } => true,
        What::Sample(_) | What::Tables { .. } => violation.invariant == Invariant::I9,
        What::Window { .. } => false,
    };
    let entries = history.entries.iter().filter(keep).map(|entry| Entry {
        at: entry.at,
        what: narrowed(&entry.what, &ids),
    });
    History {
        limits: history.limits.clone(),
        entries: entries.collect(),
    }
}

fn narrowed(what: &What, ids: &BTreeSet<&str>) -> What {
    let mut what = what.clone();
    if let What::Snapshot(snapshot) = &mut what {
        let keep = |id: &String| ids.contains(id.as_str());
        snapshot.rows.retain(|id, _| keep(id));
        snapshot.sources.retain(|id, _| keep(id));
        snapshot.lossy.retain(|id| keep(id));
        for held in snapshot.clusters.values_mut() {
            held.retain(|id, _| keep(id));
        }
        for known in snapshot.known.values_mut() {
            known.retain(|id, _| keep(id));
        }
    }
    what
}

fn neighbourhood(history: &History, violation: &Violation) -> History {
    let at = history
        .entries
        .partition_point(|entry| entry.at < violation.at);
    let from = at.saturating_sub(NEIGHBOURHOOD);
    let until = (at + NEIGHBOURHOOD).min(history.entries.len());
    let faults = |entry: &&Entry| {
        matches!(
            entry.what,
            What::Fault { .. }
                | What::Over { .. }
                | What::Silent { .. }
                | What::Sample(_)
                | What::Tables { .. }
        )
    };
    let around = history.entries.get(from..until).unwrap_or_default();
    History {
        limits: history.limits.clone(),
        entries: around.iter().filter(faults).cloned().collect(),
    }
}

/// One line an entry.
#[must_use]
pub fn lines(history: &History) -> Vec<String> {
    let line = |entry: &Entry| format!("{:>9}  {}", clock(entry.at), told(&entry.what));
    history.entries.iter().map(line).collect()
}

fn told(what: &What) -> String {
    match what {
        What::Invoke { op, actor, call } => format!("{actor} calls {op}: {}", told_call(call)),
        What::Return { op, outcome } => format!("  {op}: {}", told_outcome(outcome)),
        What::Opened {
            stream,
            listener,
            replica,
        } => {
            let who = match listener {
                Listener::Agent(cluster) => format!("the agent of {cluster}"),
                Listener::Source(source) => format!("a subscriber of {source}"),
            };
            format!("{who} opens stream {stream} on server {replica}")
        }
        What::Closed { stream, why } => format!("stream {stream} ends: {why}"),
        What::Spec(spec) => {
            let content = spec
                .tag
                .map_or_else(String::new, |tag| format!(" with {tag}"));
            let kind = if spec.deleting { "deletion" } else { "spec" };
            let lost = if spec.dropped {
                ", and the agent loses it"
            } else {
                ""
            };
            format!(
                "stream {}: {kind} of {}, version {}{content}{lost}",
                spec.stream, spec.id, spec.version
            )
        }
        What::Status(status) => {
            let kind = if status.deleted {
                "final status"
            } else {
                "status"
            };
            format!(
                "stream {}: {kind} of {}, version {}, sequence {}",
                status.stream, status.id, status.seen.version, status.seen.sequence
            )
        }
        What::Fault { fault, text, scope } => {
            let whom = match scope {
                Scope::Everything => "all",
                Scope::Replica(_) => "a server",
                Scope::Cluster(name) | Scope::Source(name) => name,
            };
            format!("FAULT {fault} ({whom}): {text}")
        }
        What::Over { fault } => format!("FAULT {fault} is over"),
        What::Silent { text } => format!("no answer: {text}"),
        What::Sample(sample) => format!("measured: {sample:?}"),
        What::Tables { rows } => format!("left in the tables: {rows:?}"),
        What::Window { load } => format!("window: {load:?}"),
        What::Snapshot(snapshot) => {
            let mut text = "at rest:".to_owned();
            for row in snapshot.rows.values() {
                text.push_str(&format!(" row {row:?}"));
            }
            for (cluster, held) in &snapshot.clusters {
                for (id, held) in held {
                    text.push_str(&format!("; {cluster} has {id}: {held:?}"));
                }
            }
            for (source, known) in &snapshot.known {
                for (id, seen) in known {
                    text.push_str(&format!("; {source} knows {id}: {seen:?}"));
                }
            }
            if snapshot.rows.is_empty() {
                text.push_str(" no row");
            }
            text
        }
    }
}

fn told_call(call: &Call) -> String {
    match call {
        Call::Create {
            id, cluster, tag, ..
        } => format!("create {id} in {cluster} with {tag}"),
        Call::Update { id, expect, tag } => format!("update {id} at version {expect} with {tag}"),
        Call::Delete { id, life } => format!("delete life {life} of {id}"),
        Call::Get { id } => format!("get {id}"),
        Call::Walk { source } => format!("list {source}"),
        Call::Resync { stream } => format!("resync on stream {stream}"),
        Call::Report(report) => format!(
            "report {} {} of version {} with sequence {}",
            if report.deleted { "the end of" } else { "on" },
            report.id,
            report.version,
            report.sequence
        ),
    }
}

fn told_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok { answer } => match answer {
            Answer::Nothing => "ok".to_owned(),
            Answer::Row(None) => "not found".to_owned(),
            Answer::Row(Some(row)) => format!("{row:?}"),
            Answer::Ids(ids) => format!("{} ids", ids.len()),
            Answer::Later(sequence) => format!("ok, but {sequence} is there already"),
        },
        Outcome::Refused { code, text } => format!("refused, {code}: {text}"),
        Outcome::Unknown { text } => format!("unknown: {text}"),
    }
}
