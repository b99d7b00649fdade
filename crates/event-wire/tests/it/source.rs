//! What sources send and read.

use event_wire::{Action, Error, Event, Stamp, codec::source, proto};
use manifestwork::constants::{RESOURCE_VERSION_ANNOTATION, SEQUENCE_ID_ANNOTATION};
use prost::Message;

use crate::{BUNDLE, CONSUMER, ID, SOURCE, STATUS, attributes, data, stamp, work};

#[test]
fn golden_create() {
    let made = stamp(
        "5d4f6c1e-8f0b-4d53-9d0b-0c3c1f1f5a01",
        "2026-01-01T00:00:00.12Z",
    );
    let event = source::encode_spec(&work(), Action::CreateRequest, SOURCE, made).unwrap();
    assert_eq!(event.id, "5d4f6c1e-8f0b-4d53-9d0b-0c3c1f1f5a01");
    assert_eq!(event.source, SOURCE);
    assert_eq!(
        event.event_type.to_string(),
        "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request"
    );
    assert_eq!(
        attributes(&event),
        [
            "ce-clustername=string:us-east-mgmt-01",
            r#"ce-logtracing=string:{}"#,
            r#"ce-metadata=string:{"name":"hostedcluster-abc123","namespace":"us-east-mgmt-01","uid":"a0368fb6-32c0-52ec-8a38-4de8388e3c3e","resourceVersion":"0","labels":{"hyperfleet.io/cluster-id":"abc123"}}"#,
            "ce-originalsource=string:",
            "ce-resourceid=string:a0368fb6-32c0-52ec-8a38-4de8388e3c3e",
            "ce-resourceversion=int:0",
            "ce-time=time:1767225600.120000000",
            "contenttype=string:application/json",
        ]
    );
    assert_eq!(data(&event), BUNDLE);
}

