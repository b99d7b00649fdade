use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::example;

/// The example with one value replaced; null removes it.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = example::hosted_cluster("demo");
    set(&mut document, pointer, value);
    document
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(members), Value::Null) => drop(members.remove(last)),
        (Value::Object(members), value) => drop(members.insert(last.to_owned(), value)),
        (Value::Array(items), value) => items[last.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{pointer} leads into {other}"),
    }
}

fn gcp(rest: &str) -> String {
    format!("/spec/platform/gcp/{rest}")
}

fn full(document: &Value) -> Vec<(&'static str, String)> {
    host_cluster(document, Mode::Full)
        .into_iter()
        .map(|violation| (violation.rule, violation.path))
        .collect()
}

/// Each line: what is changed in the example, and which rule must be broken where. Other rules may be broken too.
#[track_caller]
fn expect(changes: &[(&str, Value)], rule: &str, path: &str) -> Violation {
    let mut document = example::hosted_cluster("demo");
    for (pointer, value) in changes {
        set(&mut document, pointer, value.clone());
    }
    let violations = host_cluster(&document, Mode::Full);
    violations
        .iter()
        .find(|violation| violation.rule == rule && violation.path == path)
        .unwrap_or_else(|| panic!("{changes:?} breaks no {rule} at {path}, but {violations:#?}"))
        .clone()
}

#[test]
fn the_example_keeps_every_rule() {
    assert_eq!(full(&example::hosted_cluster("demo")), []);
    assert_eq!(
        host_cluster(&example::hosted_cluster("demo"), Mode::Admission),
        []
    );
}

