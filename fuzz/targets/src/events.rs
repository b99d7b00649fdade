//! The event decoder: protobuf and the stored JSON form, both directions, and everything that reads an event.

use event_wire::codec::{agent, server, source};
use event_wire::proto::CloudEvent;
use event_wire::{Action, Error, Event, Incoming, Stamp, stored};
use prost::Message as _;

/// A message as any peer may send it on either port.
pub fn protobuf(data: &[u8]) {
    let Ok(message) = CloudEvent::decode(data) else {
        return;
    };
    if let Ok(Incoming::Event(event)) = Incoming::from_proto(message) {
        promises(&event);
    }
}

/// A row of a database, or the body of an event in structured mode.
pub fn stored(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(event) = stored::from_str(text) {
        promises(&event);
    }
}

fn promises(event: &Event) {
    same_on_the_wire(event);
    same_in_storage(event);
    read(event);
}

/// What was understood is understood again by the next reader, with the same meaning.
fn same_on_the_wire(event: &Event) {
    let message = CloudEvent::from(event);
    let empty = message.attributes.is_empty();
    let message = CloudEvent::decode(message.encode_to_vec().as_slice()).unwrap();
    match Event::try_from(message) {
        Ok(again) => assert_eq!(again, *event, "another event on the wire"),
        // The wire can't say "no attributes".
        Err(Error::UnknownEncoding) if empty => {}
        Err(error) => panic!("what was read can't be read again: {error}"),
    }
}

/// A row that was written can be read, and doesn't change any more.
fn same_in_storage(event: &Event) {
    if event.metadata().is_err() {
        return; // No door lets it in.
    }
    let text = stored::to_string(event).expect("good metadata can be stored");
    let first = stored::from_str(&text).expect("a row can be read");
    assert_eq!(
        (&first.id, &first.source, &first.event_type),
        (&event.id, &event.source, &event.event_type)
    );
    assert_eq!(
        first.extensions.keys().collect::<Vec<_>>(),
        event.extensions.keys().collect::<Vec<_>>(),
        "a stored event has other attributes"
    );
    // JSON has no other word for "no data".
    let null = event
        .data
        .as_ref()
        .is_some_and(|data| data.trim_ascii() == b"null");
    assert_eq!(first.data.is_some(), event.data.is_some() && !null);
    let text = stored::to_string(&first).expect("a row can be written again");
    assert_eq!(stored::from_str(&text).unwrap(), first, "a row changed");
}

/// Everything that looks into an event, on every port.
fn read(event: &Event) {
    let _ = event.sequence_id();
    let _ = event.log_tracing();
    let _ = event.deletion_timestamp();
    let stamp = Stamp::now();
    if let Ok(agent::SpecMessage::Apply(work)) = agent::decode_spec(event) {
        assert!(!work.spec.workload.manifests.is_empty());
        let sequence = "4096".parse().unwrap();
        let status = agent::encode_status(&work, Action::UpdateRequest, "a", sequence, stamp);
        // The label says "maestro" only if the event's source does.
        if let Ok(status) = status {
            same_on_the_wire(&status);
        }
    }
    let _ = agent::decode_status_resync(event);
    let _ = server::decode_spec_resync(event);
    let _ = server::decode_status(event);
    if let Ok(work) = source::decode_status(event) {
        let _ = source::encode_spec(&work, Action::UpdateRequest, "s", stamp)
            .map(|event| same_on_the_wire(&event));
    }
    let row = server::Row {
        id: "id",
        version: 7,
        consumer: "c",
        deleted_at: None,
    };
    if let Ok(spec) = server::spec_for_agent(event, row, Action::UpdateRequest, stamp) {
        assert_eq!(
            (
                spec.resource_id().unwrap(),
                spec.resource_version().unwrap()
            ),
            ("id", 7),
            "the server's own identity is on it"
        );
        same_on_the_wire(&spec);
    }
    if let Ok(status) = server::status_for_source(event, event) {
        let limit = server::fit::MAX_STATUS_EVENT;
        let size = |event: &Event| event.data.as_ref().map_or(0, |data| data.len());
        assert!(size(&status) <= limit || size(event) * 2 > limit);
    }
    let mut cut = event.clone();
    if server::fit::fit(&mut cut, 64).is_ok_and(|dropped| dropped) {
        let again = server::fit::fit(&mut cut, 64).unwrap();
        assert!(!again, "everything that may go goes at once");
    }
}
