//! What an API server checks of each field: types, required fields, bounds, and the words it uses.

use super::*;

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
