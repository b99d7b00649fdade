use serde_json::json;

use super::*;

fn work(generation: i64, available: &str) -> Value {
    let status = json!({"conditions": [{"type": "Available", "status": available, "reason": "R"}]})
        .to_string();
    json!({
        "metadata": {"name": "hostedcluster-1", "namespace": "mc", "generation": generation},
        "spec": {"workload": {"manifests": [{}]}},
        "status": {
            "conditions": [{"type": "Applied", "status": "True", "observedGeneration": generation}],
            "resourceStatus": {"manifests": [{
                "resourceMeta": {"kind": "HostedCluster"},
                "statusFeedback": {"values": [{"name": "status", "fieldValue": {"type": "JsonRaw", "jsonRaw": status}}]},
            }]},
        },
    })
}

#[test]
fn a_state_that_does_not_change_is_no_news() {
    let mut tracker = Tracker::default();
    assert_eq!(
        tracker
            .digest(Observation::Work(Some(work(1, "False"))))
            .len(),
        3
    );
    assert!(
        tracker
            .digest(Observation::Work(Some(work(1, "False"))))
            .is_empty()
    );
}

#[test]
fn a_work_is_stored_updated_deleted_and_gone_once_each() {
    let mut tracker = Tracker::default();
    let stored = tracker.digest(Observation::Work(Some(work(1, "False"))));
    assert!(
        matches!(
            stored[0],
            Fact::WorkStored {
                version: 1,
                manifests: 1,
                ..
            }
        ),
        "{stored:?}"
    );
    let updated = tracker.digest(Observation::Work(Some(work(2, "True"))));
    assert!(
        matches!(updated[0], Fact::WorkUpdated { version: 2 }),
        "{updated:?}"
    );
    assert!(
        updated
            .iter()
            .any(|f| matches!(f, Fact::FedBack(s) if s.is_available()))
    );
    let mut deleting = work(2, "True");
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(
        tracker.digest(Observation::Work(Some(deleting))),
        [Fact::WorkDeleting]
    );
    assert_eq!(tracker.digest(Observation::Work(None)), [Fact::WorkGone]);
    assert!(tracker.digest(Observation::Work(None)).is_empty());
}

#[test]
fn a_cluster_that_was_never_there_is_not_removed() {
    let mut tracker = Tracker::default();
    assert!(tracker.digest(Observation::Cluster(None)).is_empty());
    let cluster = |generation, status| {
        json!({"id": "1", "generation": generation, "status": {"conditions":
            [{"type": "Reconciled", "status": status, "reason": "R", "observed_generation": generation}]}})
    };
    let seen = tracker.digest(Observation::Cluster(Some(cluster(1, "False"))));
    assert!(
        matches!(
            seen.as_slice(),
            [Fact::ClusterSeen { generation: 1, .. }, Fact::Reconciled(_)]
        ),
        "{seen:?}"
    );
    let changed = tracker.digest(Observation::Cluster(Some(cluster(2, "False"))));
    assert!(
        matches!(changed[0], Fact::GenerationChanged { generation: 2 }),
        "{changed:?}"
    );
    let mut deleting = cluster(3, "False");
    deleting["deleted_time"] = json!("2026-01-01T00:00:00Z");
    let deleted = tracker.digest(Observation::Cluster(Some(deleting)));
    assert!(
        matches!(deleted[0], Fact::DeletionRequested { generation: 3 }),
        "{deleted:?}"
    );
    assert_eq!(
        tracker.digest(Observation::Cluster(None)),
        [Fact::ClusterRemoved]
    );
}

#[test]
fn the_operator_is_told_when_what_a_person_follows_changes() {
    let hosted = |reason: &str, message: &str| {
        json!({
            "metadata": {"name": "c", "namespace": "clusters", "managedFields": [{"manager": "work-agent"}]},
            "spec": {"release": {"image": "r:1"}},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": reason, "message": message}]},
        })
    };
    let mut tracker = Tracker::default();
    let applied = tracker.digest(Observation::HostedCluster(Some(hosted("A", ""))));
    assert!(
        matches!(&applied[0], Fact::HostedClusterApplied { manager, .. } if manager == "work-agent"),
        "{applied:?}"
    );
    assert!(
        tracker
            .digest(Observation::HostedCluster(Some(hosted("A", "other words"))))
            .is_empty()
    );
    let moved = tracker.digest(Observation::HostedCluster(Some(hosted("B", ""))));
    assert!(
        matches!(moved.as_slice(), [fact @ Fact::Operator { .. }] if fact.is_headline()),
        "{moved:?}"
    );
}

#[test]
fn reports_are_told_once_per_content() {
    let status = |status: &str| {
        vec![
            json!({"adapter": "dns", "observed_generation": 1, "conditions": [{"type": "Available", "status": status}]}),
        ]
    };
    let mut tracker = Tracker::default();
    assert_eq!(
        tracker.digest(Observation::Statuses(status("False"))).len(),
        1
    );
    assert!(
        tracker
            .digest(Observation::Statuses(status("False")))
            .is_empty()
    );
    let facts = tracker.digest(Observation::Statuses(status("True")));
    assert!(
        matches!(&facts[..], [Fact::AdapterReported(r)] if r.is_true("Available")),
        "{facts:?}"
    );
}
