//! The running adapter: pulses in, objects and reports out.

use std::time::Duration;

use axum::http::StatusCode;
use kube_access::{List, Patch, Write, object};
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::seed_spec;
use crate::world::{CONFIG_MAP_TASK, DEADLINE, SUBSCRIPTION, WORK_TASK, World, condition, status};

#[tokio::test]
async fn f81_ten_pulses_of_one_generation_write_once() {
    let world = World::new().await;
    let adapter = world
        .start_with(
            &world.deployment("test", "rerun: {enabled: false}"),
            CONFIG_MAP_TASK,
            vec![],
        )
        .await;
    world.api.cluster("c1", 1);
    let mut versions = Vec::new();
    for _ in 0..10 {
        world.pulse("c1", 1).await;
        world.settled().await;
        let config_map = world.config_map("settings-c1").await.unwrap();
        versions.push(object::resource_version(&config_map).unwrap().to_owned());
    }
    assert!(
        versions.iter().all(|version| *version == versions[0]),
        "{versions:?}"
    );
    assert_eq!(world.api.puts().len(), 10);
    assert_eq!(status(&world.api.puts()[9], "Applied"), "True");

    // A new generation replaces it, once.
    world.api.cluster("c1", 2);
    world.pulse("c1", 2).await;
    world.settled().await;
    let config_map = world.config_map("settings-c1").await.unwrap();
    assert_eq!(config_map["data"]["generation"], "2");
    let metrics = adapter.metrics.encode();
    assert!(metrics.contains("status=\"success\"} 11"), "{metrics}");
    adapter.stop().await.unwrap();
}

#[tokio::test]
async fn an_update_keeps_what_controllers_put_into_metadata() {
    let world = World::new().await;
    let _adapter = world.start(CONFIG_MAP_TASK).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world
        .reported("c1", "applied", |report| {
            status(report, "Applied") == "True"
        })
        .await;
    let resource = world.kube.resolve("v1", "ConfigMap").await.unwrap();
    let finalizer = json!({"metadata": {"finalizers": ["example.com/cleanup"]}});
    world
        .kube
        .patch(
            &resource,
            Some("default"),
            "settings-c1",
            &Patch::Merge(finalizer),
            &Write::default(),
        )
        .await
        .unwrap();
    world.api.cluster("c1", 2);
    world.pulse("c1", 2).await;
    world
        .reported("c1", "generation 2", |report| {
            report["observed_generation"] == 2
        })
        .await;
    let config_map = world.config_map("settings-c1").await.unwrap();
    assert_eq!(object::finalizers(&config_map), ["example.com/cleanup"]);
}

#[tokio::test]
async fn deletion_is_reported_when_the_object_is_gone() {
    let world = World::new().await;
    let _adapter = world.start(CONFIG_MAP_TASK).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world
        .reported("c1", "applied", |report| {
            status(report, "Applied") == "True"
        })
        .await;
    let resource = world.kube.resolve("v1", "ConfigMap").await.unwrap();
    let finalizer =
        |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let patch = async |patch: Patch| {
        world
            .kube
            .patch(
                &resource,
                Some("default"),
                "settings-c1",
                &patch,
                &Write::default(),
            )
            .await
            .unwrap()
    };
    patch(finalizer(json!(["example.com/cleanup"]))).await;
    world.api.delete("c1", 2);
    world.pulse("c1", 2).await;
    let report = world
        .reported("c1", "generation 2", |report| {
            report["observed_generation"] == 2
        })
        .await;
    assert_eq!(
        status(&report, "Finalized"),
        "False",
        "its finalizer holds it"
    );
    // The watch notices that it is gone; no pulse is needed.
    patch(finalizer(Value::Null)).await;
    world
        .reported("c1", "finalized", |report| {
            status(report, "Finalized") == "True"
        })
        .await;
    assert_eq!(world.config_map("settings-c1").await, None);
}

#[tokio::test]
async fn a_change_of_an_own_object_runs_the_pipeline_again() {
    let world = World::new().await;
    let _adapter = world.start(CONFIG_MAP_TASK).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world
        .reported("c1", "applied", |report| {
            status(report, "Applied") == "True"
        })
        .await;
    let resource = world.kube.resolve("v1", "ConfigMap").await.unwrap();
    let ready = Patch::Merge(json!({"data": {"ready": "yes"}}));
    world
        .kube
        .patch(
            &resource,
            Some("default"),
            "settings-c1",
            &ready,
            &Write::default(),
        )
        .await
        .unwrap();
    world
        .reported("c1", "available", |report| {
            status(report, "Available") == "True"
        })
        .await;
    assert_eq!(world.broker.depth(SUBSCRIPTION).dead, 0);
}

