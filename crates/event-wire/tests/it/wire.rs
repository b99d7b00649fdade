//! Bytes, and the rules for reading them.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_wire::{
    Attribute, Error, Event, EventType, HEARTBEAT_TYPE, Incoming, MANIFEST_BUNDLES, heartbeat,
    proto::{
        self, CloudEvent, CloudEventAttributeValue, cloud_event::Data,
        cloud_event_attribute_value::Attr,
    },
};
use jiff::Timestamp;
use manifestwork::ids::hex;
use proptest::prelude::*;
use prost::Message;

use crate::quick;

fn text(value: &str) -> CloudEventAttributeValue {
    CloudEventAttributeValue {
        attr: Some(Attr::CeString(value.to_owned())),
    }
}

fn message(attributes: &[(&str, CloudEventAttributeValue)]) -> CloudEvent {
    CloudEvent {
        id: "1".into(),
        source: "s".into(),
        spec_version: "1.0".into(),
        r#type: format!("{MANIFEST_BUNDLES}.spec.create_request"),
        attributes: attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
        data: None,
    }
}

fn read(attributes: &[(&str, CloudEventAttributeValue)]) -> Result<Event, Error> {
    Event::try_from(message(attributes))
}

#[test]
fn golden_subscription_request() {
    let request = proto::SubscriptionRequest {
        source: "controlplane-adapter".into(),
        cluster_name: String::new(),
        data_type: MANIFEST_BUNDLES.into(),
    };
    assert_eq!(
        hex(&request.encode_to_vec()),
        "0a14636f6e74726f6c706c616e652d616461707465721a39696f2e6f70656e2d636c75737465722d6d616e6167656d656e742e776f726b732e7631616c706861312e6d616e696665737462756e646c6573"
    );
}

#[test]
fn golden_heartbeat() {
    let beat = heartbeat("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed".parse().unwrap());
    assert_eq!(
        hex(&beat.encode_to_vec()),
        "0a2431623964366263642d626266642d346232642d396235642d6162386466626264346265641a03312e302230696f2e6f70656e2d636c75737465722d6d616e6167656d656e742e636c6f75646576656e74732e686561727462656174"
    );
    assert_eq!(
        Incoming::from_proto(beat.clone()).unwrap(),
        Incoming::Heartbeat
    );
    assert!(
        matches!(Event::try_from(beat), Err(Error::UnknownEncoding)),
        "a heartbeat is no event"
    );
    assert_eq!(HEARTBEAT_TYPE.len(), 48);
}

#[test]
fn empty_arms_are_written_and_seen() {
    assert_eq!(hex(&text("").encode_to_vec()), "1a00");
    assert_eq!(
        hex(&CloudEventAttributeValue {
            attr: Some(Attr::CeInteger(0))
        }
        .encode_to_vec()),
        "1000"
    );
    let event = read(&[("ce-originalsource", text(""))]).unwrap();
    assert_eq!(event.original_source().unwrap(), "");
}

#[test]
fn attributes_without_a_value_are_refused_by_name() {
    let error = read(&[("ce-x", CloudEventAttributeValue { attr: None })]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to convert attribute ce-x: unsupported attribute type: <nil>"
    );
}

#[test]
fn no_attributes_or_an_unknown_version_is_an_unknown_encoding() {
    assert_eq!(
        read(&[]).unwrap_err().to_string(),
        "unknown Message encoding"
    );
    for (version, good) in [("1.0", true), ("0.3", true), ("2.0", false), ("", false)] {
        let event = CloudEvent {
            spec_version: version.into(),
            ..message(&[("ce-x", text("1"))])
        };
        assert_eq!(Event::try_from(event).is_ok(), good, "{version}");
    }
}

#[test]
fn prefixed_standard_attributes_win_and_other_keys_are_dropped() {
    let event = read(&[
        ("ce-id", text("2")),
        ("ce-source", text("t")),
        ("ce-subject", text("about")),
        ("ce-dataschema", text("schema")),
        ("ce-datacontenttype", text("application/json")),
        ("ce-time", text("2026-01-01T00:00:00.5Z")),
        ("ce-MiXed1", text("x")),
        ("noprefix", text("y")),
    ])
    .unwrap();
    assert_eq!((event.id.as_str(), event.source.as_str()), ("2", "t"));
    assert_eq!(event.subject.as_deref(), Some("about"));
    assert_eq!(event.data_schema.as_deref(), Some("schema"));
    assert_eq!(event.content_type.as_deref(), Some("application/json"));
    assert_eq!(event.time, Some("2026-01-01T00:00:00.5Z".parse().unwrap()));
    assert_eq!(
        event.extensions,
        BTreeMap::from([("mixed1".to_owned(), Attribute::from("x"))])
    );
}

