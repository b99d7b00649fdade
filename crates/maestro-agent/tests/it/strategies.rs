//! The four ways to apply a manifest, and what they leave alone.

use axum::http::Method;
use manifestwork::{
    IgnoreField, IgnoreFieldsCondition, ManifestConfig, ServerSideApply, UpdateStrategy,
    UpdateStrategyType,
};
use serde_json::{Value, json};

use crate::world::{
    World, config_map, configured, identifier, manifest_condition, strategy, thing, thing_work,
    work,
};

fn config(kind: &str, name: &str, type_: UpdateStrategyType) -> ManifestConfig {
    ManifestConfig {
        resource_identifier: identifier(kind, name),
        update_strategy: Some(strategy(type_)),
        ..ManifestConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_removes_its_own_fields_and_leaves_those_of_others() {
    let world = World::new().await;
    let agent = world.agent().await;
    world
        .broker
        .put(&thing_work("w1", "t", json!({"a": 1, "b": 1})));
    world.applied("w1", 1).await;
    world
        .cluster
        .merge("Thing", "t", json!({"spec": {"c": 1}}), "somebody")
        .await;
    world.broker.put(&thing_work("w1", "t", json!({"a": 2})));
    world.applied("w1", 2).await;
    let live = world.cluster.get("Thing", "t").await.unwrap();
    assert_eq!(live["spec"], json!({"a": 2, "c": 1}));
    let calls = world.cluster.calls();
    let apply = calls.iter().find(|call| call.is_apply()).unwrap();
    assert_eq!(apply.query, "fieldManager=work-agent&force=false");
    assert_eq!(apply.body["metadata"].get("ownerReferences"), None);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn create_only_makes_an_object_and_then_leaves_it_alone() {
    let world = World::new().await;
    let agent = world.agent().await;
    world
        .cluster
        .create(&config_map("old", json!({"a": "theirs"})))
        .await;
    let mut made = work(
        "w1",
        &[
            config_map("old", json!({"a": "1"})),
            config_map("new", json!({"a": "1"})),
        ],
    );
    made.spec.manifest_configs = vec![
        config("ConfigMap", "old", UpdateStrategyType::CreateOnly),
        config("ConfigMap", "new", UpdateStrategyType::CreateOnly),
    ];
    world.broker.put(&made);
    world.applied("w1", 1).await;
    let old = world.cluster.get("ConfigMap", "old").await.unwrap();
    assert_eq!(old["data"], json!({"a": "theirs"}));
    assert_eq!(
        old["metadata"]["ownerReferences"][0]["kind"],
        "AppliedManifestWork"
    );
    made.spec.workload.manifests[1] = config_map("new", json!({"a": "2"})).into();
    world.broker.put(&made);
    world.applied("w1", 2).await;
    let new = world.cluster.get("ConfigMap", "new").await.unwrap();
    assert_eq!(new["data"], json!({"a": "1"}));
    world.broker.delete("w1");
    world.deleted("w1").await;
    world.gone("ConfigMap", "old").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_never_writes_and_reports() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = work("w1", &[thing("t", json!({}))]);
    made.spec.manifest_configs = vec![configured("Thing", "t", UpdateStrategyType::ReadOnly)];
    world.broker.put(&made);
    let status = world
        .status("w1", "the object is missing", |work| {
            manifest_condition(work, 0, "Available").is_some_and(|c| c.status == false.into())
        })
        .await;
    let applied = manifest_condition(&status, 0, "Applied").unwrap();
    assert_eq!(applied.status, true.into());
    world
        .cluster
        .create(&thing("t", json!({"theirs": 1})))
        .await;
    world
        .cluster
        .merge_status("Thing", "t", json!({"ready": true}))
        .await;
    world
        .status("w1", "the status is reported", |work| {
            crate::world::feedback(work) == json!({"ready": true})
        })
        .await;
    world.broker.delete("w1");
    world.deleted("w1").await;
    let live = world.cluster.get("Thing", "t").await.unwrap();
    assert_eq!(live["metadata"].get("ownerReferences"), None);
    let writes = world
        .cluster
        .calls()
        .into_iter()
        .filter(|call| call.is_write() && call.path.contains("/things"));
    assert_eq!(writes.count(), 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_replaces_the_spec_and_merges_metadata() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut old = thing("t", json!({"a": 1, "theirs": 2}));
    old["metadata"]["labels"] = json!({"a": "b"});
    old["metadata"]["annotations"] = json!({"keep": "me"});
    world.cluster.create(&old).await;
    let mut wanted = thing("t", json!({"a": 2}));
    wanted["metadata"]["labels"] = json!({"c": "d"});
    world.broker.put(&work("w1", &[wanted]));
    world.applied("w1", 1).await;
    let live = world.cluster.get("Thing", "t").await.unwrap();
    assert_eq!(live["spec"], json!({"a": 2}));
    assert_eq!(live["metadata"]["labels"], json!({"a": "b", "c": "d"}));
    assert_eq!(live["metadata"]["annotations"], json!({"keep": "me"}));
    let methods: Vec<Method> = world
        .cluster
        .calls()
        .into_iter()
        .filter(|call| call.is_write() && call.path.ends_with("/things/t"))
        .map(|call| call.method)
        .collect();
    assert_eq!(methods, [Method::PUT]);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_strategy_is_an_error_of_its_manifest() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = work("w1", &[config_map("cm", json!({}))]);
    made.spec.manifest_configs = vec![config(
        "ConfigMap",
        "cm",
        UpdateStrategyType::Other("Patch".into()),
    )];
    world.broker.put(&made);
    let status = world
        .status("w1", "the strategy is refused", |work| {
            manifest_condition(work, 0, "Applied").is_some_and(|c| c.status == false.into())
        })
        .await;
    let message = &manifest_condition(&status, 0, "Applied").unwrap().message;
    assert_eq!(
        message,
        "Failed to apply manifest: unsupported update strategy \"Patch\""
    );
    // Without a type the strategy is Update, as the definition of works has it.
    made.spec.manifest_configs[0].update_strategy = Some(UpdateStrategy {
        type_: None,
        server_side_apply: Some(ServerSideApply::default()),
    });
    world.broker.put(&made);
    world.applied("w1", 2).await;
    agent.stop().await;
}

fn ignoring(condition: IgnoreFieldsCondition, pointers: bool) -> UpdateStrategy {
    UpdateStrategy {
        server_side_apply: Some(ServerSideApply {
            force: true,
            ignore_fields: vec![IgnoreField {
                condition,
                json_paths: if pointers {
                    vec![]
                } else {
                    vec![".spec.replicas".into()]
                },
                json_pointers: if pointers {
                    vec!["/spec/replicas".into()]
                } else {
                    vec![]
                },
                jq_path_expressions: vec![],
            }],
            ..ServerSideApply::default()
        }),
        ..strategy(UpdateStrategyType::ServerSideApply)
    }
}

async fn with_ignored_field(strategy: UpdateStrategy) -> Value {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = thing_work("w1", "t", json!({"replicas": 1, "image": "a"}));
    made.spec.manifest_configs[0].update_strategy = Some(strategy);
    world.broker.put(&made);
    world.applied("w1", 1).await;
    let live = world.cluster.get("Thing", "t").await.unwrap();
    assert_eq!(live["spec"]["replicas"], 1);
    let annotation =
        &live["metadata"]["annotations"]["open-cluster-management.io/config-spec-hash"];
    assert_eq!(annotation.as_str().unwrap().len(), 32);
    world
        .cluster
        .merge("Thing", "t", json!({"spec": {"replicas": 2}}), "scaler")
        .await;
    // The same spec once more: nothing is applied, since the object carries its hash.
    let applies = |world: &World| {
        world
            .cluster
            .calls()
            .iter()
            .filter(|c| c.is_apply())
            .count()
    };
    let before = applies(&world);
    world.broker.put(&made);
    world.applied("w1", 2).await;
    assert_eq!(applies(&world), before);
    made.spec.workload.manifests[0] = thing("t", json!({"replicas": 3, "image": "b"})).into();
    world.broker.put(&made);
    world.applied("w1", 3).await;
    let live = world.cluster.get("Thing", "t").await.unwrap();
    agent.stop().await;
    live["spec"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_ignored_while_the_object_is_present_stay_theirs() {
    for pointers in [false, true] {
        let spec =
            with_ignored_field(ignoring(IgnoreFieldsCondition::OnSpokePresent, pointers)).await;
        assert_eq!(
            spec,
            json!({"replicas": 2, "image": "b"}),
            "pointers: {pointers}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_ignored_until_the_spec_changes_are_overwritten_then() {
    let spec = with_ignored_field(ignoring(IgnoreFieldsCondition::OnSpokeChange, false)).await;
    assert_eq!(spec, json!({"replicas": 3, "image": "b"}));
}
