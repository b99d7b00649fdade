//! Patterns and relations between fields, as the CEL rules of the CRD check them.

use super::*;

#[test]
fn patterns_and_relations() {
    let account = |name: &str| gcp(&format!("workloadIdentity/serviceAccountsEmails/{name}"));
    let accounts = "spec.platform.gcp.workloadIdentity.serviceAccountsEmails";
    let strategy = "/spec/services/0/servicePublishingStrategy";
    let cases: &[(&str, Value, &str, &str)] = &[
        (
            &gcp("project"),
            json!("My-Project"),
            "C01",
            "spec.platform.gcp.project",
        ),
        (
            &gcp("region"),
            json!("us-central"),
            "C02",
            "spec.platform.gcp.region",
        ),
        (
            &gcp("networkConfig/network/name"),
            json!("Vpc-"),
            "C03",
            "spec.platform.gcp.networkConfig.network.name",
        ),
        (
            &gcp("workloadIdentity/projectNumber"),
            json!("12a"),
            "C04",
            "spec.platform.gcp.workloadIdentity.projectNumber",
        ),
        (
            &gcp("workloadIdentity/providerID"),
            json!("Provider"),
            "C05",
            "spec.platform.gcp.workloadIdentity.providerID",
        ),
        (
            &gcp("workloadIdentity/poolID"),
            json!("gcp-pool"),
            "C06",
            "spec.platform.gcp.workloadIdentity.poolID",
        ),
        (
            &gcp("workloadIdentity/providerID"),
            json!("gcp-prov"),
            "C07",
            "spec.platform.gcp.workloadIdentity.providerID",
        ),
        (
            &account("network"),
            json!("Bad_Name@my-project-123.iam.gserviceaccount.com"),
            "C08",
            &format!("{accounts}.network"),
        ),
        (
            &account("network"),
            json!("cloud-network@other-project-9.iam.gserviceaccount.com"),
            "C09",
            "spec.platform.gcp",
        ),
        (
            &gcp("resourceLabels/0/key"),
            json!("Key"),
            "C10",
            "spec.platform.gcp.resourceLabels[0].key",
        ),
        (
            &gcp("resourceLabels/0/key"),
            json!("goog-x"),
            "C11",
            "spec.platform.gcp.resourceLabels[0].key",
        ),
        (
            &gcp("resourceLabels/0/value"),
            json!("0198a3b1"),
            "C12",
            "spec.platform.gcp.resourceLabels[0].value",
        ),
        ("/spec/services", json!([]), "C13", "spec"),
        (
            strategy,
            json!({"type": "Route", "nodePort": {"address": "a"}}),
            "C14",
            "spec.services[0].servicePublishingStrategy",
        ),
        (
            strategy,
            json!({"type": "NodePort"}),
            "C14",
            "spec.services[0].servicePublishingStrategy",
        ),
        (
            strategy,
            json!({"type": "None", "route": {}}),
            "C14",
            "spec.services[0].servicePublishingStrategy",
        ),
        (
            strategy,
            json!({"type": "Route", "route": {"hostname": "nodots"}}),
            "C15",
            "spec.services[0].servicePublishingStrategy.route.hostname",
        ),
        (
            "/spec/release/image",
            json!("quay.io/a b"),
            "C16",
            "spec.release.image",
        ),
        (
            "/spec/controlPlaneRelease",
            json!({"image": "-x"}),
            "C16",
            "spec.controlPlaneRelease.image",
        ),
        (
            "/spec/clusterID",
            json!("x".repeat(36)),
            "C17",
            "spec.clusterID",
        ),
        ("/spec/infraID", json!("Infra_1"), "C18", "spec.infraID"),
        (
            "/spec/dns/baseDomain",
            json!("exa mple.com"),
            "C19",
            "spec.dns.baseDomain",
        ),
        (
            "/spec/issuerURL",
            json!("not a url"),
            "C20",
            "spec.issuerURL",
        ),
        (
            "/spec/updateService",
            json!("example.com"),
            "C21",
            "spec.updateService",
        ),
        (
            "/spec/networking/machineNetwork/0/cidr",
            json!("10.0.0.0"),
            "C22",
            "spec.networking.machineNetwork[0].cidr",
        ),
        (
            "/spec/networking/machineNetwork/0/cidr",
            json!("172.31.0.0/16"),
            "C23",
            "spec.networking",
        ),
        (
            "/spec/etcd",
            json!({"managementType": "Managed"}),
            "C24",
            "spec.etcd",
        ),
        (
            "/spec/etcd",
            json!({"managementType": "Unmanaged"}),
            "C25",
            "spec.etcd",
        ),
        (
            "/spec/capabilities",
            json!({"enabled": ["Console"], "disabled": ["Console"]}),
            "C26",
            "spec.capabilities",
        ),
        (
            "/spec/capabilities",
            json!({"disabled": ["Ingress"]}),
            "C27",
            "spec.capabilities.disabled",
        ),
        (
            "/spec/autoscaling",
            json!({"scaling": "ScaleUpOnly", "scaleDown": {}}),
            "C28",
            "spec.autoscaling",
        ),
        (
            "/spec/kubeAPIServerDNSName",
            json!("api_x"),
            "C29",
            "spec.kubeAPIServerDNSName",
        ),
        (
            "/spec/pausedUntil",
            json!("tomorrow"),
            "C30",
            "spec.pausedUntil",
        ),
        (
            "/spec/networking/allocateNodeCIDRs",
            json!("Enabled"),
            "C32",
            "spec.networking",
        ),
    ];
    for (pointer, value, rule, path) in cases {
        expect(&[(pointer, value.clone())], rule, path);
    }
    let balanced = json!({"type": "LoadBalancer", "loadBalancer": {"hostname": "api.example.com"}});
    let certificates = json!({"apiServer": {"servingCerts": {"namedCertificates": [{"names": ["api.example.com"]}]}}});
    expect(
        &[(strategy, balanced), ("/spec/configuration", certificates)],
        "C31",
        "spec",
    );
}

#[test]
fn values_that_the_crd_admits() {
    for (pointer, value) in [
        (gcp("region"), json!("europe-west2")),
        (gcp("networkConfig/network/name"), json!("a")),
        (gcp("networkConfig/network/name"), json!("a-b-c")),
        (gcp("resourceLabels/0/value"), json!("")),
        (gcp("endpointAccess"), json!("Private")),
        ("/spec/pausedUntil".into(), json!("2026-01-01T00:00:00Z")),
        ("/spec/pausedUntil".into(), json!("True")),
        ("/spec/dns/baseDomain".into(), json!("")),
        (
            "/spec/etcd/managed/storage/persistentVolume/size".into(),
            json!(8_000_000_000_u64),
        ),
        ("/spec/etcd".into(), Value::Null),
        ("/spec/networking".into(), Value::Null),
    ] {
        assert_eq!(
            host_cluster(&with(&pointer, value.clone()), Mode::Admission),
            [],
            "{pointer} = {value}"
        );
    }
}
