//! The JSON of works: what is read, what is written, what survives.

use manifestwork::{
    AppliedManifestWork, Condition, ConditionStatus, FeedbackValue, FieldValue, Manifest,
    ManifestConfig, ManifestWork, PropagationPolicy, Status, UpdateStrategyType, manifest,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A status as an agent reports it.
pub const STATUS: &str = r#"{"conditions":[
 {"type":"Applied","status":"True","observedGeneration":1,"lastTransitionTime":"2026-01-01T00:00:03Z","reason":"AppliedManifestWorkComplete","message":"Apply manifest work complete"},
 {"type":"Available","status":"True","observedGeneration":1,"lastTransitionTime":"2026-01-01T00:00:04Z","reason":"ResourcesAvailable","message":"All resources are available"}],
 "resourceStatus":{"manifests":[{"resourceMeta":{"ordinal":0,"group":"hypershift.openshift.io","version":"v1beta1","kind":"HostedCluster","resource":"hostedclusters","name":"my-cluster","namespace":"clusters"},
 "statusFeedback":{"values":[{"name":"status","fieldValue":{"type":"JsonRaw","jsonRaw":"{\"conditions\":[{\"type\":\"Available\",\"status\":\"False\"}]}"}}]},
 "conditions":[{"type":"Applied","status":"True","lastTransitionTime":"2026-01-01T00:00:03Z","reason":"AppliedManifestComplete","message":"Apply manifest complete"}]}]}}"#;

#[test]
fn manifests_keep_their_text() {
    let text = r#"{"kind":"ConfigMap","z":1.0,"a":12345678901234567890123,"z2":{"b":1,"a":2}}"#;
    let work: ManifestWork = serde_json::from_str(&format!(
        r#"{{"metadata":{{"name":"w"}},"spec":{{"workload":{{"manifests":[{text}]}}}}}}"#
    ))
    .unwrap();
    assert_eq!(work.spec.workload.manifests[0].as_str(), text);
    assert!(serde_json::to_string(&work).unwrap().contains(text));
}

#[test]
fn null_is_nothing_and_nothing_is_left_out() {
    let work: ManifestWork = serde_json::from_value(json!({
        "metadata": {"name": "w", "creationTimestamp": null, "labels": null, "generation": null},
        "spec": {"workload": {"manifests": null}, "manifestConfigs": null, "deleteOption": null, "executor": null},
        "status": {"conditions": null, "resourceStatus": {"manifests": null}},
    }))
    .unwrap();
    assert_eq!(
        serde_json::to_value(&work).unwrap(),
        json!({
            "apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork",
            "metadata": {"name": "w"}, "spec": {"workload": {}}, "status": {"resourceStatus": {}},
        })
    );
}

#[test]
fn metadata_keeps_what_it_does_not_know() {
    let text = json!({"name": "w", "namespace": "c", "uid": "u", "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
        "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u", "controller": true}],
        "managedFields": [{"manager": "m"}], "somethingNew": {"a": [1]}});
    let meta: manifestwork::ObjectMeta = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&meta).unwrap(), text);
}

#[test]
fn times_are_read_in_any_form_and_written_in_seconds() {
    for text in [
        "2026-01-01T01:00:00.123456+01:00",
        "2026-01-01T00:00:00.9Z",
        "2026-01-01T00:00:00Z",
    ] {
        let condition: Condition =
            serde_json::from_value(json!({"type": "A", "lastTransitionTime": text})).unwrap();
        assert_eq!(
            serde_json::to_value(&condition).unwrap()["lastTransitionTime"],
            "2026-01-01T00:00:00Z",
            "{text}"
        );
    }
    let zero: Condition =
        serde_json::from_value(json!({"lastTransitionTime": "0001-01-01T00:00:00Z"})).unwrap();
    assert_eq!(
        serde_json::to_value(&zero).unwrap()["lastTransitionTime"],
        "0001-01-01T00:00:00Z"
    );
    assert!(
        serde_json::from_value::<Condition>(json!({"lastTransitionTime": "yesterday"})).is_err()
    );
}

#[test]
fn condition_status_is_one_of_three() {
    for (text, status) in [
        ("True", ConditionStatus::True),
        ("False", ConditionStatus::False),
        ("Unknown", ConditionStatus::Unknown),
        ("true", ConditionStatus::Unknown),
        ("", ConditionStatus::Unknown),
    ] {
        assert_eq!(
            serde_json::from_value::<ConditionStatus>(json!(text)).unwrap(),
            status
        );
    }
}

#[test]
fn a_status_round_trips() {
    let status: Status = serde_json::from_str(STATUS).unwrap();
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        serde_json::from_str::<Value>(STATUS).unwrap()
    );
    assert_eq!(
        status.feedback(0, "status").unwrap().to_json(),
        json!({"conditions": [{"type": "Available", "status": "False"}]})
    );
    assert!(status.feedback(0, "other").is_none() && status.feedback(1, "status").is_none());
}

