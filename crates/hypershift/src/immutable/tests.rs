use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::example;

/// The rules broken by replacing the value at a pointer (null removes it).
fn broken(pointer: &str, value: Value) -> Vec<(&'static str, String)> {
    change(pointer, value)
        .into_iter()
        .map(|change| (change.rule, change.path))
        .collect()
}

fn change(pointer: &str, value: Value) -> Vec<Change> {
    let old = base();
    let mut new = old.clone();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = new.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(last);
    } else {
        parent.insert(last.to_owned(), value);
    }
    changes(&old, &new)
}

fn base() -> Value {
    let mut base = example::hosted_cluster("demo");
    base["spec"]["capabilities"] = json!({"disabled": ["Insights"]});
    base["spec"]["fips"] = json!(false);
    base["spec"]["olmCatalogPlacement"] = json!("management");
    base["spec"]["networking"]["allocateNodeCIDRs"] = json!("Disabled");
    base["spec"]["dns"]["baseDomainPrefix"] = json!("demo");
    base["spec"]["dns"]["privateZoneID"] = json!("z");
    base["spec"]["dns"]["publicZoneID"] = json!("p");
    base["spec"]["etcd"]["managed"]["storage"]["persistentVolume"]["storageClassName"] =
        json!("ssd");
    base
}

#[test]
fn every_transition_rule() {
    let identity = "/spec/platform/gcp/workloadIdentity";
    let volume = "/spec/etcd/managed/storage/persistentVolume";
    let cases: &[(&str, Value, &str)] = &[
        ("/spec/platform/type", json!("AWS"), "T01"),
        ("/spec/platform/gcp/project", json!("other-project"), "T02"),
        ("/spec/platform/gcp/region", json!("europe-west2"), "T03"),
        (
            "/spec/platform/gcp/networkConfig/network",
            json!({"name": "x"}),
            "T04",
        ),
        (
            "/spec/platform/gcp/networkConfig/privateServiceConnectSubnet",
            json!({"name": "x"}),
            "T05",
        ),
        (&format!("{identity}/projectNumber"), json!("1"), "T07"),
        (&format!("{identity}/poolID"), json!("other"), "T08"),
        (&format!("{identity}/providerID"), json!("other"), "T09"),
        (
            &format!("{identity}/serviceAccountsEmails/network"),
            json!("x"),
            "T10",
        ),
        ("/spec/clusterID", json!("x"), "T11"),
        ("/spec/infraID", json!("x"), "T12"),
        ("/spec/clusterID", Value::Null, "T13"),
        ("/spec/infraID", Value::Null, "T13"),
        (
            "/spec/networking/machineNetwork",
            json!([{"cidr": "10.9.0.0/20"}]),
            "T14",
        ),
        ("/spec/networking/clusterNetwork", json!([]), "T14"),
        ("/spec/networking/serviceNetwork", json!([]), "T14"),
        (
            "/spec/networking/allocateNodeCIDRs",
            json!("Enabled"),
            "T14",
        ),
        ("/spec/networking/networkType", json!("Other"), "T15"),
        ("/spec/dns/baseDomain", json!("x"), "T16"),
        ("/spec/dns/publicZoneID", json!("x"), "T16"),
        ("/spec/dns/privateZoneID", json!("x"), "T16"),
        ("/spec/dns/baseDomainPrefix", json!("x"), "T17"),
        ("/spec/services", json!([]), "T18"),
        ("/spec/etcd/managementType", json!("Unmanaged"), "T19"),
        (&format!("{volume}/size"), json!("9Gi"), "T20"),
        (&format!("{volume}/storageClassName"), json!("hdd"), "T21"),
        ("/spec/issuerURL", json!("https://x"), "T22"),
        (
            "/spec/controllerAvailabilityPolicy",
            json!("SingleReplica"),
            "T23",
        ),
        ("/spec/capabilities", json!({}), "T24"),
        ("/spec/fips", json!(true), "T25"),
        ("/spec/olmCatalogPlacement", json!("guest"), "T26"),
        ("/spec/secretEncryption", Value::Null, "T27"),
        ("/metadata/name", json!("other"), "T28"),
        ("/metadata/namespace", json!("other"), "T28"),
        (
            "/spec/etcd/managed/storage/restoreSnapshotURL",
            json!(["https://x"]),
            "T30",
        ),
        (
            "/spec/release",
            json!({"image": "quay.io/ocp:4.21.9-multi"}),
            "T31",
        ),
    ];
    for (pointer, value, rule) in cases {
        let found = broken(pointer, value.clone());
        assert_eq!(found.len(), 1, "{pointer} = {value}: {found:?}");
        assert_eq!(found[0].0, *rule, "{pointer} = {value}");
        assert!(
            found[0].1.starts_with(&pointer[1..].replace('/', ".")),
            "{pointer}: {}",
            found[0].1
        );
    }
}

