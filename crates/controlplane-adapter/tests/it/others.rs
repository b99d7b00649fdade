//! The validation, DNS and pull-secret adapters, the design document's config and the upstream-style one, run in memory.

use serde_json::{Value, json};

use crate::support::{
    CLUSTER, World, answered, applied_work, cluster, created, load, load_with, message, report_of,
    short,
};

const PULL_SECRET: &str = "{\"auths\":{\"quay.io\":{\"auth\":\"dGVzdA==\"}}}";

/// Each small adapter, and kind and name of the object that it keeps.
const SMALL: [(&str, &str, &str); 3] = [
    (
        "validation",
        "ConfigMap",
        "validation-0198a3b1-7c2e-7f4a-9d21-1c5f0b6a7e88",
    ),
    (
        "dns",
        "ConfigMap",
        "dns-0198a3b1-7c2e-7f4a-9d21-1c5f0b6a7e88",
    ),
    ("pullsecret", "Secret", "demo-pull-secret"),
];
const ENVIRONMENT: [(&str, &str); 1] = [("PULL_SECRET_DATA", PULL_SECRET)];

#[tokio::test]
async fn the_small_adapters_apply_report_and_clean_up() {
    for (name, kind, object) in SMALL {
        let mut world = World::new(cluster());
        let trace = world.run(load(name, &ENVIRONMENT)).await;
        let report = report_of(&trace);
        assert_eq!(report["adapter"], name);
        assert_eq!(short(&report, "Applied"), "True ResourcesApplied", "{name}");
        assert!(
            short(&report, "Available").starts_with("True "),
            "{name}: {report:#}"
        );
        assert_eq!(short(&report, "Health"), "True Healthy", "{name}");
        assert_eq!(short(&report, "Finalized"), "False NotDeleting", "{name}");
        let operation = &trace["transportOperations"]
            .as_array()
            .unwrap()
            .iter()
            .find(|o| o["operation"] == "apply")
            .unwrap();
        assert_eq!(
            (&operation["kind"], &operation["name"]),
            (&json!(kind), &json!(object)),
            "{name}"
        );
        assert_eq!(operation["namespace"], "hyperfleet-adapters");

        let existing = trace["discoveredResources"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        assert_eq!(
            existing["metadata"]["annotations"]["hyperfleet.io/generation"],
            "1"
        );
        world.cluster["deleted_time"] = json!("2026-03-02T10:00:00Z");
        world.cluster["generation"] = json!(2);
        world.objects[object] = existing;
        let trace = world.run(load(name, &ENVIRONMENT)).await;
        let report = report_of(&trace);
        assert!(
            trace["transportOperations"]
                .to_string()
                .contains("\"delete\""),
            "{name}"
        );
        assert_eq!(short(&report, "Applied"), "False Deleted", "{name}");
        assert_eq!(short(&report, "Available"), "False Deleting", "{name}");
        assert_eq!(
            short(&report, "Finalized"),
            "True CleanupConfirmed",
            "{name}"
        );
        assert_eq!(report["observed_generation"], 2);
    }
}

#[tokio::test]
async fn the_validation_adapter_fails_with_a_healthy_adapter() {
    let mut world = World::new(cluster());
    world.cluster["spec"]["gcp_region"] = json!("moon");
    let report = world.report("validation", &[]).await;
    assert_eq!(short(&report, "Applied"), "True ResourcesApplied");
    assert_eq!(short(&report, "Available"), "False ValidationFailed");
    assert!(
        message(&report, "Available").contains("gcp_region must be a region such as us-central1")
    );
    assert_eq!(short(&report, "Health"), "True Healthy");
}

#[tokio::test]
async fn the_dns_adapter_refuses_foreign_zones() {
    let report = World::new(cluster())
        .report("dns", &[("DNS_PARENT_ZONE", "example.org")])
        .await;
    assert_eq!(short(&report, "Applied"), "False ResourcesMissing");
    assert_eq!(short(&report, "Available"), "False InvalidBaseDomain");
    assert!(message(&report, "Available").contains("is not below example.org"));
    assert_eq!(short(&report, "Health"), "True Healthy");
}

#[tokio::test]
async fn the_pull_secret_adapter_says_what_it_lacks_and_keeps_the_secret_whole() {
    let report = World::new(cluster()).report("pullsecret", &[]).await;
    assert_eq!(short(&report, "Available"), "False PullSecretMissing");
    assert_eq!(
        message(&report, "Available"),
        "no pull secret is configured for this region: set PULL_SECRET_DATA"
    );

    let trace = World::new(cluster())
        .run(load("pullsecret", &[("PULL_SECRET_DATA", PULL_SECRET)]))
        .await;
    let secret = &trace["discoveredResources"]["pullSecret"];
    assert_eq!(secret["stringData"][".dockerconfigjson"], PULL_SECRET);
    assert_eq!(
        report_of(&trace)["data"]["pull_secret_name"],
        "demo-pull-secret"
    );
}

/// The statuses of the three adapters before this one.
fn dependencies() -> Value {
    let report = |name: &str| json!({"adapter": name, "observed_generation": 1, "data": {}, "conditions": [{"type": "Available", "status": "True"}]});
    json!([report("validation"), report("dns"), report("pullsecret")])
}

#[tokio::test]
async fn the_upstream_style_config_reports_from_its_own_values() {
    let mut world = World::new(cluster());
    world.statuses = dependencies();
    let trace = world.run(load("upstream-style", &[])).await;
    let work = applied_work(&trace);
    assert_eq!(short(&report_of(&trace), "Available"), "False Provisioning");
    let status = created(&work["spec"]["workload"]["manifests"][0], "S8");
    world.objects[format!("hostedcluster-{CLUSTER}")] = answered(&work, &status, ("True", ""));
    let report = world.report("upstream-style", &[]).await;
    assert_eq!(short(&report, "Applied"), "True ManifestWorkApplied");
    assert!(
        short(&report, "Available").starts_with("True"),
        "{report:#}"
    );
    assert_eq!(short(&report, "Health"), "True Healthy");
}

#[tokio::test]
async fn the_design_documents_config_ends_available_when_told_to_warn_only() {
    let mut world = World::new(cluster());
    world.statuses = dependencies();
    let seed = || load("seed", &[("MANAGEMENT_CLUSTER_CONSUMER", "management-1")]);
    let trace = world.run(seed()).await;
    let report = report_of(&trace);
    assert_eq!(
        short(&report, "Applied"),
        "True ManifestWorkCreated",
        "{trace:#}"
    );
    let work = applied_work_of_seed(&trace);
    let status = created(&work["spec"]["workload"]["manifests"][0], "S8");
    world.objects[format!("hostedcluster-{CLUSTER}")] = answered(&work, &status, ("True", ""));
    let report = world
        .report("seed", &[("MANAGEMENT_CLUSTER_CONSUMER", "management-1")])
        .await;
    assert_eq!(short(&report, "Applied"), "True ManifestWorkExists");
    assert_eq!(short(&report, "Available"), "True ControlPlaneReady");
    assert_eq!(report["data"]["version"], "4.22.3");
}

fn applied_work_of_seed(trace: &Value) -> Value {
    let found = trace["discoveredResources"]
        .as_object()
        .unwrap()
        .values()
        .find(|value| value["kind"] == "ManifestWork");
    found
        .unwrap_or_else(|| panic!("no work in {trace:#}"))
        .clone()
}

#[tokio::test]
async fn the_design_documents_config_is_refused_when_rules_are_enforced() {
    let mut world = World::new(cluster());
    world.statuses = dependencies();
    let strict = load_with(
        "seed",
        &[("MANAGEMENT_CLUSTER_CONSUMER", "management-1")],
        |loader| loader.set("policy.hostedcluster_validation", "enforce"),
    );
    let report = report_of(&world.run(strict).await);
    assert_eq!(short(&report, "Applied"), "False ValidationFailed");
    assert!(
        message(&report, "Applied").contains("spec.services: Required value"),
        "{report:#}"
    );
    assert!(
        message(&report, "Applied")
            .contains("serviceAccountsEmails.cloudController: Required value"),
        "{report:#}"
    );
    assert_eq!(short(&report, "Available"), "False ValidationFailed");
}

#[tokio::test]
async fn the_shipped_config_takes_over_what_the_design_documents_made() {
    let mut world = World::new(cluster());
    world.statuses = dependencies();
    let made = applied_work_of_seed(
        &world
            .run(load(
                "seed",
                &[("MANAGEMENT_CLUSTER_CONSUMER", "management-1")],
            ))
            .await,
    );
    world.objects[format!("hostedcluster-{CLUSTER}")] = answered(&made, &Value::Null, ("True", ""));
    world.cluster["generation"] = json!(2);
    let report = world.report("controlplane", &[]).await;
    // It may not change what can't be changed, but it doesn't take the work for somebody else's.
    assert_eq!(short(&report, "Applied"), "False ImmutableFieldChanged");
}
