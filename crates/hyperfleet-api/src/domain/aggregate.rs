//! From what adapters reported to the conditions of a resource. See `docs/protocol/adapter-status.md`.
//!
//! Deterministic: the reference time is the resource's `updated_time`, never the clock, so that the same facts always give the
//! same conditions and an unchanged result needs no write.

use hyperfleet_types::{
    AdapterStatus, ConditionStatus, ResourceCondition,
    condition::{AVAILABLE, FINALIZED, LAST_KNOWN_RECONCILED, RECONCILED},
};
use jiff::Timestamp;

use crate::registry::adapter_condition;

/// The facts.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Adapters that count, in the order of the configuration.
    pub required: &'a [String],
    /// Generation of the resource.
    pub generation: i32,
    /// `updated_time` of the resource.
    pub reference_time: Timestamp,
    /// Whether deletion was asked for.
    pub deleting: bool,
    /// Whether any child exists, being deleted or not.
    pub has_children: bool,
    /// The last report of each adapter.
    pub statuses: &'a [AdapterStatus],
    /// Conditions as they are stored.
    pub previous: &'a [ResourceCondition],
}

/// What one required adapter says.
#[derive(Debug, Clone, Copy)]
struct Snapshot<'a> {
    adapter: &'a str,
    status: &'a AdapterStatus,
    available: bool,
    finalized: bool,
}

impl Snapshot<'_> {
    fn time(&self) -> Timestamp {
        self.status.last_report_time
    }

    fn generation(&self) -> i32 {
        self.status.observed_generation
    }
}

/// The conditions of a resource: `Reconciled`, `LastKnownReconciled`, and one per adapter that reported.
pub fn aggregate(inputs: &Inputs<'_>) -> Vec<ResourceCondition> {
    let snapshots: Vec<Snapshot<'_>> = inputs
        .required
        .iter()
        .filter_map(|adapter| snapshot(inputs, adapter))
        .collect();
    let mut conditions = vec![
        reconciled(inputs, &snapshots),
        last_known(inputs, &snapshots),
    ];
    conditions.extend(snapshots.iter().map(|snapshot| adapter(inputs, snapshot)));
    conditions
}

/// The report of `adapter`, unless it speaks of a generation that does not exist or does not know.
fn snapshot<'a>(inputs: &Inputs<'a>, adapter: &'a str) -> Option<Snapshot<'a>> {
    let status = inputs
        .statuses
        .iter()
        .find(|status| status.adapter == adapter)?;
    if status.observed_generation > inputs.generation {
        return None;
    }
    let available = match status.condition(AVAILABLE)?.status {
        ConditionStatus::True => true,
        ConditionStatus::False => false,
        ConditionStatus::Unknown => return None,
    };
    Some(Snapshot {
        adapter,
        status,
        available,
        finalized: status.is_true(FINALIZED),
    })
}

fn previous<'a>(inputs: &Inputs<'a>, type_: &str) -> Option<&'a ResourceCondition> {
    inputs
        .previous
        .iter()
        .find(|condition| condition.type_ == type_)
}

// === Reconciled ===

fn reconciled(inputs: &Inputs<'_>, snapshots: &[Snapshot<'_>]) -> ResourceCondition {
    let done = |snapshot: &Snapshot<'_>| {
        snapshot.generation() == inputs.generation
            && if inputs.deleting {
                snapshot.finalized
            } else {
                snapshot.available
            }
    };
    let missing: Vec<&str> = inputs
        .required
        .iter()
        .map(String::as_str)
        .filter(|adapter| {
            !snapshots
                .iter()
                .any(|snapshot| snapshot.adapter == *adapter && done(snapshot))
        })
        .collect();
    let adapters_done = missing.is_empty() && !inputs.required.is_empty();
    let waiting = inputs.deleting && inputs.has_children;
    let (status, reason, message) = if adapters_done && !waiting {
        let message = "All required adapters reported Available=True or Finalized=True at the current generation";
        (true, "ReconciledAll", message.to_owned())
    } else if adapters_done {
        let message = "Deletion in progress. All required adapters reported Finalized=True but child resources still exist";
        (false, "ReconciledWaitingForChildren", message.to_owned())
    } else {
        let wanted = if inputs.deleting {
            FINALIZED
        } else {
            AVAILABLE
        };
        let reporting = snapshots.iter().map(|snapshot| snapshot.adapter).collect();
        let message = format!(
            "Required adapters not reporting {wanted}=True: [{}]. Currently reporting: [{}]",
            sorted(missing),
            sorted(reporting)
        );
        (false, "ReconciledMissingAdapters", message)
    };
    let previous = previous(inputs, RECONCILED);
    let current = snapshots
        .iter()
        .filter(|snapshot| snapshot.generation() == inputs.generation);
    let last_updated = current
        .map(Snapshot::time)
        .min()
        .unwrap_or(inputs.reference_time);
    let last_transition = match previous {
        None => last_updated,
        Some(before) if before.status.is_true() == status => before.last_transition_time,
        Some(before) if !status && inputs.generation > before.observed_generation => {
            inputs.reference_time
        }
        Some(_) => last_updated,
    };
    ResourceCondition {
        type_: RECONCILED.to_owned(),
        status: status.into(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        observed_generation: inputs.generation,
        created_time: previous.map_or(inputs.reference_time, |before| before.created_time),
        last_updated_time: last_updated,
        last_transition_time: last_transition,
    }
}

