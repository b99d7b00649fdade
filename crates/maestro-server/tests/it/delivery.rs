//! Specs to agents, statuses to sources. Named after field failures.

use std::time::Duration;

use event_wire::Action;
use event_wire::attribute::name;
use maestro_server::Config;
use serde_json::json;
use testkit::proxy::Proxy;
use tonic::Code;

use crate::harness::{
    DEADLINE, Server, Source, bundle, condition, config_map, connect, impatient, large_bundle,
};

on_both!(
    f9_a_resync_brings_what_is_outdated_or_unknown,
    f10_an_orphan_is_told_with_its_version,
    f20_a_stream_cut_around_every_create_loses_nothing,
    f26_a_resync_is_answered_before_anything_is_sent,
    f27_nothing_changed_nothing_sent,
    f28_specs_and_statuses_do_not_overwrite_each_other,
    f33_a_status_belongs_to_its_version,
    f42_manifests_come_and_go,
    an_unchanged_update_changes_nothing,
    twenty_updates_of_one_version_are_one,
    a_source_touches_only_its_own,
    statuses_are_ordered_by_sequence,
    a_status_resync_brings_what_differs,
    strangers_in_number_are_left_alone,
    a_status_that_go_sources_could_not_receive_does_not_end_their_stream,
    bad_events_are_refused_and_nothing_is_stored,
    numbers_keep_their_digits,
);

async fn f9_a_resync_brings_what_is_outdated_or_unknown(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    for id in ["current", "outdated"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    source
        .update("outdated", "c1", 1, &bundle(&[config_map("b")]))
        .await
        .unwrap();
    let mut specs = agent
        .join(&[("current", 1), ("outdated", 1), ("unknown", 7)])
        .await;
    let events = specs.collect(2).await;
    assert_eq!(
        (events["outdated"].version, events["outdated"].deleting),
        (2, false)
    );
    assert_eq!(events["outdated"].action(), "resync_response");
    assert_eq!(
        (events["unknown"].version, events["unknown"].deleting),
        (7, true)
    );
    specs.silence(Duration::from_millis(300)).await;

    agent.resync(&[]).await.unwrap();
    assert_eq!(
        specs.collect(2).await.keys().collect::<Vec<_>>(),
        ["current", "outdated"]
    );
}

async fn f10_an_orphan_is_told_with_its_version(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[("orphan", 3)]).await;
    let event = specs.next().await;
    assert_eq!(
        (event.event.source.as_str(), event.version, event.deleting),
        ("maestro", 3, true)
    );
    assert!(event.event.data.is_none());
    // A cluster that isn't registered may be one of another database: nothing of it is deleted.
    let mut specs = server.agent("elsewhere").await.join(&[("theirs", 1)]).await;
    specs.silence(Duration::from_millis(300)).await;
}

async fn f20_a_stream_cut_around_every_create_loses_nothing(config: Config) {
    const CREATES: usize = 60;
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let proxy = Proxy::start(server.addresses.broker).await.unwrap();
    let source = server.source("s1").await;
    let cutter = async {
        for number in 0..CREATES {
            source
                .create(&format!("r{number}"), "c1", &bundle(&[config_map("a")]))
                .await
                .unwrap();
            if number % 3 == 0 {
                proxy.cut();
            }
            tokio::time::sleep(Duration::from_millis((number as u64 * 7) % 23)).await;
        }
    };
    let collector = async {
        let mut held: Vec<(String, i64)> = Vec::new();
        while held.len() < CREATES {
            let Ok(client) = crate::harness::try_connect(proxy.address().to_string()).await else {
                continue;
            };
            let agent = crate::harness::Agent {
                cluster: "c1".into(),
                client,
            };
            let Ok(mut specs) = agent.try_subscribe().await else {
                continue;
            };
            let known: Vec<(&str, i64)> = held
                .iter()
                .map(|(id, version)| (id.as_str(), *version))
                .collect();
            if agent.resync(&known).await.is_err() {
                continue;
            }
            while held.len() < CREATES {
                let Ok(Some(event)) = specs.try_next().await else {
                    break;
                };
                if !held.iter().any(|(id, _)| *id == event.id) {
                    held.push((event.id, 1));
                }
            }
        }
    };
    let both = async { tokio::join!(cutter, collector) };
    tokio::time::timeout(DEADLINE, both)
        .await
        .expect("everything is delivered");
}