#[test]
fn structural_rules() {
    let cases: &[(&str, Value, &str, &str)] = &[
        (
            "/spec/platform/type",
            json!("AWS"),
            "S01",
            "spec.platform.type",
        ),
        (
            "/spec/platform/gcp",
            Value::Null,
            "S02",
            "spec.platform.gcp",
        ),
        (
            &gcp("region"),
            Value::Null,
            "S03",
            "spec.platform.gcp.region",
        ),
        (
            &gcp("networkConfig"),
            Value::Null,
            "S03",
            "spec.platform.gcp.networkConfig",
        ),
        (
            &gcp("networkConfig/network"),
            json!({}),
            "S04",
            "spec.platform.gcp.networkConfig.network.name",
        ),
        (
            &gcp("networkConfig/network"),
            Value::Null,
            "S04",
            "spec.platform.gcp.networkConfig.network",
        ),
        (
            &gcp("workloadIdentity/poolID"),
            Value::Null,
            "S05",
            "spec.platform.gcp.workloadIdentity.poolID",
        ),
        (
            &gcp("workloadIdentity/serviceAccountsEmails/storage"),
            Value::Null,
            "S06",
            "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.storage",
        ),
        ("/spec/services", Value::Null, "S07", "spec.services"),
        (
            "/spec/release/image",
            json!(""),
            "S08",
            "spec.release.image",
        ),
        (
            &gcp("project"),
            json!("short"),
            "S09",
            "spec.platform.gcp.project",
        ),
        (
            &gcp("networkConfig/network/name"),
            json!(""),
            "S10",
            "spec.platform.gcp.networkConfig.network.name",
        ),
        (
            &gcp("workloadIdentity/projectNumber"),
            json!(""),
            "S11",
            "spec.platform.gcp.workloadIdentity.projectNumber",
        ),
        (
            &gcp("workloadIdentity/projectNumber"),
            json!(123),
            "S12",
            "spec.platform.gcp.workloadIdentity.projectNumber",
        ),
        (
            &gcp("workloadIdentity/poolID"),
            json!("abc"),
            "S13",
            "spec.platform.gcp.workloadIdentity.poolID",
        ),
        (
            &gcp("workloadIdentity/serviceAccountsEmails/network"),
            json!("a@b.iam.gserviceaccount.com"),
            "S14",
            "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.network",
        ),
        (
            &gcp("endpointAccess"),
            json!("Public"),
            "S15",
            "spec.platform.gcp.endpointAccess",
        ),
        (
            &gcp("resourceLabels"),
            json!([]),
            "S16",
            "spec.platform.gcp.resourceLabels",
        ),
        (
            &gcp("resourceLabels/1/key"),
            json!("cluster-id"),
            "S17",
            "spec.platform.gcp.resourceLabels[1]",
        ),
        (
            &gcp("resourceLabels/0"),
            json!({"key": "a"}),
            "S18",
            "spec.platform.gcp.resourceLabels[0].value",
        ),
        (
            &gcp("resourceLabels/0/key"),
            json!("a".repeat(64)),
            "S19",
            "spec.platform.gcp.resourceLabels[0].key",
        ),
        (
            &gcp("resourceLabels/0/value"),
            json!("a".repeat(64)),
            "S20",
            "spec.platform.gcp.resourceLabels[0].value",
        ),
        (
            "/spec/services",
            json!([{}, {}, {}, {}, {}, {}, {}]),
            "S21",
            "spec.services",
        ),
        (
            "/spec/services/0/service",
            json!("Api"),
            "S22",
            "spec.services[0].service",
        ),
        (
            "/spec/services/0/servicePublishingStrategy/type",
            json!("Ingress"),
            "S23",
            "spec.services[0].servicePublishingStrategy.type",
        ),
        (
            "/spec/services/0/servicePublishingStrategy/route/hostname",
            json!(""),
            "S24",
            "spec.services[0].servicePublishingStrategy.route.hostname",
        ),
        ("/spec/clusterID", json!("short"), "S25", "spec.clusterID"),
        ("/spec/infraID", json!(""), "S26", "spec.infraID"),
        (
            "/spec/issuerURL",
            json!(format!("https://{}", "a".repeat(255))),
            "S27",
            "spec.issuerURL",
        ),
        (
            "/spec/dns/baseDomain",
            json!("a".repeat(254)),
            "S28",
            "spec.dns.baseDomain",
        ),
        ("/spec/dns", json!({}), "S29", "spec.dns.baseDomain"),
        (
            "/spec/dns/publicZoneID",
            json!(""),
            "S30",
            "spec.dns.publicZoneID",
        ),
        (
            "/spec/dns/privateZoneID",
            json!(""),
            "S31",
            "spec.dns.privateZoneID",
        ),
        (
            "/spec/networking/machineNetwork",
            json!([]),
            "S32",
            "spec.networking.machineNetwork",
        ),
        (
            "/spec/networking/machineNetwork/0/cidr",
            json!("1".repeat(44)),
            "S33",
            "spec.networking.machineNetwork[0].cidr",
        ),
        (
            "/spec/networking/networkType",
            json!("Flannel"),
            "S34",
            "spec.networking.networkType",
        ),
        (
            "/spec/etcd/managementType",
            json!("Magic"),
            "S35",
            "spec.etcd.managementType",
        ),
        (
            "/spec/etcd/managed/storage/type",
            json!("HostPath"),
            "S36",
            "spec.etcd.managed.storage.type",
        ),
        (
            "/spec/etcd/managed/storage/persistentVolume/size",
            json!("8 GB"),
            "S37",
            "spec.etcd.managed.storage.persistentVolume.size",
        ),
        (
            "/spec/controllerAvailabilityPolicy",
            json!("Always"),
            "S38",
            "spec.controllerAvailabilityPolicy",
        ),
        (
            "/spec/olmCatalogPlacement",
            json!("moon"),
            "S39",
            "spec.olmCatalogPlacement",
        ),
        (
            "/spec/capabilities",
            json!({"disabled": ["Toaster"]}),
            "S40",
            "spec.capabilities.disabled[0]",
        ),
        (
            "/spec/secretEncryption/type",
            json!("rot13"),
            "S41",
            "spec.secretEncryption.type",
        ),
        (
            "/spec/tolerations",
            json!(vec![json!({}); 26]),
            "S43",
            "spec.tolerations",
        ),
        (
            "/spec/autoscaling",
            json!({"expanders": []}),
            "S44",
            "spec.autoscaling.expanders",
        ),
        ("/spec/channel", json!(""), "S45", "spec.channel"),
        ("/spec/pausedUntil", json!("no"), "S46", "spec.pausedUntil"),
        ("/spec", Value::Null, "S47", "spec"),
        ("/spec/platform", Value::Null, "S48", "spec.platform"),
        (
            "/spec/platform/type",
            Value::Null,
            "S48",
            "spec.platform.type",
        ),
        ("/spec/release", json!({}), "S49", "spec.release.image"),
        (
            "/spec/services/0",
            json!({}),
            "S50",
            "spec.services[0].service",
        ),
        (
            "/spec/services/0/servicePublishingStrategy",
            json!({}),
            "S51",
            "spec.services[0].servicePublishingStrategy.type",
        ),
        (
            "/spec/networking/clusterNetwork/0",
            json!({}),
            "S52",
            "spec.networking.clusterNetwork[0].cidr",
        ),
        ("/spec/etcd", json!({}), "S53", "spec.etcd.managementType"),
        (
            "/spec/secretEncryption",
            json!({}),
            "S54",
            "spec.secretEncryption.type",
        ),
        ("/metadata/name", Value::Null, "S55", "metadata.name"),
        ("/metadata/name", json!(7), "S56", "metadata.name"),
    ];
    for (pointer, value, rule, path) in cases {
        expect(&[(pointer, value.clone())], rule, path);
    }
    let labels: serde_json::Map<String, Value> =
        (0..21).map(|n| (format!("l{n}"), json!(""))).collect();
    expect(
        &[("/spec/labels", Value::Object(labels))],
        "S42",
        "spec.labels",
    );
}

