//! Type grammar and sequence ids.

use event_wire::{
    Action, DataType, EventType, MANIFEST_BUNDLES, SequenceGenerator, SequenceId, Subresource,
    sequence::SequenceError,
};
use proptest::prelude::*;

use crate::quick;

#[test]
fn types_are_parsed_from_the_right() {
    let parsed: EventType =
        "io.open-cluster-management.works.v1alpha1.manifests.spec.create_request"
            .parse()
            .unwrap();
    assert_eq!(parsed.data_type.group, "io.open-cluster-management.works");
    assert_eq!(parsed.data_type.version, "v1alpha1");
    assert_eq!(parsed.data_type.resource, "manifests");
    assert_eq!(
        (parsed.subresource, parsed.action),
        (Subresource::Spec, Action::CreateRequest)
    );
    let own = EventType::manifest_bundles(Subresource::Status, Action::ResyncResponse);
    assert_eq!(
        own.to_string(),
        format!("{MANIFEST_BUNDLES}.status.resync_response")
    );
    assert!(own.data_type.is_manifest_bundles());
    assert_eq!(
        "a.b.c.spec.dance".parse::<EventType>().unwrap().action,
        Action::Other("dance".into())
    );
}

#[test]
fn bad_types_say_what_is_bad() {
    for (text, error) in [
        ("", "unsupported cloudevents type format: "),
        (
            "b.c.spec.create_request",
            "unsupported cloudevents type format: b.c.spec.create_request",
        ),
        (
            "a.b.c.specs.create_request",
            "unsupported subresource specs",
        ),
    ] {
        assert_eq!(text.parse::<EventType>().unwrap_err().to_string(), error);
    }
    assert_eq!(
        "a.b".parse::<DataType>().unwrap_err().to_string(),
        "unsupported cloudevents data type format"
    );
}

#[test]
fn sequence_ids_are_read_as_time_node_and_step() {
    let id: SequenceId = "2000808179721572352".parse().unwrap();
    let time = jiff::Timestamp::from_millisecond(id.unix_ms()).unwrap();
    assert_eq!(
        (time.to_string().as_str(), id.node(), id.step()),
        ("2025-12-16T06:00:17.921Z", 1, 0)
    );
    assert!("".parse::<SequenceId>().is_err() && "12x".parse::<SequenceId>().is_err());
}

#[test]
fn sequence_ids_are_ordered_within_a_node() {
    let id = |text: &str| text.parse::<SequenceId>().unwrap();
    let (older, newer) = (id("1834773391719010304"), id("1834773613329256448"));
    assert_eq!(newer.is_newer_than(Some(older)), Ok(true));
    assert_eq!(older.is_newer_than(Some(newer)), Ok(false));
    assert_eq!(older.is_newer_than(Some(older)), Ok(false));
    assert_eq!(older.is_newer_than(None), Ok(true));
    let other_node = id("2000808179721576448");
    assert_eq!(other_node.node(), 2);
    assert_eq!(
        other_node.is_newer_than(Some("2000808179721572352".parse().unwrap())),
        Err(SequenceError::Node)
    );
}

#[test]
fn generated_ids_only_grow_even_if_the_clock_steps_back() {
    let generator = SequenceGenerator::new();
    let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut last = generator.next(now);
    assert_eq!(
        (last.unix_ms(), last.step(), last.node()),
        (now.as_millisecond(), 0, 1)
    );
    for round in 0..10_000_i64 {
        let clock = jiff::Timestamp::from_millisecond(now.as_millisecond() - (round % 7)).unwrap();
        let next = generator.next(clock);
        assert_eq!(next.is_newer_than(Some(last)), Ok(true), "{last} {next}");
        last = next;
    }
    assert!(
        last.unix_ms() - now.as_millisecond() <= 3,
        "10000 ids borrow less than 3 ms"
    );
    let far: SequenceId = (2_000_808_179_721_572_352_i64 + (1 << 52))
        .to_string()
        .parse()
        .unwrap();
    generator.advance_past(far);
    assert_eq!(generator.next(now).is_newer_than(Some(far)), Ok(true));
}

proptest! {
    #![proptest_config(quick(256))]

    #[test]
    fn types_round_trip(group in "[a-z]{1,5}(\\.[a-z-]{1,5}){0,3}", version in "v[0-9]", resource in "[a-z]{1,8}", action in "[a-z_]{1,9}") {
        let text = format!("{group}.{version}.{resource}.status.{action}");
        let parsed: EventType = text.parse().unwrap();
        prop_assert_eq!(parsed.to_string(), text);
        prop_assert_eq!(parsed.data_type.group, group);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in ".*") {
        let _ = text.parse::<EventType>();
        let _ = text.parse::<DataType>();
        let _ = text.parse::<SequenceId>();
    }
}
