//! One test per row of the condition table in `docs/protocol/controlplane-adapter.md`.

use hyperfleet_adapter::policy::{Failure, FailureClass};
use serde_json::{Map, json};

use super::*;
use crate::testing::{Case, at, created, degraded, message, rendered, short, upgraded, work};

/// Applied, Available, Health.
#[track_caller]
fn expect(case: &Case, applied: &str, available: &str, health: &str) -> Overrides {
    let overrides = case.map().expect("a mapping");
    assert_eq!(short(&overrides, "Applied"), applied);
    assert_eq!(short(&overrides, "Available"), available);
    assert_eq!(short(&overrides, "Health"), health);
    overrides
}

fn failed(class: FailureClass) -> Case {
    let mut case = Case::sent();
    case.operation = None;
    case.failure = Some(Failure {
        class,
        message: "what Maestro said".into(),
    });
    case
}

#[test]
fn preconditions_not_met_without_a_work_is_the_yamls_to_tell() {
    let mut case = Case::sent();
    (case.object, case.work, case.operation, case.skipped) = (None, None, None, Some("waiting"));
    assert_eq!(case.map(), None);
}

#[test]
fn preconditions_not_met_with_a_work_only_observe_at_the_old_generation() {
    let mut case = Case::with_status(&created("S8"));
    (case.operation, case.skipped, case.generation) = (None, Some("waiting"), 2);
    let overrides = expect(
        &case,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "True NoIssues",
    );
    assert_eq!(overrides.observed_generation, Some(1));
}

#[test]
fn row_created() {
    let mut case = Case::sent();
    case.operation = Some(Operation::Create);
    case.now = at(1);
    let overrides = expect(
        &case,
        "True ManifestWorkCreated",
        "False Provisioning",
        "True NoIssues",
    );
    assert_eq!(
        message(&overrides, "Applied"),
        "HostedCluster CR sent to management cluster"
    );
    assert_eq!(
        message(&overrides, "Available"),
        "Control plane provisioning in progress"
    );
    assert_eq!(message(&overrides, "Health"), "No degradation detected");
    assert_eq!(overrides.data["control_plane_endpoint"], "");
    assert_eq!(overrides.data["version"], "");
    assert_eq!(overrides.data["management_cluster"], "management-1");
    assert_eq!(overrides.data["manifestwork_name"], "hostedcluster-c1");
    assert_eq!(overrides.data["hosted_cluster"], "clusters/demo");
}

#[test]
fn row_exists_without_feedback() {
    let mut case = Case::sent();
    case.now = at(299);
    expect(
        &case,
        "True ManifestWorkExists",
        "False Unknown",
        "True NoIssues",
    );
    case.now = at(301);
    expect(
        &case,
        "False AgentNotResponding",
        "False Unknown",
        "False AgentNotResponding",
    );
    case.settings = Map::from_iter([("agent_timeout".to_owned(), json!("10m"))]);
    expect(
        &case,
        "True ManifestWorkExists",
        "False Unknown",
        "True NoIssues",
    );
}

#[test]
fn row_provisioning() {
    // At the moment of the step: the same state an hour later would be a broken platform.
    let mut case = Case::with_status(&created("S2"));
    case.now = at(21);
    let overrides = expect(
        &case,
        "True ManifestWorkExists",
        "False Provisioning",
        "True NoIssues",
    );
    assert_eq!(overrides.data["control_plane_endpoint"], "");
}

#[test]
fn row_available() {
    let overrides = expect(
        &Case::with_status(&created("S8")),
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "True NoIssues",
    );
    assert_eq!(
        message(&overrides, "Available"),
        "Control plane is ready and operational"
    );
    assert_eq!(
        overrides.data["control_plane_endpoint"],
        "https://api-demo.gcp.example.com:443"
    );
    assert_eq!(overrides.data["version"], "4.22.3");
    assert_eq!(overrides.data["upgrade_state"], "Idle");
    assert!(
        overrides.data.values().all(serde_json::Value::is_string),
        "data are texts"
    );
}

#[test]
fn rows_not_available_and_degraded() {
    expect(
        &Case::with_status(&degraded("D2")),
        "True ManifestWorkExists",
        "False NotReady",
        "False Degraded",
    );
    let overrides = expect(
        &Case::with_status(&degraded("D1")),
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "False Degraded",
    );
    assert_eq!(
        message(&overrides, "Health"),
        "Control plane is degraded: kube-apiserver deployment has 1 unavailable replicas"
    );
    let mut patient = Case::with_status(&degraded("D1"));
    patient.settings = Map::from_iter([("degraded_grace".to_owned(), json!("10m"))]);
    patient.now = at(60);
    expect(
        &patient,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "True NoIssues",
    );
}