async fn f26_a_resync_is_answered_before_anything_is_sent(config: Config) {
    const WORKS: usize = 300;
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "x".repeat(2400)}});
    for number in 0..WORKS {
        source
            .create(
                &format!("r{number}"),
                "c1",
                &bundle(std::slice::from_ref(&manifest)),
            )
            .await
            .unwrap();
    }
    let agent = server.agent("c1").await;
    let mut specs = agent.subscribe().await;
    // As a Go agent: nothing is read until Publish has returned.
    tokio::time::timeout(DEADLINE, agent.resync(&[]))
        .await
        .expect("an answer")
        .unwrap();
    assert_eq!(specs.collect(WORKS).await.len(), WORKS);
}

async fn f27_nothing_changed_nothing_sent(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    let ids: Vec<String> = (0..50).map(|number| format!("r{number}")).collect();
    for id in &ids {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    for spec in specs.collect(ids.len()).await.values() {
        agent.applied(spec).await.unwrap();
    }
    drop(specs);
    let mut statuses = source.subscribe().await;
    let held: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    for _ in 0..2 {
        let mut specs = server.agent("c1").await.join(&held).await;
        specs.silence(Duration::from_millis(200)).await;
    }
    statuses.silence(Duration::from_millis(200)).await;
}

async fn f28_specs_and_statuses_do_not_overwrite_each_other(config: Config) {
    const ROUNDS: i32 = 40;
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("m1")]))
        .await
        .unwrap();
    let writer = async {
        for version in 1..ROUNDS {
            let map = format!("m{}", version + 1);
            source
                .update("r1", "c1", version, &bundle(&[config_map(&map)]))
                .await
                .unwrap();
        }
    };
    let reporter = async {
        loop {
            let spec = specs.next().await;
            agent.applied(&spec).await.unwrap();
            if spec.version == ROUNDS {
                return;
            }
        }
    };
    tokio::join!(writer, reporter);
    let (_, body) = server.bundle("r1").await;
    assert_eq!(body["version"], ROUNDS);
    assert_eq!(
        body["manifests"][0]["metadata"]["name"],
        format!("m{ROUNDS}")
    );
    assert_eq!(body["status"]["ObservedVersion"], ROUNDS);
}

async fn f33_a_status_belongs_to_its_version(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let (mut statuses, mut specs) = (source.subscribe().await, agent.join(&[]).await);
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let first = specs.next().await;
    for version in 1..=3 {
        let spec = if version == 1 {
            first.clone()
        } else {
            specs.until(|event| event.version == version).await
        };
        agent.applied(&spec).await.unwrap();
        let status = statuses.until(|status| status.version == version).await;
        assert_eq!(
            status.data()["conditions"][0]["observedGeneration"],
            version
        );
        assert_eq!(
            server.bundle("r1").await.1["status"]["ObservedVersion"],
            version
        );
        source
            .update(
                "r1",
                "c1",
                version,
                &bundle(&[config_map(&format!("m{version}"))]),
            )
            .await
            .unwrap();
    }
    // Neither of an older nor of a coming version.
    agent.applied(&first).await.unwrap();
    let mut future = first.clone();
    future.version = 9;
    agent.applied(&future).await.unwrap();
    assert_eq!(server.bundle("r1").await.1["status"]["ObservedVersion"], 3);
}

async fn f42_manifests_come_and_go(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let [a, b, c] = ["a", "b", "c"].map(config_map);
    source
        .create("r1", "c1", &bundle(std::slice::from_ref(&a)))
        .await
        .unwrap();
    let steps = [
        vec![a.clone(), b.clone()],
        vec![b.clone()],
        vec![c.clone()],
        vec![],
    ];
    for (version, manifests) in (1..).zip(steps) {
        source
            .update("r1", "c1", version, &bundle(&manifests))
            .await
            .unwrap();
        assert_eq!(server.bundle("r1").await.1["manifests"], json!(manifests));
    }
    let error = source
        .update("r1", "c1", 5, &bundle(&[a.clone(), a]))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(
        error.message(),
        "failed to update resource: maestro-8: the new manifest bundle in the resource is invalid, \
         duplicate manifest for resource default/a with resource type v1.ConfigMap"
    );
    assert_eq!(server.bundle("r1").await.1["version"], 5);
}

