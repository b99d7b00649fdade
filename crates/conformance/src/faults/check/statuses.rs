//! I6: statuses never go back, and everybody ends with the last one. I2 and I8 for statuses.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, Violation};
use crate::faults::history::{Answer, Call, Outcome, Seen};
use crate::faults::index::{Index, Read, Stream};

pub(super) fn check(index: &Index<'_>, found: &mut Vec<Violation>) {
    let mut by_id: BTreeMap<&str, Vec<Read<'_>>> = BTreeMap::new();
    for read in index.reads() {
        by_id.entry(read.id).or_default().push(read);
    }
    let reported: BTreeSet<(&str, i64, i64)> = index
        .ops
        .values()
        .filter_map(|op| match op.call {
            Call::Report(report) if !report.deleted => {
                Some((report.id.as_str(), report.version, report.sequence))
            }
            _ => None,
        })
        .collect();
    for reads in by_id.values_mut() {
        reads.sort_by_key(|read| read.invoked);
        never_back(reads, found);
        for read in reads.iter() {
            accepted_stay(index, read, found);
            made_by_agent(&reported, read, found);
            of_this_life(read, found);
        }
    }
    for stream in index.streams.values() {
        stream_never_back(stream, found);
    }
    at_rest(index, found);
}

fn life_and_status(read: &Read<'_>) -> Option<(u32, Option<Seen>)> {
    let row = read.row?;
    Some((row.tag?.life, row.status))
}

/// Of two reads, the later one shows the same status or a newer one.
fn never_back(reads: &[Read<'_>], found: &mut Vec<Violation>) {
    let mut finished: Vec<&Read<'_>> = reads.iter().collect();
    finished.sort_by_key(|read| read.returned);
    let mut finished = finished.into_iter().peekable();
    let mut known: BTreeMap<u32, Seen> = BTreeMap::new();
    for read in reads {
        while let Some(earlier) = finished.next_if(|earlier| earlier.returned < read.invoked) {
            if let Some((life, Some(seen))) = life_and_status(earlier) {
                let newest = known.entry(life).or_insert(seen);
                if seen.order() > newest.order() {
                    *newest = seen;
                }
            }
        }
        let Some((life, status)) = life_and_status(read) else {
            continue;
        };
        let Some(newest) = known.get(&life) else {
            continue;
        };
        match status {
            None => {
                let text = format!("the status of {} is gone", read.id);
                found.push(Violation::new(Invariant::I8, read.returned, read.id, text));
            }
            Some(seen) if seen.order() < newest.order() => {
                let text = format!(
                    "the status of {} went back from {} to {}",
                    read.id,
                    show(*newest),
                    show(seen)
                );
                found.push(Violation::new(Invariant::I6, read.returned, read.id, text));
            }
            Some(_) => {}
        }
    }
}

/// A report that was accepted is there, or a newer one, while the spec is still the one it was about.
fn accepted_stay(index: &Index<'_>, read: &Read<'_>, found: &mut Vec<Violation>) {
    let Some((life, status)) = life_and_status(read) else {
        return;
    };
    let version = read.row.map_or(0, |row| row.version);
    let Some(life) = index.lives.get(&(read.id, life)) else {
        return;
    };
    for (op, report) in &life.reports {
        let accepted = match op.returned {
            Some((
                at,
                Outcome::Ok {
                    answer: Answer::Nothing,
                },
            )) => at < read.invoked,
            _ => false,
        };
        let about_this = report.version == version && !report.deleted;
        let there = status.is_some_and(|seen| seen.order() >= (report.version, report.sequence));
        if accepted && about_this && !there {
            let text = format!(
                "{} shows {}, but a report about version {} with sequence id {} had been accepted",
                read.id,
                status.map_or_else(|| "no status".to_owned(), show),
                report.version,
                report.sequence
            );
            found.push(Violation::new(Invariant::I2, read.returned, read.id, text));
        }
    }
}

/// Nobody but agents makes statuses.
fn made_by_agent(
    reported: &BTreeSet<(&str, i64, i64)>,
    read: &Read<'_>,
    found: &mut Vec<Violation>,
) {
    if let Some((_, Some(seen))) = life_and_status(read)
        && !reported.contains(&(read.id, seen.version, seen.sequence))
    {
        let text = format!("{} shows {}, which no agent reported", read.id, show(seen));
        found.push(Violation::new(Invariant::I8, read.returned, read.id, text));
    }
}

/// A status is about the life that it is shown with.
fn of_this_life(read: &Read<'_>, found: &mut Vec<Violation>) {
    if let Some((life, Some(seen))) = life_and_status(read)
        && let Some(tag) = seen.tag.filter(|tag| tag.life != life)
    {
        let text = format!(
            "life {life} of {} shows a status of life {}",
            read.id, tag.life
        );
        found.push(Violation::new(Invariant::I8, read.returned, read.id, text));
    }
}

/// On one stream the statuses of a life come in order. The final one is no longer compared: it counts whatever the agent's clock says.
fn stream_never_back(stream: &Stream<'_>, found: &mut Vec<Violation>) {
    let mut newest: BTreeMap<(&str, u32), Seen> = BTreeMap::new();
    for (at, status) in stream.statuses.iter().filter(|(_, status)| !status.deleted) {
        let Some(tag) = status.spec.or(status.seen.tag) else {
            continue;
        };
        let key = (status.id.as_str(), tag.life);
        let last = newest.entry(key).or_insert(status.seen);
        if status.seen.order() < last.order() {
            let text = format!(
                "on stream {} the status of {} went back from {} to {}",
                stream.number,
                status.id,
                show(*last),
                show(status.seen)
            );
            found.push(Violation::new(Invariant::I6, *at, &status.id, text));
        } else {
            *last = status.seen;
        }
    }
}

/// When all is quiet, what the agent reported last is stored, and is what subscribers know.
fn at_rest(index: &Index<'_>, found: &mut Vec<Violation>) {
    for (at, snapshot) in &index.snapshots {
        for row in snapshot.rows.values() {
            let stored = row.status.map(|seen| seen.sequence);
            let held = snapshot
                .clusters
                .get(&row.cluster)
                .and_then(|cluster| cluster.get(&row.id))
                .filter(|held| held.tag == row.tag);
            if let Some(held) = held
                && held.reported != stored
            {
                let text = format!(
                    "{} shows the status {stored:?}, but the last one that its agent reported is {:?}",
                    row.id, held.reported
                );
                found.push(Violation::new(Invariant::I6, *at, &row.id, text));
            }
            let Some(source) = snapshot.sources.get(&row.id) else {
                continue;
            };
            let Some(known) = snapshot.known.get(source) else {
                continue;
            };
            let known = known.get(&row.id).map(|seen| seen.sequence);
            if stored.is_some() && known != stored {
                let text = format!(
                    "{} shows the status {stored:?}, but its subscriber ended with {known:?}",
                    row.id
                );
                found.push(Violation::new(Invariant::I6, *at, &row.id, text));
            }
        }
    }
}

fn show(seen: Seen) -> String {
    format!("{} of version {}", seen.sequence, seen.version)
}
