//! I2: an accepted write stays. I8: spec writes and status writes leave each other alone; here the side of the spec.

use std::collections::BTreeMap;

use super::{Invariant, Violation, clock};
use crate::faults::history::{Call, Micros, Row, Tag};
use crate::faults::index::{Index, Life, Op, Read};

pub(super) fn check(index: &Index<'_>, found: &mut Vec<Violation>) {
    for life in index.lives.values() {
        no_two_updates_of_one_version(life, found);
    }
    let mut by_id: BTreeMap<&str, Vec<Read<'_>>> = BTreeMap::new();
    for read in index.reads() {
        by_id.entry(read.id).or_default().push(read);
    }
    for reads in by_id.values_mut() {
        reads.sort_by_key(|read| read.invoked);
        for read in reads.iter() {
            if let Some(row) = read.row {
                explained(index, read, row, found);
            }
        }
        never_back(reads, found);
    }
    for stream in index.streams.values() {
        for (at, spec) in &stream.specs {
            if let (Some(tag), false) = (spec.tag, spec.deleting) {
                content_fits(index, *at, &spec.id, spec.version, tag, found);
            }
        }
    }
}

/// Two writers that both read version n can't both succeed.
fn no_two_updates_of_one_version(life: &Life<'_>, found: &mut Vec<Violation>) {
    let mut winners: BTreeMap<i64, &Op<'_>> = BTreeMap::new();
    for op in &life.updates {
        let (Some(at), Some(expect @ 1..)) = (op.succeeded(), expected(op)) else {
            continue;
        };
        if let Some(other) = winners.insert(expect, op) {
            let text = format!(
                "updates {} and {} of {} were both accepted on top of version {expect}: one of them is lost",
                other.number, op.number, life.id
            );
            found.push(Violation::new(Invariant::I2, at, life.id, text));
        }
    }
}

/// What was read can be explained by the writes, and contains all that were accepted before.
fn explained(index: &Index<'_>, read: &Read<'_>, row: &Row, found: &mut Vec<Violation>) {
    let mut violation = |invariant, text| {
        found.push(Violation::new(invariant, read.returned, read.id, text));
    };
    let Some(tag) = row.tag else {
        violation(
            Invariant::I8,
            format!("{} is there without the content that was written", row.id),
        );
        return;
    };
    let Some(life) = index.lives.get(&(read.id, tag.life)) else {
        violation(
            Invariant::I8,
            format!("{} carries {tag}, which nobody wrote", row.id),
        );
        return;
    };
    if row.cluster != life.cluster {
        violation(
            Invariant::I8,
            format!("{} moved from {} to {}", row.id, life.cluster, row.cluster),
        );
    }
    for op in std::iter::once(&life.create).chain(&life.updates) {
        let least = least_version(op);
        if op.succeeded_before(read.invoked) && row.version < least {
            let text = format!(
                "{} is at version {} with {tag}, but operation {} had been accepted before and made version {least} or later",
                row.id, row.version, op.number
            );
            violation(Invariant::I2, text);
        }
        let other_made_it = exact_version(op) == Some(row.version) && op.number != tag.op;
        if op.succeeded_before(read.invoked) && other_made_it {
            let text = format!(
                "version {} of {} was made by operation {}, which had been accepted, but it carries {tag}",
                row.version, row.id, op.number
            );
            violation(Invariant::I2, text);
        }
    }
    let updates = life.updates.iter().filter(|op| !op.refused()).count()
        + index
            .lives_of(read.id)
            .filter(|other| other.number != life.number)
            .flat_map(|other| &other.updates)
            .filter(|op| op.unknown())
            .count();
    let most = 1 + i64::try_from(updates).unwrap_or(i64::MAX);
    if row.version > most {
        let text = format!(
            "{} is at version {}, but there were writes for {most} versions only",
            row.id, row.version
        );
        violation(Invariant::I8, text);
    }
    if let Some(doomed) = life.doomed()
        && doomed < read.invoked
        && !row.deleting
    {
        let text = format!(
            "{} is alive although its deletion was accepted at {}",
            row.id,
            clock(doomed)
        );
        violation(Invariant::I2, text);
    }
    content_fits(index, read.returned, read.id, row.version, tag, found);
}

/// The version is the one that the write with this content made.
fn content_fits(
    index: &Index<'_>,
    at: Micros,
    id: &str,
    version: i64,
    tag: Tag,
    found: &mut Vec<Violation>,
) {
    let Some(op) = index.ops.get(&tag.op) else {
        return;
    };
    if op.refused() {
        let text = format!(
            "{id} carries {tag}, but operation {} was refused",
            op.number
        );
        found.push(Violation::new(Invariant::I2, at, id, text));
    } else if exact_version(op).is_some_and(|made| made != version) {
        let text = format!(
            "{id} shows version {version} with {tag}, which belongs to version {}",
            exact_version(op).unwrap_or_default()
        );
        found.push(Violation::new(Invariant::I8, at, id, text));
    }
}

/// Within a life, versions only grow, and deletion has no way back.
fn never_back(reads: &[Read<'_>], found: &mut Vec<Violation>) {
    // By life: the highest version and the earliest deletion among reads that were answered before.
    let mut finished: Vec<&Read<'_>> = reads.iter().filter(|read| read.row.is_some()).collect();
    finished.sort_by_key(|read| read.returned);
    let mut finished = finished.into_iter().peekable();
    let mut known: BTreeMap<u32, (i64, bool)> = BTreeMap::new();
    for read in reads {
        while let Some(earlier) = finished.next_if(|earlier| earlier.returned < read.invoked) {
            if let Some((life, row)) = earlier.row.and_then(|row| Some((row.tag?.life, row))) {
                let (version, deleting) = known.entry(life).or_default();
                *version = (*version).max(row.version);
                *deleting |= row.deleting;
            }
        }
        let Some((life, row)) = read.row.and_then(|row| Some((row.tag?.life, row))) else {
            continue;
        };
        let Some((version, deleting)) = known.get(&life) else {
            continue;
        };
        if row.version < *version {
            let text = format!(
                "{} went back from version {version} to {}",
                row.id, row.version
            );
            found.push(Violation::new(Invariant::I2, read.returned, read.id, text));
        }
        if *deleting && !row.deleting {
            let text = format!("{} was deleting and is alive again", row.id);
            found.push(Violation::new(Invariant::I1, read.returned, read.id, text));
        }
    }
}

fn expected(op: &Op<'_>) -> Option<i64> {
    match op.call {
        Call::Update { expect, .. } => Some(*expect),
        _ => None,
    }
}

/// The version that the write made, if that is certain.
pub(super) fn exact_version(op: &Op<'_>) -> Option<i64> {
    match op.call {
        Call::Create { .. } => Some(1),
        Call::Update {
            expect: expect @ 1..,
            ..
        } => Some(expect + 1),
        _ => None,
    }
}

/// The version that the work has at least once the write is accepted.
pub(super) fn least_version(op: &Op<'_>) -> i64 {
    exact_version(op).unwrap_or(2)
}
