//! The engine under writes that no sane client makes: it refuses, and stays whole.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    DeleteOptions, Engine, FieldValidation, Options, Part, Propagation, Target, Write, WriteOptions,
};
use crate::managed::Managed;
use crate::patch::Patch;

fn engine() -> Engine {
    let options = Options {
        validate_schemas: true,
        garbage_collection: true,
        admission: Vec::new(),
        clock: Timestamp::now,
    };
    let mut engine = Engine::new(options, Vec::new(), 0);
    engine
        .execute(create(
            "",
            "namespaces",
            "",
            json!({"metadata": {"name": "n"}}),
        ))
        .expect("a namespace");
    let crd = json!({"metadata": {"name": "things.example.com"}, "spec": {
        "group": "example.com", "names": {"plural": "things", "kind": "Thing"}, "scope": "Namespaced",
        "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
                    "items": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}});
    engine
        .execute(create(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "",
            crd,
        ))
        .expect("a definition");
    engine.take_changes();
    engine
}

fn target(group: &str, plural: &str, namespace: &str, name: &str, part: Part) -> Target {
    Target {
        group: group.to_owned(),
        version: "v1".to_owned(),
        plural: plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        part,
    }
}

fn options() -> WriteOptions {
    WriteOptions {
        dry_run: false,
        user: None,
        manager: "tests".to_owned(),
        field_validation: FieldValidation::Warn,
    }
}

fn create(group: &str, plural: &str, namespace: &str, object: Value) -> Write {
    Write::Create {
        target: target(group, plural, namespace, "", Part::Whole),
        object,
        options: options(),
    }
}

/// Any JSON, with the names that the engine looks at.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
        Just(json!("x.example.com/f")),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    let name = prop_oneof![
        "metadata|spec|status|labels|annotations|finalizers|ownerReferences|managedFields|template|containers",
        "name|uid|kind|apiVersion|conditions|phase|ports|selector|versions|names|group|scope|items|a|b|data|stringData",
        "roleRef|subjects|involvedObject|schema|openAPIV3Schema|properties|type|pattern|env|operation|fieldsV1|f:a",
    ];
    leaf.prop_recursive(5, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A kind of the registry, chosen by index.
fn place(engine: &Engine, index: usize) -> (String, String, bool) {
    let all = engine.registry().all();
    let resource = &all[index % all.len()];
    (
        resource.group.to_string(),
        resource.plural.clone(),
        resource.namespaced,
    )
}

/// Puts a usable identity over junk, so that it gets past the door.
fn named(mut object: Value, name: &str) -> Value {
    if !object.is_object() {
        object = json!({ "spec": object });
    }
    if let Some(map) = object.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
        let metadata = map.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("name".to_owned(), name.into());
            metadata.remove("namespace");
            metadata.remove("resourceVersion");
        }
    }
    object
}

/// What must hold between writes.
fn check(engine: &Engine) {
    for (key, object) in engine.objects() {
        let value = object.value();
        assert_eq!(value["metadata"]["name"], *key.name);
        assert_eq!(value["metadata"]["uid"], *object.uid);
        assert_eq!(
            value["metadata"]["resourceVersion"],
            object.revision.to_string()
        );
        assert!(object.revision <= engine.revision());
        assert!(
            !(object.deleting && object.finalizers.is_empty() && *key.storage != *"namespaces"),
            "{value}"
        );
        let owned = Managed::of(&value);
        assert!(owned.same_ownership(&owned));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_it(steps in prop::collection::vec((0..10usize, any::<u16>(), junk(), 0..3usize), 1..12)) {
        let mut engine = engine();
        for (action, index, junk, which) in steps {
            let (group, plural, namespaced) = place(&engine, usize::from(index));
            let namespace = if namespaced { "n" } else { "" };
            let name = ["a", "b", "things.example.com"][which];
            let at = |part| target(&group, &plural, namespace, name, part);
            let part = if which == 0 { Part::Status } else { Part::Whole };
            let write = match action {
                0..=2 => create(&group, &plural, namespace, named(junk, name)),
                3 => Write::Replace { target: at(part), object: named(junk, name), options: options() },
                4 => Write::Patch { target: at(part), patch: Patch::Merge(junk), options: options() },
                5 => Write::Patch { target: at(part), patch: Patch::Strategic(junk), options: options() },
                6 | 7 => {
                    let mut config = named(junk, name);
                    let kind = engine.registry().find(&group, "v1", &plural).map(|resource| resource.kind.clone());
                    config["kind"] = kind.into();
                    config["apiVersion"] = if group.is_empty() { "v1".into() } else { format!("{group}/v1").into() };
                    Write::Patch { target: at(part), patch: Patch::Apply { config, force: which == 1 }, options: options() }
                }
                _ => {
                    let propagation = [Propagation::Background, Propagation::Foreground, Propagation::Orphan][which];
                    Write::Delete { target: at(Part::Whole), options: DeleteOptions { propagation, ..DeleteOptions::default() } }
                }
            };
            let before = engine.revision();
            let result = engine.execute(write);
            let changes = engine.take_changes();
            match result {
                Ok(outcome) => prop_assert!(outcome.object.is_object()),
                Err(failure) => {
                    prop_assert!((400..500).contains(&failure.code), "{failure}");
                    prop_assert!(changes.is_empty(), "a refused write changes nothing: {failure}");
                    prop_assert_eq!(engine.revision(), before);
                }
            }
            check(&engine);
        }
    }

    /// What couldn't be stored is as if it had never been.
    #[test]
    fn undone_changes_leave_no_trace(steps in prop::collection::vec((0..3usize, 0..4usize, any::<bool>()), 1..20)) {
        let mut engine = engine();
        engine.take_changes();
        for (which, action, keep) in steps {
            let name = ["a", "b", "c"][which];
            let at = target("", "configmaps", "n", name, Part::Whole);
            let before = engine.objects().clone();
            let write = match action {
                0 | 1 => {
                    let owner = engine.objects().values().find(|object| *object.key.name == *"a").map(|object| object.uid.to_string());
                    let owners: Vec<Value> = owner.filter(|_| name != "a").into_iter()
                        .map(|uid| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": uid})).collect();
                    create("", "configmaps", "n", json!({"metadata": {"name": name, "ownerReferences": owners}}))
                }
                2 => Write::Patch { target: at, patch: Patch::Merge(json!({"data": {"k": name}})), options: options() },
                _ => Write::Delete { target: at, options: DeleteOptions::default() },
            };
            let _ = engine.execute(write);
            let changes = engine.take_changes();
            if !keep {
                engine.roll_back(&changes);
                let revisions = |objects: &std::collections::BTreeMap<_, std::sync::Arc<crate::object::Object>>| {
                    objects.values().map(|object| (object.key.clone(), object.revision)).collect::<Vec<_>>()
                };
                prop_assert_eq!(revisions(&before), revisions(engine.objects()));
            }
            check(&engine);
        }
    }
}