#[test]
fn row_certificate_problem() {
    for step in ["D4", "D5", "D6"] {
        let overrides = expect(
            &Case::with_status(&degraded(step)),
            "True ManifestWorkExists",
            "True ControlPlaneReady",
            "False CertificateProblem",
        );
        assert!(
            message(&overrides, "Health")
                .contains("Certificates are managed by the HyperShift operator: check")
        );
    }
}

#[test]
fn row_agent_could_not_apply() {
    let mut case = Case::sent();
    case.condition(
        "Applied",
        "False",
        "Failed to apply manifest: conflict with \"kubectl\"",
    );
    let overrides = expect(
        &case,
        "False ManifestApplyFailed",
        "False Unknown",
        "False ManifestApplyFailed",
    );
    assert!(message(&overrides, "Applied").contains("conflict with \"kubectl\""));
}

#[test]
fn row_vanished() {
    let mut case = Case::with_status(&created("S8"));
    case.condition("Available", "False", "Resource is not available");
    expect(
        &case,
        "False HostedClusterMissing",
        "False NotReady",
        "False HostedClusterMissing",
    );
}

#[test]
fn row_updated_speaks_for_the_old_generation_until_the_agent_has_applied_it() {
    let mut case = Case::with_status(&created("S8"));
    case.operation = Some(Operation::Update);
    case.generation = 2;
    case.object()["metadata"]["annotations"]["hyperfleet.io/generation"] = json!("2");
    case.work.as_mut().unwrap()["metadata"]["generation"] = json!(2);
    case.params.insert(
        "statuses".into(),
        json!({"items": [{"adapter": "dns", "observed_generation": 2},
        {"adapter": "hypershift", "observed_generation": 1.0}]}),
    );
    let overrides = expect(
        &case,
        "True ManifestWorkUpdated",
        "True ControlPlaneReady",
        "True NoIssues",
    );
    assert_eq!(
        message(&overrides, "Applied"),
        "HostedCluster update sent to management cluster"
    );
    assert_eq!(overrides.observed_generation, Some(1));

    case.operation = Some(Operation::Skip);
    case.object()["conditions"][0]["observedGeneration"] = json!(2);
    assert_eq!(case.map().unwrap().observed_generation, Some(2));
    // The operator hasn't seen the new object yet.
    case.feed("generation", json!({"type": "Integer", "integer": 2}));
    assert_eq!(case.map().unwrap().observed_generation, Some(1));
}

#[test]
fn row_upgrade_in_progress() {
    let image = "quay.io/openshift-release-dev/ocp-release:4.22.5-multi";
    let mut case = Case::with_status(&upgraded(image, "U1"));
    case.object()["spec"]["release"]["image"] = json!(image);
    case.settings = Map::from_iter([("degraded_grace".to_owned(), json!("2h"))]);
    let overrides = expect(
        &case,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "True NoIssues",
    );
    assert_eq!(
        message(&overrides, "Available"),
        "Control plane is ready and operational; upgrade to 4.22.5 in progress"
    );
    assert_eq!(overrides.data["upgrade_state"], "InProgress");
    case.settings
        .insert("available_requires_version".into(), json!(true));
    expect(
        &case,
        "True ManifestWorkExists",
        "False UpgradeInProgress",
        "True NoIssues",
    );
    let mut done = Case::with_status(&upgraded(image, "U4"));
    done.object()["spec"]["release"]["image"] = json!(image);
    assert_eq!(done.map().unwrap().data["version"], "4.22.5");
}

#[test]
fn row_upgrade_refused_by_the_operator() {
    let mut case = Case::with_status(&upgraded("quay.io/ocp:4.23.1-multi", "UB"));
    // Progressing was False before, so its time says nothing about how long it has been blocked: told at once.
    case.now = at(1000);
    let overrides = expect(
        &case,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "False UpgradeBlocked",
    );
    assert!(message(&overrides, "Health").ends_with(". Acknowledge or use a z-stream release"));
    assert_eq!(overrides.data["upgrade_state"], "Blocked");
}

#[test]
fn row_immutable_field_changed_keeps_the_running_clusters_health() {
    // Applied and Available come from the review and are laid over this.
    for (step, health) in [("D9", "True NoIssues"), ("D1", "False Degraded")] {
        let mut case = Case::with_status(&degraded(step));
        case.failure = Some(Failure {
            class: FailureClass::Refused,
            message: "ImmutableFieldChanged: …".into(),
        });
        let overrides = case.map().unwrap();
        assert_eq!(short(&overrides, "Health"), health);
        assert_eq!(
            overrides.data["control_plane_endpoint"],
            "https://api-demo.gcp.example.com:443"
        );
        assert!(
            !overrides
                .conditions
                .iter()
                .any(|c| c.type_ == "Applied" || c.type_ == "Available")
        );
    }
}

