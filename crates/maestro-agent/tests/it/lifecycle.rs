//! From the first spec to the last status.

use std::time::Duration;

use manifestwork::UpdateStrategyType;
use serde_json::json;
use testkit::eventually;

use crate::world::{
    PATIENCE, World, config_map, configured, feedback, identifier, is_applied, manifest_condition,
    strategy, thing, thing_work, work,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_work_is_applied_reported_updated_and_removed() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = work(
        "w1",
        &[
            config_map("cm", json!({"a": "1"})),
            thing("t", json!({"size": 1})),
        ],
    );
    made.metadata.labels.insert("team".into(), "blue".into());
    made.spec.manifest_configs = vec![configured(
        "Thing",
        "t",
        UpdateStrategyType::ServerSideApply,
    )];
    world.broker.put(&made);
    let status = world.applied("w1", 1).await;
    assert_eq!(status.status.resource_status.manifests.len(), 2);
    let meta = &status.status.resource_status.manifests[1].resource_meta;
    assert_eq!(
        (meta.ordinal, meta.group.as_str(), meta.resource.as_str()),
        (1, "test.io", "things")
    );
    let live = world.cluster.get("Thing", "t").await.unwrap();
    assert_eq!(live["spec"], json!({"size": 1}));
    let owner = &live["metadata"]["ownerReferences"][0];
    let record = &world.cluster.records().await[0];
    assert_eq!(owner["kind"], "AppliedManifestWork");
    assert_eq!(owner["uid"], record["metadata"]["uid"]);
    assert_eq!(record["metadata"]["labels"]["team"], "blue");
    assert_eq!(record["spec"]["manifestWorkName"], "w1");
    let hash = manifestwork::ids::hub_hash(&world.broker.address.to_string());
    assert_eq!(record["metadata"]["name"], format!("{hash}-w1"));
    assert_eq!(record["spec"]["hubHash"], hash.as_str());
    eventually("the record lists both objects", PATIENCE, async || {
        let record = &world.cluster.records().await[0];
        let listed = record["status"]["appliedResources"].as_array()?;
        (listed.len() == 2 && listed[0]["resource"] == "configmaps").then_some(())
    })
    .await;

    made.spec.workload.manifests[1] = thing("t", json!({"size": 2})).into();
    world.broker.put(&made);
    world.applied("w1", 2).await;
    world
        .object("Thing", "t", |live| live["spec"]["size"] == 2)
        .await;

    world.broker.delete("w1");
    let last = world.deleted("w1").await;
    assert_eq!(last.metadata.uid, "w1");
    assert!(!world.broker.has("w1"));
    world.gone("Thing", "t").await;
    world.gone("ConfigMap", "cm").await;
    assert!(world.cluster.records().await.is_empty());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_follows_the_object() {
    let world = World::new().await;
    let agent = world.agent().await;
    world.broker.put(&thing_work("w1", "t", json!({})));
    world.applied("w1", 1).await;
    for step in 1..=3 {
        world
            .cluster
            .merge_status(
                "Thing",
                "t",
                json!({"step": step, "conditions": [{"type": "Ready"}]}),
            )
            .await;
        let what = format!("step {step} is reported");
        let status = world
            .status("w1", &what, |work| feedback(work)["step"] == step)
            .await;
        let synced = manifest_condition(&status, 0, "StatusFeedbackSynced").unwrap();
        assert_eq!(synced.reason, "StatusFeedbackSynced");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_events_are_coalesced() {
    let world = World::new().await;
    let agent = world.agent().await;
    world.broker.put(&thing_work("w1", "t", json!({})));
    world.applied("w1", 1).await;
    let before = world.broker.reports("w1").len();
    for step in 0..60 {
        world
            .cluster
            .merge_status("Thing", "t", json!({"step": step}))
            .await;
    }
    world
        .status("w1", "the last step is reported", |work| {
            feedback(work)["step"] == 59
        })
        .await;
    let reports = world.broker.reports("w1");
    let events = &reports[before..];
    let took = events.last().unwrap().at - events[0].at;
    let allowed = usize::try_from(took.as_millis() / 250).unwrap() + 2;
    assert!(
        events.len() <= allowed,
        "{} events in {took:?}",
        events.len()
    );
    for pair in reports.windows(2) {
        let newer = pair[1].event.sequence_id().unwrap();
        assert!(
            newer
                .is_newer_than(pair[0].event.sequence_id().ok())
                .unwrap()
        );
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_manifests_are_removed_and_new_ones_made() {
    let world = World::new().await;
    let agent = world.agent().await;
    let first = config_map("first", json!({}));
    let second = config_map("second", json!({}));
    let third = config_map("third", json!({}));
    world.broker.put(&work("w1", &[first, second.clone()]));
    world.applied("w1", 1).await;
    let uid = world.cluster.get("ConfigMap", "second").await.unwrap()["metadata"]["uid"].clone();
    world.broker.put(&work("w1", &[third, second]));
    let status = world.applied("w1", 2).await;
    assert_eq!(status.status.resource_status.manifests.len(), 2);
    world.gone("ConfigMap", "first").await;
    world.object("ConfigMap", "third", |_| true).await;
    world
        .object("ConfigMap", "second", |live| live["metadata"]["uid"] == uid)
        .await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_and_its_object_come_in_one_work() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut definition = crate::cluster::thing_definition();
    definition["metadata"]["name"] = json!("others.test.io");
    definition["spec"]["names"] =
        json!({"kind": "Other", "listKind": "OtherList", "plural": "others", "singular": "other"});
    let other = json!({"apiVersion": "test.io/v1", "kind": "Other", "metadata": {"name": "o", "namespace": "late"}, "spec": {}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "late"}});
    world
        .broker
        .put(&work("w1", &[other, definition, namespace]));
    let status = world.applied("w1", 1).await;
    let ordinals: Vec<i32> = status
        .status
        .resource_status
        .manifests
        .iter()
        .map(|manifest| manifest.resource_meta.ordinal)
        .collect();
    assert_eq!(ordinals, [0, 1, 2]);
    world.broker.delete("w1");
    world.deleted("w1").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_manifest_does_not_keep_the_others_back() {
    let world = World::new().await;
    let agent = world.agent().await;
    let unknown = json!({"apiVersion": "nowhere.io/v1", "kind": "Nothing", "metadata": {"name": "n", "namespace": "default"}});
    let made = work("w1", &[unknown, config_map("cm", json!({}))]);
    world.broker.put(&made);
    let status = world
        .status("w1", "the failure is reported", |work| {
            manifest_condition(work, 0, "Applied").is_some_and(|c| c.status == false.into())
                && manifest_condition(work, 1, "Applied").is_some_and(|c| c.status == true.into())
        })
        .await;
    let failed = manifest_condition(&status, 0, "Applied").unwrap();
    assert_eq!(failed.reason, "AppliedManifestFailed");
    assert_eq!(
        failed.message,
        "Failed to apply manifest: the server doesn't have a resource type \"Nothing\""
    );
    let meta = &status.status.resource_status.manifests[0].resource_meta;
    assert_eq!(
        (meta.kind.as_str(), meta.resource.as_str()),
        ("Nothing", "")
    );
    let available = manifest_condition(&status, 0, "Available").unwrap();
    assert_eq!(available.reason, "IncompleteResourceMeta");
    world.object("ConfigMap", "cm", |_| true).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_cannot_be_read_is_reported_and_the_old_one_stays() {
    let world = World::new().await;
    let agent = world.agent().await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({"v": "1"}))]));
    world.applied("w1", 1).await;
    world.broker.put(&work("w1", &[]));
    let status = world
        .status("w1", "the empty bundle is refused", |work| {
            manifestwork::conditions::find(&work.status.conditions, "Applied")
                .is_some_and(|c| c.status == false.into())
        })
        .await;
    let applied = manifestwork::conditions::find(&status.status.conditions, "Applied").unwrap();
    assert_eq!(applied.observed_generation, 2);
    assert!(
        applied.message.contains("should not be empty"),
        "{}",
        applied.message
    );
    world.object("ConfigMap", "cm", |_| true).await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({"v": "3"}))]));
    world.applied("w1", 3).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_deletions_by_others_are_put_right() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = work(
        "w1",
        &[
            thing("t", json!({"size": 1})),
            config_map("cm", json!({"a": "1"})),
        ],
    );
    made.spec.manifest_configs = vec![configured(
        "Thing",
        "t",
        UpdateStrategyType::ServerSideApply,
    )];
    made.spec.manifest_configs[0].update_strategy = Some(manifestwork::UpdateStrategy {
        server_side_apply: Some(manifestwork::ServerSideApply {
            force: true,
            ..manifestwork::ServerSideApply::default()
        }),
        ..strategy(UpdateStrategyType::ServerSideApply)
    });
    world.broker.put(&made);
    world.applied("w1", 1).await;
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"spec": {"size": 7, "theirs": true}}),
            "somebody",
        )
        .await;
    let live = world
        .object("Thing", "t", |live| live["spec"]["size"] == 1)
        .await;
    assert_eq!(live["spec"]["theirs"], true, "what isn't ours stays");
    world
        .cluster
        .merge("ConfigMap", "cm", json!({"data": {"a": "2"}}), "somebody")
        .await;
    world
        .object("ConfigMap", "cm", |live| live["data"]["a"] == "1")
        .await;
    world.cluster.remove("ConfigMap", "cm").await;
    world.object("ConfigMap", "cm", |_| true).await;
    world
        .status("w1", "everything is available again", |work| {
            is_applied(work, 1)
        })
        .await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_of_a_kind_are_watched_together() {
    let world = World::new().await;
    let mut config = world.config();
    config.max_feedback_watch = 2;
    let agent = world.agent_with(config).await;
    let names = ["t0", "t1", "t2", "t3", "t4"];
    let things: Vec<_> = names.iter().map(|name| thing(name, json!({}))).collect();
    let mut made = work("w1", &things);
    made.spec.manifest_configs = vec![configured(
        "Thing",
        "t*",
        UpdateStrategyType::ServerSideApply,
    )];
    world.broker.put(&made);
    world.applied("w1", 1).await;
    for name in names {
        world
            .cluster
            .merge_status("Thing", name, json!({"name": name}))
            .await;
    }
    world
        .status("w1", "all statuses are reported", |work| {
            (0..5).all(|ordinal| work.status.feedback(ordinal, "status").is_some())
        })
        .await;
    let watches: Vec<_> = world
        .cluster
        .calls()
        .into_iter()
        .filter(|call| call.query.contains("watch=true") && call.path.contains("/things"))
        .collect();
    let together = watches
        .iter()
        .filter(|call| !call.query.contains("fieldSelector"));
    assert_eq!(together.count(), 1, "{watches:?}");
    assert!(watches.len() <= 3, "{watches:?}");
    world.cluster.remove("Thing", "t4").await;
    world.object("Thing", "t4", |_| true).await;
    // One more in another namespace: all of them are watched across the cluster now.
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}});
    let mut elsewhere = thing("t0", json!({}));
    elsewhere["metadata"]["namespace"] = json!("other");
    world.broker.put(&work("w2", &[namespace, elsewhere]));
    world.applied("w2", 1).await;
    eventually("a watch across the cluster", PATIENCE, async || {
        let calls = world.cluster.calls();
        let across = calls.iter().any(|call| {
            call.path == "/apis/test.io/v1/things" && call.query.contains("watch=true")
        });
        across.then_some(())
    })
    .await;
    world
        .cluster
        .merge_status("Thing", "t2", json!({"name": "again"}))
        .await;
    world
        .status("w1", "a status is still reported", |work| {
            match work.status.feedback(2, "status") {
                Some(manifestwork::FieldValue::JsonRaw(text)) => text.contains("again"),
                _ => false,
            }
        })
        .await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_the_definition_is_told_so() {
    let world = World::new().await;
    let mut config = world.config();
    config.install_crds = false;
    let agent = world.agent_with(config).await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    let status = world
        .status("w1", "the missing definition is reported", |work| {
            manifestwork::conditions::find(&work.status.conditions, "Applied")
                .is_some_and(|c| c.message.contains("AppliedManifestWork"))
        })
        .await;
    assert!(status.status.resource_status.manifests.is_empty());
    assert!(world.cluster.get("ConfigMap", "cm").await.is_none());
    agent.stop().await;
    let agent = world.agent().await;
    world.applied("w1", 1).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_may_be_away_at_the_start_and_later() {
    let mut world = World::new().await;
    let agent = world.agent().await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    world.applied("w1", 1).await;
    let stopped = world.broker.stop().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.broker = stopped.start().await;
    let begin = std::time::Instant::now();
    eventually("the agent has subscribed again", PATIENCE, async || {
        (world.broker.subscriptions() == 1).then_some(())
    })
    .await;
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({"v": "2"}))]));
    world.applied("w1", 2).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_sequence_id_is_overtaken() {
    let world = World::new().await;
    let agent = world.agent().await;
    let ahead = event_wire::SequenceGenerator::new();
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let last = ahead.next(later);
    world.broker.last_sequence(Some(last.to_string()));
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    eventually(
        "a status beyond the server's last one",
        PATIENCE,
        async || {
            let report = world.broker.reports("w1").pop()?;
            let sequence = report.event.sequence_id().ok()?;
            sequence.is_newer_than(Some(last)).ok()?.then_some(())
        },
    )
    .await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_with_wildcards_find_their_manifests() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = work("w1", &[thing("my-test", json!({}))]);
    let mut rule = configured("Thing", "my-test", UpdateStrategyType::ServerSideApply);
    rule.resource_identifier = manifestwork::ResourceIdentifier {
        name: "*t".into(),
        namespace: "*".into(),
        ..identifier("Thing", "")
    };
    made.spec.manifest_configs = vec![rule];
    world.broker.put(&made);
    world.applied("w1", 1).await;
    let applies = world
        .cluster
        .calls()
        .iter()
        .filter(|call| call.is_apply())
        .count();
    assert_eq!(applies, 1);
    agent.stop().await;
}
