//! I9: queues are bounded. I10: so is memory. I12: a walk misses nothing. I13: errors show no machinery.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, Violation, clock};
use crate::faults::history::{Answer, Call, Micros, Outcome, SECOND, Sample, What};
use crate::faults::index::{Index, Op, Stream};

/// So long after the last write, report and fault the tables hold nothing any more that should go, seconds. Servers look
/// after them every 30 s.
pub const DRAIN: f64 = 60.0;
/// An unanswered deletion is sent again on the same stream, but not more often than this, seconds.
const REMINDER: Micros = 10 * SECOND;

/// Text of machinery. `fk_resources_consumers` is a name that clients match on, and may be shown.
const MACHINERY: &[&str] = &[
    "SQLSTATE",
    "ERROR: ",
    "pq:",
    "pgx",
    "gorm",
    "violates foreign key",
    "violates unique",
    "duplicate key",
    "relation \"",
    "INSERT INTO",
    "insert into",
    "SELECT ",
    "UPDATE \"",
    "DELETE FROM",
    "delete from",
    "tokio_postgres",
    "rusqlite",
    "deadpool",
    "panicked",
    "goroutine",
    "nil pointer",
    "*errors.",
    "&{",
    "DbError",
    "Some(",
    "Err(",
];

pub(super) fn check(index: &Index<'_>, found: &mut Vec<Violation>) {
    samples(index, found);
    for stream in index.streams.values() {
        reminders(index, stream, found);
    }
    drained(index, found);
    for op in index.ops.values() {
        walk(index, op, found);
        wording(op, found);
    }
}

fn samples(index: &Index<'_>, found: &mut Vec<Violation>) {
    let cap = index.history.limits.memory;
    let mut told = BTreeSet::new();
    for entry in &index.history.entries {
        match &entry.what {
            What::Sample(Sample::Memory { replica, bytes })
                if *bytes > cap && told.insert(*replica) =>
            {
                let text = format!(
                    "server {replica} has grown to {} MiB, more than {} MiB",
                    bytes >> 20,
                    cap >> 20
                );
                found.push(Violation::new(Invariant::I10, entry.at, "", text));
            }
            What::Sample(Sample::PendingDeletes { id, count }) if *count > 1 => {
                let text = format!("{count} deletions of {id} are waiting");
                found.push(Violation::new(Invariant::I9, entry.at, id, text));
            }
            _ => {}
        }
    }
}

/// What has been handled goes, and so does what is older than it is kept.
fn drained(index: &Index<'_>, found: &mut Vec<Violation>) {
    let patience = index.history.limits.seconds(DRAIN);
    let mut quiet_since = 0;
    for entry in &index.history.entries {
        let busy = match &entry.what {
            What::Invoke { op, .. } | What::Return { op, .. } => {
                index.ops.get(op).is_some_and(|op| op.changes())
            }
            What::Fault { .. } | What::Over { .. } => true,
            _ => false,
        };
        if busy {
            quiet_since = entry.at;
        }
        let What::Tables { rows } = &entry.what else {
            continue;
        };
        if entry.at <= quiet_since + patience {
            continue;
        }
        for (what, count) in rows.iter().filter(|(_, count)| **count > 0) {
            let text = format!(
                "the database still holds {count} {what}, although all has been quiet since {}",
                clock(quiet_since)
            );
            found.push(Violation::new(Invariant::I9, entry.at, "", text));
        }
    }
}

/// However often callers repeat themselves, an agent gets one deletion, and a reminder now and then. Its creation and each update
/// before it may have made the server look at the work once, and find it deleting.
fn reminders(index: &Index<'_>, stream: &Stream<'_>, found: &mut Vec<Violation>) {
    let mut deletions: BTreeMap<(&str, Option<u32>), Vec<Micros>> = BTreeMap::new();
    for (at, spec) in stream.specs.iter().filter(|(_, spec)| spec.deleting) {
        let key = (spec.id.as_str(), spec.tag.map(|tag| tag.life));
        deletions.entry(key).or_default().push(*at);
    }
    for ((id, life), times) in deletions {
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            continue;
        };
        let span = usize::try_from((last - first) / REMINDER).unwrap_or(usize::MAX);
        // The event itself and the answer to a resync may cross.
        let life = index.lives.get(&(id, life.unwrap_or_default()));
        let updates = life.map_or(0, |life| life.updates.len());
        let most = 1 + stream.resyncs.max(1) + span + 1 + updates;
        if times.len() > most {
            let text = format!(
                "the deletion of {id} was sent {} times on stream {}, where {most} would do",
                times.len(),
                stream.number
            );
            found.push(Violation::new(Invariant::I9, *last, id, text));
        }
    }
}

/// I12: what was there all the time is on the list, once.
fn walk(index: &Index<'_>, op: &Op<'_>, found: &mut Vec<Violation>) {
    let (
        Call::Walk { source },
        Some((
            returned,
            Outcome::Ok {
                answer: Answer::Ids(ids),
            },
        )),
    ) = (op.call, op.returned)
    else {
        return;
    };
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id.as_str()) {
            let text = format!("{id} is on the list twice");
            found.push(Violation::new(Invariant::I12, returned, id, text));
        }
    }
    for life in index.lives.values().filter(|life| life.source == source) {
        let before = life.born().is_some_and(|born| born < op.invoked);
        let gone = index
            .lives_of(life.id)
            .filter_map(|life| life.first_farewell())
            .any(|said| said < returned);
        if before && !gone && !seen.contains(life.id) {
            let text = format!(
                "{} was there from {} on, but the list walked from {} to {} doesn't have it",
                life.id,
                clock(life.born().unwrap_or_default()),
                clock(op.invoked),
                clock(returned)
            );
            found.push(Violation::new(Invariant::I12, returned, life.id, text));
        }
    }
}

/// I13.
fn wording(op: &Op<'_>, found: &mut Vec<Violation>) {
    let Some((at, Outcome::Refused { text, .. } | Outcome::Unknown { text })) = op.returned else {
        return;
    };
    let words = without_operation(text);
    if let Some(word) = MACHINERY.iter().find(|word| words.contains(**word)) {
        let text = format!("an error shows {word:?}: {text}");
        let id = op.call.id().unwrap_or_default();
        found.push(Violation::new(Invariant::I13, at, id, text));
    }
}

/// An answer without the id of its operation: letters at random, which make a name of machinery now and then.
fn without_operation(text: &str) -> String {
    const KEY: &str = "\"operation_id\":\"";
    let Some((before, rest)) = text.split_once(KEY) else {
        return text.to_owned();
    };
    let after = rest.split_once('"').map_or("", |(_, after)| after);
    format!("{before}{after}")
}