#[test]
fn extension_names_are_letters_and_digits() {
    for bad in ["ce-", "ce-a-b", "ce-ä"] {
        assert!(
            matches!(read(&[(bad, text("x"))]), Err(Error::ExtensionName { .. })),
            "{bad}"
        );
    }
}

#[test]
fn names_of_the_json_form_are_no_extensions() {
    for key in ["ce-data", "ce-Data", "ce-DATA"] {
        let error = read(&[(key, text("x"))]).unwrap_err();
        assert!(
            matches!(error, Error::ExtensionName { .. }),
            "{key}: {error}"
        );
    }
    // Stored under `time`, text that is no time would make a row that nobody can read.
    let error = read(&[("ce-Time", text("never"))]).unwrap_err();
    assert!(matches!(error, Error::InvalidAttribute { .. }), "{error}");
    let event = read(&[("ce-ID", text("other")), ("ce-Subject", text("x"))]).unwrap();
    assert_eq!(
        (event.id.as_str(), event.subject.as_deref()),
        ("other", Some("x"))
    );
    assert!(event.extensions.is_empty());
    let stored = r#"{"id":"i","source":"s","type":"a.b.c.spec.x","Time":"never"}"#;
    assert!(event_wire::stored::from_str(stored).is_err());
}

#[test]
fn the_data_of_an_event_is_no_event() {
    let inner =
        r#"{"specversion":"1.0","id":"i","source":"victim","type":"a.b.c.spec.x","manifests":[]}"#;
    let mut message = message(&[("ce-datacontenttype", text("application/cloudevents+json"))]);
    message.data = Some(Data::BinaryData(Bytes::from(inner)));
    let error = Event::try_from(message).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the data of an event can't be an event"),
        "the next reader would take the data for the event: {error}"
    );
    let stored = format!(
        r#"{{"id":"i","source":"s","type":"a.b.c.spec.x","datacontenttype":"application/cloudevents+json","data":{inner}}}"#
    );
    assert!(event_wire::stored::from_str(&stored).is_err());
}

#[test]
fn data_is_read_from_binary_data_only() {
    let with = |data| {
        Event::try_from(CloudEvent {
            data: Some(data),
            ..message(&[("ce-x", text("1"))])
        })
        .unwrap()
        .data
    };
    assert_eq!(
        with(Data::BinaryData(Bytes::from_static(b"{}"))),
        Some(Bytes::from_static(b"{}"))
    );
    assert_eq!(with(Data::BinaryData(Bytes::new())), None);
    assert_eq!(with(Data::TextData("{}".into())), None);
    assert_eq!(with(Data::ProtoData(prost_types::Any::default())), None);
}

#[test]
fn structured_events_are_read() {
    let json = format!(
        r#"{{"specversion":"1.0","id":"9","source":"s","type":"{MANIFEST_BUNDLES}.spec.create_request","time":"2026-01-01T00:00:00Z","resourceid":"r","resourceversion":3,"data": {{ "manifests": [] }} }}"#
    );
    let event = Event::try_from(CloudEvent {
        data: Some(Data::BinaryData(json.into())),
        ..message(&[("contenttype", text("application/cloudevents+json"))])
    })
    .unwrap();
    assert_eq!(
        (
            event.id.as_str(),
            event.resource_id().unwrap(),
            event.resource_version().unwrap()
        ),
        ("9", "r", 3)
    );
    assert_eq!(
        event.data.as_deref(),
        Some(br#"{"manifests":[]}"#.as_slice())
    );
    let broken = Event::try_from(CloudEvent {
        data: Some(Data::BinaryData(Bytes::from_static(b"{"))),
        ..message(&[("contenttype", text("application/cloudevents+json"))])
    });
    assert!(matches!(broken, Err(Error::Structured { .. })));
}

#[test]
fn readers_are_tolerant_where_the_protocol_says_so() {
    let with = |name: &str, attr| {
        read(&[(
            &format!("ce-{name}"),
            CloudEventAttributeValue { attr: Some(attr) },
        )])
        .unwrap()
    };
    let version = |attr| with("resourceversion", attr).resource_version();
    assert_eq!(version(Attr::CeInteger(13)).unwrap(), 13);
    assert_eq!(version(Attr::CeString("13".into())).unwrap(), 13);
    assert_eq!(version(Attr::CeString("13.9".into())).unwrap(), 13);
    for bad in ["", "x", "1e99", "2147483648", "NaN"] {
        assert!(version(Attr::CeString(bad.into())).is_err(), "{bad}");
    }
    let deletion = |attr| with("deletiontimestamp", attr).deletion_timestamp();
    let time: Timestamp = "1985-04-12T23:20:50.52Z".parse().unwrap();
    assert_eq!(
        deletion(Attr::CeString(time.to_string())).unwrap(),
        Some(time)
    );
    let proto_time = prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: 520_000_000,
    };
    assert_eq!(deletion(Attr::CeTimestamp(proto_time)).unwrap(), Some(time));
    assert!(deletion(Attr::CeString("later".into())).is_err());
    assert!(
        with("resourceid", Attr::CeInteger(1))
            .resource_id()
            .is_err(),
        "a number is no text"
    );
    let event = read(&[("ce-x", text("1"))]).unwrap();
    assert_eq!(
        event.resource_version().unwrap_err().to_string(),
        "failed to get resourceversion extension: invalid CloudEvents value: <nil>"
    );
}

