//! Deletion: one-way, repeated until it ends, and never by mistake. Named after field failures.

use std::time::Duration;

use event_wire::attribute::name;
use maestro_server::Config;
use serde_json::json;
use tonic::Code;

use crate::harness::{Server, bundle, condition, config_map, impatient, large_bundle};

on_both!(
    f1_a_backlog_of_deletions_delays_no_other_cluster,
    f2_an_agent_that_goes_on_reporting_is_reminded,
    f3_an_unacknowledged_deletion_is_sent_again,
    f5_after_a_deletion_no_live_spec_leaves_the_server,
    f6_rows_of_a_silent_cluster_stay_visible,
    f8_an_agent_that_was_away_converges,
    f11_every_publication_has_an_id_of_its_own,
    f12_statuses_of_a_deleting_resource_are_stored,
    f14_a_deleting_resource_is_not_updated,
    f19_a_deletion_shows_at_both_places,
    three_deletions_are_one_event,
    a_live_resource_does_not_end_by_an_agents_word,
    a_status_of_an_earlier_life_is_left_out,
    a_work_deleted_and_made_again_is_two_lives,
);

async fn f1_a_backlog_of_deletions_delays_no_other_cluster(config: Config) {
    const BACKLOG: usize = 80;
    let server = Server::start(impatient(config)).await;
    for cluster in ["away", "here"] {
        server.cluster(cluster).await;
    }
    let (source, agent) = (server.source("s1").await, server.agent("here").await);
    let mut specs = agent.join(&[]).await;
    let retries = tokio::spawn({
        let source = source.clone();
        async move {
            for number in 0..BACKLOG {
                source
                    .create(&format!("a{number}"), "away", &bundle(&[config_map("a")]))
                    .await
                    .unwrap();
            }
            for _ in 0..3 {
                for number in 0..BACKLOG {
                    source.delete(&format!("a{number}"), "away").await.unwrap();
                }
            }
        }
    });
    let mut slowest = Duration::ZERO;
    let mut number = 0;
    while !retries.is_finished() || number < 20 {
        let started = std::time::Instant::now();
        source
            .create(&format!("h{number}"), "here", &bundle(&[config_map("a")]))
            .await
            .unwrap();
        let spec = specs.until(|event| event.id == format!("h{number}")).await;
        slowest = slowest.max(started.elapsed());
        agent.applied(&spec).await.unwrap();
        number += 1;
    }
    retries.await.unwrap();
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    // Each deletion reaches the agent once it comes.
    let mut specs = server.agent("away").await.join(&[]).await;
    assert!(
        specs
            .collect(BACKLOG)
            .await
            .values()
            .all(|event| event.deleting)
    );
}