async fn an_unchanged_update_changes_nothing(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    let data = json!({"manifests": [config_map("a")], "zeta": 1.50, "alpha": {"b": [1, 2.0, "<é>"], "a": null}});
    source.create("r1", "c1", &data).await.unwrap();
    specs.next().await;
    // A new event with the same content, also against a version that is long past.
    source.update("r1", "c1", 1, &data).await.unwrap();
    source.update("r1", "c1", 77, &data).await.unwrap();
    let mut traced = source.event(Action::UpdateRequest, "r1", "c1", 1, Some(&data));
    let metadata = json!({"name": "work-r1", "labels": {"app": "test"},
        "annotations": {"logging.open-cluster-management.io/op-id": "1"}});
    traced.set(name::METADATA, metadata.to_string());
    source.publish(traced).await.unwrap();
    specs.silence(Duration::from_millis(200)).await;
    assert_eq!(server.bundle("r1").await.1["version"], 1);
    // A label is a change.
    let mut labelled = source.event(Action::UpdateRequest, "r1", "c1", 1, Some(&data));
    labelled.set(
        name::METADATA,
        json!({"name": "work-r1", "labels": {"app": "other"}}).to_string(),
    );
    let again = labelled.clone();
    source.publish(labelled).await.unwrap();
    assert_eq!(specs.next().await.version, 2);
    // The same event once more, as after a lost answer.
    source.publish(again).await.unwrap();
    assert_eq!(server.bundle("r1").await.1["version"], 2);
}

async fn twenty_updates_of_one_version_are_one(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let updates = (0..20).map(|number| {
        let source = source.clone();
        tokio::spawn(async move {
            source
                .update("r1", "c1", 1, &bundle(&[config_map(&format!("m{number}"))]))
                .await
        })
    });
    let mut accepted = 0;
    for update in updates.collect::<Vec<_>>() {
        match update.await.unwrap() {
            Ok(()) => accepted += 1,
            Err(error) => {
                assert_eq!(error.code(), Code::Aborted);
                assert_eq!(
                    error.message(),
                    "failed to update resource: maestro-6: the resource version is not the latest, the latest version: 2"
                );
            }
        }
    }
    assert_eq!(accepted, 1);
    assert_eq!(server.bundle("r1").await.1["version"], 2);
}

async fn a_source_touches_only_its_own(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (mine, theirs) = (server.source("mine").await, server.source("theirs").await);
    let (mut my_statuses, mut their_statuses) = (mine.subscribe().await, theirs.subscribe().await);
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    mine.create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    for refused in [
        theirs
            .update("r1", "c1", 1, &bundle(&[config_map("b")]))
            .await,
        theirs.delete("r1", "c1").await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied);
        assert!(error.message().contains("maestro-4"), "{error}");
    }
    let spec = specs.next().await;
    agent.applied(&spec).await.unwrap();
    my_statuses.next().await;
    their_statuses.silence(Duration::from_millis(200)).await;
    assert_eq!(
        server.bundle("r1").await.1["deleted_at"],
        serde_json::Value::Null
    );
}

async fn statuses_are_ordered_by_sequence(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let (mut statuses, mut specs) = (source.subscribe().await, agent.join(&[]).await);
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    let old = agent.status(&spec, &condition("Old", "True", 1));
    let new = agent.status(&spec, &condition("New", "True", 1));
    let newest = new.sequence_id().unwrap().to_string();
    agent.publish(new.clone()).await.unwrap();
    assert!(statuses.next().await.condition("New").is_some());
    for stale in [old.clone(), new.clone()] {
        let request = event_wire::proto::PublishRequest {
            event: Some(stale.into()),
        };
        let reply = agent.client.clone().publish(request).await.unwrap();
        assert_eq!(
            reply.metadata().get("x-last-sequence").unwrap(),
            newest.as_str()
        );
    }
    let mut other_node = old.clone();
    other_node.set(
        name::SEQUENCE_ID,
        (newest.parse::<i64>().unwrap() + (1 << 12)).to_string(),
    );
    let error = agent.publish(other_node).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.message(), "Sequence IDs are not from the same node");
    let mut none = old;
    none.extensions.remove(name::SEQUENCE_ID);
    assert_eq!(
        agent.publish(none).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    assert_eq!(
        server.bundle("r1").await.1["status"]["SequenceID"],
        newest.as_str()
    );
    statuses.silence(Duration::from_millis(100)).await;

    let stranger = server.agent("c2").await;
    let error = stranger.applied(&spec).await.unwrap_err();
    assert_eq!(
        error.message(),
        "unmatched consumer name c2 for resource r1"
    );
    let mut gone = spec.clone();
    gone.id = "nobody".into();
    agent.applied(&gone).await.unwrap();
}

