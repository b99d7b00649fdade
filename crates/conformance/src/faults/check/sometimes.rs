//! A history that holds proves little if nothing happened in it. These counters say which rare paths were walked.

use std::collections::{BTreeMap, BTreeSet};

use super::delivery;
use crate::faults::history::{Answer, Call, Listener, Load, Outcome, What};
use crate::faults::index::{Index, Life, Op};

/// Counts by name; each name is there, with 0 if it never happened.
#[must_use]
pub fn sometimes(index: &Index<'_>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    outcomes(index, &mut counts);
    overlaps(index, &mut counts);
    lives(index, &mut counts);
    streams(index, &mut counts);
    counts
}

type Counts = BTreeMap<&'static str, u64>;

fn count(counts: &mut Counts, name: &'static str, happened: bool) {
    *counts.entry(name).or_default() += u64::from(happened);
}

fn outcomes(index: &Index<'_>, counts: &mut Counts) {
    for op in index.ops.values() {
        let refused = |code: &str| match op.returned {
            Some((_, Outcome::Refused { code: class, .. })) => class == code,
            _ => false,
        };
        let write = matches!(
            op.call,
            Call::Create { .. } | Call::Update { .. } | Call::Delete { .. }
        );
        let report = matches!(op.call, Call::Report(_));
        count(counts, "write accepted", write && op.succeeded().is_some());
        count(counts, "write with unknown outcome", write && op.unknown());
        count(
            counts,
            "report accepted",
            report && op.succeeded().is_some(),
        );
        count(
            counts,
            "report with unknown outcome",
            report && op.unknown(),
        );
        count(counts, "refused: stale version", refused("Aborted"));
        count(counts, "refused: exists already", refused("AlreadyExists"));
        count(counts, "refused: deleting", refused("FailedPrecondition"));
        let walked = matches!(op.call, Call::Walk { .. }) && op.succeeded().is_some();
        count(counts, "list walked", walked);
        let later = matches!(
            op.returned,
            Some((
                _,
                Outcome::Ok {
                    answer: Answer::Later(_)
                }
            ))
        );
        count(counts, "report from a clock that stepped back", later);
    }
}

fn overlaps(index: &Index<'_>, counts: &mut Counts) {
    let end = |op: &Op<'_>| op.returned.map_or(index.end, |(at, _)| at);
    let overlap = |a: &Op<'_>, b: &Op<'_>| a.invoked <= end(b) && b.invoked <= end(a);
    let resyncs: Vec<_> = index
        .ops
        .values()
        .filter_map(|op| match op.call {
            Call::Resync { stream } => match index.streams.get(stream)?.listener {
                Listener::Agent(cluster) => Some((op, cluster.as_str())),
                Listener::Source(_) => None,
            },
            _ => None,
        })
        .collect();
    for life in index.lives.values() {
        for delete in &life.deletes {
            let during = life
                .reports
                .iter()
                .any(|(report, _)| overlap(delete, report));
            count(counts, "delete during a report", during);
            let during = life.updates.iter().any(|update| overlap(delete, update));
            count(counts, "delete during an update", during);
        }
        for update in &life.updates {
            let during = resyncs
                .iter()
                .any(|(resync, cluster)| *cluster == life.cluster && overlap(resync, update));
            count(counts, "resync during an update", during);
        }
    }
}

fn lives(index: &Index<'_>, counts: &mut Counts) {
    for life in index.lives.values() {
        let unknown: Vec<_> = std::iter::once(&life.create)
            .chain(&life.updates)
            .filter(|op| op.unknown())
            .collect();
        for op in unknown {
            let seen = index.streams.values().any(|stream| {
                let mut specs = stream.specs.iter();
                specs.any(|(_, spec)| spec.tag.is_some_and(|tag| tag.op == op.number))
            });
            count(counts, "unknown write that took effect", seen);
            count(counts, "unknown write that did nothing", !seen);
        }
        let again = life.number > 1 && life.born().is_some();
        count(counts, "id created again", again);
        for (report, _) in &life.reports {
            let mut later = index
                .lives_of(life.id)
                .skip_while(|next| next.number <= life.number);
            let born = later.find_map(Life::born);
            let late = born.is_some_and(|born| report.invoked > born);
            count(counts, "report of an earlier life", late);
        }
        let farewells = life.reports.iter().filter(|(_, report)| report.deleted);
        count(counts, "end reported more than once", farewells.count() > 1);
        let retried = life.deletes.len() > 1;
        count(counts, "delete retried", retried);
        for op in std::iter::once(&life.create).chain(&life.updates) {
            let asked = delivery::is_normal(index, life, op).is_some();
            count(counts, "delivery in 2 s checked", asked);
        }
    }
    let times = delivery::latencies(index);
    let mut compared = |name, load| {
        let times = times.get(&load).map_or(0, Vec::len);
        *counts.entry(name).or_default() += times as u64;
    };
    compared("delivery measured undisturbed (I7)", Load::Calm);
    compared("delivery compared beside neighbours (I7)", Load::Neighbour);
    compared("delivery compared beside a backlog (I7)", Load::Backlog);
    for entry in &index.history.entries {
        let looked = matches!(entry.what, What::Tables { .. });
        count(counts, "tables looked at (I9)", looked);
    }
}

fn streams(index: &Index<'_>, counts: &mut Counts) {
    let mut told: BTreeSet<(&str, Option<u32>)> = BTreeSet::new();
    for stream in index.streams.values() {
        count(counts, "stream ended", stream.closed.is_some());
        let mut here = BTreeSet::new();
        for (_, spec) in &stream.specs {
            count(counts, "spec lost by an agent", spec.dropped);
            count(
                counts,
                "orphan deleted",
                spec.deleting && spec.tag.is_none(),
            );
            let key = (spec.id.as_str(), spec.tag.map(|tag| tag.life));
            if spec.deleting && here.insert(key) {
                count(counts, "deletion on a second stream", !told.insert(key));
            }
        }
    }
}
