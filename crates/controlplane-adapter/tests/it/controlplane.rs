//! The control-plane task config, run in memory with the policy.

use hypershift::validate::{self, Mode};
use serde_json::{Value, json};

use crate::support::{
    CLUSTER, World, answered, applied_work, cluster, created, load, load_with, message, report_of,
    short,
};

const NAME: &str = "controlplane";

/// The work that the shipped config makes for a cluster.
async fn work_for(cluster: Value) -> Value {
    applied_work(&World::new(cluster).run(load(NAME, &[])).await)
}

fn hosted_cluster(work: &Value) -> &Value {
    &work["spec"]["workload"]["manifests"][0]
}

/// A world in which the work for `cluster()` was applied and has this status.
async fn running(status: &str) -> World {
    let work = work_for(cluster()).await;
    let status = created(hosted_cluster(&work), status);
    let mut world = World::new(cluster());
    world.objects[format!("hostedcluster-{CLUSTER}")] = answered(&work, &status, ("True", ""));
    world
}

#[tokio::test]
async fn the_rendered_hosted_cluster_keeps_every_rule() {
    let work = work_for(cluster()).await;
    let object = hosted_cluster(&work);
    assert_eq!(validate::host_cluster(object, Mode::Full), []);
    assert_eq!(object["metadata"]["name"], "demo");
    assert_eq!(object["metadata"]["namespace"], "clusters");
    assert_eq!(
        object["metadata"]["annotations"]["hyperfleet.io/generation"],
        "1"
    );
    assert_eq!(object["spec"]["clusterID"], CLUSTER);
    assert_eq!(object["spec"]["infraID"], format!("hf-{CLUSTER}"));
    assert_eq!(
        object["spec"]["release"]["image"],
        "quay.io/openshift-release-dev/ocp-release:4.22.3-multi"
    );
    let hostname = "/spec/services/0/servicePublishingStrategy/route/hostname";
    assert_eq!(
        object.pointer(hostname),
        Some(&json!("api-demo.gcp.example.com"))
    );

    assert_eq!(work["metadata"]["name"], format!("hostedcluster-{CLUSTER}"));
    assert_eq!(
        work["metadata"]["labels"]["hyperfleet.io/adapter"],
        "controlplane"
    );
    let config = &work["spec"]["manifestConfigs"][0];
    assert_eq!(config["resourceIdentifier"]["resource"], "hostedclusters");
    assert_eq!(
        config["updateStrategy"]["serverSideApply"]["fieldManager"],
        "work-agent-hyperfleet-controlplane"
    );
    let paths = config["feedbackRules"][0]["jsonPaths"].as_array().unwrap();
    assert_eq!(paths[0], json!({"name": "status", "path": ".status"}));
}