#[test]
fn structural_texts_are_the_api_servers() {
    let text = |pointer: &str, value: Value| {
        host_cluster(&with(pointer, value), Mode::Admission)[0].to_string()
    };
    assert_eq!(
        text("/spec/services", Value::Null),
        "spec.services: Required value"
    );
    assert_eq!(
        text(&gcp("endpointAccess"), json!("InvalidAccess")),
        "spec.platform.gcp.endpointAccess: Unsupported value: \"InvalidAccess\": supported values: \"PublicAndPrivate\", \"Private\""
    );
    let empty = text(&gcp("networkConfig/network/name"), json!(""));
    assert!(
        empty.ends_with("name in body should be at least 1 chars long"),
        "{empty}"
    );
    let long = text(&gcp("networkConfig/network/name"), json!("a".repeat(64)));
    assert!(
        long.ends_with(": Too long: may not be more than 63 bytes"),
        "{long}"
    );
    let number = text(&gcp("workloadIdentity/projectNumber"), json!(12));
    assert!(
        number.ends_with("projectNumber in body must be of type string: \"integer\""),
        "{number}"
    );
    assert!(
        text(&gcp("resourceLabels/1/key"), json!("cluster-id"))
            .ends_with("Duplicate value: {\"key\":\"cluster-id\"}")
    );
    assert!(text("/spec/platform", json!("GCP")).contains("must be of type object"));
    assert!(text("/spec/services", json!({})).contains("must be of type array"));
}

#[test]
fn reasons_and_causes_for_an_api_server() {
    let first = |pointer: &str, value: Value| {
        host_cluster(&with(pointer, value), Mode::Admission).remove(0)
    };
    assert_eq!(
        first("/spec/services", Value::Null).reason(),
        "FieldValueRequired"
    );
    assert_eq!(
        first(&gcp("endpointAccess"), json!("x")).reason(),
        "FieldValueNotSupported"
    );
    assert_eq!(
        first(&gcp("resourceLabels/1/key"), json!("cluster-id")).reason(),
        "FieldValueDuplicate"
    );
    assert_eq!(
        first(&gcp("project"), json!("a".repeat(31))).reason(),
        "FieldValueTooLong"
    );
    assert_eq!(
        first(&gcp("workloadIdentity/projectNumber"), json!(1)).reason(),
        "FieldValueTypeInvalid"
    );
    let pattern = first(&gcp("region"), json!("us-central"));
    assert_eq!(pattern.reason(), "FieldValueInvalid");
    assert!(
        pattern
            .cause()
            .starts_with("Invalid value: \"us-central\": region must be a valid GCP region")
    );
}

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

