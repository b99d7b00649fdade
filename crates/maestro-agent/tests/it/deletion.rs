//! Deletion: what goes, what stays, who waits for whom, and what the server hears.

use axum::http::{Method, StatusCode};
use manifestwork::{
    DeleteOption, ManifestWork, PropagationPolicy, SelectivelyOrphan, UpdateStrategyType,
    conditions,
};
use serde_json::{Value, json};

use crate::world::{
    World, config_map, delete_option, feedback, identifier, is_applied, manifest_condition,
    strategy, thing, thing_work, work,
};

fn held_by(work: &ManifestWork, ordinal: usize) -> Option<Value> {
    let condition = manifest_condition(work, ordinal, "Deleting")?;
    let message: Value = serde_json::from_str(&condition.message).ok()?;
    assert!(message["since"].as_str()?.contains('T'));
    Some(message["finalizers"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizers_that_hold_an_object_are_shown_and_its_status_goes_on() {
    let world = World::new().await;
    let agent = world.agent().await;
    world.broker.put(&thing_work("w1", "t", json!({})));
    world.applied("w1", 1).await;
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"metadata": {"finalizers": ["test.io/a", "test.io/b"]}}),
            "op",
        )
        .await;
    world.broker.delete("w1");
    let status = world
        .status("w1", "both finalizers are shown", |work| {
            held_by(work, 0) == Some(json!(["test.io/a", "test.io/b"]))
        })
        .await;
    let deleting = conditions::find(&status.status.conditions, "Deleting").unwrap();
    assert_eq!(deleting.reason, "WorkDeleting");
    assert_eq!(
        manifest_condition(&status, 0, "Deleting").unwrap().reason,
        "WaitingForFinalizers"
    );
    world
        .cluster
        .merge_status("Thing", "t", json!({"progress": 1}))
        .await;
    world
        .status("w1", "the status is still reported", |work| {
            feedback(work)["progress"] == 1
        })
        .await;
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"metadata": {"finalizers": ["test.io/b"]}}),
            "op",
        )
        .await;
    world
        .status("w1", "one finalizer is left", |work| {
            held_by(work, 0) == Some(json!(["test.io/b"]))
        })
        .await;
    assert!(world.broker.has("w1"));
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"metadata": {"finalizers": null}}),
            "op",
        )
        .await;
    let last = world.deleted("w1").await;
    assert_eq!(held_by(&last, 0), None);
    let deleted = conditions::find(&last.status.conditions, "Deleted").unwrap();
    assert_eq!(
        deleted.message,
        "The manifests are deleted from the cluster c1"
    );
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_object_needs_to_end_outlives_it() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut held = thing("t", json!({}));
    held["metadata"]["finalizers"] = json!(["test.io/a"]);
    world
        .broker
        .put(&work("w1", &[held, config_map("credentials", json!({}))]));
    world.applied("w1", 1).await;
    world.broker.delete("w1");
    world
        .status("w1", "the object is held", |work| {
            held_by(work, 0) == Some(json!(["test.io/a"]))
        })
        .await;
    let credentials = world.cluster.get("ConfigMap", "credentials").await.unwrap();
    assert_eq!(credentials["metadata"].get("deletionTimestamp"), None);
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
    world.gone("ConfigMap", "credentials").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_forbidden_says_so_and_goes_on_when_it_may() {
    let world = World::new().await;
    let agent = world.agent().await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    world.applied("w1", 1).await;
    world.cluster.fail(|call| {
        let forbidden = call.method == Method::DELETE && call.path.ends_with("/configmaps/cm");
        let text = "configmaps \"cm\" is forbidden";
        let status = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": text});
        forbidden.then_some((StatusCode::FORBIDDEN, status))
    });
    world.broker.delete("w1");
    world
        .status("w1", "the obstacle is told", |work| {
            conditions::find(&work.status.conditions, "Deleting").is_some_and(|condition| {
                condition
                    .message
                    .ends_with("configmaps \"cm\" is forbidden")
            })
        })
        .await;
    world.cluster.heal();
    world.deleted("w1").await;
    world.gone("ConfigMap", "cm").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_died_right_after_an_apply_leaves_nothing_behind() {
    let world = World::new().await;
    let agent = world.agent().await;
    // Everything after the apply is lost: the owner reference, and the uid in the record.
    let applied = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&applied);
    world.cluster.fail(move |call| {
        if call.is_apply() {
            seen.store(true, std::sync::atomic::Ordering::SeqCst);
            return None;
        }
        let late = call.is_write() && seen.load(std::sync::atomic::Ordering::SeqCst);
        late.then(|| (StatusCode::BAD_GATEWAY, json!("lost")))
    });
    world.broker.put(&thing_work("w1", "t", json!({})));
    world.object("Thing", "t", |_| true).await;
    agent.kill().await;
    let live = world.cluster.get("Thing", "t").await.unwrap();
    assert_eq!(live["metadata"].get("ownerReferences"), None);
    world.cluster.heal();
    world.broker.delete_silently("w1");
    let agent = world.agent().await;
    world.deleted("w1").await;
    world.gone("Thing", "t").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_only_read_by_now_stays() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = thing_work("w1", "t", json!({}));
    world.broker.put(&made);
    world.applied("w1", 1).await;
    let config = &mut made.spec.manifest_configs[0];
    config.update_strategy = Some(strategy(UpdateStrategyType::ReadOnly));
    world.broker.put(&made);
    world.applied("w1", 2).await;
    let live = world.cluster.get("Thing", "t").await.unwrap();
    let owners = live["metadata"]["ownerReferences"]
        .as_array()
        .map_or(0, Vec::len);
    assert_eq!(owners, 0);
    world.broker.delete("w1");
    world.deleted("w1").await;
    assert!(world.cluster.get("Thing", "t").await.is_some());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_stay() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut all = work("w1", &[config_map("a", json!({}))]);
    delete_option(&mut all, DeleteOption::new(PropagationPolicy::Orphan));
    world.broker.put(&all);
    let mut some = work(
        "w2",
        &[config_map("b", json!({})), config_map("c", json!({}))],
    );
    delete_option(
        &mut some,
        DeleteOption {
            selectively_orphans: Some(SelectivelyOrphan {
                orphaning_rules: vec![identifier("ConfigMap", "b")],
            }),
            ..DeleteOption::new(PropagationPolicy::SelectivelyOrphan)
        },
    );
    world.broker.put(&some);
    world.applied("w1", 1).await;
    world.applied("w2", 1).await;
    for name in ["a", "b"] {
        let live = world.cluster.get("ConfigMap", name).await.unwrap();
        let owners = live["metadata"]["ownerReferences"]
            .as_array()
            .map_or(0, Vec::len);
        assert_eq!(owners, 0, "{name}");
    }
    world.broker.delete("w1");
    world.broker.delete("w2");
    world.deleted("w1").await;
    world.deleted("w2").await;
    world.gone("ConfigMap", "c").await;
    assert!(world.cluster.get("ConfigMap", "a").await.is_some());
    assert!(world.cluster.get("ConfigMap", "b").await.is_some());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_that_is_one_no_more_is_removed() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut made = work("w1", &[config_map("a", json!({}))]);
    delete_option(&mut made, DeleteOption::new(PropagationPolicy::Orphan));
    world.broker.put(&made);
    world.applied("w1", 1).await;
    made.spec.delete_option = None;
    world.broker.put(&made);
    world.applied("w1", 2).await;
    world
        .object("ConfigMap", "a", |live| {
            live["metadata"]["ownerReferences"][0]["uid"].is_string()
        })
        .await;
    world.broker.delete("w1");
    world.deleted("w1").await;
    world.gone("ConfigMap", "a").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_two_works_goes_with_the_last() {
    let world = World::new().await;
    let agent = world.agent().await;
    let shared = config_map("shared", json!({"a": "1"}));
    world
        .broker
        .put(&work("w1", &[shared.clone(), config_map("own", json!({}))]));
    world.applied("w1", 1).await;
    world.broker.put(&work("w2", &[shared]));
    world.applied("w2", 1).await;
    let live = world.cluster.get("ConfigMap", "shared").await.unwrap();
    assert_eq!(
        live["metadata"]["ownerReferences"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    world.broker.delete("w1");
    world.deleted("w1").await;
    let after = world.cluster.get("ConfigMap", "shared").await.unwrap();
    assert_eq!(after["metadata"]["uid"], live["metadata"]["uid"]);
    assert_eq!(
        after["metadata"]["ownerReferences"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    world.broker.delete("w2");
    world.deleted("w2").await;
    world.gone("ConfigMap", "shared").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_deletion_goes_on_with_it() {
    let world = World::new().await;
    let agent = world.agent().await;
    let mut held = thing("t", json!({}));
    held["metadata"]["finalizers"] = json!(["test.io/a"]);
    world.broker.put(&work("w1", &[held]));
    world.applied("w1", 1).await;
    world.broker.delete("w1");
    world
        .status("w1", "the object is held", |work| {
            held_by(work, 0).is_some()
        })
        .await;
    agent.kill().await;
    world.cluster.forget_calls();
    let before = world.broker.reports("w1").len();
    let agent = world.agent().await;
    world
        .status("w1", "the new agent says who holds it", |work| {
            world.broker.reports("w1").len() > before && held_by(work, 0).is_some()
        })
        .await;
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
    let made = world
        .cluster
        .calls()
        .into_iter()
        .filter(|call| call.brings_back("t"));
    assert_eq!(made.count(), 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_something_unknown_is_answered() {
    let world = World::new().await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    world.broker.delete_silently("w1");
    let agent = world.agent().await;
    world.deleted("w1").await;
    assert!(world.cluster.get("ConfigMap", "cm").await.is_none());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_deleted_by_hand_takes_nothing_with_it() {
    let world = World::new().await;
    let agent = world.agent().await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    world.applied("w1", 1).await;
    let live = world.cluster.get("ConfigMap", "cm").await.unwrap();
    let record = world.cluster.records().await.remove(0);
    let name = record["metadata"]["name"].as_str().unwrap();
    world.cluster.remove("AppliedManifestWork", name).await;
    let after = world
        .object("ConfigMap", "cm", |now| {
            let owner = &now["metadata"]["ownerReferences"][0]["uid"];
            owner.is_string() && *owner != record["metadata"]["uid"]
        })
        .await;
    assert_eq!(after["metadata"]["uid"], live["metadata"]["uid"]);
    world.broker.delete("w1");
    world.deleted("w1").await;
    world.gone("ConfigMap", "cm").await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_life_of_an_id_begins_after_the_end_of_the_last() {
    let world = World::new().await;
    world.broker.keep_rows();
    let agent = world.agent().await;
    let mut first = thing_work("w1", "t", json!({"life": 1}));
    first.metadata.creation_timestamp = Some("2026-01-01T00:00:00Z".parse().unwrap());
    world.broker.put(&first);
    world.broker.put(&first);
    world.applied("w1", 2).await;
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"metadata": {"finalizers": ["test.io/a"]}}),
            "op",
        )
        .await;
    world.broker.delete("w1");
    world
        .status("w1", "the object is held", |work| {
            held_by(work, 0).is_some()
        })
        .await;
    // The row was removed by force and made anew: versions begin at 1 again.
    world.broker.forget("w1");
    let mut second = thing_work("w1", "t", json!({"life": 2}));
    second.metadata.creation_timestamp = Some("2026-02-01T00:00:00Z".parse().unwrap());
    world.broker.put(&second);
    world
        .cluster
        .merge(
            "Thing",
            "t",
            json!({"metadata": {"finalizers": null}}),
            "op",
        )
        .await;
    world
        .object("Thing", "t", |live| live["spec"]["life"] == 2)
        .await;
    world
        .status("w1", "the second life is reported", |work| {
            is_applied(work, 1)
        })
        .await;
    let said: Vec<_> = world
        .broker
        .reports("w1")
        .into_iter()
        .filter(|report| conditions::is_true(&report.work.status.conditions, "Deleted"))
        .collect();
    assert_eq!(said.len(), 1);
    assert_eq!(
        said[0].work.metadata.creation_timestamp,
        first.metadata.creation_timestamp
    );
    agent.stop().await;
}
