use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::names::FINALIZER;

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
    start
        .checked_add(SignedDuration::from_mins(minutes))
        .unwrap()
}

fn report(phase: Phase<'_>, minutes: i64) -> Report {
    map(
        &State {
            hosted_cluster: "clusters/demo",
            phase,
            now: at(minutes),
        },
        &Options::default(),
    )
}

fn short(condition: &ConditionInput) -> (&'static str, &str) {
    (condition.status.as_str(), condition.reason.as_str())
}

#[test]
fn node_pools_go_first() {
    let report = report(Phase::NodePools { count: 2 }, 0);
    assert_eq!(short(&report.applied), ("False", "NodePoolsExist"));
    assert_eq!(
        report.applied.message,
        "waiting for 2 node pools to be deleted"
    );
    assert_eq!(report.available, None);
    assert_eq!(short(&report.health), ("True", "NoIssues"));
    assert_eq!(short(&report.finalized), ("False", "CleanupInProgress"));
}

#[test]
fn a_requested_deletion() {
    let phase = Phase::Requested {
        since: Some(at(0)),
        deleted_at: None,
        finalizers: &[],
        status: None,
    };
    let asked = report(phase, 1);
    assert_eq!(short(&asked.applied), ("True", "DeletionInitiated"));
    assert_eq!(
        short(asked.available.as_ref().unwrap()),
        ("False", "Deleting")
    );
    assert_eq!(short(&asked.health), ("True", "NoIssues"));
    assert_eq!(short(&asked.finalized), ("False", "CleanupInProgress"));
    // An agent that never begins is said to be silent, and nothing is ever said to be finalized.
    let silent = report(phase, 6);
    assert_eq!(short(&silent.health), ("False", "AgentNotResponding"));
    assert_eq!(short(&silent.finalized), ("False", "CleanupInProgress"));
}

#[test]
fn running_finalizers_are_listed() {
    let finalizers = [FINALIZER.to_owned()];
    let status = json!({"conditions": [
        {"type": "Available", "status": "True"},
        {"type": "CloudResourcesDestroyed", "status": "False", "message": "Remaining resources: persistent-volumes"},
    ]});
    let phase = Phase::Requested {
        since: Some(at(0)),
        deleted_at: Some(at(0)),
        finalizers: &finalizers,
        status: Some(&status),
    };
    let running = report(phase, 29);
    assert_eq!(short(&running.applied), ("True", "FinalizersRunning"));
    assert_eq!(
        running.applied.message,
        format!("deleting: {FINALIZER}; Remaining resources: persistent-volumes")
    );
    assert_eq!(
        short(running.available.as_ref().unwrap()),
        ("False", "Deleting")
    );
    assert_eq!(short(&running.health), ("True", "NoIssues"));

    let stuck = report(phase, 31);
    assert_eq!(short(&stuck.applied), ("True", "FinalizersRunning"));
    assert_eq!(short(&stuck.health), ("False", "FinalizersStuck"));
    assert_eq!(short(&stuck.finalized), ("False", "FinalizersStuck"));
    for part in [
        "clusters/demo",
        FINALIZER,
        "after 31m",
        "clusters-demo",
        "persistent-volumes",
    ] {
        assert!(
            stuck.health.message.contains(part),
            "{part} in {}",
            stuck.health.message
        );
    }
}

#[test]
fn stuck_without_metadata_counts_from_the_request() {
    let phase = Phase::Requested {
        since: Some(at(0)),
        deleted_at: None,
        finalizers: &[],
        status: None,
    };
    assert_eq!(
        short(&report(phase, 31).health),
        ("False", "FinalizersStuck")
    );
    let never = Phase::Requested {
        since: None,
        deleted_at: None,
        finalizers: &[],
        status: None,
    };
    assert_eq!(short(&report(never, 99).health), ("True", "NoIssues"));
}

#[test]
fn gone_is_gone() {
    let gone = report(Phase::Gone, 0);
    assert_eq!(short(&gone.applied), ("False", "Deleted"));
    assert_eq!(
        short(gone.available.as_ref().unwrap()),
        ("False", "Deleted")
    );
    assert_eq!(short(&gone.health), ("True", "NoIssues"));
    assert_eq!(short(&gone.finalized), ("True", "CleanupConfirmed"));
}