#[tokio::test]
async fn a_work_travels_and_its_feedback_comes_back_without_a_pulse() {
    let world = World::new().await;
    let _adapter = world.start(WORK_TASK).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    let report = world.reported("c1", "a first report", |_| true).await;
    assert_eq!(
        (status(&report, "Available"), status(&report, "Health")),
        ("False", "True")
    );
    assert_eq!(
        world.works(),
        [("c1".to_owned(), "hostedcluster-c1".to_owned())]
    );
    world.maestro.report(
        "hostedcluster-c1",
        json!({"conditions": [{"type": "Available", "status": "False"}]}),
    );
    world
        .reported("c1", "applied", |report| {
            status(report, "Applied") == "True"
        })
        .await;
    world.maestro.report(
        "hostedcluster-c1",
        json!({"conditions": [{"type": "Available", "status": "True"}]}),
    );
    world
        .reported("c1", "available", |report| {
            status(report, "Available") == "True"
        })
        .await;

    world.api.delete("c1", 2);
    world.pulse("c1", 2).await;
    let report = world
        .reported("c1", "generation 2", |report| {
            report["observed_generation"] == 2
        })
        .await;
    assert_eq!(status(&report, "Finalized"), "False");
    world.maestro.finish_deletion("hostedcluster-c1");
    world
        .reported("c1", "finalized", |report| {
            status(report, "Finalized") == "True"
        })
        .await;
}

#[tokio::test]
async fn what_changed_while_the_adapter_was_away_is_reported_without_a_pulse() {
    let world = World::new().await;
    let adapter = world.start(WORK_TASK).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world.reported("c1", "a first report", |_| true).await;
    adapter.stop().await.unwrap();
    world.maestro.report(
        "hostedcluster-c1",
        json!({"conditions": [{"type": "Available", "status": "True"}]}),
    );
    let _adapter = world.start(WORK_TASK).await;
    world
        .reported("c1", "available", |report| {
            status(report, "Available") == "True"
        })
        .await;
}

#[tokio::test]
async fn own_objects_run_their_resource_once_after_a_start_and_are_watched_again() {
    let world = World::new().await;
    let adapter = world.start(CONFIG_MAP_TASK).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world.reported("c1", "a first report", |_| true).await;
    world.settled().await;
    adapter.kill().await;
    let resource = world.kube.resolve("v1", "ConfigMap").await.unwrap();
    let change = async |key: &str| {
        let patch = Patch::Merge(json!({"data": {(key): "yes"}}));
        world
            .kube
            .patch(
                &resource,
                Some("default"),
                "settings-c1",
                &patch,
                &Write::default(),
            )
            .await
            .unwrap()
    };
    // Objects of another adapter, and one without owner, that say which pulse they were made for.
    world.api.cluster("c2", 1);
    for (name, labels) in [
        ("others", json!({"hyperfleet.io/pulse-of": "other"})),
        ("stray", json!({})),
    ] {
        let note = json!({"type": "t", "source": "s", "data": {"id": "c2", "kind": "Cluster"}});
        let annotations = json!({"hyperfleet.io/pulse": note.to_string()});
        let metadata = json!({"name": name, "namespace": "default", "labels": labels, "annotations": annotations});
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        world
            .kube
            .create(&resource, Some("default"), &object, &Write::default())
            .await
            .unwrap();
    }
    change("ready").await;

    let _adapter = world.start(CONFIG_MAP_TASK).await;
    world
        .reported("c1", "what changed while it was away", |report| {
            status(report, "Available") == "True"
        })
        .await;
    // The run that followed the start began to watch.
    let before = world.api.puts().len();
    change("ready-again").await;
    eventually("a report after the next change", DEADLINE, async || {
        (world.api.puts().len() > before).then_some(())
    })
    .await;
    let calls = world.api.data().calls.clone();
    assert!(
        calls.iter().all(|call| !call.path.contains("/c2")),
        "objects of others concern nobody"
    );
}

