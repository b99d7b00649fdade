//! What the server changes on events that pass through.

use event_wire::{
    Action, Error, Event, Stamp,
    codec::{agent, server, source},
    payload::ManifestBundleStatus,
    proto,
};
use manifestwork::{conditions, constants::ORIGINAL_SOURCE_LABEL};
use prost::Message as _;
use serde_json::{Value, json};

use crate::{AGENT, BUNDLE, CONSUMER, ID, SOURCE, STATUS, attributes, data, stamp, work};

const ROW: server::Row<'_> = server::Row {
    id: ID,
    version: 1,
    consumer: CONSUMER,
    deleted_at: None,
};

fn stored() -> Event {
    let made = stamp(
        "5d4f6c1e-8f0b-4d53-9d0b-0c3c1f1f5a01",
        "2026-01-01T00:00:00.12Z",
    );
    let mut event = source::encode_spec(&work(), Action::CreateRequest, SOURCE, made).unwrap();
    event.data = Some(BUNDLE.replacen('{', r#"{"unknown":[1],"#, 1).into());
    event
}

fn status() -> Event {
    let mut local = work();
    local
        .metadata
        .labels
        .insert(ORIGINAL_SOURCE_LABEL.into(), "maestro".into());
    local.metadata.name = ID.into();
    local.metadata.generation = 1;
    local.metadata.creation_timestamp = Some("2026-01-01T00:00:00Z".parse().unwrap());
    local.status = serde_json::from_str::<ManifestBundleStatus>(STATUS)
        .unwrap()
        .into();
    agent::encode_status(
        &local,
        Action::UpdateRequest,
        AGENT,
        "2006515731264442368".parse().unwrap(),
        Stamp::now(),
    )
    .unwrap()
}

#[test]
fn a_spec_goes_down_under_the_servers_name() {
    let stored = stored();
    let event = server::spec_for_agent(&stored, ROW, Action::CreateRequest, Stamp::now()).unwrap();
    assert_eq!(
        (event.id.as_str(), event.time),
        (stored.id.as_str(), stored.time),
        "the source's own"
    );
    assert_eq!(event.source, "maestro");
    assert_eq!(event.resource_version().unwrap(), 1);
    let metadata = event.metadata().unwrap().unwrap();
    assert_eq!(
        (metadata.name.as_str(), metadata.namespace.as_str()),
        (ID, CONSUMER)
    );
    assert_eq!(metadata.labels["hyperfleet.io/cluster-id"], "abc123");
    assert_eq!(event.data, stored.data, "data is forwarded as it is");
    assert_eq!(event.original_source().unwrap(), "");
}

#[test]
fn f11_a_deletion_has_its_own_id_and_time() {
    let stored = stored();
    let deleted_at = "2026-01-01T01:00:00Z".parse().unwrap();
    let row = server::Row {
        deleted_at: Some(deleted_at),
        version: 2,
        ..ROW
    };
    let now = Stamp::now();
    let event = server::spec_for_agent(&stored, row, Action::DeleteRequest, now).unwrap();
    assert_eq!((event.id, event.time), (now.id.to_string(), Some(now.time)));
    assert_eq!(event.data, stored.data);
    let again = server::spec_for_agent(&stored, row, Action::DeleteRequest, Stamp::now()).unwrap();
    assert_ne!(again.id, now.id.to_string());
    assert_eq!(again.deletion_timestamp().unwrap(), Some(deleted_at));
}

#[test]
fn works_without_metadata_stay_without() {
    let mut stored = stored();
    stored.extensions.remove("metadata");
    let event = server::spec_for_agent(&stored, ROW, Action::CreateRequest, Stamp::now()).unwrap();
    assert!(
        !attributes(&event)
            .iter()
            .any(|attribute| attribute.starts_with("ce-metadata"))
    );
}

#[test]
fn an_agents_status_is_read_without_its_values() {
    let report = server::decode_status(&status()).unwrap();
    assert_eq!(
        (
            report.resource_id.as_str(),
            report.resource_version,
            report.cluster_name.as_str()
        ),
        (ID, 1, CONSUMER)
    );
    assert_eq!(
        report.sequence_id.unwrap().to_string(),
        "2006515731264442368"
    );
    assert_eq!(
        report.creation_timestamp,
        Some("2026-01-01T00:00:00Z".parse().unwrap())
    );
    assert!(!report.deleted);
    let mut deleted = status();
    deleted.data = Some(r#"{"conditions":[{"type":"Deleted","status":"True"}]}"#.into());
    deleted.extensions.remove("sequenceid");
    assert!(
        server::decode_status(&deleted).unwrap().deleted,
        "a deletion counts without sequence id"
    );
}

#[test]
fn a_status_that_is_not_for_this_server_is_refused() {
    let mut event = status();
    event.set("originalsource", "other");
    assert_eq!(
        server::decode_status(&event).unwrap_err().to_string(),
        format!("unmatched original source id other for resource {ID}")
    );
    for name in [
        "resourceid",
        "resourceversion",
        "clustername",
        "originalsource",
        "sequenceid",
    ] {
        let mut event = status();
        event.extensions.remove(name);
        assert!(
            matches!(server::decode_status(&event), Err(Error::Extension { .. })),
            "{name}"
        );
    }
}

#[test]
fn a_source_gets_its_own_names_and_the_bundle_back() {
    let event = server::status_for_source(&status(), &stored()).unwrap();
    let seen = source::decode_status(&event).unwrap();
    assert_eq!(seen.metadata.name, "hostedcluster-abc123");
    assert!(!seen.metadata.labels.contains_key(ORIGINAL_SOURCE_LABEL));
    assert_eq!(seen.spec, work().spec);
    let json: Value = serde_json::from_str(data(&event)).unwrap();
    assert_eq!(
        json["manifestBundle"]["unknown"],
        json!([1]),
        "nothing is lost in the bundle"
    );
    assert_eq!(event.source, AGENT);
    assert_eq!(event.original_source().unwrap(), "maestro");
}

#[test]
fn what_still_exceeds_the_limit_loses_its_bundle_then_other_values() {
    let applied = |bytes: usize| json!([{"type": "Applied", "status": "True", "reason": "", "message": "x".repeat(bytes)}]);
    let event = |told: Value, text: usize| {
        let mut event = status();
        event.set_json(&json!({"conditions": told, "manifestBundle": {"manifests": [{"k": "x".repeat(5000)}]},
            "resourceStatus": [{"resourceMeta": {"ordinal": 0}, "conditions": [], "statusFeedback": {"values": [
                {"name": "raw", "fieldValue": {"type": "JsonRaw", "jsonRaw": "1"}},
                {"name": "text", "fieldValue": {"type": "String", "string": "x".repeat(text)}},
            ]}}]}));
        event
    };
    let fitted = |mut event: Event| {
        assert!(server::fit::fit(&mut event, 10_000).unwrap());
        assert!(proto::CloudEvent::from(&event).encoded_len() <= 10_000);
        event.json::<ManifestBundleStatus>().unwrap()
    };
    let names = |status: &ManifestBundleStatus| -> Vec<String> {
        let values = status.resource_status[0].status_feedback.values.iter();
        values.map(|value| value.name.clone()).collect()
    };
    let cut = fitted(event(applied(5000), 1000));
    assert!(cut.manifest_bundle.is_none());
    assert_eq!(names(&cut), ["text"]);
    let why = conditions::find(&cut.conditions, "StatusFeedbackSynced").unwrap();
    assert!(
        why.message.starts_with("manifestBundle left out"),
        "{}",
        why.message
    );
    let cut = fitted(event(applied(5000), 5000));
    assert!(cut.manifest_bundle.is_none() && names(&cut).is_empty());

    let mut large = event(applied(11_000), 1);
    let error = server::fit::fit(&mut large, 10_000).unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: 10_000, .. }),
        "{error}"
    );
    // The end of a resource is told whatever it takes.
    let mut last = applied(11_000);
    let ended = json!({"type": "Deleted", "status": "True", "reason": "", "message": ""});
    last.as_array_mut().unwrap().push(ended);
    let cut = fitted(event(last, 1));
    assert_eq!(cut.conditions.len(), 1);
    assert!(conditions::is_true(&cut.conditions, "Deleted"));
}

