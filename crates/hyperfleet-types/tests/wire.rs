//! The documents of `docs/protocol/hyperfleet-api.md`, byte for byte and back.
#![allow(clippy::unwrap_used)] // tests say what they expect

use hyperfleet_types::{AdapterStatus, Code, ConditionStatus, List, Problem, Pulse, Resource};
use serde_json::{Value, json};

fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(document: Value) {
    let typed: T = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), document);
}

#[test]
fn a_child_resource_round_trips() {
    round_trip::<Resource>(json!({
        "id": "0198f3a2-6c1e-7b44-9d0a-3f5e8c1b2a77", "kind": "NodePool", "name": "np-1",
        "href": "/api/hyperfleet/v1/clusters/c/nodepools/0198f3a2-6c1e-7b44-9d0a-3f5e8c1b2a77",
        "spec": {"nodeCount": 2}, "labels": {"shard": "1"}, "tenancy": {}, "generation": 1,
        "created_time": "2026-08-21T10:00:00.123456Z", "updated_time": "2026-08-21T10:00:00.123456Z",
        "created_by": "a@b.c", "updated_by": "a@b.c",
        "owner_references": {"id": "c", "kind": "Cluster", "href": "/api/hyperfleet/v1/clusters/c"},
        "references": {"wif_config": [{"id": "w", "kind": "WifConfig", "href": "/api/hyperfleet/v1/wifconfigs/w"}]},
        "status": {"conditions": [{
            "type": "Reconciled", "status": "False", "reason": "ReconciledMissingAdapters", "message": "m",
            "observed_generation": 1, "created_time": "2026-08-21T10:00:00.123456Z",
            "last_updated_time": "2026-08-21T10:00:00.123456Z", "last_transition_time": "2026-08-21T10:00:00.123456Z"}]}
    }));
}

#[test]
fn labels_references_and_deletion_are_left_out_when_absent() {
    let resource: Resource = serde_json::from_value(json!({
        "id": "i", "kind": "Cluster", "name": "n", "created_time": "2026-08-21T10:00:00Z", "updated_time": "2026-08-21T10:00:00Z",
        "a_member_of_the_future": 1
    }))
    .unwrap();
    let text = serde_json::to_string(&resource).unwrap();
    for absent in [
        "labels",
        "references",
        "deleted_time",
        "deleted_by",
        "owner_references",
        "future",
    ] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    assert!(
        text.contains(r#""tenancy":{}"#) && text.contains(r#""status":{"conditions":[]}"#),
        "{text}"
    );
}

#[test]
fn a_stored_status_round_trips() {
    round_trip::<AdapterStatus>(json!({
        "adapter": "validation", "observed_generation": 3,
        "conditions": [{"type": "Available", "status": "True", "reason": "R", "last_transition_time": "2026-08-21T10:00:05Z"}],
        "metadata": {"job_name": "j"}, "data": {"any": "object"},
        "created_time": "2026-08-21T10:00:05Z", "last_report_time": "2026-08-21T10:00:06.5Z"
    }));
}

#[test]
fn a_problem_has_the_members_of_rfc_9457_and_ours() {
    let mut problem = Problem::new(Code::ResourceNotFound, "Cluster with id='x' not found");
    problem.trace_id = Some("r".into());
    assert_eq!(
        serde_json::to_value(&problem).unwrap(),
        json!({"type": "https://api.hyperfleet.io/errors/not-found", "title": "Resource Not Found", "status": 404,
               "detail": "Cluster with id='x' not found", "code": "HYPERFLEET-NTF-001", "trace_id": "r"})
    );
    assert!(problem.is_resource_not_found());
    assert!(!Problem::new(Code::EndpointNotFound, "").is_resource_not_found());
    assert_eq!(
        problem.to_string(),
        "HYPERFLEET-NTF-001: Cluster with id='x' not found"
    );
}

#[test]
fn a_page_counts_its_items() {
    let page = List::new(vec![1, 2], 3, 42);
    assert_eq!(
        serde_json::to_value(page).unwrap(),
        json!({"items": [1, 2], "page": 3, "size": 2, "total": 42})
    );
}

#[test]
fn a_pulse_round_trips_and_tells_its_payload() {
    let bytes = json!({
        "specversion": "1.0", "id": "e", "source": "hyperfleet-sentinel", "type": "com.redhat.hyperfleet.cluster.reconcile",
        "datacontenttype": "application/json", "data": {"id": "c", "kind": "Cluster", "href": "/h", "generation": 5, "more": true}
    });
    round_trip::<Pulse>(bytes.clone());
    let payload = Pulse::from_json(bytes.to_string().as_bytes())
        .unwrap()
        .payload()
        .unwrap();
    assert_eq!((payload.id.as_str(), payload.generation), ("c", 5));

    let pulse = Pulse::new("s", "NodePool", serde_json::Map::new());
    assert_eq!(pulse.type_, "com.redhat.hyperfleet.nodepool.reconcile");
    assert_eq!(Pulse::from_json(&pulse.to_json()).unwrap(), pulse);
}

#[test]
fn a_pulse_with_a_quoted_generation_or_no_id_is_malformed() {
    assert!(Pulse::from_json(br#"{"specversion":"1.0"}"#).is_err());
    assert!(Pulse::from_json(b"not json").is_err());
    let mut pulse = Pulse::new("s", "Cluster", serde_json::Map::new());
    pulse.data = json!({"generation": "5"});
    assert!(pulse.payload().is_err());
    pulse.data = Value::Null;
    assert_eq!(pulse.payload().unwrap().id, "");
}

#[test]
fn only_three_words_are_a_status() {
    for word in ["True", "False", "Unknown"] {
        assert_eq!(word.parse::<ConditionStatus>().unwrap().as_str(), word);
    }
    for word in ["true", "", "Yes"] {
        assert!(word.parse::<ConditionStatus>().is_err());
    }
}