#[test]
fn feedback_values_have_four_types_and_keep_a_fifth() {
    for (text, value) in [
        (
            json!({"type": "Integer", "integer": -3}),
            FieldValue::Integer(-3),
        ),
        (
            json!({"type": "String", "string": ""}),
            FieldValue::String(String::new()),
        ),
        (
            json!({"type": "Boolean", "boolean": false}),
            FieldValue::Boolean(false),
        ),
        (
            json!({"type": "JsonRaw", "jsonRaw": "[1"}),
            FieldValue::JsonRaw("[1".to_owned()),
        ),
        (
            json!({"type": "Integer"}),
            FieldValue::Other(json!({"type": "Integer"})),
        ),
        (
            json!({"type": "Float", "float": 1.5}),
            FieldValue::Other(json!({"type": "Float", "float": 1.5})),
        ),
    ] {
        let read: FeedbackValue =
            serde_json::from_value(json!({"name": "n", "fieldValue": text})).unwrap();
        assert_eq!(read.field_value, value);
        assert_eq!(serde_json::to_value(&value).unwrap(), text);
    }
    assert_eq!(FieldValue::JsonRaw("[1".to_owned()).to_json(), json!("[1"));
}

#[test]
fn unknown_words_survive() {
    let config = json!({"resourceIdentifier": {"group": "", "resource": "pods", "name": "p", "namespace": "n"},
        "updateStrategy": {"type": "Rename"}, "feedbackRules": [{"type": "Vibes"}], "feedbackScrapeType": "Guess"});
    let read: ManifestConfig = serde_json::from_value(config.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), config);
    let strategy = read.update_strategy.unwrap();
    assert_eq!(
        strategy.effective_type(),
        UpdateStrategyType::Other("Rename".to_owned())
    );
}

#[test]
fn an_empty_strategy_is_update_and_an_empty_policy_stays_empty() {
    let config: ManifestConfig = serde_json::from_value(
        json!({"updateStrategy": {"type": "", "serverSideApply": {"force": true}}}),
    )
    .unwrap();
    let strategy = config.update_strategy.unwrap();
    assert_eq!(strategy.effective_type(), UpdateStrategyType::Update);
    assert_eq!(
        strategy
            .server_side_apply
            .unwrap()
            .effective_field_manager(),
        "work-agent"
    );
    let option: manifestwork::DeleteOption = serde_json::from_value(json!({})).unwrap();
    assert_eq!(
        option.propagation_policy,
        PropagationPolicy::Other(String::new())
    );
}

#[test]
fn condition_rules_are_written_whole() {
    let rule: manifestwork::ConditionRule = serde_json::from_value(
        json!({"condition": "Complete", "type": "CEL", "celExpressions": null}),
    )
    .unwrap();
    assert_eq!(
        serde_json::to_value(&rule).unwrap(),
        json!({"condition": "Complete", "type": "CEL", "celExpressions": [], "message": "", "messageExpression": ""})
    );
}

#[test]
fn applied_works_use_their_odd_keys() {
    let text = json!({"apiVersion": "work.open-cluster-management.io/v1", "kind": "AppliedManifestWork", "metadata": {"name": "h-w"},
        "spec": {"hubHash": "h", "agentID": "a", "manifestWorkName": "w"},
        "status": {"appliedResources": [{"group": "", "version": "v1", "resource": "pods", "namespace": "n", "name": "p", "uid": "u"}],
                   "evictionStartTime": "2026-01-01T00:00:00Z"}});
    let work: AppliedManifestWork = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&work).unwrap(), text);
}

#[test]
fn secrets_stay_out_of_logs() {
    let secret = Manifest::from_value(
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"p": "aHVudGVyMg=="}}),
    );
    let shown = format!("{secret:?}");
    assert!(
        shown.contains("Secret") && !shown.contains("aHVudGVyMg"),
        "{shown}"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Seventeen-digit floats may move by a bit in a JSON tree; as text they never do.
        (-1_000_000..1_000_000_i32).prop_map(|number| Value::from(f64::from(number) / 64.0)),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(
                prop_oneof![
                    "[a-z]{1,3}",
                    Just("metadata".to_owned()),
                    Just("name".to_owned()),
                    Just("kind".to_owned()),
                    Just("labels".to_owned())
                ],
                inner,
                0..6
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_json_makes_reading_or_checking_panic(value in any_json()) {
        let manifest = Manifest::from_value(&value);
        let _ = manifestwork::validate::for_server(std::slice::from_ref(&manifest));
        let _ = manifestwork::validate::for_workload(std::slice::from_ref(&manifest));
        let _ = serde_json::from_value::<ManifestWork>(json!({"metadata": value, "spec": {"workload": {"manifests": [value]}}}));
        if let Ok(work) = serde_json::from_value::<ManifestWork>(value) {
            let _ = manifestwork::validate::for_source(&work);
        }
    }

    #[test]
    fn compact_text_is_the_same_value(value in any_json()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let compacted = manifest::compact(&pretty);
        prop_assert_eq!(&compacted, &value.to_string());
        prop_assert_eq!(manifest::compact_len(&pretty), compacted.len());
        prop_assert!(manifest::depth(&pretty) <= 8);
    }

    #[test]
    fn works_round_trip(manifests in prop::collection::vec(any_json(), 0..4), name in "[a-z]{1,8}", generation in 0..i64::MAX) {
        let mut work = ManifestWork::new("c", name);
        work.metadata.generation = generation;
        work.spec.workload.manifests = manifests.iter().map(Manifest::from_value).collect();
        let text = serde_json::to_string(&work).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ManifestWork>(&text).unwrap(), &work);
        prop_assert_eq!(&serde_json::from_value::<ManifestWork>(serde_json::to_value(&work).unwrap()).unwrap(), &work);
    }
}