#[tokio::test]
async fn every_optional_field_is_rendered() {
    let mut cluster = cluster();
    let spec = cluster["spec"].as_object_mut().unwrap();
    spec.extend(
        json!({
            "gcp_project_number": 123_456_789_012_u64, "resource_labels": {"team": "a"}, "host_prefix": 23, "public_zone_id": "p",
            "private_zone_id": "q", "ssh_key_secret_name": "key", "additional_trust_bundle_name": "bundle",
            "kube_api_server_dns_name": "api.example.com", "capabilities": {"disabled": ["Insights"]},
            "autoscaling": {"maxNodesTotal": 3}, "node_selector": {"a": "b"}, "destroy_grace_period": "10m",
            "etcd_storage_class": "ssd", "infra_id": "own", "pull_secret_name": "own-secret", "feature_set": "",
            "etcd_encryption_key_secret_name": "", "sa_signing_key_secret_name": "signing",
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let work = work_for(cluster).await;
    let object = hosted_cluster(&work);
    let found = validate::host_cluster(object, Mode::Full);
    assert_eq!(found, []);
    let spec = &object["spec"];
    assert_eq!(
        spec["platform"]["gcp"]["workloadIdentity"]["projectNumber"],
        "123456789012"
    );
    assert_eq!(
        spec["platform"]["gcp"]["resourceLabels"][2],
        json!({"key": "team", "value": "a"})
    );
    assert_eq!(spec["networking"]["clusterNetwork"][0]["hostPrefix"], 23);
    assert_eq!(
        spec["dns"],
        json!({"baseDomain": "gcp.example.com", "publicZoneID": "p", "privateZoneID": "q"})
    );
    assert_eq!(spec["sshKey"]["name"], "key");
    assert_eq!(spec["additionalTrustBundle"]["name"], "bundle");
    assert_eq!(spec["capabilities"], json!({"disabled": ["Insights"]}));
    assert_eq!(spec["autoscaling"], json!({"maxNodesTotal": 3}));
    assert_eq!(spec["nodeSelector"], json!({"a": "b"}));
    assert_eq!(spec["infraID"], "own");
    assert_eq!(spec["pullSecret"]["name"], "own-secret");
    assert_eq!(spec["serviceAccountSigningKey"]["name"], "signing");
    assert_eq!(spec.get("configuration"), None);
    assert_eq!(spec.get("secretEncryption"), None);
    assert_eq!(
        object["metadata"]["annotations"]["hypershift.openshift.io/destroy-grace-period"],
        "10m"
    );
}

#[tokio::test]
async fn private_clusters_have_no_hostnames() {
    let mut cluster = cluster();
    cluster["spec"]
        .as_object_mut()
        .unwrap()
        .remove("endpoint_access");
    let work = work_for(cluster).await;
    assert_eq!(
        validate::host_cluster(hosted_cluster(&work), Mode::Full),
        []
    );
    assert!(
        !hosted_cluster(&work)["spec"]["services"]
            .to_string()
            .contains("hostname")
    );
}

#[tokio::test]
async fn it_waits_for_the_others_and_says_for_whom() {
    let mut world = World::new(cluster());
    world.cluster["status"]["conditions"][1]["status"] = json!("False");
    let report = world.report(NAME, &[]).await;
    assert_eq!(short(&report, "Applied"), "False PreconditionsNotMet");
    assert_eq!(message(&report, "Applied"), "waiting for: dns");
    assert_eq!(short(&report, "Available"), "False PreconditionsNotMet");
    assert_eq!(short(&report, "Health"), "True NoIssues");
    assert_eq!(short(&report, "Finalized"), "False NotDeleting");
    assert_eq!(report["adapter"], "hypershift");
    assert_eq!(report["observed_generation"], 1);
}

#[tokio::test]
async fn a_running_cluster_is_still_observed_while_it_waits() {
    let mut world = running("S8").await;
    world.cluster["status"]["conditions"][1]["status"] = json!("False");
    world.cluster["generation"] = json!(2);
    let report = world.report(NAME, &[]).await;
    assert_eq!(short(&report, "Available"), "True ControlPlaneReady");
    assert_eq!(report["observed_generation"], 1);
}

#[tokio::test]
async fn created_then_available() {
    let report = World::new(cluster()).report(NAME, &[]).await;
    assert_eq!(short(&report, "Applied"), "True ManifestWorkCreated");
    assert_eq!(short(&report, "Available"), "False Provisioning");
    assert_eq!(short(&report, "Health"), "True NoIssues");
    assert_eq!(report["data"]["management_cluster"], "management-1");

    let report = running("S8").await.report(NAME, &[]).await;
    assert_eq!(short(&report, "Available"), "True ControlPlaneReady");
    assert_eq!(
        report["data"]["control_plane_endpoint"],
        "https://api-demo.gcp.example.com:443"
    );
    assert_eq!(report["data"]["version"], "4.22.3");
    assert_eq!(report["observed_generation"], 1);
}

#[tokio::test]
async fn a_broken_spec_is_refused_with_every_path() {
    let mut cluster = cluster();
    let spec = cluster["spec"].as_object_mut().unwrap();
    for field in [
        "cloud_controller_sa_email",
        "storage_sa_email",
        "image_registry_sa_email",
        "network_sa_email",
    ] {
        spec.remove(field);
    }
    let trace = World::new(cluster).run(load(NAME, &[])).await;
    let report = report_of(&trace);
    assert_eq!(short(&report, "Applied"), "False ValidationFailed");
    assert_eq!(short(&report, "Available"), "False ValidationFailed");
    assert_eq!(short(&report, "Health"), "False ValidationFailed");
    for account in ["cloudController", "storage", "imageRegistry", "network"] {
        assert!(
            message(&report, "Applied")
                .contains(&format!("serviceAccountsEmails.{account}: Required value"))
        );
    }
    assert!(
        !trace["transportOperations"]
            .to_string()
            .contains("\"apply\""),
        "nothing is sent: {trace:#}"
    );
}

#[tokio::test]
async fn an_immutable_change_is_refused_and_the_cluster_keeps_running() {
    let mut world = running("S8").await;
    world.cluster["spec"]["gcp_region"] = json!("europe-west2");
    world.cluster["generation"] = json!(2);
    let trace = world.run(load(NAME, &[])).await;
    let report = report_of(&trace);
    assert_eq!(short(&report, "Applied"), "False ImmutableFieldChanged");
    assert_eq!(
        message(&report, "Applied"),
        "spec.platform.gcp.region: Region is immutable (was \"us-central1\", requested \"europe-west2\")"
    );
    assert_eq!(short(&report, "Available"), "False ImmutableFieldChanged");
    assert_eq!(
        message(&report, "Available"),
        "control plane keeps running with generation 1"
    );
    assert_eq!(short(&report, "Health"), "True NoIssues");
    assert_eq!(report["observed_generation"], 2);
    assert_eq!(
        report["data"]["control_plane_endpoint"],
        "https://api-demo.gcp.example.com:443"
    );
    assert!(
        !trace["transportOperations"]
            .to_string()
            .contains("\"apply\""),
        "nothing is sent: {trace:#}"
    );
}

#[tokio::test]
async fn an_upgrade_is_sent() {
    let mut world = running("S10").await;
    world.cluster["spec"]["openshift_version"] = json!("4.22.5");
    world.cluster["generation"] = json!(2);
    let trace = world.run(load(NAME, &[])).await;
    assert!(
        trace["transportOperations"]
            .to_string()
            .contains("\"apply\""),
        "{trace:#}"
    );
    assert_eq!(
        short(&report_of(&trace), "Available"),
        "True ControlPlaneReady"
    );
}

#[tokio::test]
async fn the_agents_refusal_is_told() {
    let work = work_for(cluster()).await;
    let mut world = World::new(cluster());
    let text = "HostedCluster \"demo\" is invalid: spec.services: Required value";
    world.objects[format!("hostedcluster-{CLUSTER}")] =
        answered(&work, &Value::Null, ("False", text));
    let report = world.report(NAME, &[]).await;
    assert_eq!(short(&report, "Applied"), "False ManifestApplyFailed");
    assert_eq!(message(&report, "Applied"), text);
    assert_eq!(short(&report, "Health"), "False ManifestApplyFailed");
}

#[tokio::test]
async fn node_pools_hold_the_deletion() {
    let mut world = running("S8").await;
    world.cluster["deleted_time"] = json!(jiff::Timestamp::now().to_string());
    world.cluster["generation"] = json!(2);
    world.node_pools = json!([{"kind": "NodePool", "id": "n1"}]);
    let trace = world.run(load(NAME, &[])).await;
    let report = report_of(&trace);
    assert_eq!(short(&report, "Applied"), "False NodePoolsExist");
    assert_eq!(short(&report, "Available"), "True ControlPlaneReady");
    assert_eq!(short(&report, "Finalized"), "False CleanupInProgress");
    assert_eq!(report["observed_generation"], 2);
    assert!(
        !trace["transportOperations"]
            .to_string()
            .contains("\"delete\""),
        "{trace:#}"
    );
}

#[tokio::test]
async fn deletion_is_asked_for_and_confirmed() {
    let mut world = running("S8").await;
    world.cluster["deleted_time"] = json!(jiff::Timestamp::now().to_string());
    world.cluster["generation"] = json!(2);
    let trace = world.run(load(NAME, &[])).await;
    let report = report_of(&trace);
    assert!(
        trace["transportOperations"]
            .to_string()
            .contains("\"delete\""),
        "{trace:#}"
    );
    assert_eq!(short(&report, "Applied"), "True DeletionInitiated");
    assert_eq!(short(&report, "Available"), "False Deleting");
    assert_eq!(short(&report, "Finalized"), "False CleanupInProgress");
    assert_eq!(report["observed_generation"], 2);

    world.objects = json!({});
    let report = world.report(NAME, &[]).await;
    assert_eq!(short(&report, "Applied"), "False Deleted");
    assert_eq!(short(&report, "Finalized"), "True CleanupConfirmed");
}

#[tokio::test]
async fn settings_reach_the_policy() {
    let mut cluster = cluster();
    cluster["spec"]["base_domain"] = json!("");
    let lenient = load_with(NAME, &[], |loader| {
        loader.set("policy.hostedcluster_validation", "off")
    });
    let report = report_of(&World::new(cluster).run(lenient).await);
    assert_eq!(short(&report, "Applied"), "True ManifestWorkCreated");
}

#[tokio::test]
async fn the_dry_run_files_work() {
    let loaded = load(NAME, &[]);
    let folder = crate::support::adapters().join(NAME).join("dry-run");
    let input = hyperfleet_adapter::dry_run::Input::read(
        &folder.join("event.json"),
        Some(&folder.join("api-responses.json")),
        None,
    )
    .unwrap();
    let policies = vec![controlplane_adapter::policy()];
    let report =
        hyperfleet_adapter::dry_run::dry_run(loaded.config, loaded.task, input, policies).await;
    assert!(!report.failed(), "{}", report.text(true));
}