#[test]
fn rows_of_maestros_errors() {
    let overrides = expect(
        &failed(FailureClass::Transient),
        "False MaestroError",
        "False Unknown",
        "False AdapterError",
    );
    assert_eq!(message(&overrides, "Applied"), "what Maestro said");
    assert_eq!(message(&overrides, "Available"), "Cannot determine status");
    assert_eq!(message(&overrides, "Health"), "Maestro SDK call failed");
    let mut quiet = failed(FailureClass::Transient);
    quiet.settings = Map::from_iter([("transient_available".to_owned(), json!("unknown"))]);
    expect(
        &quiet,
        "False MaestroError",
        "Unknown Unknown",
        "False AdapterError",
    );

    let overrides = expect(
        &failed(FailureClass::Unauthorized),
        "False MaestroAuthError",
        "False Unknown",
        "False AdapterError",
    );
    assert!(message(&overrides, "Applied").contains("Check the ServiceAccount token"));
    expect(
        &failed(FailureClass::Rejected),
        "False MaestroRejected",
        "False Unknown",
        "False AdapterError",
    );
    let overrides = expect(
        &failed(FailureClass::ConsumerNotFound),
        "False ConsumerNotFound",
        "False Unknown",
        "False ConsumerNotFound",
    );
    assert_eq!(
        message(&overrides, "Applied"),
        "management cluster \"management-1\" is not registered in Maestro"
    );
    expect(
        &failed(FailureClass::Conflict),
        "False ManifestWorkConflict",
        "False Unknown",
        "False ManifestWorkConflict",
    );
    expect(
        &failed(FailureClass::Internal),
        "False AdapterError",
        "False Unknown",
        "False AdapterError",
    );
}

#[test]
fn unreadable_feedback() {
    let mut case = Case::sent();
    case.condition("Applied", "True", "");
    case.feed("status", json!({"type": "JsonRaw", "jsonRaw": "{broken"}));
    let overrides = expect(
        &case,
        "True ManifestWorkExists",
        "False Unknown",
        "False FeedbackParseError",
    );
    assert!(message(&overrides, "Health").contains("could not be read"));
}

#[test]
fn feedback_of_single_values_is_left_to_the_yaml() {
    let mut case = Case::sent();
    let work = case.work.as_mut().unwrap();
    work["spec"]["manifestConfigs"][0]["feedbackRules"][0]["jsonPaths"][0]["name"] =
        json!("available");
    case.feed("available", json!({"type": "String", "string": "True"}));
    assert_eq!(case.map(), None);
    // But a refused work is told all the same.
    case.failure = Some(Failure {
        class: FailureClass::ConsumerNotFound,
        message: String::new(),
    });
    assert_eq!(
        short(&case.map().unwrap(), "Health"),
        "False ConsumerNotFound"
    );
}

#[test]
fn a_live_object_is_read_directly() {
    let mut case = Case::sent();
    case.work = None;
    case.object()["status"] = created("S8");
    case.object()["metadata"]["generation"] = json!(1);
    let overrides = expect(
        &case,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "True NoIssues",
    );
    assert_eq!(overrides.observed_generation, Some(1));
}

#[test]
fn a_control_plane_does_not_move() {
    let mut case = Case::with_status(&created("S8"));
    case.params["cluster"]["spec"] = json!({"management_cluster": "management-2"});
    let overrides = expect(
        &case,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "False ManagementClusterMismatch",
    );
    assert!(message(&overrides, "Health").contains("management-2"));
    case.params["cluster"]["spec"]["management_cluster"] = json!("management-1");
    expect(
        &case,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "True NoIssues",
    );
}

#[test]
fn wrong_settings_do_not_lose_the_report() {
    let mut case = Case::with_status(&created("S8"));
    case.settings = Map::from_iter([("typo".to_owned(), json!(1))]);
    expect(
        &case,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "True NoIssues",
    );
}

// --- deletion ---

fn deleting(status: &Value) -> Case {
    let mut case = Case::with_status(status);
    case.deleting = true;
    case.operation = Some(Operation::Delete);
    case.generation = 3;
    case.params["cluster"]["deleted_time"] = json!("2026-03-02T10:00:00Z");
    case
}

fn finalizers(case: &mut Case) {
    case.feed(
        "deletionTimestamp",
        json!({"type": "String", "string": "2026-03-02T10:00:00Z"}),
    );
    case.feed(
        "finalizers",
        json!({"type": "JsonRaw", "jsonRaw": "[\"hypershift.openshift.io/finalizer\"]"}),
    );
}

