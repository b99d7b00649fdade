//! The status of a work, built from what is known. A pure function: the old status gives the transition times, the
//! facts give the rest.
//!
//! See `docs/protocol/work-agent.md`, "Status".

mod limit;

use jiff::Timestamp;
use manifestwork::conditions::{self, Condition, ConditionStatus};
use manifestwork::constants::{condition, reason};
use manifestwork::{ManifestCondition, ResourceMeta, ResourceStatus, Status, StatusFeedback};

use super::feedback::Evaluated;
use super::rules::REASON_PREFIX;
use super::seen::Seen;
use crate::failure::Failure;

pub use limit::MAX_STATUS_BYTES;

/// What is known about a work.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The version that the status speaks about.
    pub generation: i64,
    /// Why nothing could be applied at all.
    pub problem: Option<&'a str>,
    /// One per manifest.
    pub manifests: Vec<ManifestFacts<'a>>,
    /// Whether the work is on its way out.
    pub deleting: bool,
    /// Why it can't go on its way.
    pub obstacle: Option<&'a str>,
    /// The consumer's name, once everything is gone.
    pub deleted: Option<&'a str>,
}

/// What is known about one manifest.
#[derive(Debug, Clone)]
pub struct ManifestFacts<'a> {
    /// Which object.
    pub meta: ResourceMeta,
    /// What came of its application; none before the first.
    pub applied: Option<Result<(), &'a Failure>>,
    /// The version that was applied.
    pub generation: i64,
    /// The object on the cluster.
    pub seen: &'a Seen,
    /// What its feedback rules gave; none without rules.
    pub feedback: Option<&'a Evaluated>,
    /// What its condition rules gave.
    pub rules: &'a [Condition],
}

/// Builds the status.
pub fn build(previous: &Status, facts: &Facts<'_>, now: Timestamp) -> Status {
    let left_out = limit::left_out(&facts.manifests);
    let manifests: Vec<ManifestCondition> = facts
        .manifests
        .iter()
        .enumerate()
        .map(|(index, manifest)| {
            let before = find(&previous.resource_status.manifests, &manifest.meta);
            manifest_status(before, manifest, left_out.get(&index), now)
        })
        .collect();
    let mut work = previous.conditions.clone();
    applied(&mut work, facts, now);
    available(&mut work, facts, now);
    rule_conditions(&mut work, &manifests, facts.generation, now);
    if facts.deleting {
        let text = match facts.obstacle {
            None => "ManifestWork is being deleted".to_owned(),
            Some(obstacle) => format!("ManifestWork is being deleted: {obstacle}"),
        };
        let deleting = Condition::new(condition::DELETING, true, "WorkDeleting", text);
        conditions::set(&mut work, deleting.observing(facts.generation), now);
    }
    if let Some(consumer) = facts.deleted {
        let text = format!("The manifests are deleted from the cluster {consumer}");
        let deleted = Condition::new(condition::DELETED, true, reason::MANIFESTS_DELETED, text);
        conditions::set(&mut work, deleted, now);
    }
    Status {
        conditions: work,
        resource_status: ResourceStatus { manifests },
    }
}

/// The old entry of a manifest: the one with the same name and ordinal, or the only one with the same name.
fn find<'a>(
    entries: &'a [ManifestCondition],
    meta: &ResourceMeta,
) -> Option<&'a ManifestCondition> {
    if let Some(exact) = entries.iter().find(|entry| entry.resource_meta == *meta) {
        return Some(exact);
    }
    let same = |entry: &&ManifestCondition| {
        let moved = ResourceMeta {
            ordinal: meta.ordinal,
            ..entry.resource_meta.clone()
        };
        moved == *meta
    };
    let mut matching = entries.iter().filter(same);
    let first = matching.next()?;
    matching.next().is_none().then_some(first)
}