/// Each value in the words of its manifest would take more than it gives, and time that grows with the square.
#[test]
fn many_values_are_counted_and_not_named() {
    let values: Vec<Value> = (0..50_000)
        .map(|number| json!({"name": format!("v{number}"), "fieldValue": {"type": "JsonRaw", "jsonRaw": "1"}}))
        .collect();
    let mut event = status();
    event.set_json(&json!({"conditions": [], "resourceStatus": [
        {"resourceMeta": {"ordinal": 0}, "statusFeedback": {"values": values}, "conditions": []},
    ]}));
    assert!(server::fit::fit(&mut event, 100_000).unwrap());
    let status: ManifestBundleStatus = event.json().unwrap();
    let why = &status.resource_status[0].conditions[0].message;
    assert!(
        why.contains("more values left out") && why.len() < 2000,
        "{why}"
    );
}

#[test]
fn large_values_are_left_out_largest_first_and_a_condition_says_so() {
    let value = |name: &str, size: usize| json!({"name": name, "fieldValue": {"type": "JsonRaw", "jsonRaw": "x".repeat(size)}});
    let manifest = |ordinal: i32, values: Vec<Value>| json!({"resourceMeta": {"ordinal": ordinal}, "statusFeedback": {"values": values}, "conditions": []});
    let mut event = status();
    event.set_json(&json!({"conditions": [], "resourceStatus": [
        manifest(0, vec![value("small", 10), value("big", 5000)]),
        manifest(1, vec![value("bigger", 6000), value("medium", 1000)]),
    ]}));
    let mut same = event.clone();
    assert!(!server::fit::fit(&mut same, 1 << 20).unwrap());
    assert_eq!(same, event);
    assert!(server::fit::fit(&mut event, 4000).unwrap());
    let status: ManifestBundleStatus = event.json().unwrap();
    let names = |index: usize| -> Vec<&str> {
        status.resource_status[index]
            .status_feedback
            .values
            .iter()
            .map(|value| value.name.as_str())
            .collect()
    };
    assert_eq!((names(0), names(1)), (vec!["small"], vec!["medium"]));
    for (index, name) in [(0, "big "), (1, "bigger ")] {
        let condition = conditions::find(
            &status.resource_status[index].conditions,
            "StatusFeedbackSynced",
        )
        .unwrap();
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            ("False", "TooLarge")
        );
        assert!(condition.message.starts_with(name), "{}", condition.message);
    }
}