#[test]
fn what_only_the_operator_would_find_out() {
    let hostname = |index: usize| format!("/spec/services/{index}/servicePublishingStrategy/route");
    let path =
        |index: usize| format!("spec.services[{index}].servicePublishingStrategy.route.hostname");
    let api = json!({"hostname": "api-demo.gcp.example.com"});
    let network = "/spec/networking/machineNetwork/0/cidr";
    let grace = "metadata.annotations.\"hypershift.openshift.io/destroy-grace-period\"";
    let same = json!("demo-gcp-pd-csi@my-project-123.iam.gserviceaccount.com");
    let cases: &[(&str, Value, &str, &str)] = &[
        (
            "/spec/services/3/service",
            json!("OIDC"),
            "O01",
            "spec.services",
        ),
        (
            "/spec/services/0/servicePublishingStrategy/type",
            json!("LoadBalancer"),
            "O01",
            "spec.services",
        ),
        (&hostname(1), Value::Null, "O02", "spec.services"),
        (&hostname(1), api.clone(), "O03", &path(1)),
        (
            &gcp("workloadIdentity/serviceAccountsEmails/network"),
            same,
            "O04",
            "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.storage",
        ),
        ("/spec/infraID", json!("0198a3b1"), "O05", "spec.infraID"),
        (
            "/spec/infraID",
            json!("a".repeat(57)),
            "O05",
            "spec.infraID",
        ),
        ("/metadata/name", json!("0demo"), "O06", "metadata.name"),
        ("/metadata/name", json!("de.mo"), "O06", "metadata.name"),
        ("/metadata/name", json!("a".repeat(56)), "O07", "metadata"),
        (
            "/spec/dns/baseDomain",
            json!(""),
            "O08",
            "spec.dns.baseDomain",
        ),
        (
            "/spec/dns/baseDomain",
            json!("Example.com"),
            "O08",
            "spec.dns.baseDomain",
        ),
        ("/spec/dns", Value::Null, "O08", "spec.dns.baseDomain"),
        (
            network,
            json!("10.0.0.1/20"),
            "O09",
            "spec.networking.machineNetwork[0].cidr",
        ),
        (
            network,
            json!("300.1.1.0/24"),
            "O09",
            "spec.networking.machineNetwork[0].cidr",
        ),
        (
            network,
            json!("10.132.0.0/16"),
            "O10",
            "spec.networking.clusterNetwork[0].cidr",
        ),
        (
            network,
            json!("172.20.0.0/16"),
            "O10",
            "spec.networking.machineNetwork[0].cidr",
        ),
        (
            network,
            json!("fd10::/64"),
            "O10",
            "spec.networking.clusterNetwork[0].cidr",
        ),
        (
            "/spec/release/image",
            json!("quay.io/ocp:4.22.3"),
            "O11",
            "spec.release.image",
        ),
        (
            "/spec/release/image",
            json!("quay.io/ocp:4.13.9-multi"),
            "O12",
            "spec.release.image",
        ),
        (
            "/spec/release/image",
            json!("quay.io/ocp:5.2.0-multi"),
            "O12",
            "spec.release.image",
        ),
        ("/spec/serviceAccountSigningKey", Value::Null, "O13", "spec"),
        (
            "/spec/secretEncryption",
            json!({"type": "kms"}),
            "O14",
            "spec.secretEncryption.type",
        ),
        (
            "/spec/pullSecret/name",
            json!(""),
            "O15",
            "spec.pullSecret.name",
        ),
        ("/spec/pullSecret", json!({}), "O15", "spec.pullSecret.name"),
        (
            "/spec/sshKey",
            json!({"name": "Key_1"}),
            "O15",
            "spec.sshKey.name",
        ),
        ("/spec/autoNode", json!({}), "O17", "spec.autoNode"),
        (
            "/spec/etcd",
            json!({"managementType": "Unmanaged", "unmanaged": {}}),
            "O18",
            "spec.etcd.managementType",
        ),
        (
            "/metadata/annotations/hypershift.openshift.io~1destroy-grace-period",
            json!("abc"),
            "O19",
            grace,
        ),
        (
            &hostname(3),
            json!({"hostname": "ignition.example.com"}),
            "O21",
            &path(3),
        ),
    ];
    for (pointer, value, rule, path) in cases {
        let pointer = pointer.replace("~1", "\u{1}");
        let mut document = example::hosted_cluster("demo");
        if let Some((parent, last)) = pointer.split_once("annotations/") {
            let annotations = document
                .pointer_mut(&format!("{parent}annotations"))
                .unwrap();
            annotations[last.replace('\u{1}', "/")] = value.clone();
        } else {
            set(&mut document, &pointer, value.clone());
        }
        let found = full(&document);
        assert!(
            found.contains(&(*rule, (*path).to_owned())),
            "{pointer} = {value}: {rule} at {path}, found {found:#?}"
        );
    }
    let overlap = expect(
        &[(network, json!("10.132.0.0/16"))],
        "O10",
        "spec.networking.clusterNetwork[0].cidr",
    );
    assert_eq!(
        overlap.message,
        "machineNetwork and clusterNetwork overlap: 10.132.0.0/16 and 10.132.0.0/14"
    );
    let duplicate = expect(&[(&hostname(1), api)], "O03", &path(1));
    assert_eq!(
        duplicate.message,
        "service type OAuthServer can't be published with the same hostname api-demo.gcp.example.com as service type APIServer"
    );
}