async fn a_status_resync_brings_what_differs(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    for id in ["known", "changed", "unlisted", "silent"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    let specs = specs.collect(4).await;
    let mut hashes = std::collections::BTreeMap::new();
    for id in ["known", "changed", "unlisted"] {
        let event = agent.status(&specs[id], &condition("Applied", "True", 1));
        hashes.insert(id, event.status_hash().unwrap().unwrap().to_owned());
        agent.publish(event).await.unwrap();
    }
    let mut statuses = source.subscribe().await;
    ask(
        &source,
        &json!({"statusHashes": [
            {"resourceID": "known", "statusHash": hashes["known"]},
            {"resourceID": "changed", "statusHash": "0000"},
            {"resourceID": "silent", "statusHash": "0000"},
            {"resourceID": "nobody", "statusHash": "0000"},
        ]}),
    )
    .await;
    assert_eq!(statuses.next().await.id, "changed");
    statuses.silence(Duration::from_millis(200)).await;
    ask(&source, &json!({})).await;
    let all = statuses.collect(3).await;
    assert_eq!(
        all.keys().collect::<Vec<_>>(),
        ["changed", "known", "unlisted"]
    );
}

async fn ask(source: &Source, data: &serde_json::Value) {
    let kind = event_wire::EventType::manifest_bundles(
        event_wire::Subresource::Status,
        Action::ResyncRequest,
    );
    let mut event = event_wire::Event::new(kind, source.id.as_str(), event_wire::Stamp::now());
    event
        .set(name::CLUSTER_NAME, "")
        .set(name::ORIGINAL_SOURCE, "")
        .set_json(data);
    source.publish(event).await.unwrap();
}

async fn strangers_in_number_are_left_alone(config: Config) {
    let server = Server::start(config).await;
    let consumer = server.cluster("c1").await;
    let ids: Vec<String> = (0..11).map(|number| format!("stranger-{number}")).collect();
    let held: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&held).await;
    specs.silence(Duration::from_millis(300)).await;
    let (_, body) = server
        .get(&format!("/api/maestro/v1/consumers/{consumer}"))
        .await;
    assert_eq!(body["delivery"]["held_orphans"], 11, "{body}");
    agent.resync(&held[..10]).await.unwrap();
    assert_eq!(specs.collect(10).await.len(), 10);
}

