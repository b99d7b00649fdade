//! I1: deletion is one-way. I4: it ends, and sources hear of it. I5: a row goes only after the objects. I11: nobody deletes unasked.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, Violation, clock};
use crate::faults::history::{Answer, Call, Listener, Micros, Outcome, Scope, Status};
use crate::faults::index::{Index, Life, Stream};

/// No spec is begun on any stream later than this after the deletion was accepted, seconds.
const STALE_SPEC: f64 = 2.0;
/// Sources know of the end within this time, seconds.
const LAST_WORDS: f64 = 10.0;

pub(super) fn check(index: &Index<'_>, found: &mut Vec<Violation>) {
    for stream in index.streams.values() {
        if let Listener::Agent(cluster) = stream.listener {
            nothing_after_deletion(stream, found);
            nothing_stale(index, stream, cluster, found);
            nothing_unasked(index, stream, found);
        }
    }
    rows_stay_until_farewell(index, found);
    let endings: Vec<_> = index
        .streams
        .values()
        .filter(|stream| matches!(stream.listener, Listener::Source(_)))
        .map(|stream| (stream, endings(stream)))
        .collect();
    for life in index.lives.values() {
        last_words(index, life, &endings, found);
    }
    at_rest(index, found);
}

/// I1, on one stream: no live spec of a life after its first deletion event.
fn nothing_after_deletion(stream: &Stream<'_>, found: &mut Vec<Violation>) {
    let mut deleted: BTreeMap<(&str, u32), Micros> = BTreeMap::new();
    for (at, spec) in &stream.specs {
        let Some(tag) = spec.tag else { continue };
        let key = (spec.id.as_str(), tag.life);
        if spec.deleting {
            deleted.entry(key).or_insert(*at);
        } else if let Some(since) = deleted.get(&key) {
            let text = format!(
                "{} came alive ({tag}, version {}) on stream {}, which had sent its deletion at {}",
                spec.id,
                spec.version,
                stream.number,
                clock(*since)
            );
            found.push(Violation::new(Invariant::I1, *at, &spec.id, text));
        }
    }
}

/// I1, across streams: nothing alive is sent long after the deletion was accepted.
fn nothing_stale(
    index: &Index<'_>,
    stream: &Stream<'_>,
    cluster: &str,
    found: &mut Vec<Violation>,
) {
    let patience = index.history.limits.seconds(STALE_SPEC);
    for (at, spec) in &stream.specs {
        let Some(tag) = spec.tag.filter(|_| !spec.deleting) else {
            continue;
        };
        let Some(life) = index.lives.get(&(spec.id.as_str(), tag.life)) else {
            continue;
        };
        let Some(doomed) = life.doomed() else {
            continue;
        };
        let late_stream = stream.opened > doomed + patience;
        // What a stalled connection held may come late.
        let late_event = *at > doomed + patience && !index.disturbed(cluster, doomed, *at);
        if late_stream || late_event {
            let text = format!(
                "{} came alive ({tag}) on stream {}, although its deletion was accepted at {}",
                spec.id,
                stream.number,
                clock(doomed)
            );
            found.push(Violation::new(Invariant::I1, *at, &spec.id, text));
        }
    }
}

/// I11: a deletion event needs somebody who asked for it.
fn nothing_unasked(index: &Index<'_>, stream: &Stream<'_>, found: &mut Vec<Violation>) {
    let mut told = BTreeSet::new();
    for (at, spec) in stream.specs.iter().filter(|(_, spec)| spec.deleting) {
        let asked = index.lives_of(&spec.id).any(|life| {
            let meant = spec.tag.is_none_or(|tag| tag.life == life.number);
            life.deletes
                .iter()
                .any(|op| op.invoked < *at && (meant || op.unknown()))
        });
        if !asked && told.insert(spec.id.as_str()) {
            let text = format!(
                "the agent was told to delete {}, and nobody had asked for that",
                spec.id
            );
            found.push(Violation::new(Invariant::I11, *at, &spec.id, text));
        }
    }
}

/// I5: a row that was accepted is there until its agent says that the objects are gone.
fn rows_stay_until_farewell(index: &Index<'_>, found: &mut Vec<Violation>) {
    // Times at which an id had no row: (id, asked, answered, how that was seen).
    let mut absences: Vec<(&str, Micros, Micros, String)> = Vec::new();
    for op in index.ops.values() {
        match (op.call, op.returned) {
            (
                Call::Get { id },
                Some((
                    at,
                    Outcome::Ok {
                        answer: Answer::Row(None),
                    },
                )),
            ) => absences.push((id, op.invoked, at, "it was not found".to_owned())),
            (Call::Create { id, tag, .. }, Some((at, Outcome::Ok { .. }))) => {
                let how = format!("it could be created again as life {}", tag.life);
                absences.push((id, op.invoked, at, how));
            }
            _ => {}
        }
    }
    for (at, snapshot) in &index.snapshots {
        for life in index.lives.values() {
            if !snapshot.rows.contains_key(life.id) {
                absences.push((life.id, *at, *at, "it is not on the list".to_owned()));
            }
        }
    }
    let mut told = BTreeSet::new();
    for (id, asked, answered, how) in absences {
        for life in index.lives_of(id) {
            let was_there = life.born().is_some_and(|born| born < asked);
            let farewell = life.first_farewell().is_some_and(|said| said < answered)
                || said_without_content(index, id, answered);
            if was_there && !farewell && told.insert((id, life.number)) {
                let asked_for = index.lives_of(id).any(|life| {
                    let mut deletes = life.deletes.iter();
                    deletes.any(|op| op.invoked < answered)
                });
                let (invariant, why) = if asked_for {
                    (
                        Invariant::I5,
                        "its agent never said that the objects are gone",
                    )
                } else {
                    (Invariant::I2, "nobody ever asked for its deletion")
                };
                let text = format!("life {} of {id} is gone ({how}), but {why}", life.number);
                found.push(Violation::new(invariant, answered, id, text));
            }
        }
    }
}