#[test]
fn context_decides_what_the_document_cannot() {
    let document = with("/spec/serviceAccountSigningKey", Value::Null);
    let bucket = Context {
        oidc_bucket: true,
        ..Context::default()
    };
    assert_eq!(check(&document, &bucket), []);
    let issuer = json!("https://storage.googleapis.com/bucket/hf-1");
    let mut by_issuer = document.clone();
    set(&mut by_issuer, "/spec/issuerURL", issuer);
    assert_eq!(check(&by_issuer, &Context::default()), []);

    let example = example::hosted_cluster("demo");
    let elsewhere = Context {
        management_region: Some("europe-west2"),
        ..Context::default()
    };
    assert_eq!(
        check(&example, &elsewhere)[0].message,
        "region us-central1 differs from management cluster region europe-west2"
    );
    let asked = Context {
        openshift_version: Some("4.9.0"),
        ..Context::default()
    };
    assert_eq!(
        check(&example, &asked)[0].to_string(),
        "openshift_version: release version 4.9.0 is outside 4.14 .. 5.1"
    );
}

#[test]
fn structural_errors_hide_relations_but_not_operator_rules() {
    let mut document = with("/spec/services", Value::Null);
    set(&mut document, &gcp("project"), json!("My-Project"));
    set(&mut document, "/spec/infraID", json!("0198"));
    let rules: Vec<_> = full(&document).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["S07", "O05"]);
}

