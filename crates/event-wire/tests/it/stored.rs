//! The JSON form in databases.

use event_wire::{Action, Attribute, Error, Event, Stamp, codec::source, stored};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{SOURCE, quick, work};

fn event() -> Event {
    source::encode_spec(&work(), Action::CreateRequest, SOURCE, Stamp::now()).unwrap()
}

#[test]
fn metadata_is_an_object_and_data_is_embedded() {
    let json = stored::to_json(&event()).unwrap();
    assert_eq!(json["specversion"], "1.0");
    assert_eq!(
        json["metadata"]["labels"]["hyperfleet.io/cluster-id"],
        "abc123"
    );
    assert_eq!(json["data"]["manifests"][0]["kind"], "HostedCluster");
    assert_eq!(json["resourceversion"], 0);
    assert_eq!(json["datacontenttype"], "application/json");
    assert_eq!(
        json["type"],
        "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request"
    );
}

#[test]
fn a_stored_event_reads_back_equal() {
    let event = event();
    assert_eq!(
        stored::from_str(&stored::to_string(&event).unwrap()).unwrap(),
        event
    );
    let spaced = serde_json::to_string_pretty(&stored::to_json(&event).unwrap()).unwrap();
    let back = stored::from_str(&spaced).unwrap();
    assert_eq!(back.metadata().unwrap(), event.metadata().unwrap());
    let value =
        |event: &Event| serde_json::from_slice::<Value>(event.data.as_deref().unwrap()).unwrap();
    assert_eq!(value(&back), value(&event));
    assert!(
        !back.data.unwrap().contains(&b'\n'),
        "space that a database added is gone"
    );
}

#[test]
fn numbers_and_truth_keep_their_type_and_the_rest_is_text() {
    let mut stored_form = stored::to_json(&event()).unwrap();
    for (key, value) in [
        ("an", json!(7)),
        ("bt", json!(true)),
        ("ct", json!("2026-01-01T00:00:00Z")),
        ("dn", json!(null)),
        ("eo", json!({"b": [1, 2]})),
    ] {
        stored_form[key] = value;
    }
    let back = stored::from_json(&stored_form).unwrap();
    assert_eq!(back.extensions["an"], Attribute::Int(7));
    assert_eq!(back.extensions["bt"], Attribute::Bool(true));
    assert_eq!(
        back.extensions["ct"],
        Attribute::from("2026-01-01T00:00:00Z")
    );
    assert!(!back.extensions.contains_key("dn"));
    assert_eq!(back.extensions["eo"], Attribute::from(r#"{"b":[1,2]}"#));
}

#[test]
fn times_and_bytes_become_text() {
    let mut event = event();
    event.set(
        "deletiontimestamp",
        "2026-01-01T00:00:00.5Z".parse::<jiff::Timestamp>().unwrap(),
    );
    event.set("blob", Attribute::Bytes(vec![1, 2, 3].into()));
    let json = stored::to_json(&event).unwrap();
    assert_eq!(json["deletiontimestamp"], "2026-01-01T00:00:00.5Z");
    assert_eq!(json["blob"], "AQID");
    assert_eq!(
        stored::from_json(&json)
            .unwrap()
            .deletion_timestamp()
            .unwrap(),
        event.deletion_timestamp().unwrap()
    );
}

#[test]
fn data_that_is_no_json_is_kept_too() {
    let mut event = event();
    event.data = Some(vec![0xff, 0x00].into());
    assert_eq!(
        stored::from_str(&stored::to_string(&event).unwrap())
            .unwrap()
            .data,
        event.data
    );
}

#[test]
fn metadata_that_is_no_object_is_refused() {
    for bad in ["[]", "5", "nope", "\"x\""] {
        let mut event = event();
        event.set("metadata", bad);
        assert!(
            matches!(stored::to_string(&event), Err(Error::Metadata { .. })),
            "{bad}"
        );
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for (text, why) in [
        ("", "EOF"),
        ("[]", "invalid type"),
        ("{}", "id is missing"),
        (r#"{"id":5}"#, "id must be text"),
        (
            r#"{"id":"1","source":"s","type":"x"}"#,
            "unsupported cloudevents type format: x",
        ),
        (
            r#"{"id":"1","source":"s","type":"a.b.c.spec.d","time":"x"}"#,
            "time:",
        ),
        (
            r#"{"id":"1","source":"s","type":"a.b.c.spec.d","n":1e99}"#,
            "out of range",
        ),
    ] {
        let error = stored::from_str(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

proptest! {
    #![proptest_config(quick(256))]

    #[test]
    fn any_text_is_read_or_refused(text in ".*", key in "[a-z_]{1,14}", value in ".{0,12}") {
        let _ = stored::from_str(&text);
        let _ = stored::from_str(&format!(r#"{{"id":"1","source":"s","type":"a.b.c.spec.d","{key}":{value}}}"#));
    }
}