#[test]
fn the_same_work_and_stamp_make_the_same_bytes() {
    let made = stamp(
        "5d4f6c1e-8f0b-4d53-9d0b-0c3c1f1f5a01",
        "2026-01-01T00:00:00.12Z",
    );
    let bytes = || {
        proto::CloudEvent::from(
            source::encode_spec(&work(), Action::CreateRequest, SOURCE, made).unwrap(),
        )
        .encode_to_vec()
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn golden_update() {
    let mut work = work();
    work.metadata.generation = 1;
    work.metadata.resource_version = "1".into();
    work.metadata.creation_timestamp = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let event = source::encode_spec(&work, Action::UpdateRequest, SOURCE, Stamp::now()).unwrap();
    assert_eq!(event.resource_version().unwrap(), 1);
    assert!(event.metadata_text().unwrap().unwrap().contains(
        r#""resourceVersion":"1","generation":1,"creationTimestamp":"2026-01-01T00:00:00Z","labels""#
    ));
}

#[test]
fn golden_delete() {
    let mut work = work();
    work.metadata.labels.clear();
    work.metadata.generation = 2;
    work.metadata.resource_version = "2".into();
    work.metadata.creation_timestamp = Some("2026-01-01T00:00:00Z".parse().unwrap());
    let made = stamp(
        "0f6d2b9a-6a54-4f0e-8a7a-4be1f8f1c903",
        "2026-01-01T01:00:00Z",
    );
    work.metadata.deletion_timestamp = Some(made.time);
    let event = source::encode_spec(&work, Action::DeleteRequest, SOURCE, made).unwrap();
    assert_eq!(
        attributes(&event),
        [
            "ce-clustername=string:us-east-mgmt-01",
            "ce-deletiontimestamp=time:1767229200.0",
            r#"ce-logtracing=string:{}"#,
            r#"ce-metadata=string:{"name":"hostedcluster-abc123","namespace":"us-east-mgmt-01","uid":"a0368fb6-32c0-52ec-8a38-4de8388e3c3e","resourceVersion":"2","generation":2,"creationTimestamp":"2026-01-01T00:00:00Z","deletionTimestamp":"2026-01-01T01:00:00Z"}"#,
            "ce-originalsource=string:",
            "ce-resourceid=string:a0368fb6-32c0-52ec-8a38-4de8388e3c3e",
            "ce-resourceversion=int:2",
            "ce-time=time:1767229200.0",
        ]
    );
    assert!(event.data.is_none() && event.content_type.is_none());
}

#[test]
fn golden_status_resync() {
    let hash = event_wire::payload::StatusHash {
        resource_id: ID.into(),
        status_hash: "de5c92d82c61d1893fc7db668ac97f1d99e4e9a148c4bdf3b07e782bd57c8841".into(),
    };
    let made = stamp(
        "e9a0c6f4-5a5e-4b8e-b8d2-0a4bd1b6a707",
        "2026-01-01T00:03:20Z",
    );
    let event = source::status_resync_request(SOURCE, vec![hash], made);
    assert_eq!(
        attributes(&event),
        [
            "ce-clustername=string:",
            "ce-originalsource=string:",
            "ce-time=time:1767225800.0",
            "contenttype=string:application/json"
        ]
    );
    assert_eq!(
        data(&event),
        r#"{"statusHashes":[{"resourceID":"a0368fb6-32c0-52ec-8a38-4de8388e3c3e","statusHash":"de5c92d82c61d1893fc7db668ac97f1d99e4e9a148c4bdf3b07e782bd57c8841"}]}"#
    );
}

#[test]
fn the_version_is_the_annotation_then_the_generation() {
    let sent = |annotation: Option<&str>, generation| {
        let mut work = work();
        work.metadata.generation = generation;
        if let Some(text) = annotation {
            work.metadata
                .annotations
                .insert(RESOURCE_VERSION_ANNOTATION.into(), text.into());
        }
        let event = source::encode_spec(&work, Action::UpdateRequest, SOURCE, Stamp::now())?;
        Ok::<_, Error>((
            event.resource_version()?,
            event.metadata()?.unwrap().resource_version,
        ))
    };
    assert_eq!(sent(None, 4).unwrap(), (4, "0".into()));
    assert_eq!(sent(Some("7"), 4).unwrap(), (7, "7".into()));
    assert_eq!(sent(Some("0"), 4).unwrap(), (4, "0".into()));
    assert!(sent(Some("x"), 4).is_err() && sent(None, 1 << 40).is_err());
}

#[test]
fn a_work_without_uid_is_refused_and_executor_is_spelled_as_on_the_wire() {
    let mut work = work();
    work.spec.executor = serde_json::from_str(
        r#"{"subject":{"type":"ServiceAccount","serviceAccount":{"namespace":"n","name":"a"}}}"#,
    )
    .unwrap();
    let event = source::encode_spec(&work, Action::CreateRequest, SOURCE, Stamp::now()).unwrap();
    assert!(data(&event).contains(r#""executer":{"subject":{"type":"ServiceAccount""#));
    work.metadata.uid.clear();
    assert!(source::encode_spec(&work, Action::CreateRequest, SOURCE, Stamp::now()).is_err());
}

#[test]
fn log_tracing_annotations_travel() {
    let mut work = work();
    work.metadata.annotations.insert(
        "logging.open-cluster-management.io/op-id".into(),
        "7".into(),
    );
    work.metadata.annotations.insert("other".into(), "x".into());
    let event = source::encode_spec(&work, Action::CreateRequest, SOURCE, Stamp::now()).unwrap();
    assert!(attributes(&event).contains(
        &r#"ce-logtracing=string:{"logging.open-cluster-management.io/op-id":"7"}"#.to_owned()
    ));
}

/// A status event as it arrives at a source.
fn status_event() -> Event {
    let mut event =
        source::encode_spec(&work(), Action::CreateRequest, SOURCE, Stamp::now()).unwrap();
    event.event_type =
        "io.open-cluster-management.works.v1alpha1.manifestbundles.status.update_request"
            .parse()
            .unwrap();
    event
        .set("resourceversion", "13")
        .set("sequenceid", "2006515731264442368")
        .set("originalsource", "maestro");
    event.data = Some(format!(r#"{{"manifestBundle":{BUNDLE},{}"#, &STATUS[1..]).into());
    event
}

#[test]
fn a_status_with_bundle_is_the_whole_work() {
    let event = status_event();
    let seen = source::decode_status(&event).unwrap();
    assert_eq!(seen.metadata.name, "hostedcluster-abc123");
    assert_eq!(seen.metadata.namespace, CONSUMER);
    assert_eq!(
        (seen.metadata.uid.as_str(), seen.metadata.generation),
        (ID, 13),
        "a version as text is fine"
    );
    assert_eq!(
        seen.metadata.annotations[SEQUENCE_ID_ANNOTATION],
        "2006515731264442368"
    );
    assert_eq!(seen.metadata.labels["hyperfleet.io/cluster-id"], "abc123");
    assert_eq!(seen.spec, work().spec);
    assert!(manifestwork::conditions::is_true(
        &seen.status.conditions,
        "Available"
    ));
}

#[test]
fn a_status_without_metadata_is_named_by_its_id() {
    let mut event = status_event();
    event.extensions.remove("metadata");
    event.data = Some(STATUS.into());
    let seen = source::decode_status(&event).unwrap();
    assert_eq!(
        (
            seen.metadata.name.as_str(),
            seen.metadata.namespace.as_str()
        ),
        (ID, CONSUMER)
    );
    assert!(seen.spec.workload.manifests.is_empty());
}

#[test]
fn a_status_needs_id_version_sequence_and_data() {
    for name in ["resourceid", "resourceversion", "sequenceid"] {
        let mut event = status_event();
        event.extensions.remove(name);
        let error = source::decode_status(&event).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("failed to get {name} extension: invalid CloudEvents value: <nil>")
        );
    }
    let mut event = status_event();
    event.data = Some("nope".into());
    assert!(matches!(
        source::decode_status(&event),
        Err(Error::Data { .. })
    ));
    let mut event = status_event();
    event.set("metadata", "nope");
    assert!(matches!(
        source::decode_status(&event),
        Err(Error::Metadata { .. })
    ));
    let mut event = status_event();
    event.event_type.data_type.resource = "leases".into();
    assert!(matches!(
        source::decode_status(&event),
        Err(Error::DataType { .. })
    ));
}