#[tokio::test]
async fn an_update_drops_what_the_new_manifest_leaves_out() {
    let world = World::new().await;
    let _adapter = world.start(WORK_TASK).await;
    world.api.cluster("c1", 1);
    world.api.data().clusters.get_mut("c1").unwrap()["spec"] = json!({"strategy": "x"});
    world.pulse("c1", 1).await;
    world.reported("c1", "a first report", |_| true).await;
    let payload = || -> Value {
        let id = world.maestro.id("hostedcluster-c1");
        serde_json::from_slice(world.maestro.data().rows[&id].spec.data.as_deref().unwrap())
            .unwrap()
    };
    assert_eq!(
        payload()["manifestConfigs"].as_array().map(Vec::len),
        Some(1)
    );
    world.api.cluster("c1", 2);
    world.pulse("c1", 2).await;
    world
        .reported("c1", "generation 2", |report| {
            report["observed_generation"] == 2
        })
        .await;
    assert!(
        payload()
            .get("manifestConfigs")
            .is_none_or(|configs| configs.as_array().is_none_or(Vec::is_empty)),
        "{:#}",
        payload()
    );
}

#[tokio::test]
async fn f80_each_work_goes_to_its_own_cluster() {
    const ROUNDS: usize = 100;
    let world = World::new().await;
    world.maestro.consumer("c2");
    let _adapter = world.start(WORK_TASK).await;
    for round in 0..ROUNDS {
        for consumer in ["c1", "c2"] {
            let id = format!("{consumer}-{round}");
            world.api.cluster(&id, 1);
            world
                .publish(
                    json!({"id": id, "kind": "Cluster", "generation": 1, "consumer": consumer}),
                )
                .await;
        }
    }
    eventually("all works", DEADLINE, async || {
        (world.works().len() == 2 * ROUNDS).then_some(())
    })
    .await;
    for (consumer, name) in world.works() {
        assert!(
            name.starts_with(&format!("hostedcluster-{consumer}-")),
            "{name} went to {consumer}"
        );
    }
}

#[tokio::test]
async fn f83_two_adapters_that_create_the_same_object_both_succeed() {
    let world = World::new().await;
    // Two subscriptions, so that both get every pulse.
    let other = world
        .deployment("other", "")
        .replace("subscription_id: test", "subscription_id: other");
    let _first = world.start(CONFIG_MAP_TASK).await;
    let _second = world.start_with(&other, CONFIG_MAP_TASK, vec![]).await;
    for n in 0..20 {
        let id = format!("c{n}");
        world.api.cluster(&id, 1);
        world.pulse(&id, 1).await;
    }
    for n in 0..20 {
        for adapter in ["test", "other"] {
            let report = eventually("both reports", DEADLINE, async || {
                world.api.report(&format!("c{n}"), adapter)
            })
            .await;
            assert_eq!(
                (status(&report, "Health"), status(&report, "Applied")),
                ("True", "True"),
                "{report:#}"
            );
        }
    }
}

#[tokio::test]
async fn f84_an_unknown_consumer_is_named_without_sql() {
    let world = World::new().await;
    let _adapter = world.start(WORK_TASK).await;
    world.api.cluster("c1", 1);
    world
        .publish(json!({"id": "c1", "kind": "Cluster", "generation": 1, "consumer": "nowhere"}))
        .await;
    let report = world
        .reported("c1", "unhealthy", |report| {
            status(report, "Health") == "False"
        })
        .await;
    let message = condition(&report, "Health")["message"].as_str().unwrap();
    assert!(
        message.contains("consumer \"nowhere\" is not registered in Maestro"),
        "{message}"
    );
    assert!(
        !message.contains("SQLSTATE") && !message.contains("constraint"),
        "{message}"
    );
    world.settled().await;
    assert_eq!(
        world.api.puts().len(),
        1,
        "nothing to retry: acknowledged once"
    );
    assert_eq!(world.broker.depth(SUBSCRIPTION).dead, 0);
}

#[tokio::test]
async fn f85_a_passing_failure_is_delivered_again_soon() {
    let world = World::new().await;
    let adapter = world.start(CONFIG_MAP_TASK).await;
    world.api.cluster("c1", 1);
    world.api.data().down = Some(StatusCode::SERVICE_UNAVAILABLE);
    world.pulse("c1", 1).await;
    eventually("several deliveries", DEADLINE, async || {
        adapter
            .metrics
            .encode()
            .lines()
            .find(|line| line.starts_with("hyperfleet_adapter_nacks_total"))
            .and_then(|line| {
                let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
                (count >= 2.0).then_some(())
            })
    })
    .await;
    world.api.data().down = None;
    let report = world
        .reported("c1", "healthy", |report| status(report, "Health") == "True")
        .await;
    assert_eq!(status(&report, "Applied"), "True");
    world.settled().await;
    assert_eq!(world.broker.depth(SUBSCRIPTION).dead, 0);
}

