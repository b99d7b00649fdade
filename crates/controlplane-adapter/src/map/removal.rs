//! A cluster that is being deleted.

use hyperfleet_adapter::policy::{Observed, Operation, Overrides};
use hypershift::deletion::{self, Phase, State};
use hypershift::hosted_cluster::HostedCluster;
use hypershift::status::ConditionInput;
use serde_json::Value;

use super::{Running, deleted_time, trouble};
use crate::feedback::{FedBack, Found, time};
use crate::report::{APPLIED, AVAILABLE, FINALIZED, HEALTH, put};
use crate::settings::Settings;

pub(super) fn map(observed: &Observed<'_>, settings: &Settings) -> Option<Overrides> {
    let found = observed
        .object
        .map(|object| Found::new(object, observed.work));
    // Deletion reports always carry the cluster's current generation: the API counts only those.
    let mut overrides = Overrides {
        observed_generation: Some(observed.generation).filter(|n| *n > 0),
        ..Overrides::default()
    };
    if let Some(failure) = observed.failure {
        let (applied, health) = trouble::conditions(observed, failure);
        put(&mut overrides, APPLIED, applied);
        put(
            &mut overrides,
            AVAILABLE,
            ConditionInput::fails("Deleting", "HostedCluster is being deleted"),
        );
        put(&mut overrides, HEALTH, health);
        put(
            &mut overrides,
            FINALIZED,
            ConditionInput::fails("AdapterUnhealthy", &failure.message),
        );
        return Some(overrides);
    }
    let key = found
        .map(|found| HostedCluster::new(found.object()).key())
        .unwrap_or_default();
    let status = match found.map(|found| found.status()) {
        Some(FedBack::Status(status)) => Some(status),
        _ => None,
    };
    let finalizers = found.map(|found| found.finalizers()).unwrap_or_default();
    let phase = match (observed.skipped, node_pools(observed), found) {
        // Skipped: only the node pools that are still there can be told; other reasons are the config's to tell.
        (Some(_), 0, _) => return None,
        (Some(_), count, _) => Phase::NodePools { count },
        (None, _, None) if observed.operation == Some(Operation::Delete) => Phase::Gone,
        (None, _, None) => return None,
        (None, _, Some(found)) => Phase::Requested {
            since: requested(observed),
            deleted_at: found.deleted_at(),
            finalizers: &finalizers,
            status: status.as_ref(),
        },
    };
    let report = deletion::map(
        &State {
            hosted_cluster: &key,
            phase,
            now: observed.now,
        },
        &settings.status,
    );
    put(&mut overrides, APPLIED, report.applied);
    put(&mut overrides, HEALTH, report.health);
    put(&mut overrides, FINALIZED, report.finalized);
    match (report.available, found) {
        (Some(available), _) => put(&mut overrides, AVAILABLE, available),
        // Still running, so it is as available as it was.
        (None, Some(found)) if found.feeds_status() => {
            let running = Running::read(observed, found, settings);
            put(&mut overrides, AVAILABLE, running.mapped.available.clone());
            running.data(&mut overrides);
        }
        (None, _) => {}
    }
    if let (Some(target), false) = (observed.target, matches!(phase, Phase::Gone)) {
        overrides
            .data
            .insert("management_cluster".into(), target.into());
    }
    Some(overrides)
}

/// When the deletion was asked for: the work's own timestamp, else the cluster's.
fn requested(observed: &Observed<'_>) -> Option<jiff::Timestamp> {
    observed
        .work
        .and_then(|work| time(work.pointer("/metadata/deletionTimestamp")))
        .or_else(|| time(deleted_time(observed)))
}

/// Node pools in any list that the config fetched.
fn node_pools(observed: &Observed<'_>) -> usize {
    let lists = observed
        .params
        .values()
        .filter_map(|value| value.get("items")?.as_array());
    lists
        .flatten()
        .filter(|item| {
            item.get("kind")
                .is_some_and(|kind: &Value| kind == "NodePool")
        })
        .count()
}
