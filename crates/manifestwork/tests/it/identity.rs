//! Ids and hashes that both ends compute for themselves.

use manifestwork::{Status, hash, ids};

#[test]
fn resource_ids_are_those_of_other_sources() {
    for (source, namespace, name, id) in [
        (
            "mw-client-example",
            "7ff1a8f4-8811-49b4-8c19-9271bc51975e",
            "e44ec579-9646-549a-b679-db8d19d6da37",
            "55c61e54-a3f6-563d-9fec-b1fe297bdfdb",
        ),
        (
            "controlplane-adapter",
            "us-east-mgmt-01",
            "hostedcluster-abc123",
            "a0368fb6-32c0-52ec-8a38-4de8388e3c3e",
        ),
    ] {
        assert_eq!(ids::resource_id(source, namespace, name).to_string(), id);
    }
}

#[test]
fn applied_works_are_named_by_hub_and_work() {
    let hub = ids::hub_hash("maestro-grpc-broker.maestro:8091");
    assert_eq!(
        hub,
        "23b39c3f431905006b4e457b1d14502d30e344a8dd538cec751b0d30e89e88a8"
    );
    assert_eq!(ids::hub_hash(""), hash::NO_STATUS);
    assert_eq!(
        ids::applied_work_name(&hub, "a0368fb6-32c0-52ec-8a38-4de8388e3c3e").len(),
        101
    );
}

#[test]
fn status_hashes_are_those_of_other_agents() {
    assert_eq!(
        hash::status_hash(&Status::default()),
        "3a4ba43801251ccdf889a3154674d23a35ab996aacfc00de92e61dbb2f5cf189"
    );
    let status: Status = serde_json::from_str(super::json::STATUS).unwrap();
    assert_eq!(
        hash::status_hash(&status),
        "de5c92d82c61d1893fc7db668ac97f1d99e4e9a148c4bdf3b07e782bd57c8841"
    );
}

#[test]
fn hashes_escape_as_go_does() {
    let mut status = Status::default();
    status.conditions.push(manifestwork::Condition::new(
        "Applied",
        true,
        "R",
        "a<b>&\u{2028}",
    ));
    // sha256 of {"conditions":[{"lastTransitionTime":null,"message":"a\u003cb\u003e\u0026\u2028","reason":"R","status":"True","type":"Applied"}],"resourceStatus":{}}
    let text = r#"{"conditions":[{"lastTransitionTime":null,"message":"a\u003cb\u003e\u0026\u2028","reason":"R","status":"True","type":"Applied"}],"resourceStatus":{}}"#;
    assert_eq!(hash::status_hash(&status), ids::hub_hash(text));
}