#[test]
fn times_out_of_range_are_refused() {
    let attr = Attr::CeTimestamp(prost_types::Timestamp {
        seconds: i64::MAX,
        nanos: -1,
    });
    assert!(matches!(
        read(&[("ce-time", CloudEventAttributeValue { attr: Some(attr) })]),
        Err(Error::InvalidAttribute { .. })
    ));
}

#[test]
fn log_tracing_keeps_its_own_keys_and_never_fails() {
    let with = |value: &str| {
        read(&[("ce-logtracing", text(value))])
            .unwrap()
            .log_tracing()
    };
    let found = with(r#"{"logging.open-cluster-management.io/op-id":"7","other":"x"}"#);
    assert_eq!(
        found,
        BTreeMap::from([(
            "logging.open-cluster-management.io/op-id".into(),
            "7".into()
        )])
    );
    assert!(with("not json").is_empty() && with(r#"{"a":1}"#).is_empty());
}

prop_compose! {
    fn any_time()(second in -60_000_000_000_i64..200_000_000_000, nano in 0..1_000_000_000_i32) -> Timestamp {
        let time = Timestamp::from_second(second).unwrap();
        time + jiff::SignedDuration::from_nanos(i64::from(nano))
    }
}

fn any_attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        any::<bool>().prop_map(Attribute::Bool),
        any::<i32>().prop_map(Attribute::Int),
        ".*".prop_map(Attribute::String),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Attribute::Bytes(bytes.into())),
        "https://[a-z]{1,9}".prop_map(Attribute::Uri),
        "/[a-z]{1,9}".prop_map(Attribute::UriRef),
        any_time().prop_map(Attribute::Timestamp),
    ]
}

prop_compose! {
    fn any_event()(
        id in "[a-z0-9-]{0,9}", source in "[a-z-]{0,9}", action in "[a-z_]{1,9}",
        time in prop::option::of(any_time()), subject in prop::option::of("[a-z]{1,9}"),
        extensions in prop::collection::btree_map("x[a-z0-9]{1,9}", any_attribute(), 1..6),
        data in prop::option::of(prop::collection::vec(any::<u8>(), 1..50)),
    ) -> Event {
        Event {
            id, source, time, subject, extensions,
            event_type: format!("{MANIFEST_BUNDLES}.spec.{action}").parse::<EventType>().unwrap(),
            content_type: data.as_ref().map(|_| "application/json".to_owned()),
            data_schema: None,
            data: data.map(Bytes::from),
        }
    }
}

fn any_message() -> impl Strategy<Value = CloudEvent> {
    let attr = prop_oneof![
        Just(None),
        any::<bool>().prop_map(|truth| Some(Attr::CeBoolean(truth))),
        any::<i32>().prop_map(|number| Some(Attr::CeInteger(number))),
        ".*".prop_map(|text| Some(Attr::CeString(text))),
        Just(Some(Attr::CeString("application/cloudevents+json".into()))),
        (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| Some(Attr::CeTimestamp(
            prost_types::Timestamp { seconds, nanos }
        ))),
    ];
    let key = prop_oneof![
        Just("contenttype".to_owned()),
        "ce-(time|id|type|metadata|resourceid|resourceversion|deletiontimestamp|clustername|sequenceid|logtracing|x)",
        ".{0,6}"
    ];
    (
        prop::collection::btree_map(
            key,
            attr.prop_map(|attr| CloudEventAttributeValue { attr }),
            0..8,
        ),
        prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40)
                .prop_map(|bytes| Data::BinaryData(bytes.into())),
            "\\{\"[a-z]{1,9}\":.{0,20}\\}".prop_map(|text| Data::BinaryData(text.into())),
        ]),
        prop_oneof![
            Just(format!("{MANIFEST_BUNDLES}.spec.create_request")),
            ".*"
        ],
    )
        .prop_map(|(attributes, data, kind)| CloudEvent {
            id: "1".into(),
            source: "s".into(),
            spec_version: "1.0".into(),
            r#type: kind,
            attributes,
            data,
        })
}

