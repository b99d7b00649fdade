//! Where inputs begin: the committed corpus, and large hostile ones that are made here so that nobody has to commit a megabyte.

use std::path::PathBuf;

use event_wire::proto::CloudEvent;
use event_wire::{Action, Event, EventType, Stamp, Subresource, attribute::name, codec::source};
use manifestwork::ManifestWork;
use prost::Message as _;
use serde_json::json;

/// Words of events.
pub const ATTRIBUTES: &[&str] = &[
    "ce-resourceid",
    "ce-resourceversion",
    "ce-clustername",
    "ce-originalsource",
    "ce-metadata",
    "ce-deletiontimestamp",
    "ce-sequenceid",
    "ce-time",
    "ce-type",
    "ce-id",
    "ce-data",
    "ce-Time",
    "ce-specversion",
    "ce-datacontenttype",
    "contenttype",
    "application/cloudevents+json",
    "application/json",
    "\"time\":",
    "\"data\":",
    "\"data_base64\":",
    "\"metadata\":{",
    "maestro",
    "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
    ".status.update_request",
    "resync_request",
    "{\"manifests\":[",
    "{\"conditions\":[",
    "\"jsonRaw\":\"",
    "\\ud83d",
    "\\u0000",
    "null",
    "true",
];

/// Words of manifests.
pub const MANIFESTS: &[&str] = &[
    "\"apiVersion\":\"v1\"",
    "\"kind\":\"ConfigMap\"",
    "\"metadata\":{\"name\":\"a\"}",
    "\"generateName\":\"x\"",
    "\"namespace\":",
    "\"manifests\":[",
    "\"manifestConfigs\":[",
    "\"deleteOption\":{",
    "\"propagationPolicy\":\"Orphan\"",
    "\"executer\":{",
    "\"resourceStatus\":[",
    "\"fieldValue\":{\"type\":\"JsonRaw\",\"jsonRaw\":\"",
    "\"conditions\":[",
    "\"feedbackRules\":",
    "\"updateStrategy\":{\"type\":\"ServerSideApply\"",
    "\\ud83d",
    "\\u0000",
    "null",
    "\"labels\":{",
    "\"annotations\":{",
    "\"finalizers\":[",
    "\"creationTimestamp\":",
    "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"",
];

/// Words of searches, orders and paths.
pub const SEARCHES: &[&str] = &[
    "name",
    "resources.",
    "payload",
    "labels",
    "version",
    "created_at",
    "->",
    "->>",
    "@>",
    "'x'",
    "'{\"a\":1}'",
    "(",
    ")",
    " and ",
    " or ",
    " not ",
    " in ",
    " like ",
    " ilike ",
    " is ",
    " null",
    " between ",
    "=",
    "<>",
    "!=",
    "5",
    "-",
    "*",
    "[",
    "]",
    ",",
    "desc",
    ".",
    "\\",
    "'",
    "''",
    "--",
    ";",
    "/*",
    "$1",
    "?1",
    "4Ki",
    "1e308",
    "0001-01-01",
    "-009999-01-01T00:00:00Z",
    "%00",
    "%27",
    "%",
    "&",
    "search=",
    "orderBy=",
    "page=",
    "size=",
    "fields=",
    "{\"name\":\"x\"}",
    "{\"labels\":{",
    "{\"reason\":\"x\",\"includeLive\":true}",
];

/// The committed inputs of a target.
///
/// # Panics
/// Without its folder.
#[must_use]
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = folder(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// The folder of a target's corpus.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target)
}