async fn bad_events_are_refused_and_nothing_is_stored(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let good = || {
        source.event(
            Action::CreateRequest,
            "r1",
            "c1",
            0,
            Some(&bundle(&[config_map("a")])),
        )
    };

    let request = event_wire::proto::PublishRequest { event: None };
    assert_eq!(
        source
            .client
            .clone()
            .publish(request)
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );
    let agent = server.agent("c1").await;
    let request = event_wire::proto::PublishRequest { event: None };
    assert_eq!(
        agent
            .client
            .clone()
            .publish(request)
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );

    let refuse = async |event: event_wire::proto::CloudEvent, code: Code, text: &str| {
        let error = source.publish(event).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(text), "{error}");
        for leak in [
            "SQLSTATE",
            "sqlite",
            "constraint failed",
            "insert into",
            "serde",
            "struct ",
        ] {
            assert!(!error.message().contains(leak), "{error}");
        }
    };
    let invalid = Code::InvalidArgument;
    let mut event = good();
    event.set(name::CLUSTER_NAME, "nowhere");
    let text = "failed to create resource: maestro-9: Unable to create Resource: consumer \"nowhere\" is not registered (fk_resources_consumers)";
    refuse(event.into(), Code::FailedPrecondition, text).await;
    for missing in [
        name::CLUSTER_NAME,
        name::RESOURCE_ID,
        name::RESOURCE_VERSION,
    ] {
        let mut event = good();
        event.extensions.remove(missing);
        refuse(
            event.into(),
            invalid,
            &format!("failed to decode cloudevent: failed to get {missing} extension"),
        )
        .await;
    }
    let mut event: event_wire::proto::CloudEvent = good().into();
    event.r#type = "nonsense".into();
    refuse(
        event,
        invalid,
        "failed to parse cloud event type nonsense, unsupported cloudevents type format",
    )
    .await;
    let mut event: event_wire::proto::CloudEvent = good().into();
    event.r#type = event.r#type.replace("create_request", "abolish");
    refuse(event, invalid, "unsupported action abolish").await;
    for (data, why) in [
        (
            "{",
            "maestro-8: the manifest bundle in the resource is invalid",
        ),
        (
            r#"{"manifests":[{"kind":"A","metadata":{"name":"a"}}]}"#,
            "apiVersion: Required value: field not set",
        ),
        (
            r#"{"manifests":[{"apiVersion":"v1","kind":"A","metadata":{}}]}"#,
            "metadata.name: Required value: field not set",
        ),
        (
            r#"{"manifests":[{"apiVersion":"v1","kind":"A","metadata":{"name":"a","generateName":"x"}}]}"#,
            "metadata.generateName: Forbidden: field cannot be set",
        ),
        (
            r#"{"manifests":[{"apiVersion":"v1","kind":"A","metadata":{"name":"a","namespace":"A_B"}}]}"#,
            "metadata.namespace: Invalid value",
        ),
        ("{\"manifests\":[],\"x\":\"\\u0000\"}", "U+0000"),
        ("{\"manifests\":[],\"x\":\"\\ud800\"}", "unpaired surrogate"),
    ] {
        let mut event = good();
        event.data = Some(data.to_owned().into());
        refuse(event.into(), invalid, why).await;
    }
    let mut event = good();
    event.set_json(&large_bundle(520_000));
    refuse(event.into(), invalid, "which exceeds the 512000 limit").await;
    let mut event = good();
    event.set(name::METADATA, "not json");
    refuse(event.into(), invalid, "metadata").await;
    let mut event = good();
    event.set(name::RESOURCE_ID, "x".repeat(300));
    refuse(event.into(), invalid, "longer than 253 bytes").await;
    let mut event = good();
    event.set(name::RESOURCE_VERSION, -1);
    refuse(event.into(), invalid, "is negative").await;

    let (_, body) = server.get("/api/maestro/v1/resource-bundles").await;
    assert_eq!(body["total"], 0, "{body}");
    source.publish(good()).await.unwrap();
    refuse(
        good().into(),
        Code::AlreadyExists,
        "failed to create resource: maestro-6: This Resource already exists",
    )
    .await;
    let update = source.event(Action::UpdateRequest, "nobody", "c1", 1, Some(&bundle(&[])));
    refuse(
        update.into(),
        Code::NotFound,
        "failed to get resource: maestro-7: Resource with id='nobody' not found",
    )
    .await;
}

#[tokio::test]
async fn a_bundle_of_just_less_than_the_limit_passes() {
    let server = Server::memory().await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    let data = large_bundle(511_000);
    source.create("r1", "c1", &data).await.unwrap();
    assert_eq!(specs.next().await.data(), data);
}

#[tokio::test]
async fn an_agent_that_says_nothing_gets_what_is_not_settled() {
    let server = Server::start(impatient(Config::default())).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    for id in ["settled", "new"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    let received = specs.collect(2).await;
    agent.applied(&received["settled"]).await.unwrap();
    drop(specs);
    let mut specs = server.agent("c1").await.subscribe().await;
    assert_eq!(specs.next().await.id, "new");
}

#[tokio::test]
async fn one_stuck_agent_delays_nobody_else() {
    let server = Server::memory().await;
    for cluster in ["stuck", "lively"] {
        server.cluster(cluster).await;
    }
    let source = server.source("s1").await;
    let stuck = server.agent("stuck").await.join(&[]).await;
    let lively = server.agent("lively").await;
    let mut specs = lively.join(&[]).await;
    // More than all windows between the server and an agent that doesn't read.
    for number in 0..40 {
        source
            .create(&format!("stuck-{number}"), "stuck", &large_bundle(300_000))
            .await
            .unwrap();
    }
    for number in 0..20 {
        let started = std::time::Instant::now();
        source
            .create(
                &format!("lively-{number}"),
                "lively",
                &bundle(&[config_map("a")]),
            )
            .await
            .unwrap();
        specs.next().await;
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "delayed by another cluster"
        );
    }
    drop(stuck);
}