fn manifest_status(
    before: Option<&ManifestCondition>,
    facts: &ManifestFacts<'_>,
    left_out: Option<&limit::LeftOut>,
    now: Timestamp,
) -> ManifestCondition {
    let mut status = before.cloned().unwrap_or_default();
    status.resource_meta = facts.meta.clone();
    let list = &mut status.conditions;
    if let Some(applied) = facts.applied {
        let new = match applied {
            Ok(()) => Condition::new(
                condition::APPLIED,
                true,
                reason::APPLIED_MANIFEST_COMPLETE,
                "Apply manifest complete",
            )
            .observing(facts.generation),
            Err(failure) => failure.condition(condition::APPLIED, facts.generation),
        };
        let of_another_version = conditions::find(list, condition::APPLIED)
            .is_some_and(|old| old.observed_generation != facts.generation);
        if of_another_version {
            conditions::remove(list, condition::APPLIED);
        }
        conditions::set(list, new, now);
    }
    if let Some(available) = manifest_available(facts.seen) {
        conditions::set(list, available, now);
    }
    match facts.seen.terminating() {
        Some(terminating) => {
            conditions::set(list, terminating.condition(), now);
        }
        None => {
            conditions::remove(list, condition::DELETING);
        }
    }
    if matches!(facts.seen, Seen::Present { .. }) {
        synced(&mut status, facts, left_out, now);
        let list = &mut status.conditions;
        list.retain(|old| {
            !(old.reason.starts_with(REASON_PREFIX) && old.observed_generation != facts.generation)
        });
        for rule in facts.rules {
            conditions::set(list, rule.clone(), now);
        }
    }
    status
}

fn manifest_available(seen: &Seen) -> Option<Condition> {
    let (status, reason, message) = match seen {
        Seen::NotYet => return None,
        Seen::Present { .. } => (
            ConditionStatus::True,
            "ResourceAvailable",
            "Resource is available",
        ),
        Seen::Absent => (
            ConditionStatus::False,
            "ResourceNotAvailable",
            "Resource is not available",
        ),
        Seen::Unreadable { message, .. } => {
            let text = format!("Failed to fetch resource: {message}");
            return Some(Condition::new(
                condition::AVAILABLE,
                ConditionStatus::Unknown,
                "FetchingResourceFailed",
                text,
            ));
        }
        Seen::Incomplete => (
            ConditionStatus::Unknown,
            "IncompleteResourceMeta",
            "Resource meta is incomplete",
        ),
    };
    Some(Condition::new(
        condition::AVAILABLE,
        status,
        reason,
        message,
    ))
}

/// Feedback values and their condition, whose time is that of the last change of a value.
fn synced(
    status: &mut ManifestCondition,
    facts: &ManifestFacts<'_>,
    left_out: Option<&limit::LeftOut>,
    now: Timestamp,
) {
    let (values, new) = match facts.feedback {
        None => (
            Vec::new(),
            Condition::new(
                condition::STATUS_FEEDBACK_SYNCED,
                true,
                "NoStatusFeedbackSynced",
                "",
            ),
        ),
        Some(evaluated) => {
            let mut values = evaluated.values.clone();
            let new = if let Some(left_out) = left_out {
                values.retain(|value| !left_out.names.contains(&value.name));
                Condition::new(
                    condition::STATUS_FEEDBACK_SYNCED,
                    false,
                    reason::TOO_LARGE,
                    left_out.message(),
                )
            } else if let Some(error) = &evaluated.error {
                Condition::new(
                    condition::STATUS_FEEDBACK_SYNCED,
                    false,
                    "StatusFeedbackSyncFailed",
                    format!("Sync status feedback failed with error {error}"),
                )
            } else {
                Condition::new(
                    condition::STATUS_FEEDBACK_SYNCED,
                    true,
                    "StatusFeedbackSynced",
                    "",
                )
            };
            (values, new)
        }
    };
    if status.status_feedback.values != values {
        conditions::remove(&mut status.conditions, condition::STATUS_FEEDBACK_SYNCED);
        status.status_feedback = StatusFeedback { values };
    }
    conditions::set(&mut status.conditions, new, now);
}

