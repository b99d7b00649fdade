//! One test for each way in which agents failed in the field, named after its number in `docs/protocol/work-agent.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use manifestwork::{ServerSideApply, UpdateStrategy, UpdateStrategyType, conditions};
use serde_json::json;
use testkit::eventually;

use crate::world::{
    PATIENCE, World, config_map, configured, feedback, manifest_condition, strategy, thing,
    thing_work, work,
};

/// Rounds of the race between statuses and a deletion.
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_deletion_among_statuses_is_never_lost() {
    let world = World::new().await;
    let agent = world.agent().await;
    for round in 0..ROUNDS {
        let id = format!("w{round}");
        let name = format!("t{round}");
        world.broker.put(&thing_work(&id, &name, json!({})));
        world.applied(&id, 1).await;
        let published = world.broker.reports(&id).len();
        // Statuses are published all the time; the deletion comes right after one of them.
        for step in 0..4 {
            world
                .cluster
                .merge_status("Thing", &name, json!({"step": step}))
                .await;
        }
        eventually("another status", PATIENCE, async || {
            (world.broker.reports(&id).len() > published).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_micros(200 * (round as u64 % 25))).await;
        world.cluster.forget_calls();
        world.broker.delete(&id);
        world.deleted(&id).await;
        let again = world
            .cluster
            .calls()
            .into_iter()
            .filter(|call| call.brings_back(&name));
        assert_eq!(again.count(), 0, "round {round}");
        world.gone("Thing", &name).await;
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f5b_a_late_spec_does_not_revive_a_work() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut held = thing("t", json!({}));
    held["metadata"]["finalizers"] = json!(["test.io/a"]);
    world.broker.put(&work("w1", &[held]));
    world.applied("w1", 1).await;
    world.broker.delete("w1");
    world
        .status("w1", "the object is held", |work| {
            manifest_condition(work, 0, "Deleting").is_some()
        })
        .await;
    world.cluster.forget_calls();
    world.broker.send_live("w1", 1);
    world.broker.send_live("w1", 7);
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"metadata": {"finalizers": null}}),
            "op",
        )
        .await;
    world.deleted("w1").await;
    let again = world
        .cluster
        .calls()
        .into_iter()
        .filter(|call| call.brings_back("t"));
    assert_eq!(again.count(), 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_deletions_updates_and_creations_while_the_agent_was_away() {
    let world = World::new().await;
    let agent = world.agent().await;
    for (id, name) in [("w1", "one"), ("w2", "two")] {
        world
            .broker
            .put(&work(id, &[config_map(name, json!({"v": "1"}))]));
        world.applied(id, 1).await;
    }
    agent.kill().await;
    world.broker.delete("w1");
    world
        .broker
        .put(&work("w2", &[config_map("two", json!({"v": "2"}))]));
    world
        .broker
        .put(&work("w3", &[config_map("three", json!({}))]));
    let agent = world.agent().await;
    world.deleted("w1").await;
    world.gone("ConfigMap", "one").await;
    world.applied("w2", 2).await;
    world
        .object("ConfigMap", "two", |live| live["data"]["v"] == "2")
        .await;
    world.applied("w3", 1).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_an_orphan_is_removed_although_its_deletion_has_no_version() {
    let world = World::new().await;
    let agent = world.agent().await;
    world
        .broker
        .put(&work("w1", &[config_map("one", json!({}))]));
    world
        .broker
        .put(&work("w2", &[config_map("two", json!({}))]));
    world.applied("w1", 1).await;
    world.applied("w2", 1).await;
    // One row vanishes while the agent runs, the other one while it doesn't.
    world.broker.forget("w1");
    world.broker.cut();
    world.gone("ConfigMap", "one").await;
    agent.kill().await;
    world.broker.forget("w2");
    let agent = world.agent().await;
    world.gone("ConfigMap", "two").await;
    world.deleted("w2").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_the_last_word_is_repeated_until_it_is_heard() {
    let world = World::new().await;
    let agent = world.agent().await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    world.applied("w1", 1).await;
    world.broker.refuse_publish(true);
    world.broker.delete("w1");
    world.gone("ConfigMap", "cm").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(world.broker.has("w1"));
    world.broker.refuse_publish(false);
    world.deleted("w1").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_an_object_made_anew_is_reported_although_its_generation_is_the_same() {
    let world = World::new().await;
    let agent = world.agent().await;
    world.cluster.create(&thing("t", json!({}))).await;
    world
        .cluster
        .merge_status("Thing", "t", json!({"ip": "10.0.0.1"}))
        .await;
    let mut made = work("w1", &[thing("t", json!({}))]);
    made.spec.manifest_configs = vec![configured("Thing", "t", UpdateStrategyType::ReadOnly)];
    world.broker.put(&made);
    world
        .status("w1", "the first address", |work| {
            feedback(work)["ip"] == "10.0.0.1"
        })
        .await;
    let generation =
        world.cluster.get("Thing", "t").await.unwrap()["metadata"]["generation"].clone();
    world.cluster.remove("Thing", "t").await;
    world.cluster.create(&thing("t", json!({}))).await;
    world
        .cluster
        .merge_status("Thing", "t", json!({"ip": "10.0.0.2"}))
        .await;
    let now = world.cluster.get("Thing", "t").await.unwrap()["metadata"]["generation"].clone();
    assert_eq!(now, generation);
    world
        .status("w1", "the second address", |work| {
            feedback(work)["ip"] == "10.0.0.2"
        })
        .await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f40_a_conflict_names_its_manager_and_ends_with_it() {
    let world = World::new().await;
    let agent = world.agent().await;
    world.cluster.create(&thing("t", json!({}))).await;
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"spec": {"size": 1}}),
            "kubectl-annotate",
        )
        .await;
    world.broker.put(&thing_work("w1", "t", json!({"size": 2})));
    let status = world
        .status("w1", "the conflict is reported", |work| {
            manifest_condition(work, 0, "Applied").is_some_and(|c| c.status == false.into())
        })
        .await;
    let message = &manifest_condition(&status, 0, "Applied").unwrap().message;
    assert!(message.contains("kubectl-annotate"), "{message}");
    assert!(message.contains(".spec.size"), "{message}");
    // The manager gives the field up.
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"spec": {"size": null}}),
            "kubectl-annotate",
        )
        .await;
    let begin = std::time::Instant::now();
    world.applied("w1", 1).await;
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    let live = world.cluster.get("Thing", "t").await.unwrap();
    assert_eq!(live["spec"]["size"], 2);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f40_force_takes_the_field() {
    let world = World::new().await;
    let agent = world.agent().await;
    world.cluster.create(&thing("t", json!({"size": 1}))).await;
    let mut made = thing_work("w1", "t", json!({"size": 2}));
    made.spec.manifest_configs[0].update_strategy = Some(UpdateStrategy {
        server_side_apply: Some(ServerSideApply {
            force: true,
            ..ServerSideApply::default()
        }),
        ..strategy(UpdateStrategyType::ServerSideApply)
    });
    world.broker.put(&made);
    world.applied("w1", 1).await;
    world
        .object("Thing", "t", |live| live["spec"]["size"] == 2)
        .await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_an_error_whose_text_changes_is_reported_once() {
    let world = World::new().await;
    let agent = world.agent().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    world.cluster.fail(move |call| {
        if !call.is_apply() {
            return None;
        }
        let number = count.fetch_add(1, Ordering::SeqCst);
        let text = format!("internal error, request id {number}");
        let status = json!({"kind": "Status", "status": "Failure", "code": 500, "reason": "InternalError", "message": text});
        Some((StatusCode::INTERNAL_SERVER_ERROR, status))
    });
    world.broker.put(&thing_work("w1", "t", json!({})));
    eventually("the apply was tried five times", PATIENCE, async || {
        (tries.load(Ordering::SeqCst) >= 5).then_some(())
    })
    .await;
    let reports = world.broker.reports("w1");
    assert!(reports.len() <= 2, "{} reports for 5 tries", reports.len());
    world.cluster.heal();
    world.applied("w1", 1).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f64_many_works_at_once() {
    const WORKS: usize = 20;
    const OBJECTS: usize = 5;
    let world = World::new().await;
    let agent = world.agent().await;
    for number in 0..WORKS {
        let manifests: Vec<_> = (0..OBJECTS)
            .map(|object| config_map(&format!("cm-{number}-{object}"), json!({"n": "1"})))
            .collect();
        world.broker.put(&work(&format!("w{number}"), &manifests));
    }
    for number in 0..WORKS {
        world.applied(&format!("w{number}"), 1).await;
    }
    for number in 0..WORKS {
        world.broker.delete(&format!("w{number}"));
    }
    for number in 0..WORKS {
        world.deleted(&format!("w{number}")).await;
    }
    assert!(world.cluster.records().await.is_empty());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f63_f65_one_apply_per_version_and_no_writes_while_nothing_differs() {
    let world = World::new().await;
    let mut config = world.config();
    config.look_interval = Duration::from_millis(500);
    let agent = world.agent_with(config).await;
    let mut made = work(
        "w1",
        &[
            thing("t", json!({"v": 1})),
            config_map("cm", json!({"v": "1"})),
        ],
    );
    made.spec.manifest_configs = vec![configured(
        "Thing",
        "t",
        UpdateStrategyType::ServerSideApply,
    )];
    world.broker.put(&made);
    world.applied("w1", 1).await;
    for step in 0..10 {
        world
            .cluster
            .merge_status("Thing", "t", json!({"step": step}))
            .await;
    }
    world
        .status("w1", "the last step", |work| feedback(work)["step"] == 9)
        .await;
    made.spec.workload.manifests[0] = thing("t", json!({"v": 2})).into();
    world.broker.put(&made);
    world.applied("w1", 2).await;
    let applies = |world: &World| {
        let calls = world.cluster.calls();
        calls.into_iter().filter(|call| call.is_apply()).count()
    };
    assert_eq!(applies(&world), 2);
    let writes_of_cm = |world: &World| {
        let calls = world.cluster.calls();
        calls
            .into_iter()
            .filter(|c| c.is_write() && c.path.contains("configmaps"))
            .count()
    };
    assert_eq!(writes_of_cm(&world), 1);
    world.cluster.forget_calls();
    eventually(
        "all objects were looked at five times",
        PATIENCE,
        async || {
            let calls = world.cluster.calls();
            let looks = calls
                .iter()
                .filter(|c| c.method == Method::GET && c.path.ends_with("/things/t"));
            (looks.count() >= 5).then_some(())
        },
    )
    .await;
    let writes: Vec<_> = world
        .cluster
        .calls()
        .into_iter()
        .filter(crate::cluster::Call::is_write)
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f67_a_restart_without_the_server_removes_nothing() {
    let mut world = World::new().await;
    let agent = world.agent().await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    world.applied("w1", 1).await;
    let live = world.cluster.get("ConfigMap", "cm").await.unwrap();
    agent.kill().await;
    let config = world.config();
    let stopped = world.broker.stop().await;
    let service = maestro_agent::Service::bind(config, world.cluster.through_proxy.clone())
        .await
        .unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(service.run(shutdown.clone()));
    world.cluster.forget_calls();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let writes = world
        .cluster
        .calls()
        .into_iter()
        .filter(crate::cluster::Call::is_write);
    assert_eq!(writes.count(), 0);
    world.broker = stopped.start().await;
    let before = world.broker.reports("w1").len();
    eventually("the work is reported again", PATIENCE, async || {
        (world.broker.reports("w1").len() > before).then_some(())
    })
    .await;
    let after = world.cluster.get("ConfigMap", "cm").await.unwrap();
    assert_eq!(after["metadata"]["uid"], live["metadata"]["uid"]);
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn f71_a_new_server_address_removes_nothing() {
    let mut world = World::new().await;
    let agent = world.agent().await;
    let made = work("w1", &[config_map("cm", json!({"a": "1"}))]);
    world.broker.put(&made);
    world.applied("w1", 1).await;
    let live = world.cluster.get("ConfigMap", "cm").await.unwrap();
    let old_id = world.config().identity().agent_id;
    agent.stop().await;
    world.broker = crate::broker::Broker::start().await;
    world.cluster.forget_calls();
    let mut config = world.config();
    config.adopt_agent_ids = vec![old_id];
    let agent = world.agent_with(config).await;
    // The new server has the work, but no status of it.
    world.broker.put(&made);
    world.applied("w1", 1).await;
    eventually("the old record is taken over", PATIENCE, async || {
        (world.cluster.records().await.len() == 1).then_some(())
    })
    .await;
    let after = world.cluster.get("ConfigMap", "cm").await.unwrap();
    assert_eq!(after["metadata"]["uid"], live["metadata"]["uid"]);
    assert_eq!(
        after["metadata"]["ownerReferences"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let removed = world
        .cluster
        .calls()
        .into_iter()
        .filter(|call| call.method == Method::DELETE && call.path.contains("configmaps"));
    assert_eq!(removed.count(), 0);
    world.broker.delete("w1");
    world.deleted("w1").await;
    world.gone("ConfigMap", "cm").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_a_new_subscription_alone_reports_nothing() {
    let world = World::new().await;
    let agent = world.agent().await;
    for number in 0..10 {
        world.broker.put(&work(
            &format!("w{number}"),
            &[config_map(&format!("cm{number}"), json!({}))],
        ));
    }
    let count = || -> usize {
        (0..10)
            .map(|number| world.broker.reports(&format!("w{number}")).len())
            .sum()
    };
    for number in 0..10 {
        world.applied(&format!("w{number}"), 1).await;
    }
    // An answer that is cut off counts as no answer, and the status is sent again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = count();
    for _ in 0..2 {
        let resyncs = world.broker.resyncs().len();
        world.broker.cut();
        eventually("another resync", PATIENCE, async || {
            (world.broker.resyncs().len() > resyncs).then_some(())
        })
        .await;
    }
    let listed = world.broker.resyncs().pop().unwrap();
    assert_eq!(listed.len(), 10);
    assert!(listed.iter().all(|entry| entry.resource_version == 1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count(), before);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f72_a_foreign_owner_does_not_keep_an_object() {
    let world = World::new().await;
    let agent = world.agent().await;
    let owner = world.cluster.create(&config_map("owner", json!({}))).await;
    world.broker.put(&thing_work("w1", "t", json!({})));
    world.applied("w1", 1).await;
    let mut owners =
        world.cluster.get("Thing", "t").await.unwrap()["metadata"]["ownerReferences"].clone();
    owners.as_array_mut().unwrap().push(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"],
    }));
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"metadata": {"ownerReferences": owners}}),
            "somebody",
        )
        .await;
    world.broker.delete("w1");
    let last = world.deleted("w1").await;
    assert!(conditions::is_true(&last.status.conditions, "Deleted"));
    world.gone("Thing", "t").await;
    agent.stop().await;
}