#[test]
fn the_size_of_an_event_counts_all_that_it_holds() {
    let empty = read(&[("ce-x", text(""))]).unwrap().size();
    let big = "x".repeat(10_000);
    for attr in [
        Attr::CeString(big.clone()),
        Attr::CeUri(big.clone()),
        Attr::CeUriRef(big.clone()),
        Attr::CeBytes(big.clone().into()),
    ] {
        let value = CloudEventAttributeValue { attr: Some(attr) };
        assert_eq!(read(&[("ce-x", value)]).unwrap().size(), empty + 10_000);
    }
    let name = format!("ce-{big}");
    assert!(read(&[(name.as_str(), text(""))]).unwrap().size() > empty + 9000);
    for key in [
        "ce-id",
        "ce-source",
        "ce-subject",
        "ce-dataschema",
        "contenttype",
    ] {
        let event = read(&[("ce-x", text("")), (key, text(&big))]).unwrap();
        assert!(event.size() > empty + 9000, "{key}");
    }
    for r#type in [
        format!("{big}.v1.a.spec.create_request"),
        format!("a.v1.a.spec.{big}"),
    ] {
        let message = CloudEvent {
            r#type,
            ..message(&[("ce-x", text(""))])
        };
        assert!(Event::try_from(message).unwrap().size() > empty + 9000);
    }
    let mut with_data = message(&[("ce-x", text(""))]);
    with_data.data = Some(Data::BinaryData(big.into()));
    assert_eq!(Event::try_from(with_data).unwrap().size(), empty + 10_000);
    let many: Vec<String> = (0..100).map(|number| format!("ce-x{number}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), text(""))).collect();
    assert!(
        read(&many).unwrap().size() > empty + 5000,
        "small attributes aren't free"
    );
}

/// Attributes without the prefix aren't a part of the event, but of the buffer that its message was read into.
#[test]
fn an_event_does_not_keep_the_buffer_of_its_message() {
    let big = text(&"x".repeat(100_000));
    let bytes = CloudEventAttributeValue {
        attr: Some(Attr::CeBytes("abc".into())),
    };
    let mut sent = message(&[("ignored", big), ("ce-bytes", bytes)]);
    sent.data = Some(Data::BinaryData("{}".into()));
    let buffer = Bytes::from(sent.encode_to_vec());
    let event = Event::try_from(CloudEvent::decode(buffer.clone()).unwrap()).unwrap();
    assert_eq!(event.data.as_deref(), Some(b"{}".as_slice()));
    assert!(buffer.is_unique(), "the event holds a part of the buffer");
}

proptest! {
    #![proptest_config(quick(256))]

    #[test]
    fn events_round_trip_through_bytes(event in any_event()) {
        let bytes = CloudEvent::from(&event).encode_to_vec();
        let back = Event::try_from(CloudEvent::decode(bytes.as_slice()).unwrap()).unwrap();
        prop_assert_eq!(back, event);
    }

    #[test]
    fn no_message_makes_a_reader_panic(message in any_message()) {
        if let Ok(Incoming::Event(event)) = Incoming::from_proto(message) {
            let _ = event_wire::codec::source::decode_status(&event);
            let _ = event_wire::codec::agent::decode_spec(&event);
            let _ = event_wire::codec::server::decode_status(&event);
            let _ = event_wire::codec::server::status_for_source(&event, &event);
            let row = event_wire::codec::server::Row { id: "i", version: 1, consumer: "c", deleted_at: None };
            let _ = event_wire::codec::server::spec_for_agent(&event, row, event_wire::Action::UpdateRequest, event_wire::Stamp::now());
            if let Ok(text) = event_wire::stored::to_string(&event) {
                event_wire::stored::from_str(&text).unwrap();
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(message) = CloudEvent::decode(bytes.as_slice()) {
            let _ = Incoming::from_proto(message);
        }
    }
}
