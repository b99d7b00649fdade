//! An adapter's report: what is refused, what is ignored, what it changes. The order of the checks is part of the protocol
//! (`docs/protocol/adapter-status.md`).

use std::{collections::HashSet, time::Duration};

use hyperfleet_types::{
    AdapterStatus, Code, Condition, ConditionReport, ConditionStatus,
    condition::{APPLIED, AVAILABLE, FINALIZED, HEALTH},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::family::{Draft, Family, Outcome, Plan, Write, owner};
use crate::{error::Rejection, registry::Registry};

/// How far ahead of our clock a report may be.
pub const MAX_FUTURE: Duration = Duration::from_secs(5 * 60);
/// How old a report may be.
pub const MAX_PAST: Duration = Duration::from_secs(30 * 60);
/// Adapters that may report about one resource.
pub const MAX_ADAPTERS: usize = 256;
/// Longest name of an adapter, bytes.
pub const MAX_ADAPTER_BYTES: usize = 253;
/// What every report must have, in the order in which a missing one is named.
const MANDATORY: [&str; 3] = [AVAILABLE, APPLIED, HEALTH];

/// A report as it came, before any check.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Incoming {
    /// Name of the adapter.
    pub adapter: String,
    /// Generation that was processed.
    pub observed_generation: i64,
    /// When the adapter looked.
    pub observed_time: Option<Timestamp>,
    /// Type, status, reason, message.
    pub conditions: Vec<(String, String, Option<String>, Option<String>)>,
    /// About the run itself.
    pub metadata: Option<Map<String, Value>>,
    /// Facts for others.
    pub data: Option<Map<String, Value>>,
}

/// A report that is valid in itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// About which resource.
    pub id: String,
    /// Name of the adapter.
    pub adapter: String,
    /// Generation that was processed.
    pub observed_generation: i32,
    /// When the adapter looked.
    pub observed_time: Timestamp,
    /// The whole set.
    pub conditions: Vec<ConditionReport>,
    /// About the run itself.
    pub metadata: Option<Map<String, Value>>,
    /// Facts for others.
    pub data: Map<String, Value>,
}

impl Report {
    /// Checks a report without looking at its resource.
    ///
    /// # Errors
    /// A [`Rejection`] for the first rule it breaks.
    pub fn check(id: &str, incoming: Incoming, now: Timestamp) -> Result<Self, Rejection> {
        if incoming.adapter.is_empty() {
            return Err(Rejection::invalid("adapter is required"));
        }
        if incoming.adapter.len() > MAX_ADAPTER_BYTES {
            return Err(Rejection::invalid(format!(
                "adapter must be at most {MAX_ADAPTER_BYTES} characters"
            )));
        }
        if incoming.observed_generation < 1 {
            return Err(Rejection::invalid("observed_generation must be >= 1"));
        }
        let observed_generation = i32::try_from(incoming.observed_generation).map_err(|_| {
            Rejection::invalid("field 'observed_generation' must be a 32-bit integer")
        })?;
        let mut conditions = Vec::with_capacity(incoming.conditions.len());
        let mut seen = HashSet::new();
        for (index, (type_, status, reason, message)) in incoming.conditions.into_iter().enumerate()
        {
            if type_.is_empty() {
                return Err(Rejection::invalid(format!(
                    "condition type cannot be empty at index {index}"
                )));
            }
            if !seen.insert(type_.clone()) {
                return Err(Rejection::invalid(format!(
                    "duplicate condition type '{type_}' at index {index}"
                )));
            }
            let status = status.parse::<ConditionStatus>().map_err(|_| {
                Rejection::invalid(format!(
                    "invalid status value '{status}' for condition at index {index} (type: {type_}): must be 'True', 'False', or 'Unknown'"
                ))
            })?;
            conditions.push(ConditionReport {
                type_,
                status,
                reason,
                message,
            });
        }
        let observed_time = incoming.observed_time.unwrap_or(now);
        let ahead = observed_time.duration_since(now);
        if ahead > signed(MAX_FUTURE) {
            return Err(Rejection::invalid(
                "observed_time must not be more than 5m0s in the future",
            ));
        }
        if -ahead > signed(MAX_PAST) {
            return Err(Rejection::invalid(
                "observed_time must not be more than 30m0s in the past",
            ));
        }
        Ok(Self {
            id: id.to_owned(),
            adapter: incoming.adapter,
            observed_generation,
            observed_time: super::microseconds(observed_time),
            conditions,
            metadata: incoming.metadata,
            data: incoming.data.unwrap_or_default(),
        })
    }