/// Large inputs for all targets: a mebibyte of text, deep nesting, long numbers, many parts.
#[must_use]
pub fn hostile() -> Vec<Vec<u8>> {
    const MEBIBYTE: usize = 1024 * 1024;
    let deep = |open: &str, close: &str, levels: usize| {
        format!("{}{}", open.repeat(levels), close.repeat(levels))
    };
    let long = "x".repeat(MEBIBYTE);
    let digits = "9".repeat(200_000);
    let event = |extra: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"i","source":"s","type":"io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",{extra}}}"#
        )
    };
    let manifests = |manifest: &str| format!(r#"{{"manifests":[{manifest}]}}"#);
    let object = |extra: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"a","namespace":"n"}},"data":{extra}}}"#
        )
    };
    let texts = [
        deep("[", "]", 100_000),
        deep(r#"{"a":"#, "}", 100_000),
        deep("(", ")", 100_000),
        deep("not ", "", 4_000),
        long.clone(),
        format!("\"{long}\""),
        event(&format!(r#""data":{}"#, deep("[", "]", 100_000))),
        event(&format!(
            r#""data":{{"manifests":[],"x":{}}}"#,
            deep("[", "]", 100_000)
        )),
        event(&format!(
            r#""metadata":{}"#,
            deep(r#"{"a":"#, "}", 50_000).replace("\"a\":}", "\"a\":1}")
        )),
        event(&format!(r#""data":{digits}"#)),
        event(&format!(r#""resourceversion":{digits}"#)),
        event(&format!(r#""time":"{digits}""#)),
        event(
            &(0..20_000)
                .map(|n| format!(r#""x{n}":1"#))
                .collect::<Vec<_>>()
                .join(","),
        ),
        manifests(&object(&deep("[", "]", 200_000))),
        manifests(&object(&format!("\"{long}\""))),
        manifests(&object(&digits)),
        manifests(&vec![object("1"); 5_000].join(",")),
        manifests(
            &(0..5_000)
                .map(|n| object("1").replace("\"a\"", &format!("\"a{n}\"")))
                .collect::<Vec<_>>()
                .join(","),
        ),
        format!(
            r#"{{"metadata":{{"name":"a","labels":{{{}}}}}}}"#,
            (0..20_000)
                .map(|n| format!(r#""l{n}":"v""#))
                .collect::<Vec<_>>()
                .join(",")
        ),
        format!("name='{}'", "x".repeat(16_000)),
        format!("version{}=1", "*2".repeat(4_000)),
        format!("payload{}='x'", "->'a'".repeat(3_000)),
        format!("payload@>'[{}]'", vec!["1"; 7_000].join(",")),
        format!(
            "payload@>'{}'",
            deep(r#"{"a":"#, "}", 120).replace("\"a\":}", "\"a\":1}")
        ),
        format!("name in ({})", vec!["'x'"; 3_000].join(",")),
        vec!["name='a'"; 1_500].join(" or "),
        vec!["name"; 200_000].join(","),
        format!("name like '{}'", "%a".repeat(7_000)),
    ];
    let mut inputs: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    // A protobuf message with a megabyte in one attribute, and one with ten thousand attributes.
    let mut large = spec(Action::CreateRequest);
    large.set("note", long);
    inputs.push(CloudEvent::from(large).encode_to_vec());
    let mut many = spec(Action::CreateRequest);
    for number in 0..10_000 {
        many.set(&format!("x{number}"), "v");
    }
    inputs.push(CloudEvent::from(many).encode_to_vec());
    inputs
}

/// A good spec event.
#[must_use]
pub fn spec(action: Action) -> Event {
    let mut work = ManifestWork::new("c1", "w");
    work.metadata.uid = "a0368fb6-32c0-52ec-8a38-4de8388e3c3e".into();
    work.spec.workload.manifests.push(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": {"k": "v"}}).into(),
    );
    source::encode_spec(&work, action, "s1", Stamp::now()).unwrap()
}

/// Good events of every kind, as messages.
#[must_use]
pub fn messages() -> Vec<(&'static str, CloudEvent)> {
    let mut status = Event::new(
        EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest),
        "agent",
        Stamp::now(),
    );
    status
        .set(name::RESOURCE_ID, "a0368fb6-32c0-52ec-8a38-4de8388e3c3e")
        .set(name::RESOURCE_VERSION, 1)
        .set(name::CLUSTER_NAME, "c1")
        .set(name::ORIGINAL_SOURCE, "maestro")
        .set(name::SEQUENCE_ID, "2006515731264442368")
        .set_json(&json!({
            "conditions": [{"type": "Applied", "status": "True", "lastTransitionTime": "2026-01-01T00:00:03Z", "reason": "r", "message": ""}],
            "resourceStatus": [{"resourceMeta": {"ordinal": 0, "group": "", "version": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "a", "namespace": "n"},
                "statusFeedback": {"values": [{"name": "status", "fieldValue": {"type": "JsonRaw", "jsonRaw": "{\"a\":1}"}}]}, "conditions": []}],
        }));
    let resync = event_wire::codec::agent::spec_resync_request(
        "agent",
        "c1",
        vec![event_wire::payload::ResourceVersion {
            resource_id: "a0368fb6-32c0-52ec-8a38-4de8388e3c3e".into(),
            resource_version: 1,
        }],
        Stamp::now(),
    );
    let structured = CloudEvent {
        attributes: [(
            "contenttype".to_owned(),
            event_wire::Attribute::from("application/cloudevents+json").into(),
        )]
        .into(),
        data: Some(event_wire::proto::cloud_event::Data::BinaryData(
            event_wire::stored::to_string(&spec(Action::CreateRequest))
                .unwrap()
                .into(),
        )),
        ..CloudEvent::default()
    };
    let mut hostile = spec(Action::CreateRequest);
    hostile.content_type = None;
    let mut hostile = CloudEvent::from(hostile);
    for (key, text) in [
        ("ce-datacontenttype", "application/cloudevents+json"),
        ("ce-Time", "never"),
        ("ce-ID", "other"),
        ("ce-data", "x"),
        ("ce-note", "\0"),
    ] {
        let value = event_wire::Attribute::from(text).into();
        hostile.attributes.insert(key.to_owned(), value);
    }
    vec![
        ("hostile-names", hostile),
        ("create", spec(Action::CreateRequest).into()),
        ("update", spec(Action::UpdateRequest).into()),
        ("delete", spec(Action::DeleteRequest).into()),
        ("status", status.into()),
        ("resync", resync.into()),
        (
            "status-resync",
            source::status_resync_request("s1", Vec::new(), Stamp::now()).into(),
        ),
        ("heartbeat", event_wire::heartbeat(uuid())),
        ("structured", structured),
    ]
}

fn uuid() -> uuid::Uuid {
    Stamp::now().id
}