#[test]
fn deletion_row_node_pools_remain() {
    let mut case = deleting(&created("S8"));
    (case.operation, case.skipped) = (None, Some("precondition 'nodePoolsGone' not met"));
    case.params.insert(
        "nodePools".into(),
        json!({"items": [{"kind": "NodePool"}, {"kind": "NodePool"}]}),
    );
    let overrides = expect(
        &case,
        "False NodePoolsExist",
        "True ControlPlaneReady",
        "True NoIssues",
    );
    assert_eq!(
        message(&overrides, "Applied"),
        "waiting for 2 node pools to be deleted"
    );
    assert_eq!(short(&overrides, "Finalized"), "False CleanupInProgress");
    assert_eq!(overrides.observed_generation, Some(3));
}

#[test]
fn deletion_rows_sent_and_running() {
    let mut case = deleting(&created("S8"));
    case.now = at(10);
    let overrides = expect(
        &case,
        "True DeletionInitiated",
        "False Deleting",
        "True NoIssues",
    );
    assert_eq!(short(&overrides, "Finalized"), "False CleanupInProgress");
    assert_eq!(overrides.observed_generation, Some(3));

    finalizers(&mut case);
    let overrides = expect(
        &case,
        "True FinalizersRunning",
        "False Deleting",
        "True NoIssues",
    );
    assert_eq!(
        message(&overrides, "Applied"),
        "deleting: hypershift.openshift.io/finalizer"
    );
    assert_eq!(short(&overrides, "Finalized"), "False CleanupInProgress");
}

#[test]
fn deletion_row_stuck() {
    let mut case = deleting(&created("S8"));
    finalizers(&mut case);
    case.now = at(31 * 60);
    let overrides = expect(
        &case,
        "True FinalizersRunning",
        "False Deleting",
        "False FinalizersStuck",
    );
    assert_eq!(short(&overrides, "Finalized"), "False FinalizersStuck");
    assert!(
        message(&overrides, "Health").contains("HostedCluster clusters/demo still has finalizers")
    );
}

#[test]
fn deletion_without_an_answer_of_the_agent_is_never_finalized() {
    let mut case = deleting(&created("S8"));
    case.now = at(6 * 60);
    let overrides = expect(
        &case,
        "True DeletionInitiated",
        "False Deleting",
        "False AgentNotResponding",
    );
    assert_eq!(short(&overrides, "Finalized"), "False CleanupInProgress");
}

#[test]
fn deletion_rows_gone_and_never_there() {
    let mut case = deleting(&Value::Null);
    (case.object, case.work) = (None, None);
    let overrides = expect(&case, "False Deleted", "False Deleted", "True NoIssues");
    assert_eq!(short(&overrides, "Finalized"), "True CleanupConfirmed");
    // A run that has not looked says nothing.
    case.operation = None;
    assert_eq!(case.map(), None);
}

#[test]
fn deletion_row_maestro_error() {
    let mut case = deleting(&created("S8"));
    case.failure = Some(Failure {
        class: FailureClass::Transient,
        message: "connection refused".into(),
    });
    let overrides = expect(
        &case,
        "False MaestroError",
        "False Deleting",
        "False AdapterError",
    );
    assert_eq!(short(&overrides, "Finalized"), "False AdapterUnhealthy");
}

#[test]
fn a_deleted_cluster_is_recognised_by_the_apis_answer_alone() {
    let mut case = deleting(&created("S8"));
    case.deleting = false;
    case.now = at(1);
    expect(
        &case,
        "True DeletionInitiated",
        "False Deleting",
        "True NoIssues",
    );
}

#[test]
fn foreign_manifests_do_not_confuse() {
    let mut case = Case::with_status(&created("S8"));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "demo", "namespace": "clusters"}});
    case.work = Some(work(&rendered(1)));
    case.work.as_mut().unwrap()["spec"]["workload"]["manifests"]
        .as_array_mut()
        .unwrap()
        .insert(0, secret);
    expect(
        &case,
        "True ManifestWorkExists",
        "True ControlPlaneReady",
        "True NoIssues",
    );
}

#[test]
fn every_condition_fits_the_report() {
    let mut cases = vec![
        Case::sent(),
        deleting(&created("S8")),
        failed(FailureClass::Internal),
    ];
    cases.extend(["S1", "S3", "S7"].map(|step| Case::with_status(&created(step))));
    cases.extend(["D1", "D4", "D5", "D7", "D8"].map(|step| Case::with_status(&degraded(step))));
    for case in cases {
        for condition in case.map().unwrap().conditions {
            let reason = condition.reason.unwrap();
            assert!(
                reason.chars().all(|c| c.is_ascii_alphanumeric()) && !reason.is_empty(),
                "{reason}"
            );
            assert!(condition.message.unwrap_or_default().chars().count() <= 1024);
        }
    }
}