    fn status(&self, type_: &str) -> Option<ConditionStatus> {
        self.conditions
            .iter()
            .find(|condition| condition.type_ == type_)
            .map(|condition| condition.status)
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// What to do with a report that is valid in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Answer 204.
    Ignore,
    /// Answer 201, conditions of the resource stay.
    StoreOnly,
    /// Answer 201 and compute the conditions again.
    Store,
}

/// The first rule that matches decides.
fn judge(
    report: &Report,
    generation: i32,
    stored: Option<&AdapterStatus>,
) -> Result<Verdict, Rejection> {
    if report.observed_generation > generation {
        return Ok(Verdict::Ignore);
    }
    if let Some(stored) = stored {
        let outdated = report.observed_generation < stored.observed_generation
            || (report.observed_generation == stored.observed_generation
                && report.observed_time < stored.last_report_time);
        if outdated {
            return Ok(Verdict::Ignore);
        }
    }
    if let Some(missing) = MANDATORY
        .into_iter()
        .find(|type_| report.status(type_).is_none())
    {
        return Err(Rejection::invalid(format!(
            "missing mandatory condition '{missing}': all adapters must report Available, Applied, and Health"
        )));
    }
    Ok(match (report.status(AVAILABLE), stored) {
        (Some(ConditionStatus::Unknown), Some(_)) => Verdict::Ignore,
        (Some(ConditionStatus::Unknown), None) => Verdict::StoreOnly,
        _ => Verdict::Store,
    })
}

/// The row that results from a report.
fn row(report: &Report, stored: Option<&AdapterStatus>) -> AdapterStatus {
    let conditions = report.conditions.iter().map(|condition| {
        let before = stored
            .and_then(|stored| stored.condition(&condition.type_))
            .filter(|before| before.status == condition.status);
        Condition {
            report: condition.clone(),
            last_transition_time: before
                .map_or(report.observed_time, |before| before.last_transition_time),
        }
    });
    AdapterStatus {
        adapter: report.adapter.clone(),
        observed_generation: report.observed_generation,
        conditions: conditions.collect(),
        metadata: report.metadata.clone(),
        data: report.data.clone(),
        created_time: stored.map_or(report.observed_time, |stored| stored.created_time),
        last_report_time: report.observed_time,
    }
}

pub(super) fn report(
    registry: &Registry,
    report: &Report,
    family: Family,
    _now: Timestamp,
) -> Result<Plan, Rejection> {
    let id = &report.id;
    let mut draft = Draft::new(registry, family);
    let member = draft
        .member(id)
        .ok_or_else(|| Rejection::not_found("Resource", id))?;
    let stored = member
        .statuses
        .iter()
        .find(|status| status.adapter == report.adapter);
    let verdict = judge(report, member.resource.generation, stored)?;
    if verdict == Verdict::Ignore {
        return Ok(draft.finish(Outcome::Discarded));
    }
    if stored.is_none() && member.statuses.len() >= MAX_ADAPTERS {
        return Err(Rejection::invalid(format!(
            "at most {MAX_ADAPTERS} adapters may report about one resource"
        )));
    }
    let row = row(report, stored);
    let parent = owner(&member.resource).map(str::to_owned);
    if let Some(member) = draft.member_mut(id) {
        member
            .statuses
            .retain(|status| status.adapter != row.adapter);
        member.statuses.push(row.clone());
    }
    draft.write(Write::Status(id.clone(), Box::new(row.clone())));
    let finalized =
        report.status(FINALIZED) == Some(ConditionStatus::True) && draft.is_finalized(id);
    if verdict == Verdict::Store && finalized {
        draft.remove(id);
        draft.settle(parent);
    } else if draft
        .member(id)
        .is_some_and(|member| member.resource.is_deleting())
    {
        // A broken expression must not keep a deletion from ending.
        if verdict == Verdict::Store {
            draft.recompute_leniently(id);
        }
    } else {
        let computed = if verdict == Verdict::Store {
            draft.recompute(id)
        } else {
            draft.remap(id)
        };
        computed.map_err(|error| {
            Rejection::new(Code::Internal, format!("Condition mapping failed: {error}"))
        })?;
    }
    Ok(draft.finish(Outcome::Stored(Box::new(row))))
}

#[cfg(test)]
mod tests;
