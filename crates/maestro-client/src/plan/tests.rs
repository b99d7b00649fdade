use manifestwork::Manifest;
use serde_json::json;

use super::*;

fn work(manifest: Value) -> ManifestWork {
    let mut work = ManifestWork::new("c1", "w");
    work.spec
        .workload
        .manifests
        .push(Manifest::from_value(&manifest));
    work
}

fn config_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data})
}

fn existing(data: &Value, generation: i64) -> ManifestWork {
    let mut work = new_work(&work(config_map(data)), "s", Some("c1")).unwrap();
    work.metadata.generation = generation;
    work.metadata
        .annotations
        .insert(SEQUENCE_ID_ANNOTATION.into(), "5".into());
    work
}

#[test]
fn a_new_work_carries_its_id_and_nothing_of_another_life() {
    let mut desired = work(config_map(&json!({})));
    desired.metadata.generation = 7;
    desired.metadata.finalizers.push("x/y".into());
    desired.metadata.labels.insert("a".into(), "b".into());
    let sent = new_work(&desired, "controlplane-adapter", None).unwrap();
    assert_eq!(
        sent.metadata.uid,
        ids::resource_id("controlplane-adapter", "c1", "w").to_string()
    );
    assert_eq!(
        (
            sent.metadata.generation,
            sent.metadata.resource_version.as_str()
        ),
        (0, "0")
    );
    assert!(sent.metadata.finalizers.is_empty());
    assert_eq!(sent.metadata.labels["a"], "b");
}

#[test]
fn the_consumer_must_be_the_works() {
    let desired = work(config_map(&json!({})));
    assert_eq!(
        new_work(&desired, "s", Some("a")).unwrap_err().to_string(),
        "ManifestWork.work.open-cluster-management.io \"w\" is invalid: metadata.namespace: Invalid value: \"c1\": does not match the namespace a"
    );
    let mut nowhere = desired;
    nowhere.metadata.namespace.clear();
    assert!(new_work(&nowhere, "s", None).is_err());
    assert_eq!(
        new_work(&nowhere, "s", Some("a"))
            .unwrap()
            .metadata
            .namespace,
        "a"
    );
}

#[test]
fn equal_content_is_not_sent() {
    let data = json!({"n": 1, "f": 2.5});
    let mut desired = work(config_map(&json!({"f": 2.5, "n": 1.0})));
    desired.metadata.annotations.insert(
        "logging.open-cluster-management.io/op-id".into(),
        "new".into(),
    );
    desired.spec.delete_option = Some(serde_json::from_value(json!({})).unwrap());
    assert_eq!(
        step(&existing(&data, 3), &desired).unwrap(),
        Step::Unchanged
    );
    for change in [
        |work: &mut ManifestWork| drop(work.metadata.labels.insert("a".into(), "b".into())),
        |work: &mut ManifestWork| drop(work.metadata.annotations.insert("a".into(), "b".into())),
        |work: &mut ManifestWork| {
            work.spec
                .workload
                .manifests
                .push(config_map(&json!({"other": 1})).into())
        },
        |work: &mut ManifestWork| {
            work.spec.workload.manifests[0] = config_map(&json!({"n": 2, "f": 2.5})).into()
        },
        |work: &mut ManifestWork| {
            work.spec.delete_option = Some(DeleteOption::new(PropagationPolicy::Orphan))
        },
    ] {
        let mut changed = desired.clone();
        change(&mut changed);
        if changed.spec.workload.manifests.len() == 2 {
            changed.spec.workload.manifests.pop();
            changed.spec.workload.manifests.push(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m2"}}).into(),
            );
        }
        assert!(
            matches!(step(&existing(&data, 3), &changed), Ok(Step::Update(_))),
            "{changed:?}"
        );
    }
}

#[test]
fn large_integers_are_different_numbers() {
    let (one, other) = (
        json!({"n": 9_007_199_254_740_992_i64}),
        json!({"n": 9_007_199_254_740_993_i64}),
    );
    assert!(!same_json(&one, &other));
    assert!(same_json(&json!(9_007_199_254_740_992.0), &one["n"]));
}

#[test]
fn f39_an_update_names_the_version_it_is_based_on() {
    let server = existing(&json!({"a": "2"}), 2);
    let mut stale = work(config_map(&json!({"b": "1"})));
    stale.metadata.generation = 1;
    assert!(matches!(
        step(&server, &stale),
        Err(Error::Conflict {
            latest: Some(2),
            ..
        })
    ));
    stale.metadata.generation = 0;
    let Step::Update(sent) = step(&server, &stale).unwrap() else {
        panic!()
    };
    assert_eq!(
        (
            sent.metadata.generation,
            sent.metadata.resource_version.as_str()
        ),
        (2, "2")
    );
    assert_eq!(sent.metadata.uid, server.metadata.uid);
    assert!(
        !sent
            .metadata
            .annotations
            .contains_key(SEQUENCE_ID_ANNOTATION)
    );
}

#[test]
fn a_deleting_work_is_not_changed() {
    let mut server = existing(&json!({}), 2);
    server.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH);
    assert!(matches!(
        step(&server, &work(config_map(&json!({"a": "1"})))),
        Err(Error::Deleting { .. })
    ));
}

#[test]
fn rules_are_checked_before_anything_is_sent() {
    let error = new_work(&ManifestWork::new("c1", "w"), "s", None).unwrap_err();
    let Error::Invalid { message, fields } = error else {
        panic!()
    };
    assert_eq!(fields.len(), 1);
    assert!(
        message.contains("Workload manifests should not be empty"),
        "{message}"
    );
    let large = work(config_map(&json!({"a": "x".repeat(512_000)})));
    assert!(matches!(
        new_work(&large, "s", None),
        Err(Error::TooLarge { .. })
    ));
}