#[test]
fn the_design_documents_own_template_is_refused_before_it_is_sent() {
    // The template of the design that this system started from: no services, two of six accounts.
    let mut document = example::hosted_cluster("demo");
    let id = "0198a3b1-7c2e-7f4a-9d21-1c5f0b6a7e88";
    for member in [
        "services",
        "etcd",
        "clusterID",
        "issuerURL",
        "serviceAccountSigningKey",
        "secretEncryption",
        "configuration",
    ] {
        set(&mut document, &format!("/spec/{member}"), Value::Null);
    }
    for account in ["cloudController", "storage", "imageRegistry", "network"] {
        set(
            &mut document,
            &gcp(&format!("workloadIdentity/serviceAccountsEmails/{account}")),
            Value::Null,
        );
    }
    set(&mut document, "/spec/infraID", json!(id));
    set(&mut document, &gcp("resourceLabels/0/value"), json!(id));
    set(&mut document, "/spec/dns/publicZoneID", json!(""));
    set(
        &mut document,
        "/spec/release/image",
        json!("quay.io/openshift-release-dev/ocp-release:4.22.3"),
    );
    let found = full(&document);
    let missing = |rule, path: &str| (rule, path.to_owned());
    let accounts = "spec.platform.gcp.workloadIdentity.serviceAccountsEmails";
    for expected in [
        missing("S06", &format!("{accounts}.cloudController")),
        missing("S06", &format!("{accounts}.network")),
        missing("S07", "spec.services"),
        missing("S30", "spec.dns.publicZoneID"),
        missing("O05", "spec.infraID"),
        missing("O11", "spec.release.image"),
        missing("O13", "spec"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:#?}");
    }
}

#[test]
fn stored_faults_are_tolerated_until_they_change() {
    let account = gcp("workloadIdentity/serviceAccountsEmails/network");
    let stored = with(
        &account,
        json!("bad@my-project-123.iam.gserviceaccount.com"),
    );
    let mut next = stored.clone();
    set(
        &mut next,
        "/spec/release/image",
        json!("quay.io/ocp:4.22.5-multi"),
    );
    let update = |new: &Value| {
        check(
            new,
            &Context {
                mode: Mode::Admission,
                stored: Some(&stored),
                ..Context::default()
            },
        )
    };
    assert_eq!(update(&next), []);
    set(
        &mut next,
        &account,
        json!("network@other-project-9.iam.gserviceaccount.com"),
    );
    let found = update(&next);
    assert_eq!(
        found[0].message,
        "network service account must belong to the same project"
    );
}

#[test]
fn warnings_say_what_is_worth_knowing() {
    let document = with("/spec/secretEncryption", Value::Null);
    let rules = |found: Vec<Violation>| found.into_iter().map(|w| w.rule).collect::<Vec<_>>();
    assert_eq!(rules(warnings(&document, None, &[])), ["W02", "W03"]);
    let mut changed = document.clone();
    set(&mut changed, "/spec/pullSecret/name", json!("other"));
    set(&mut changed, "/spec/issuerURL", Value::Null);
    set(&mut changed, "/spec/configuration", Value::Null);
    set(&mut changed, "/spec/sshKey", json!({"name": "key"}));
    changed["metadata"]["annotations"] = json!({});
    let neighbour = example::hosted_cluster("other");
    let found = rules(warnings(
        &changed,
        Some(&document),
        &[neighbour, document.clone()],
    ));
    assert_eq!(
        found,
        [
            "W01", "W02", "W03", "W04", "W05", "W06", "W07", "W08", "W08"
        ]
    );
}

#[test]
fn every_message_fits_where_it_goes() {
    let broken = with(&gcp("region"), json!("x"));
    for violation in host_cluster(&broken, Mode::Full) {
        assert!(!violation.message.is_empty() && !violation.path.is_empty());
        assert_eq!(
            violation.to_string(),
            format!("{}: {}", violation.path, violation.message)
        );
    }
}

/// Any JSON document, with the names that rules look at mixed in.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof!["10\\.0\\.0\\.0/[0-9]{1,2}", "Route|APIServer|GCP|Managed"]
            .prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("spec".to_owned()),
        Just("platform".into()),
        Just("gcp".into()),
        Just("services".into()),
        Just("networking".into()),
        Just("machineNetwork".into()),
        Just("cidr".into()),
        Just("metadata".into()),
        Just("annotations".into()),
        Just("release".into()),
        Just("image".into()),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..5)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Pointers to every value of a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    if !at.is_empty() {
        found.push(at.to_owned());
    }
    match value {
        Value::Object(members) => {
            members
                .iter()
                .filter(|(name, _)| !name.contains('/'))
                .for_each(|(name, member)| pointers(member, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(document in any_json(), stored in any_json()) {
        let context = Context { stored: Some(&stored), management_region: Some("r"), ..Context::default() };
        let _ = check(&document, &context);
        let _ = warnings(&document, Some(&stored), std::slice::from_ref(&stored));
        let _ = crate::immutable::changes(&stored, &document);
    }

    #[test]
    fn broken_examples_are_judged_without_panic(index in any::<prop::sample::Index>(), value in any_json()) {
        let mut document = example::hosted_cluster("demo");
        let mut all = Vec::new();
        pointers(&document, "", &mut all);
        let pointer: &String = index.get(&all);
        set(&mut document, pointer, value);
        let found = host_cluster(&document, Mode::Full);
        // Levels never mix, and what admission says is part of what a full check says.
        prop_assert!(found.is_sorted_by_key(|violation| violation.level()));
        for violation in host_cluster(&document, Mode::Admission) {
            prop_assert!(found.contains(&violation));
        }
    }
}

#[test]
fn every_rule_of_the_tables_is_documented() {
    let page = include_str!("../../../../docs/protocol/hostedcluster-gcp.md");
    for rule in [rules::STRUCTURE, rules::PATTERNS, rules::OPERATOR]
        .into_iter()
        .flatten()
    {
        assert!(
            page.contains(&format!("| {} |", rule.id)),
            "{} is missing",
            rule.id
        );
    }
}
