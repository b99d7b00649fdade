//! First light; deeper suites follow.
use event_wire::*;
use prost::Message;

#[test]
fn golden_bytes() {
    let request = proto::SubscriptionRequest {
        source: "controlplane-adapter".into(),
        cluster_name: String::new(),
        data_type: MANIFEST_BUNDLES.into(),
    };
    assert_eq!(
        manifestwork::ids::hex(&request.encode_to_vec()),
        "0a14636f6e74726f6c706c616e652d616461707465721a39696f2e6f70656e2d636c75737465722d6d616e6167656d656e742e776f726b732e7631616c706861312e6d616e696665737462756e646c6573"
    );
    let beat = heartbeat("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed".parse().unwrap());
    assert_eq!(
        manifestwork::ids::hex(&beat.encode_to_vec()),
        "0a2431623964366263642d626266642d346232642d396235642d6162386466626264346265641a03312e302230696f2e6f70656e2d636c75737465722d6d616e6167656d656e742e636c6f75646576656e74732e686561727462656174"
    );
    assert_eq!(Incoming::from_proto(beat).unwrap(), Incoming::Heartbeat);
}

#[test]
fn a_create_round_trips_through_wire_and_store() {
    let mut work = manifestwork::ManifestWork::new("us-east-mgmt-01", "hostedcluster-abc123");
    work.metadata.uid = "a0368fb6-32c0-52ec-8a38-4de8388e3c3e".into();
    work.spec.workload.manifests.push(
        manifestwork::Manifest::from_json(
            r#"{"kind":"X","apiVersion":"v1","metadata":{"name":"n"},"spec":{"z":1.0,"a":"<&>"}}"#,
        )
        .unwrap(),
    );
    let event = codec::source::encode_spec(
        &work,
        Action::CreateRequest,
        "controlplane-adapter",
        Stamp::now(),
    )
    .unwrap();
    let wire = proto::CloudEvent::from(&event);
    assert_eq!(Event::try_from(wire).unwrap(), event);
    assert_eq!(
        stored::from_str(&stored::to_string(&event).unwrap()).unwrap(),
        event
    );
    let row = codec::server::Row {
        id: &work.metadata.uid,
        version: 1,
        consumer: "us-east-mgmt-01",
        deleted_at: None,
    };
    let down =
        codec::server::spec_for_agent(&event, row, Action::CreateRequest, Stamp::now()).unwrap();
    let codec::agent::SpecMessage::Apply(seen) = codec::agent::decode_spec(&down).unwrap() else {
        panic!()
    };
    assert_eq!(seen.spec, work.spec);
    assert_eq!(seen.metadata.name, work.metadata.uid);
}
