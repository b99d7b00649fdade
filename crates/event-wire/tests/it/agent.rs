//! What agents read and send.

use event_wire::{
    Action, Error, Event, Stamp, Subresource,
    codec::{
        agent::{self, SpecMessage},
        server, source,
    },
    payload::ResourceVersion,
};
use manifestwork::{
    ManifestWork,
    constants::{DATA_TYPE_ANNOTATION, ORIGINAL_SOURCE_LABEL, WORK_FINALIZER},
};
use serde_json::json;

use crate::{AGENT, CONSUMER, ID, SOURCE, STATUS, attributes, data, stamp, work};

fn spec_event() -> Event {
    let mut work = work();
    work.metadata.finalizers.push("foreign/finalizer".into());
    work.metadata.annotations.insert(
        "logging.open-cluster-management.io/op-id".into(),
        "7".into(),
    );
    let event = source::encode_spec(&work, Action::CreateRequest, SOURCE, Stamp::now()).unwrap();
    let row = server::Row {
        id: ID,
        version: 3,
        consumer: CONSUMER,
        deleted_at: None,
    };
    server::spec_for_agent(&event, row, Action::CreateRequest, Stamp::now()).unwrap()
}

fn applied(event: &Event) -> ManifestWork {
    match agent::decode_spec(event).unwrap() {
        SpecMessage::Apply(work) => work,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_spec_becomes_a_local_work() {
    let seen = applied(&spec_event());
    assert_eq!(
        (seen.metadata.name.as_str(), seen.metadata.uid.as_str()),
        (ID, ID)
    );
    assert_eq!(
        (seen.metadata.namespace.as_str(), seen.metadata.generation),
        (CONSUMER, 3)
    );
    assert_eq!(seen.metadata.resource_version, "");
    assert_eq!(seen.metadata.labels[ORIGINAL_SOURCE_LABEL], "maestro");
    assert_eq!(seen.metadata.labels["hyperfleet.io/cluster-id"], "abc123");
    assert_eq!(
        seen.metadata.annotations[DATA_TYPE_ANNOTATION],
        event_wire::MANIFEST_BUNDLES
    );
    assert_eq!(
        seen.metadata.annotations["logging.open-cluster-management.io/op-id"],
        "7"
    );
    assert_eq!(seen.spec, work().spec);
}

#[test]
fn the_action_word_of_a_spec_does_not_matter() {
    for action in [
        Action::CreateRequest,
        Action::UpdateRequest,
        Action::ResyncResponse,
        Action::Other("new".into()),
    ] {
        let mut event = spec_event();
        event.event_type.action = action;
        assert_eq!(applied(&event).metadata.generation, 3);
    }
}

#[test]
fn a_deletion_timestamp_deletes_whatever_else_is_there() {
    let mut event = spec_event();
    event.set("deletiontimestamp", "1985-04-12T23:20:50.52Z");
    event.data = None;
    let SpecMessage::Delete(deletion) = agent::decode_spec(&event).unwrap() else {
        panic!()
    };
    assert_eq!(
        deletion.metadata.finalizers,
        [WORK_FINALIZER],
        "foreign finalizers would never go"
    );
    assert_eq!(
        deletion.metadata.deletion_timestamp,
        Some(deletion.deletion_timestamp)
    );
    assert_eq!(deletion.metadata.uid, ID);
}

#[test]
fn f10_an_orphan_deletion_without_version_is_still_a_deletion() {
    let mut event = server::orphan_deletion(ID, 3, CONSUMER, Stamp::now());
    assert_eq!(
        event.resource_version().unwrap(),
        3,
        "our server says the agent's own version"
    );
    event.extensions.remove("resourceversion");
    event.source = "source".into();
    let SpecMessage::Delete(deletion) = agent::decode_spec(&event).unwrap() else {
        panic!()
    };
    assert_eq!(
        (
            deletion.metadata.name.as_str(),
            deletion.metadata.generation
        ),
        (ID, 0)
    );
}

#[test]
fn a_spec_needs_id_version_and_cluster() {
    for name in ["resourceid", "resourceversion", "clustername"] {
        let mut event = spec_event();
        event.extensions.remove(name);
        assert!(
            matches!(agent::decode_spec(&event), Err(Error::Extension { .. })),
            "{name}"
        );
    }
    let mut event = spec_event();
    event.event_type.subresource = Subresource::Status;
    assert!(agent::decode_spec(&event).is_err());
}

#[test]
fn a_bad_spec_can_be_reported() {
    for (bad, why) in [
        ("nope", "failed to unmarshal event data"),
        (
            r#"{"manifests":[]}"#,
            "Workload manifests should not be empty",
        ),
        (
            r#"{"manifests":[{"metadata":{"name":"n"}}]}"#,
            "manifests[0].kind: Required value",
        ),
        (
            r#"{"manifests":[{"kind":"K","apiVersion":"v1","metadata":{"generateName":"n","name":"x"}}]}"#,
            "generateName",
        ),
    ] {
        let mut event = spec_event();
        event.data = Some(bad.into());
        let SpecMessage::Invalid { metadata, reason } = agent::decode_spec(&event).unwrap() else {
            panic!("{bad}")
        };
        assert_eq!(metadata.uid, ID);
        assert!(reason.contains(why), "{reason}");
    }
}

#[test]
fn golden_status_update() {
    let mut local = applied(&spec_event());
    local.metadata = serde_json::from_value(json!({"name": ID, "namespace": CONSUMER, "uid": ID, "generation": 1, "resourceVersion": "9",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {ORIGINAL_SOURCE_LABEL: "maestro", "hyperfleet.io/cluster-id": "abc123"},
        "annotations": {DATA_TYPE_ANNOTATION: event_wire::MANIFEST_BUNDLES}, "finalizers": [WORK_FINALIZER]}))
    .unwrap();
    local.status = serde_json::from_str::<event_wire::payload::ManifestBundleStatus>(STATUS)
        .unwrap()
        .into();
    let made = stamp(
        "7a1d5c3e-2b6f-4f5e-9f25-6f6cf9b0e404",
        "2026-01-01T00:00:04.25Z",
    );
    let sequence = "2006515731264442368".parse().unwrap();
    let event = agent::encode_status(&local, Action::UpdateRequest, AGENT, sequence, made).unwrap();
    assert_eq!(
        event.event_type.to_string(),
        "io.open-cluster-management.works.v1alpha1.manifestbundles.status.update_request"
    );
    assert_eq!(event.source, AGENT);
    assert_eq!(
        attributes(&event),
        [
            "ce-clustername=string:us-east-mgmt-01",
            r#"ce-logtracing=string:{}"#,
            r#"ce-metadata=string:{"name":"a0368fb6-32c0-52ec-8a38-4de8388e3c3e","namespace":"us-east-mgmt-01","uid":"a0368fb6-32c0-52ec-8a38-4de8388e3c3e","generation":1,"creationTimestamp":"2026-01-01T00:00:00Z","labels":{"cloudevents.open-cluster-management.io/originalsource":"maestro","hyperfleet.io/cluster-id":"abc123"},"annotations":{"cloudevents.open-cluster-management.io/datatype":"io.open-cluster-management.works.v1alpha1.manifestbundles"},"finalizers":["cluster.open-cluster-management.io/manifest-work-cleanup"]}"#,
            "ce-originalsource=string:maestro",
            "ce-resourceid=string:a0368fb6-32c0-52ec-8a38-4de8388e3c3e",
            "ce-resourceversion=int:1",
            "ce-sequenceid=string:2006515731264442368",
            "ce-statushash=string:de5c92d82c61d1893fc7db668ac97f1d99e4e9a148c4bdf3b07e782bd57c8841",
            "ce-time=time:1767225604.250000000",
            "contenttype=string:application/json",
        ]
    );
    assert_eq!(data(&event), STATUS);
}

#[test]
fn a_status_says_whose_work_it_is() {
    let mut local = applied(&spec_event());
    local.metadata.labels.remove(ORIGINAL_SOURCE_LABEL);
    let sequence = "1".parse().unwrap();
    assert!(matches!(
        agent::encode_status(&local, Action::UpdateRequest, AGENT, sequence, Stamp::now()),
        Err(Error::Work(_))
    ));
}

#[test]
fn golden_spec_resync() {
    let made = stamp(
        "c2b1e7aa-08f0-4c2c-a1a8-2dd5b7f7d606",
        "2026-01-01T00:01:40Z",
    );
    let versions = vec![ResourceVersion {
        resource_id: ID.into(),
        resource_version: 1,
    }];
    let event = agent::spec_resync_request(AGENT, CONSUMER, versions, made);
    assert_eq!(
        attributes(&event),
        [
            "ce-clustername=string:us-east-mgmt-01",
            "ce-originalsource=string:",
            "ce-time=time:1767225700.0",
            "contenttype=string:application/json",
        ]
    );
    assert_eq!(
        data(&event),
        r#"{"resourceVersions":[{"resourceID":"a0368fb6-32c0-52ec-8a38-4de8388e3c3e","resourceVersion":1}]}"#
    );
    let (cluster, list) = server::decode_spec_resync(&event).unwrap();
    assert_eq!(
        (cluster, list.resource_versions[0].resource_version),
        (CONSUMER, 1)
    );
    let first = agent::spec_resync_request(AGENT, CONSUMER, vec![], made);
    assert_eq!(data(&first), r#"{"resourceVersions":[]}"#);
}

#[test]
fn status_resync_lists_are_read() {
    let event = source::status_resync_request(SOURCE, vec![], Stamp::now());
    assert!(
        agent::decode_status_resync(&event)
            .unwrap()
            .status_hashes
            .is_empty()
    );
    let without_data = Event {
        data: None,
        ..event
    };
    assert!(agent::decode_status_resync(&without_data).is_err());
}