#[tokio::test]
async fn f85_bad_events_and_lasting_failures_are_acknowledged_once() {
    let world = World::new().await;
    let adapter = world.start(CONFIG_MAP_TASK).await;
    world.publish(json!("not an object")).await;
    world.publish(json!({"id": "c1", "generation": "5"})).await;
    // A refused call is no passing failure.
    world.api.cluster("c2", 1);
    world.api.data().failures = vec![(StatusCode::FORBIDDEN, json!({}))];
    world.publish(json!({"id": "c2", "kind": "Cluster"})).await;
    world.settled().await;
    let calls = world.api.data().calls.len();
    assert_eq!(calls, 1, "one call for one good event");
    assert_eq!(world.broker.depth(SUBSCRIPTION).dead, 0);
    let metrics = adapter.metrics.encode();
    assert!(
        metrics.contains("hyperfleet_adapter_nacks_total{component=\"test\"")
            && metrics.contains("status=\"failed\"} 3"),
        "{metrics}"
    );
}

#[tokio::test]
async fn ack_policy_always_never_delivers_again() {
    let world = World::new().await;
    let _adapter = world
        .start_with(
            &world.deployment("test", "ack_policy: always"),
            CONFIG_MAP_TASK,
            vec![],
        )
        .await;
    world.api.data().down = Some(StatusCode::SERVICE_UNAVAILABLE);
    world.pulse("c1", 1).await;
    eventually("the tries of one event", DEADLINE, async || {
        (world.api.data().calls.len() >= 2).then_some(())
    })
    .await;
    world.settled().await;
    world.api.data().down = None;
    world.api.data().calls.clear();
    world.pulse("c1", 1).await;
    world.settled().await;
    assert_eq!(world.api.data().calls.len(), 1, "only the new pulse");
}

#[tokio::test]
async fn what_fails_too_often_becomes_a_dead_letter() {
    let world = World::new().await;
    let deployment = world
        .deployment("test", "")
        .replace("max_deliveries: 20", "max_deliveries: 2");
    let _adapter = world.start_with(&deployment, CONFIG_MAP_TASK, vec![]).await;
    world.api.data().down = Some(StatusCode::BAD_GATEWAY);
    world.pulse("c1", 1).await;
    eventually("a dead letter", DEADLINE, async || {
        (world.broker.depth(SUBSCRIPTION).dead == 1).then_some(())
    })
    .await;
    assert_eq!(world.broker.dead_letters(SUBSCRIPTION)[0].deliveries, 2);
}