#[test]
fn what_may_change() {
    for (pointer, value) in [
        (
            "/spec/release",
            json!({"image": "quay.io/ocp:4.22.5-multi"}),
        ),
        ("/spec/release", json!({"image": "quay.io/ocp@sha256:aa"})),
        ("/spec/platform/gcp/endpointAccess", json!("Private")),
        ("/spec/platform/gcp/resourceLabels", json!([])),
        (
            "/spec/infrastructureAvailabilityPolicy",
            json!("HighlyAvailable"),
        ),
        ("/spec/sshKey", json!({"name": "key"})),
        ("/spec/pullSecret", json!({"name": "x"})),
        (
            "/spec/secretEncryption",
            json!({"type": "aescbc", "aescbc": {"activeKey": {"name": "new"}}}),
        ),
        ("/spec/autoscaling", json!({})),
        ("/spec/networking/machineNetwork", Value::Null),
        (
            "/metadata/annotations",
            json!({"hyperfleet.io/generation": "2"}),
        ),
    ] {
        assert_eq!(broken(pointer, value.clone()), [], "{pointer} = {value}");
    }
}

#[test]
fn empty_texts_may_be_filled_in_and_missing_values_added() {
    let mut old = base();
    old["spec"]["clusterID"] = json!("");
    old["spec"]["dns"]["baseDomain"] = json!("");
    old["spec"]["dns"]
        .as_object_mut()
        .unwrap()
        .remove("publicZoneID");
    assert_eq!(changes(&old, &base()), []);
    // And not the other way round.
    let found: Vec<_> = changes(&base(), &old)
        .into_iter()
        .map(|change| change.rule)
        .collect();
    assert_eq!(found, ["T11", "T16"]);
}

#[test]
fn a_change_names_field_old_and_new_value() {
    let found = change("/spec/platform/gcp/region", json!("europe-west2"));
    assert_eq!(
        found[0].to_string(),
        "spec.platform.gcp.region: Region is immutable (was \"us-central1\", requested \"europe-west2\")"
    );
    let removed = change("/spec/infraID", Value::Null);
    assert!(
        removed[0].to_string().ends_with("requested nothing)"),
        "{}",
        removed[0]
    );
    let long = change("/spec/services", json!(["x".repeat(500)]));
    assert!(long[0].to_string().len() < 500);
}

#[test]
fn a_section_is_blamed_only_for_what_its_members_are_not() {
    let identity = "/spec/platform/gcp/workloadIdentity";
    let one = broken(&format!("{identity}/poolID"), json!("other"));
    assert_eq!(
        one,
        [(
            "T08",
            "spec.platform.gcp.workloadIdentity.poolID".to_owned()
        )]
    );
    let more = broken(&format!("{identity}/somethingNew"), json!("x"));
    assert_eq!(
        more,
        [("T06", "spec.platform.gcp.workloadIdentity".to_owned())]
    );
    let text = change(
        &format!("{identity}/serviceAccountsEmails/imageRegistry"),
        json!("x"),
    );
    assert_eq!(text[0].message, "ImageRegistry is immutable");
}

#[test]
fn downgrades_may_be_allowed() {
    let old = base();
    let mut new = old.clone();
    new["spec"]["release"]["image"] = json!("quay.io/ocp:4.22.2-multi");
    assert_eq!(
        changes(&old, &new)[0].message,
        "downgrade from 4.22.3 to 4.22.2 is not supported"
    );
    assert_eq!(
        changes_with(
            &old,
            &new,
            Options {
                allow_downgrade: true
            }
        ),
        []
    );
}

proptest! {
    #[test]
    fn nothing_is_wrong_with_no_change(name in "[a-z]{1,12}") {
        let document = example::hosted_cluster(&name);
        prop_assert_eq!(changes(&document, &document), []);
    }
}
