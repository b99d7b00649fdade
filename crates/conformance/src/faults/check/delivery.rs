//! I3: what is accepted reaches the cluster. I7: at the same pace, whatever its neighbours do.

use std::collections::BTreeMap;

use super::writes::{exact_version, least_version};
use super::{Invariant, Violation, clock};
use crate::faults::history::{Call, Listener, Load, Micros, SECOND, What};
use crate::faults::index::{Index, Life, Op};

/// Without faults a write is delivered within this time, seconds.
const DELIVERY: f64 = 2.0;
/// So long after a fault things may still be slow, seconds.
const RECOVERY: f64 = 30.0;
/// Fewer deliveries than this say nothing about a 99th percentile.
const ENOUGH: usize = 100;
/// What neighbours may add to the 99th percentile in any case, seconds.
const SLACK: f64 = 0.010;

pub(super) fn check(index: &Index<'_>, found: &mut Vec<Violation>) {
    at_rest(index, found);
    for life in index.lives.values() {
        for op in std::iter::once(&life.create).chain(&life.updates) {
            if is_normal(index, life, op) == Some(false) {
                let text = format!(
                    "{} was accepted (operation {}) and nothing was broken, but {} hadn't got it {DELIVERY} s later",
                    life.id, op.number, life.cluster
                );
                let at = op.succeeded().unwrap_or(op.invoked);
                found.push(Violation::new(Invariant::I3, at, life.id, text));
            }
        }
    }
    pace(index, found);
}

/// When all is quiet, each cluster has each of its works, at the current version.
fn at_rest(index: &Index<'_>, found: &mut Vec<Violation>) {
    for (at, snapshot) in &index.snapshots {
        for row in snapshot.rows.values().filter(|row| !row.deleting) {
            let held = snapshot
                .clusters
                .get(&row.cluster)
                .and_then(|cluster| cluster.get(&row.id));
            let text = match held {
                Some(held) if held.version == row.version && held.tag == row.tag => continue,
                Some(held) => format!(
                    "{} has version {} of {}, and the server has {}",
                    row.cluster, held.version, row.id, row.version
                ),
                None => format!("{} never got {}", row.cluster, row.id),
            };
            found.push(Violation::new(Invariant::I3, *at, &row.id, text));
        }
    }
}

/// Whether a write was delivered in time; `None` if that can't be asked of it.
pub(super) fn is_normal(index: &Index<'_>, life: &Life<'_>, op: &Op<'_>) -> Option<bool> {
    let accepted = op.succeeded()?;
    let deadline = accepted + index.history.limits.seconds(DELIVERY);
    let calm_since = accepted.saturating_sub(index.history.limits.seconds(RECOVERY));
    if deadline > index.end || index.disturbed(life.cluster, calm_since, deadline) {
        return None;
    }
    let streams = || {
        index.streams.values().filter(
            |stream| matches!(stream.listener, Listener::Agent(cluster) if cluster == life.cluster),
        )
    };
    let connected = streams().any(|stream| {
        stream.opened + SECOND < op.invoked && stream.closed.is_none_or(|closed| closed > deadline)
    });
    if !connected {
        return None;
    }
    let version = least_version(op);
    let superseded = life.deletes.iter().any(|delete| delete.invoked <= deadline);
    let mut specs = streams().flat_map(|stream| &stream.specs);
    let delivered = specs.any(|(at, spec)| {
        let same_life = spec.tag.is_none_or(|tag| tag.life == life.number);
        *at <= deadline
            && spec.id == life.id
            && same_life
            && (spec.version >= version || spec.deleting)
    });
    if superseded && !delivered {
        return None;
    }
    Some(delivered)
}

/// The 99th percentile of quiet clusters while others are in trouble, against the same while nobody is.
fn pace(index: &Index<'_>, found: &mut Vec<Violation>) {
    let times = latencies(index);
    let measured = |load| {
        let times = times.get(&load).filter(|times| times.len() >= ENOUGH)?;
        Some(percentile_99(times))
    };
    let Some(calm) = measured(Load::Calm) else {
        return;
    };
    let limits = &index.history.limits;
    let twice = limits.seconds(2.0).saturating_mul(calm) / SECOND;
    let limit = twice.max(calm + limits.seconds(SLACK));
    for load in Load::TROUBLE {
        if let Some(loaded) = measured(load).filter(|loaded| *loaded > limit) {
            let text = format!(
                "the 99th percentile of deliveries rose from {} to {} {load}",
                clock(calm),
                clock(loaded)
            );
            found.push(Violation::new(Invariant::I7, index.end, "", text));
        }
    }
}

/// From the call of a create to its arrival, in clusters that no fault of the window hit.
pub(crate) fn latencies(index: &Index<'_>) -> BTreeMap<Load, Vec<Micros>> {
    let mut windows: Vec<(Micros, Micros, Load)> = Vec::new();
    let mut open = None;
    for entry in &index.history.entries {
        if let What::Window { load } = &entry.what {
            if let Some((from, load)) = open.take() {
                windows.push((from, entry.at, load));
            }
            open = load.map(|load| (entry.at, load));
        }
    }
    let mut arrived: BTreeMap<(&str, i64), Micros> = BTreeMap::new();
    for stream in index.streams.values() {
        for (at, spec) in &stream.specs {
            let first = arrived.entry((&spec.id, spec.version)).or_insert(*at);
            *first = (*first).min(*at);
        }
    }
    let mut times: BTreeMap<Load, Vec<Micros>> = BTreeMap::new();
    for life in index.lives.values() {
        let op = &life.create;
        let Call::Create { cluster, .. } = op.call else {
            continue;
        };
        let window = windows
            .iter()
            .find(|(from, until, _)| (*from..*until).contains(&op.invoked));
        let (Some((from, until, load)), Some(version)) = (window, exact_version(op)) else {
            continue;
        };
        if op.succeeded().is_none() || index.disturbed(cluster, *from, *until) {
            continue;
        }
        // What hasn't come counts as coming at the end.
        let at = arrived
            .get(&(life.id, version))
            .copied()
            .unwrap_or(index.end);
        times
            .entry(*load)
            .or_default()
            .push(at.saturating_sub(op.invoked));
    }
    times
}

/// The time within which 99 of 100 came.
#[must_use]
pub fn percentile_99(times: &[Micros]) -> Micros {
    let mut times = times.to_vec();
    times.sort_unstable();
    let index = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(index).copied().unwrap_or_default()
}