fn applied(work: &mut Vec<Condition>, facts: &Facts<'_>, now: Timestamp) {
    let failed = "AppliedManifestWorkFailed";
    let new = if let Some(problem) = facts.problem {
        let text = format!("Failed to apply manifest work: {problem}");
        Condition::new(condition::APPLIED, false, failed, text)
    } else {
        let known: Vec<bool> = facts
            .manifests
            .iter()
            .filter_map(|manifest| manifest.applied.map(|result| result.is_ok()))
            .collect();
        if known.is_empty() {
            return;
        }
        if known.iter().all(|ok| *ok) {
            Condition::new(
                condition::APPLIED,
                true,
                reason::APPLIED_WORK_COMPLETE,
                "Apply manifest work complete",
            )
        } else {
            Condition::new(
                condition::APPLIED,
                false,
                failed,
                "Failed to apply manifest work",
            )
        }
    };
    let generation = facts
        .manifests
        .iter()
        .map(|manifest| manifest.generation)
        .max()
        .filter(|_| facts.problem.is_none())
        .unwrap_or(facts.generation);
    conditions::set(work, new.observing(generation), now);
}

fn available(work: &mut Vec<Condition>, facts: &Facts<'_>, now: Timestamp) {
    if facts.problem.is_some() && facts.manifests.is_empty() {
        return;
    }
    let all = &facts.manifests;
    if all.iter().any(|manifest| *manifest.seen == Seen::NotYet) {
        return;
    }
    let count = |wanted: fn(&Seen) -> bool| all.iter().filter(|m| wanted(m.seen)).count();
    let total = all.len();
    let absent = count(|seen| matches!(seen, Seen::Absent));
    let unknown = count(|seen| matches!(seen, Seen::Unreadable { .. } | Seen::Incomplete));
    let (status, reason, message) = if absent > 0 {
        let text = format!("{absent} of {total} resources are not available");
        (ConditionStatus::False, "ResourcesNotAvailable", text)
    } else if unknown > 0 {
        let text = format!("{unknown} of {total} resources have unknown status");
        (ConditionStatus::Unknown, "ResourcesStatusUnknown", text)
    } else if total == 0 {
        // The trailing blank is what the peers write.
        let text = "cannot get any available resource ".to_owned();
        (ConditionStatus::Unknown, "ResourcesStatusUnknown", text)
    } else {
        let text = "All resources are available".to_owned();
        (ConditionStatus::True, "ResourcesAvailable", text)
    };
    let new = Condition::new(condition::AVAILABLE, status, reason, message);
    conditions::set(work, new.observing(facts.generation), now);
}

/// Conditions by rules, aggregated over the manifests that have them.
fn rule_conditions(
    work: &mut Vec<Condition>,
    manifests: &[ManifestCondition],
    generation: i64,
    now: Timestamp,
) {
    let mut by_type: Vec<(&str, Vec<&Condition>)> = Vec::new();
    for condition in manifests.iter().flat_map(|manifest| &manifest.conditions) {
        if !condition.reason.starts_with(REASON_PREFIX) {
            continue;
        }
        match by_type
            .iter_mut()
            .find(|(type_, _)| *type_ == condition.type_)
        {
            Some((_, list)) => list.push(condition),
            None => by_type.push((&condition.type_, vec![condition])),
        }
    }
    work.retain(|old| {
        !(old.reason.starts_with(REASON_PREFIX)
            && (old.observed_generation != generation
                || !by_type.iter().any(|(type_, _)| *type_ == old.type_)))
    });
    for (type_, list) in by_type {
        let any = |status| list.iter().any(|condition| condition.status == status);
        // Progress is made if anybody makes some; everything else holds only if it holds everywhere.
        let order = if type_ == condition::PROGRESSING {
            [ConditionStatus::True, ConditionStatus::Unknown]
        } else {
            [ConditionStatus::False, ConditionStatus::Unknown]
        };
        let rest = if type_ == condition::PROGRESSING {
            ConditionStatus::False
        } else {
            ConditionStatus::True
        };
        let status = order
            .into_iter()
            .find(|status| any(*status))
            .unwrap_or(rest);
        let message = match list.as_slice() {
            [one] if !one.message.is_empty() => one.message.clone(),
            many => format!("Aggregated from {} manifest conditions", many.len()),
        };
        let new = Condition::new(type_, status, "ConditionRulesAggregated", message);
        conditions::set(work, new.observing(generation), now);
    }
}

#[cfg(test)]
mod tests;