async fn f2_an_agent_that_goes_on_reporting_is_reminded(config: Config) {
    let server = Server::start(impatient(config)).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    agent.applied(&spec).await.unwrap();
    source.delete("r1", "c1").await.unwrap();
    // The agent lost the deletion and reports as before.
    let chatter = async {
        loop {
            agent.applied(&spec).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reminders = async {
        for _ in 0..3 {
            specs.until(|event| event.deleting).await;
        }
    };
    tokio::select! {
        () = chatter => {}
        () = reminders => {}
    }
}

async fn f3_an_unacknowledged_deletion_is_sent_again(config: Config) {
    let server = Server::start(impatient(config)).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    agent.applied(&spec).await.unwrap();
    source.delete("r1", "c1").await.unwrap();
    // The first deletion is dropped by the agent; nobody asks again.
    let first = specs.until(|event| event.deleting).await;
    let second = specs.until(|event| event.deleting).await;
    let third = specs.until(|event| event.deleting).await;
    assert_ne!(first.event.id, second.event.id);
    agent.deleted(&third).await.unwrap();
    assert_eq!(server.bundle("r1").await.0, 404);
}

async fn f5_after_a_deletion_no_live_spec_leaves_the_server(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    for (version, map) in [(1, "b"), (2, "c")] {
        source
            .update("r1", "c1", version, &bundle(&[config_map(map)]))
            .await
            .unwrap();
    }
    source.delete("r1", "c1").await.unwrap();
    let mut specs = agent.join(&[]).await;
    let event = specs.next().await;
    assert!(event.deleting && event.version == 3, "{event:?}");
    // Also while connected: updates and the deletion race, the deletion is the last word.
    for round in 0..20 {
        let id = format!("race-{round}");
        source
            .create(&id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
        let (writer, cluster) = (source.clone(), "c1");
        let (update, delete) = tokio::join!(
            async {
                writer
                    .update(&id, cluster, 0, &bundle(&[config_map("b")]))
                    .await
            },
            async { source.delete(&id, cluster).await },
        );
        delete.unwrap();
        assert!(update.is_ok() || update.unwrap_err().message().contains("is under deletion"));
        let deletion = specs.until(|event| event.id == id && event.deleting).await;
        agent.deleted(&deletion).await.unwrap();
    }
    source
        .create("last", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    loop {
        let event = specs.next().await;
        if event.id == "last" {
            break;
        }
        assert!(event.deleting, "a live spec after its deletion: {event:?}");
    }
}

async fn f6_rows_of_a_silent_cluster_stay_visible(config: Config) {
    let server = Server::start(impatient(config)).await;
    let consumer = server.cluster("c1").await;
    let source = server.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    source.delete("r1", "c1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (status, body) = server.bundle("r1").await;
    assert_eq!(status, 200);
    assert!(body["deleted_at"].is_string());
    // Also the consumer can't vanish under it.
    let path = format!("/api/maestro/v1/consumers/{consumer}");
    let (status, body) = server.send("DELETE", &path, "").await;
    assert_eq!((status, body["code"].as_str()), (403, Some("maestro-4")));
    assert!(
        body["reason"]
            .as_str()
            .unwrap()
            .contains("fk_resources_consumers"),
        "{body}"
    );
    assert!(
        !body["reason"].as_str().unwrap().contains("SQLSTATE"),
        "{body}"
    );
}

async fn f8_an_agent_that_was_away_converges(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    for id in ["w1", "w2", "same"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    for spec in specs.collect(3).await.values() {
        agent.applied(spec).await.unwrap();
    }
    drop(specs);
    source.delete("w1", "c1").await.unwrap();
    source
        .update("w2", "c1", 1, &bundle(&[config_map("b")]))
        .await
        .unwrap();
    source
        .create("w3", "c1", &bundle(&[config_map("c")]))
        .await
        .unwrap();

    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[("w1", 1), ("w2", 1), ("same", 1)]).await;
    let events = specs.collect(3).await;
    let seen: Vec<_> = events
        .iter()
        .map(|(id, event)| (id.as_str(), event.version, event.deleting))
        .collect();
    assert_eq!(seen, [("w1", 1, true), ("w2", 2, false), ("w3", 1, false)]);
}

async fn f11_every_publication_has_an_id_of_its_own(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    let mut seen = Vec::new();
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    seen.push(specs.next().await);
    source
        .update("r1", "c1", 1, &bundle(&[config_map("b")]))
        .await
        .unwrap();
    seen.push(specs.next().await);
    source.delete("r1", "c1").await.unwrap();
    seen.push(specs.next().await);
    let ids: std::collections::BTreeSet<_> =
        seen.iter().map(|event| event.event.id.clone()).collect();
    let times: std::collections::BTreeSet<_> = seen.iter().map(|event| event.event.time).collect();
    assert_eq!((ids.len(), times.len()), (3, 3));
}

async fn f12_statuses_of_a_deleting_resource_are_stored(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let (mut statuses, mut specs) = (source.subscribe().await, agent.join(&[]).await);
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    source.delete("r1", "c1").await.unwrap();
    let deletion = specs.next().await;
    for kind in ["One", "Two", "Three"] {
        agent
            .publish(agent.status(&spec, &condition(kind, "True", 1)))
            .await
            .unwrap();
        statuses
            .until(|status| status.condition(kind).is_some())
            .await;
    }
    agent.deleted(&deletion).await.unwrap();
    let last = statuses
        .until(|status| status.condition("Deleted").is_some())
        .await;
    assert!(last.data()["manifestBundle"]["manifests"].is_array());
    assert_eq!(server.bundle("r1").await.0, 404);
}

async fn f14_a_deleting_resource_is_not_updated(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    source.delete("r1", "c1").await.unwrap();
    let error = source
        .update("r1", "c1", 1, &bundle(&[config_map("b")]))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (
            Code::FailedPrecondition,
            "failed to update resource: maestro-6: the resource is under deletion, id: r1"
        )
    );
    let error = source
        .create("r1", "c1", &bundle(&[config_map("b")]))
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "failed to create resource: maestro-6: This Resource already exists"
    );
    let (status, _) = server
        .send("PATCH", "/api/maestro/v1/resource-bundles/r1", "{}")
        .await;
    assert_eq!(status, 404, "there is no such method");
    let (_, body) = server.bundle("r1").await;
    assert_eq!(body["version"], 1);
}

async fn f19_a_deletion_shows_at_both_places(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let (status, body) = server
        .send("DELETE", "/api/maestro/v1/resource-bundles/r1", "")
        .await;
    assert_eq!((status, body), (204, serde_json::Value::Null));
    let (_, body) = server.bundle("r1").await;
    assert!(body["deleted_at"].is_string(), "{body}");
    assert!(body["metadata"]["deletionTimestamp"].is_string(), "{body}");
    let (status, _) = server
        .send("DELETE", "/api/maestro/v1/resource-bundles/nobody", "")
        .await;
    assert_eq!(status, 204, "Go clients expect success for unknown ids");
}

async fn three_deletions_are_one_event(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    specs.next().await;
    for _ in 0..3 {
        source.delete("r1", "c1").await.unwrap();
    }
    source.delete("nobody", "c1").await.unwrap();
    assert!(specs.next().await.deleting);
    specs.silence(Duration::from_millis(300)).await;
}

async fn a_live_resource_does_not_end_by_an_agents_word(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    agent.deleted(&spec).await.unwrap();
    assert_eq!(server.bundle("r1").await.0, 200);
    let again = specs.next().await;
    assert_eq!(
        (again.id.as_str(), again.version, again.deleting),
        ("r1", 1, false)
    );
}

async fn a_status_of_an_earlier_life_is_left_out(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let mut specs = agent.join(&[]).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let mut spec = specs.next().await;
    spec.metadata = Some(json!({"name": "r1", "creationTimestamp": "2020-01-01T00:00:00Z"}));
    agent.applied(&spec).await.unwrap();
    source.delete("r1", "c1").await.unwrap();
    agent.deleted(&spec).await.unwrap();
    let (status, body) = server.bundle("r1").await;
    assert_eq!((status, &body["status"]), (200, &serde_json::Value::Null));
    // An agent that doesn't say which life it means is believed.
    spec.metadata = None;
    agent.deleted(&spec).await.unwrap();
    assert_eq!(server.bundle("r1").await.0, 404);
}

async fn a_work_deleted_and_made_again_is_two_lives(config: Config) {
    let server = Server::start(config).await;
    server.cluster("c1").await;
    let (source, agent) = (server.source("s1").await, server.agent("c1").await);
    let (mut specs, mut statuses) = (agent.join(&[]).await, source.subscribe().await);
    for _ in 0..3 {
        source
            .create("r1", "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
        let spec = specs.until(|event| !event.deleting).await;
        source.delete("r1", "c1").await.unwrap();
        let deletion = specs.until(|event| event.deleting).await;
        agent.deleted(&deletion).await.unwrap();
        statuses
            .until(|status| status.condition("Deleted").is_some())
            .await;
        // A late word about the life that has just ended.
        source
            .create("r1", "c1", &bundle(&[config_map("b")]))
            .await
            .unwrap();
        source.delete("r1", "c1").await.unwrap();
        agent.deleted(&spec).await.unwrap();
        assert_eq!(server.bundle("r1").await.0, 200, "the new life goes on");
        let deletion = specs
            .until(|event| {
                event.deleting
                    && event.metadata.as_ref().unwrap()["creationTimestamp"]
                        != deletion.metadata.as_ref().unwrap()["creationTimestamp"]
            })
            .await;
        assert!(
            deletion
                .event
                .extensions
                .contains_key(name::DELETION_TIMESTAMP)
        );
        agent.deleted(&deletion).await.unwrap();
        statuses
            .until(|status| status.condition("Deleted").is_some())
            .await;
    }
}

/// I1: what waits for a slow agent is not sent when its turn comes long after the deletion.
#[tokio::test]
async fn an_old_spec_does_not_overtake_its_deletion_on_a_slow_stream() {
    const WORKS: usize = 30;
    let one = Server::start(crate::harness::postgres().await).await;
    let two = Server::start(Config {
        instance_id: "two".into(),
        ..one.config()
    })
    .await;
    one.cluster("c1").await;
    let source = one.source("s1").await;
    // The agent's stream is on the other server, and it doesn't read yet.
    let mut specs = two.agent("c1").await.join(&[]).await;
    for number in 0..WORKS {
        source
            .create(&format!("r{number}"), "c1", &large_bundle(400_000))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in 0..WORKS {
        source.delete(&format!("r{number}"), "c1").await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    // What the windows and buffers of the connection held already may be live; the rest is not.
    let (mut live, mut deleted) = (0, std::collections::BTreeSet::new());
    while deleted.len() < WORKS {
        let event = specs.next().await;
        if event.deleting {
            deleted.insert(event.id);
        } else {
            assert!(
                !deleted.contains(&event.id),
                "a live spec after its deletion"
            );
            live += 1;
        }
    }
    assert!(live < WORKS / 2, "{live} old specs were sent");
}