#[tokio::test]
async fn a_stalled_agent_is_cut_off_and_catches_up() {
    let mut config = impatient(Config::default());
    config.limits.stall = Duration::from_millis(300);
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    let mut specs = server.agent("c1").await.join(&[]).await;
    for number in 0..40 {
        source
            .create(&format!("r{number}"), "c1", &large_bundle(300_000))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_ne!(
        specs.end().await,
        Code::Cancelled,
        "Go agents take that for their own shutdown"
    );
    let mut specs = server.agent("c1").await.join(&[]).await;
    assert_eq!(specs.collect(40).await.len(), 40);
}

#[tokio::test]
async fn heartbeats_flow_and_streams_have_ids() {
    let config = Config {
        heartbeat_interval: Some(Duration::from_millis(50)),
        ..Config::default()
    };
    let server = Server::start(config).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let mut agent = server.agent("c1").await.subscribe().await;
        let mut source = server.source("s1").await.subscribe().await;
        for stream in [&mut agent, &mut source] {
            let message = stream.raw().await.unwrap().unwrap();
            assert_eq!(message.r#type, event_wire::HEARTBEAT_TYPE);
            assert!(
                message.attributes.is_empty()
                    && message.source.is_empty()
                    && message.data.is_none()
            );
            assert!(seen.insert(stream.subscription_id.clone().unwrap()));
        }
    }
}

#[tokio::test]
async fn subscriptions_are_checked() {
    use event_wire::proto::SubscriptionRequest;
    let server = Server::memory().await;
    let mut broker = connect(server.addresses.broker.to_string()).await;
    let error = broker
        .subscribe(SubscriptionRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "invalid subscription request: missing cluster name"
    );
    let request = SubscriptionRequest {
        cluster_name: "c1".into(),
        data_type: "x".into(),
        ..Default::default()
    };
    let error = broker.subscribe(request).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("invalid subscription request: invalid data type"),
        "{error}"
    );
    let mut sources = connect(server.addresses.grpc.to_string()).await;
    assert_eq!(
        sources
            .subscribe(SubscriptionRequest::default())
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_shutdown_ends_streams_with_a_word() {
    let server = Server::memory().await;
    let mut specs = server.agent("c1").await.join(&[]).await;
    let mut statuses = server.source("s1").await.subscribe().await;
    let ends = async { (specs.end().await, statuses.end().await) };
    let ((one, other), _) = tokio::join!(ends, server.stop());
    assert_eq!((one, other), (Code::Unavailable, Code::Unavailable));
}

#[tokio::test]
async fn a_status_too_large_for_go_loses_its_largest_values() {
    let mut config = Config::default();
    config.transport.max_receive_message_size = 8 * 1024 * 1024;
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let (mut statuses, mut specs) = (source.subscribe().await, agent.join(&[]).await);
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    let value = |name: &str, bytes: usize| json!({"name": name, "fieldValue": {"type": "JsonRaw", "jsonRaw": format!("\"{}\"", "x".repeat(bytes))}});
    let meta = json!({"ordinal": 0, "group": "", "version": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "a", "namespace": "default"});
    let mut event = agent.status(&spec, &condition("Applied", "True", 1));
    event.set_json(&json!({"conditions": condition("Applied", "True", 1), "resourceStatus": [
        {"resourceMeta": meta, "statusFeedback": {"values": [value("large", 3_000_000), value("medium", 2_000_000), value("small", 10)]}, "conditions": []},
    ]}));
    agent.publish(event).await.unwrap();
    let status = statuses.next().await;
    let feedback = &status.data()["resourceStatus"][0];
    let names: Vec<_> = feedback["statusFeedback"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value["name"].clone())
        .collect();
    assert_eq!(names, ["medium", "small"]);
    assert_eq!(feedback["conditions"][0]["type"], "StatusFeedbackSynced");
    assert_eq!(feedback["conditions"][0]["reason"], "TooLarge");
}

async fn a_status_that_go_sources_could_not_receive_does_not_end_their_stream(config: Config) {
    const GO_LIMIT: usize = 4 * 1024 * 1024;
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let (mut statuses, mut specs) = (source.subscribe().await, agent.join(&[]).await);
    source
        .create("r1", "c1", &large_bundle(500_000))
        .await
        .unwrap();
    let spec = specs.next().await;
    let told = |bytes: usize| {
        let mut conditions = condition("Applied", "True", 1);
        conditions[0]["message"] = "x".repeat(bytes).into();
        agent.status(&spec, &conditions)
    };
    agent.publish(told(3_900_000)).await.unwrap();
    let status = statuses.next().await;
    let size = status.event.data.as_ref().map_or(0, bytes::Bytes::len);
    assert!((3_900_000..GO_LIMIT).contains(&size), "{size}");
    assert!(status.data().get("manifestBundle").is_none());
    assert_eq!(
        status.condition("StatusFeedbackSynced").as_deref(),
        Some("False")
    );
    // Nothing can be left out of this one; the next is told again.
    agent.publish(told(4_150_000)).await.unwrap();
    let url = format!("http://{}/metrics", server.addresses.metrics);
    testkit::eventually("the status to be passed over", DEADLINE, async || {
        let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
        let line = r#"delivery_skipped_events_total{direction="status",reason="too_large"} 1"#;
        text.contains(line).then_some(())
    })
    .await;
    statuses.silence(Duration::from_millis(100)).await;
    agent.publish(told(10)).await.unwrap();
    assert!(statuses.next().await.data()["manifestBundle"].is_object());
}

/// Numbers that 64-bit floats don't hold, or that lose their last digit in a tree of JSON values.
const NUMBERS: &str = "[0.30000000000000004,5.960464477539063e-8,9007199254740993,12345678901234567890123,1.50,0.1000000000000000055511151231257827]";

async fn numbers_keep_their_digits(mut config: Config) {
    config.limits.seen_lately = Duration::ZERO;
    let server = Server::start(config).await;
    let consumer = server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut statuses = source.subscribe().await;
    let mut specs = agent.join(&[]).await;
    let data = |numbers: &str| {
        let manifest =
            r#""apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default"}"#;
        format!(r#"{{"manifests":[{{{manifest},"numbers":{numbers}}}]}}"#)
    };
    // jsonb writes powers of ten out; the value is the same.
    let written_out = NUMBERS.replace("5.960464477539063e-8", "0.00000005960464477539063");
    let holds = |text: &str, where_: &str| {
        let text = text.replace(": ", ":").replace(", ", ",");
        assert!(
            text.contains(NUMBERS) || text.contains(&written_out),
            "{where_}: {text}"
        );
    };
    let publish = async |action, version, numbers: &str| {
        let mut event = source.event(action, "r1", "c1", version, Some(&json!({})));
        event.data = Some(data(numbers).into());
        source.publish(event).await.unwrap();
    };
    let text = |event: &crate::harness::Received| {
        String::from_utf8(event.event.data.clone().unwrap().to_vec()).unwrap()
    };
    publish(Action::CreateRequest, 0, NUMBERS).await;
    let spec = specs.next().await;
    holds(&text(&spec), "the agent's spec");
    let body = reqwest::get(server.url("/api/maestro/v1/resource-bundles/r1"))
        .await
        .unwrap();
    holds(&body.text().await.unwrap(), "REST");
    let list = reqwest::get(server.url("/api/maestro/v1/resource-bundles"))
        .await
        .unwrap();
    holds(&list.text().await.unwrap(), "a list");
    // The same again changes nothing; another last digit does.
    publish(Action::UpdateRequest, 1, NUMBERS).await;
    assert_eq!(server.bundle("r1").await.1["version"], 1);
    publish(
        Action::UpdateRequest,
        1,
        &NUMBERS.replace("00004,", "00003,"),
    )
    .await;
    assert_eq!(server.bundle("r1").await.1["version"], 2);
    publish(Action::UpdateRequest, 2, NUMBERS).await;
    let spec = specs.until(|spec| spec.version == 3).await;
    let mut status = agent.status(&spec, &condition("Applied", "True", 3));
    status.data =
        Some(format!(r#"{{"conditions":[],"resourceStatus":[],"numbers":{NUMBERS}}}"#).into());
    agent.publish(status).await.unwrap();
    let both = |event: &crate::harness::Received, where_: &str| {
        let text = text(event);
        let (one, other) = text.split_at(text.find("\"manifestBundle\"").unwrap());
        let rest = text.rsplit("\"numbers\"").next().unwrap();
        holds(&format!("{one}{other}"), where_);
        holds(rest, where_);
    };
    both(&statuses.next().await, "a status");
    // The last words of the server itself.
    drop(specs);
    let path = format!("/api/maestro/v1/consumers/{consumer}/force-remove");
    testkit::eventually("the end", DEADLINE, async || {
        let request = r#"{"reason":"test","includeLive":true}"#;
        (server.send("POST", &path, request).await.0 == 200).then_some(())
    })
    .await;
    let last = statuses
        .until(|status| status.condition("Deleted").is_some())
        .await;
    both(&last, "the last words");
}