/// An agent that never got the content reports the end of the id without it.
fn said_without_content(index: &Index<'_>, id: &str, before: Micros) -> bool {
    index.ops.values().any(|op| match op.call {
        Call::Report(report) => {
            report.deleted && report.tag.is_none() && report.id == id && op.invoked < before
        }
        _ => false,
    })
}

/// The final statuses of a stream, by id.
type Endings<'h> = BTreeMap<&'h str, Vec<(Micros, &'h Status)>>;

fn endings<'h>(stream: &Stream<'h>) -> Endings<'h> {
    let mut endings = Endings::new();
    for (at, status) in stream.statuses.iter().filter(|(_, status)| status.deleted) {
        endings.entry(&status.id).or_default().push((*at, status));
    }
    endings
}

/// I4: every subscriber that listened all the time got the final status, whole.
fn last_words(
    index: &Index<'_>,
    life: &Life<'_>,
    streams: &[(&Stream<'_>, Endings<'_>)],
    found: &mut Vec<Violation>,
) {
    let mut farewells = life.reports.iter().filter(|(_, report)| report.deleted);
    let accepted = farewells.find_map(|(op, _)| op.succeeded());
    let (Some(first), Some(accepted), Some(doomed)) =
        (life.first_farewell(), accepted, life.doomed())
    else {
        return;
    };
    if doomed > first {
        return;
    }
    let patience = index.history.limits.seconds(LAST_WORDS);
    for (stream, endings) in streams {
        let listened = matches!(stream.listener, Listener::Source(name) if name == life.source)
            && stream.opened < first;
        let long_enough = match stream.closed {
            None => index.snapshots.iter().any(|(at, _)| *at > accepted),
            Some(closed) => {
                closed > accepted + patience && !stream_disturbed(index, life.source, first, closed)
            }
        };
        let heard: Vec<_> = endings
            .get(life.id)
            .into_iter()
            .flatten()
            .filter(|(_, status)| {
                let of = status.seen.tag.or(status.spec);
                of.is_some_and(|tag| tag.life == life.number)
            })
            .collect();
        if listened && long_enough && heard.is_empty() {
            let text = format!(
                "{} ended at {}, but the subscriber on stream {} never got the final status",
                life.id,
                clock(accepted),
                stream.number
            );
            found.push(Violation::new(Invariant::I4, accepted, life.id, text));
        }
        for (at, status) in heard {
            if status.spec.is_none() || !status.metadata {
                let text = format!(
                    "the final status of {} came without {}",
                    life.id,
                    if status.metadata {
                        "its spec"
                    } else {
                        "its metadata"
                    }
                );
                found.push(Violation::new(Invariant::I4, *at, life.id, text));
            }
        }
    }
}

fn stream_disturbed(index: &Index<'_>, source: &str, from: Micros, until: Micros) -> bool {
    index.disturbances.iter().any(|fault| {
        let concerns = match fault.scope {
            Scope::Everything | Scope::Replica(_) => true,
            Scope::Source(name) => name == source,
            Scope::Cluster(_) => false,
        };
        concerns && fault.from <= until && fault.until >= from
    })
}

/// When all is quiet, no deletion is open, and nothing is left of what ended.
fn at_rest(index: &Index<'_>, found: &mut Vec<Violation>) {
    for (at, snapshot) in &index.snapshots {
        for row in snapshot.rows.values().filter(|row| row.deleting) {
            let text = format!(
                "the deletion of {} didn't end although its agent is connected",
                row.id
            );
            found.push(Violation::new(Invariant::I4, *at, &row.id, text));
        }
        for (cluster, held) in &snapshot.clusters {
            for id in held.keys().filter(|id| !snapshot.rows.contains_key(*id)) {
                let text = format!("{id} has no row any more, but {cluster} still has its objects");
                found.push(Violation::new(Invariant::I5, *at, id, text));
            }
        }
        for (source, known) in &snapshot.known {
            for id in known.keys().filter(|id| !snapshot.rows.contains_key(*id)) {
                let text = format!("{id} has ended, but the subscriber of {source} doesn't know");
                found.push(Violation::new(Invariant::I4, *at, id, text));
            }
        }
    }
}