#[tokio::test]
async fn events_of_one_cluster_never_overlap_and_a_slow_one_delays_nobody() {
    let world = World::new().await;
    let deployment = world
        .deployment("test", "event_timeout: 500ms")
        .replace("max_deliveries: 20", "max_deliveries: 1");
    let _adapter = world.start_with(&deployment, CONFIG_MAP_TASK, vec![]).await;
    // Longer than an event may take: every run is cut, and its delivery is given up after the only attempt.
    world.api.data().delay = Duration::from_secs(30);
    for n in 0..5 {
        world.pulse(&format!("c{n}"), 1).await;
    }
    eventually("all cut at once", DEADLINE, async || {
        (world.broker.depth(SUBSCRIPTION).dead == 5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn shutdown_finishes_what_runs_and_gives_back_what_waits() {
    let world = World::new().await;
    let adapter = world.start(CONFIG_MAP_TASK).await;
    world.api.cluster("c1", 1);
    world.api.data().delay = Duration::from_millis(300);
    world.pulse("c1", 1).await;
    eventually("the run", DEADLINE, async || {
        (!world.api.data().calls.is_empty() || world.broker.depth(SUBSCRIPTION).in_hand > 0)
            .then_some(())
    })
    .await;
    // A second pulse waits behind the first.
    world.pulse("c1", 1).await;
    eventually("both in hand", DEADLINE, async || {
        (world.broker.depth(SUBSCRIPTION).in_hand == 2).then_some(())
    })
    .await;
    adapter.stop().await.unwrap();
    assert_eq!(world.api.puts().len(), 1, "the running event was finished");
    let depth = world.broker.depth(SUBSCRIPTION);
    assert_eq!(
        (depth.waiting, depth.in_hand),
        (1, 0),
        "the waiting one went back"
    );
    let _again = world.start(CONFIG_MAP_TASK).await;
    eventually("the second report", DEADLINE, async || {
        (world.api.puts().len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_goes_away_ends_the_service_with_an_error() {
    let world = World::new().await;
    let adapter = world.start(CONFIG_MAP_TASK).await;
    event_broker::Broker::close(world.broker.as_ref()).await;
    let error = adapter.end().await.unwrap_err().to_string();
    assert!(error.contains("subscription ended"), "{error}");
}

#[tokio::test]
async fn health_and_config_are_served() {
    let world = World::new().await;
    let deployment = world.deployment("test", "debug_config: true");
    let adapter = world.start_with(&deployment, CONFIG_MAP_TASK, vec![]).await;
    let health = adapter.addresses.health.unwrap();
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{health}{path}"))
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(
        get("/healthz").await,
        (200, "{\"status\":\"ok\"}".to_owned())
    );
    let (status, body) = get("/readyz").await;
    assert_eq!(status, 200, "{body}");
    assert!(
        body.contains("\"broker\":\"ok\"") && body.contains("\"config\":\"ok\""),
        "{body}"
    );
    let (status, body) = get("/config").await;
    assert!(
        status == 200 && body.contains("source_id: test-source"),
        "{status} {body}"
    );
    let metrics = reqwest::get(format!(
        "http://{}/metrics",
        adapter.addresses.metrics.unwrap()
    ))
    .await
    .unwrap()
    .text()
    .await
    .unwrap();
    assert!(
        metrics.contains("hyperfleet_adapter_up{component=\"test\""),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_token_goes_to_the_api_and_nowhere_else() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let foreign = crate::api::FakeApi::start().await;
    foreign.cluster("c1", 1);
    let auth = format!("timeout: 20s, auth: {{token_path: {}}}", token.display());
    let deployment = world.deployment("test", "").replace("timeout: 20s", &auth);
    let task = format!(
        "params:\n  - {{name: own, source: {{api_call: {{method: GET, url: /clusters/c1}}}}}}\n  - {{name: foreign, source: {{api_call: {{method: GET, url: '{}/api/hyperfleet/v1/clusters/c1'}}}}}}\n",
        foreign.url()
    );
    let _adapter = world.start_with(&deployment, &task, vec![]).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    eventually("both calls", DEADLINE, async || {
        (!foreign.data().calls.is_empty()).then_some(())
    })
    .await;
    assert_eq!(
        world.api.data().calls[0].headers["authorization"],
        "Bearer s3cret"
    );
    assert!(
        world.api.data().calls[0].headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("hyperfleet-adapter/")
    );
    assert!(
        !foreign.data().calls[0]
            .headers
            .contains_key("authorization")
    );
}

#[tokio::test]
async fn what_serving_needs_is_named() {
    let world = World::new().await;
    for (remove, part) in [
        (
            "subscription_id: test, ",
            "clients.broker.subscription_id is required",
        ),
        ("topic: clusters, ", "clients.broker.topic is required"),
    ] {
        let deployment = world.deployment("test", "").replace(remove, "");
        let loaded = crate::support::load_with(&deployment, CONFIG_MAP_TASK).unwrap();
        let dependencies = hyperfleet_adapter::Dependencies::new(world.broker.clone());
        let Err(error) =
            hyperfleet_adapter::Service::bind(loaded.config, loaded.task, dependencies).await
        else {
            panic!("{part}")
        };
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn objects_are_recreated_and_found_by_labels() {
    let world = World::new().await;
    let task = CONFIG_MAP_TASK
        .replace("discovery: {namespace: default, by_name: \"settings-{{ .clusterId }}\"}", "recreate_on_change: true\n    discovery: {namespace: default, by_selectors: {label_selector: {\"cluster\": \"{{ .clusterId }}\"}}}")
        .replace("namespace: default\n        annotations", "namespace: default\n        labels: {cluster: \"{{ .clusterId }}\"}\n        annotations");
    let _adapter = world
        .start_with(
            &world.deployment("test", "rerun: {enabled: false}"),
            &task,
            vec![],
        )
        .await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world
        .reported("c1", "applied", |report| {
            status(report, "Applied") == "True"
        })
        .await;
    let first = world.config_map("settings-c1").await.unwrap();
    world.api.cluster("c1", 2);
    world.pulse("c1", 2).await;
    world
        .reported("c1", "generation 2", |report| {
            report["observed_generation"] == 2
        })
        .await;
    let second = world.config_map("settings-c1").await.unwrap();
    assert_ne!(object::uid(&first), object::uid(&second));
    let resource = world.kube.resolve("v1", "ConfigMap").await.unwrap();
    let listed = world
        .kube
        .list_all(&resource, Some("default"), &List::labelled("cluster=c1"))
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1);
}

#[tokio::test]
async fn a_rule_recreates_an_object_once_its_finalizer_lets_go() {
    let world = World::new().await;
    let rule = "lifecycle: {recreate: {when: {expression: \"resources.settings.metadata.annotations['hyperfleet.io/generation'] != string(generation)\"}},";
    let task = CONFIG_MAP_TASK
        .replace("lifecycle: {", rule)
        .replace("adapter: \"{{ .adapter.name }}\"", "adapter: \"{{ .adapter.name }}\"\n        data: {uid: {expression: \"dig(resources, 'settings.metadata.uid')\"}, since: {expression: \"dig(resources, 'settings.metadata.deletionTimestamp')\"}}");
    let _adapter = world.start(&task).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    let first = world.reported("c1", "a first report", |_| true).await;
    let resource = world.kube.resolve("v1", "ConfigMap").await.unwrap();
    let hold = async |finalizers: Value| {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        world
            .kube
            .patch(
                &resource,
                Some("default"),
                "settings-c1",
                &patch,
                &Write::default(),
            )
            .await
            .unwrap()
    };
    hold(json!(["example.com/cleanup"])).await;
    world.api.cluster("c1", 2);
    world.pulse("c1", 2).await;
    let pending = world
        .reported("c1", "that the old one is on its way out", |report| {
            report["data"]["since"].is_string()
        })
        .await;
    assert_eq!(pending["data"]["uid"], first["data"]["uid"]);
    assert_eq!(status(&pending, "Health"), "True");
    // Nobody sends another pulse.
    hold(Value::Null).await;
    let again = world
        .reported("c1", "a new object", |report| {
            report["data"]["uid"].is_string() && report["data"]["uid"] != first["data"]["uid"]
        })
        .await;
    assert_eq!(again["data"]["since"], Value::Null);
    let config_map = world.config_map("settings-c1").await.unwrap();
    assert_eq!(config_map["data"]["generation"], "2");
}

#[tokio::test]
async fn a_rule_recreates_a_work_once_its_agent_has_cleaned_up() {
    let world = World::new().await;
    let rule = "lifecycle: {recreate: {when: {expression: \"resources.work.metadata.annotations['hyperfleet.io/generation'] != string(generation)\"}},";
    let _adapter = world.start(&WORK_TASK.replace("lifecycle: {", rule)).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world.reported("c1", "a first report", |_| true).await;
    world.api.cluster("c1", 2);
    world.pulse("c1", 2).await;
    world
        .reported("c1", "generation 2", |report| {
            report["observed_generation"] == 2
        })
        .await;
    world.settled().await;
    let kinds = |world: &World| -> Vec<String> {
        let published = world.maestro.data().published.clone();
        let kinds = published.iter().map(|event| event.event_type.to_string());
        kinds
            .map(|kind| kind.rsplit('.').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds(&world), ["create_request", "delete_request"]);
    world.maestro.finish_deletion("hostedcluster-c1");
    eventually("the work is there again", DEADLINE, async || {
        (!world.works().is_empty()).then_some(())
    })
    .await;
    assert_eq!(
        kinds(&world),
        ["create_request", "delete_request", "create_request"]
    );
}

#[tokio::test]
async fn a_refused_object_is_reported_with_the_clusters_words() {
    let world = World::new().await;
    let task = CONFIG_MAP_TASK.replace(
        "data: {generation: \"{{ .generation }}\"}",
        "data: [not, a, map]",
    );
    let _adapter = world.start(&task).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    let report = world
        .reported("c1", "unhealthy", |report| {
            status(report, "Health") == "False"
        })
        .await;
    let message = condition(&report, "Health")["message"].as_str().unwrap();
    assert!(
        message.contains("K8s create operation failed: ConfigMap/settings-c1 (namespace: default)"),
        "{message}"
    );
}

#[tokio::test]
async fn the_seed_works_against_live_parts() {
    let world = World::new().await;
    let more = "legacy_params: {pullSecretName: p, publicZoneId: z, managementClusterName: c1}";
    let path = crate::support::adapters().join("seed/task.yaml");
    let task = std::fs::read_to_string(path).unwrap();
    let _adapter = world
        .start_with(&world.deployment("test", more), &task, vec![])
        .await;
    world.api.cluster("x1", 1);
    world.api.data().clusters.get_mut("x1").unwrap()["spec"] = seed_spec();
    world.pulse("x1", 1).await;
    world
        .reported("x1", "waiting", |report| {
            status(report, "Applied") == "False"
        })
        .await;
    assert!(world.works().is_empty());
    for adapter in ["validation", "dns", "pullsecret"] {
        let report =
            json!({"adapter": adapter, "conditions": [{"type": "Available", "status": "True"}]});
        world
            .api
            .data()
            .reports
            .insert(("x1".into(), adapter.into()), report);
    }
    world.pulse("x1", 1).await;
    eventually("the work", DEADLINE, async || {
        (world.works().len() == 1).then_some(())
    })
    .await;
    let feedback = json!({"conditions": [{"type": "Available", "status": "True"}, {"type": "Degraded", "status": "False"}],
        "controlPlaneEndpoint": "https://x", "version": "4.22.3"});
    world.maestro.report("hostedcluster-x1", feedback);
    let report = world
        .reported("x1", "available", |report| {
            status(report, "Available") == "True"
        })
        .await;
    assert_eq!(
        (status(&report, "Applied"), status(&report, "Health")),
        ("True", "True")
    );
    assert_eq!(report["data"]["control_plane_endpoint"], "https://x");
}

#[tokio::test]
async fn maestro_works_need_a_generation_everywhere() {
    let world = World::new().await;
    let manifest = "              annotations: {hyperfleet.io/generation: \"{{ .generation }}\"}\n";
    assert!(WORK_TASK.contains(manifest));
    for (task, part) in [
        (
            WORK_TASK.replace(manifest, ""),
            "ManifestWork \"hostedcluster-c1\" manifest[0] HostedCluster/c1: hyperfleet-adapter-2: missing hyperfleet.io/generation annotation",
        ),
        (
            WORK_TASK.replace(
                manifest,
                "              annotations: {hyperfleet.io/generation: \"zero\"}\n",
            ),
            "invalid hyperfleet.io/generation annotation value \"zero\"",
        ),
        (
            WORK_TASK.replacen(
                "annotations: {hyperfleet.io/generation: \"{{ .generation }}\"}",
                "annotations: {hyperfleet.io/generation: \"0\"}",
                1,
            ),
            "hyperfleet.io/generation annotation must be > 0, got 0",
        ),
    ] {
        let adapter = world.start(&task).await;
        world.api.cluster("c1", 1);
        world.pulse("c1", 1).await;
        let report = world
            .reported("c1", part, |report| {
                condition(report, "Health")["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(part))
            })
            .await;
        assert_eq!(status(&report, "Health"), "False");
        adapter.stop().await.unwrap();
    }
    assert!(world.works().is_empty());
}

#[tokio::test]
async fn a_failed_rerun_is_repeated_without_a_pulse() {
    let world = World::new().await;
    let _adapter = world.start(WORK_TASK).await;
    world.api.cluster("c1", 1);
    world.pulse("c1", 1).await;
    world.reported("c1", "a first report", |_| true).await;
    world.settled().await;
    // The status changes while the API is away.
    world.api.data().down = Some(StatusCode::SERVICE_UNAVAILABLE);
    let before = world.api.data().calls.len();
    world.maestro.report(
        "hostedcluster-c1",
        json!({"conditions": [{"type": "Available", "status": "True"}]}),
    );
    eventually("the rerun fails", DEADLINE, async || {
        (world.api.data().calls.len() > before + 1).then_some(())
    })
    .await;
    world.api.data().down = None;
    world
        .reported("c1", "available", |report| {
            status(report, "Available") == "True"
        })
        .await;
}
