//! First light.
use manifestwork::*;

#[test]
fn ids_and_hashes() {
    assert_eq!(
        ids::resource_id(
            "controlplane-adapter",
            "us-east-mgmt-01",
            "hostedcluster-abc123"
        )
        .to_string(),
        "a0368fb6-32c0-52ec-8a38-4de8388e3c3e"
    );
    assert_eq!(
        hash::status_hash(&Status::default()),
        "3a4ba43801251ccdf889a3154674d23a35ab996aacfc00de92e61dbb2f5cf189"
    );
    assert!(
        configs::wildcard("*m*", "my-test")
            && configs::wildcard("my*", "my-test")
            && !configs::wildcard("*my", "my-test")
    );
}

#[test]
fn works_round_trip() {
    let text = r#"{"apiVersion":"work.open-cluster-management.io/v1","kind":"ManifestWork","metadata":{"name":"a","namespace":"c","creationTimestamp":null,"x":1},"spec":{"workload":{"manifests":[{"kind":"ConfigMap","z":1.0,"a":12345678901234567890123}]},"manifestConfigs":null},"status":{"resourceStatus":{"manifests":null},"conditions":null}}"#;
    let work: ManifestWork = serde_json::from_str(text).unwrap();
    assert_eq!(
        work.spec.workload.manifests[0].as_str(),
        r#"{"kind":"ConfigMap","z":1.0,"a":12345678901234567890123}"#
    );
    let again: ManifestWork = serde_json::from_value(serde_json::to_value(&work).unwrap()).unwrap();
    assert_eq!(again, work);
}