fn sorted(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    names.join(", ")
}

// === LastKnownReconciled ===

/// What the snapshots of all required adapters have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// No adapter is required.
    NobodyAsked,
    /// At least one has no snapshot.
    Incomplete,
    /// All available at this generation.
    Available(i32),
    /// All available, at different generations.
    Mixed,
    /// At least one is not available.
    NotAvailable,
}

fn agreement(inputs: &Inputs<'_>, snapshots: &[Snapshot<'_>]) -> Agreement {
    let Some(first) = snapshots.first() else {
        return if inputs.required.is_empty() {
            Agreement::NobodyAsked
        } else {
            Agreement::Incomplete
        };
    };
    if snapshots.len() < inputs.required.len() {
        Agreement::Incomplete
    } else if !snapshots.iter().all(|snapshot| snapshot.available) {
        Agreement::NotAvailable
    } else if snapshots
        .iter()
        .all(|snapshot| snapshot.generation() == first.generation())
    {
        Agreement::Available(first.generation())
    } else {
        Agreement::Mixed
    }
}

fn last_known(inputs: &Inputs<'_>, snapshots: &[Snapshot<'_>]) -> ResourceCondition {
    let before = previous(inputs, LAST_KNOWN_RECONCILED);
    let was_true = before.is_some_and(|before| before.status.is_true());
    let agreement = agreement(inputs, snapshots);
    let status = match agreement {
        Agreement::NobodyAsked | Agreement::Incomplete => false,
        Agreement::Available(_) => true,
        Agreement::Mixed => was_true,
        Agreement::NotAvailable => {
            let tracked = before.map(|before| before.observed_generation);
            was_true
                && !snapshots
                    .iter()
                    .any(|snapshot| !snapshot.available && Some(snapshot.generation()) == tracked)
        }
    };
    let observed_generation = match agreement {
        Agreement::NobodyAsked => 1,
        Agreement::Available(generation) => generation,
        _ if status => before.map_or(1, |before| before.observed_generation),
        _ => snapshots
            .iter()
            .map(Snapshot::generation)
            .max()
            .or(before.map(|before| before.observed_generation))
            .unwrap_or(1),
    };
    let earliest = |at: Option<i32>| {
        let spoken = snapshots
            .iter()
            .filter(|snapshot| at.is_none_or(|generation| snapshot.generation() == generation));
        spoken.map(Snapshot::time).min()
    };
    let carried = before.map_or(inputs.reference_time, |before| before.last_updated_time);
    let denied = snapshots
        .iter()
        .any(|snapshot| !snapshot.available && snapshot.generation() == observed_generation);
    let last_updated = match agreement {
        Agreement::NobodyAsked => inputs.reference_time,
        Agreement::Available(_) => earliest(None).unwrap_or(inputs.reference_time),
        _ if !status && denied => earliest(Some(observed_generation)).unwrap_or(carried),
        _ => carried,
    };
    let (reason, message) = if status {
        (
            "AllAdaptersReconciled",
            "All required adapters report Available=True for the tracked generation",
        )
    } else {
        match agreement {
            Agreement::NobodyAsked | Agreement::Incomplete => (
                "AdaptersMissingReports",
                "Required adapters have not yet reported status",
            ),
            Agreement::NotAvailable => (
                "AdapterReportedNotAvailable",
                "One or more required adapters report Available=False",
            ),
            Agreement::Available(_) | Agreement::Mixed => (
                "AdaptersNotAtSameGeneration",
                "Required adapters do not report a consistent Available state",
            ),
        }
    };
    ResourceCondition {
        type_: LAST_KNOWN_RECONCILED.to_owned(),
        status: status.into(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        observed_generation,
        created_time: before.map_or(inputs.reference_time, |before| before.created_time),
        last_updated_time: last_updated,
        last_transition_time: before
            .filter(|before| before.status.is_true() == status)
            .map_or(last_updated, |before| before.last_transition_time),
    }
}

// === Per adapter ===

fn adapter(inputs: &Inputs<'_>, snapshot: &Snapshot<'_>) -> ResourceCondition {
    let type_ = adapter_condition(snapshot.adapter);
    let before = previous(inputs, &type_);
    let available = snapshot.status.condition(AVAILABLE);
    ResourceCondition {
        status: snapshot.available.into(),
        reason: available.and_then(|condition| condition.reason.clone()),
        message: available.and_then(|condition| condition.message.clone()),
        observed_generation: snapshot.generation(),
        created_time: before.map_or(inputs.reference_time, |before| before.created_time),
        last_updated_time: snapshot.time(),
        last_transition_time: before
            .filter(|before| before.status.is_true() == snapshot.available)
            .map_or(snapshot.time(), |before| before.last_transition_time),
        type_,
    }
}

#[cfg(test)]
mod tests;
