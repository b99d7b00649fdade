//! What an operator decides: clusters that have ended, resources that nobody knows.

use std::time::Duration;

use maestro_server::Config;
use serde_json::json;

use crate::harness::{Server, bundle, config_map, impatient, postgres, session};

on_both!(
    a_cluster_ends_by_an_operators_word,
    an_id_that_lives_elsewhere_now_goes_from_its_old_cluster,
    orphans_go_by_an_operators_word,
    orphans_of_a_cluster_registered_later_are_named_again
);

async fn a_cluster_ends_by_an_operators_word(config: Config) {
    let mut config = impatient(config);
    config.limits.seen_lately = Duration::from_secs(2);
    let server = Server::start(config).await;
    let id = server.cluster("dead").await;
    server.cluster("alive").await;
    let source = server.source("s1").await;
    source
        .create("live", "dead", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    source
        .create("deleting", "dead", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    source
        .create("other", "alive", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    source.delete("deleting", "dead").await.unwrap();
    let path = format!("/api/maestro/v1/consumers/{id}/force-remove");
    for (body, status) in [
        ("{}", 400),
        ("[", 400),
        (r#"{"reason":"x","force":true}"#, 400),
    ] {
        assert_eq!(server.send("POST", &path, body).await.0, status, "{body}");
    }
    let nobody = "/api/maestro/v1/consumers/nobody/force-remove";
    assert_eq!(
        server.send("POST", nobody, r#"{"reason":"x"}"#).await.0,
        404
    );
    let (status, body) = server
        .send("POST", &path, r#"{"reason":"burnt down"}"#)
        .await;
    assert_eq!(status, 409);
    assert!(
        body["reason"]
            .as_str()
            .unwrap()
            .contains("1 resources of dead are live"),
        "{body}"
    );

    // An agent that is or was just connected may come back.
    let agent = server.agent("dead").await;
    let mut specs = agent.join(&[]).await;
    let spec = specs.until(|event| event.id == "live").await;
    agent.applied(&spec).await.unwrap();
    let request = r#"{"reason":"burnt down","includeLive":true}"#;
    let (status, body) = server.send("POST", &path, request).await;
    assert_eq!(status, 409);
    assert!(
        body["reason"]
            .as_str()
            .unwrap()
            .contains("within the last 2 s"),
        "{body}"
    );
    drop(specs);
    drop(agent);
    testkit::eventually(
        "the stream to be forgotten",
        crate::harness::DEADLINE,
        async || {
            let (_, body) = server.get(&format!("/api/maestro/v1/consumers/{id}")).await;
            (body["delivery"]["connected"] == false && body["delivery"]["last_seen"].is_string())
                .then_some(())
        },
    )
    .await;
    assert_eq!(
        server.send("POST", &path, request).await.0,
        409,
        "it was here a moment ago"
    );

    let mut statuses = source.subscribe().await;
    let body = testkit::eventually(
        "the agent to be long gone",
        crate::harness::DEADLINE,
        async || {
            let (status, body) = server.send("POST", &path, request).await;
            (status == 200).then_some(body)
        },
    )
    .await;
    assert_eq!(body["resources"], 2, "{body}");
    let last = statuses.collect(2).await;
    for id in ["live", "deleting"] {
        let status = &last[id];
        assert_eq!(status.condition("Deleted").as_deref(), Some("True"));
        let data = status.data();
        let ended = data["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["type"] == "Deleted")
            .unwrap();
        assert_eq!(ended["reason"], "ConsumerRemoved");
        assert!(ended["message"].as_str().unwrap().contains("burnt down"));
        assert!(data["manifestBundle"].is_object());
        assert_eq!(
            status.metadata.as_ref().unwrap()["name"],
            format!("work-{id}")
        );
        assert_eq!(server.bundle(id).await.0, 404);
    }
    assert_eq!(
        last["live"].condition("Applied").as_deref(),
        Some("True"),
        "the last status stays visible"
    );
    assert_eq!(server.bundle("other").await.0, 200);
    assert_eq!(
        server
            .get(&format!("/api/maestro/v1/consumers/{id}"))
            .await
            .0,
        404
    );
}

async fn orphans_go_by_an_operators_word(config: Config) {
    let server = Server::start(config).await;
    let id = server.cluster("c1").await;
    let path = format!("/api/maestro/v1/consumers/{id}/accept-orphans");
    assert_eq!(server.send("POST", &path, "").await.0, 409);
    let ids: Vec<String> = (0..30).map(|number| format!("stranger-{number}")).collect();
    let held: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), 4)).collect();
    let mut specs = server.agent("c1").await.join(&held).await;
    testkit::eventually(
        "the strangers to show",
        crate::harness::DEADLINE,
        async || {
            let (_, body) = server.get(&format!("/api/maestro/v1/consumers/{id}")).await;
            (body["delivery"]["held_orphans"] == 30).then_some(())
        },
    )
    .await;
    // One of them is registered in the meantime: it stays.
    server
        .source("s1")
        .await
        .create("stranger-0", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    assert!(!specs.next().await.deleting);
    let (status, body) = server.send("POST", &path, "").await;
    assert_eq!((status, &body["resources"]), (200, &json!(30)));
    let gone = specs.collect(29).await;
    assert!(
        gone.values()
            .all(|event| event.deleting && event.version == 4)
    );
    assert!(!gone.contains_key("stranger-0"));
    specs.silence(Duration::from_millis(100)).await;
    let (_, body) = server.get(&format!("/api/maestro/v1/consumers/{id}")).await;
    assert_eq!(body["delivery"]["held_orphans"], 0, "{body}");
}

/// A word that was given isn't lost because the database doesn't answer when it is carried out.
#[tokio::test]
async fn orphans_go_when_the_database_is_back() {
    let config = postgres().await;
    let server = Server::start(config.clone()).await;
    let id = server.cluster("c1").await;
    let ids: Vec<String> = (0..30).map(|number| format!("stranger-{number}")).collect();
    let held: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), 4)).collect();
    let mut specs = server.agent("c1").await.join(&held).await;
    let consumer = format!("/api/maestro/v1/consumers/{id}");
    testkit::eventually(
        "the strangers to show",
        crate::harness::DEADLINE,
        async || {
            let (_, body) = server.get(&consumer).await;
            (body["delivery"]["held_orphans"] == 30).then_some(())
        },
    )
    .await;
    let db = session(&config).await;
    db.batch_execute("alter table resources rename to hidden")
        .await
        .unwrap();
    let (status, body) = server
        .send("POST", &format!("{consumer}/accept-orphans"), "")
        .await;
    assert_eq!((status, &body["resources"]), (200, &json!(30)), "{body}");
    specs.silence(Duration::from_millis(300)).await;
    db.batch_execute("alter table hidden rename to resources")
        .await
        .unwrap();
    let gone = specs.collect(30).await;
    assert!(gone.values().all(|event| event.deleting));
}

/// D13, F6: a cluster ends although all of it takes longer than the database is given for one answer.
#[tokio::test]
async fn f6_the_end_of_a_large_cluster_is_not_bound_by_one_answer() {
    const WORKS: i32 = 20_000;
    let mut config = postgres().await;
    config.database_timeout = Duration::from_secs(1);
    let server = Server::start(config.clone()).await;
    let id = server.cluster("dead").await;
    server.cluster("alive").await;
    let db = session(&config).await;
    let payload = json!({"specversion": "1.0", "id": "e", "source": "s1",
        "type": "io.open-cluster-management.works.v1alpha1.manifestbundles.spec.create_request",
        "datacontenttype": "application/json", "metadata": {"name": "w"}, "data": bundle(&[config_map("a")])});
    db.execute(
        "insert into resources (id, name, source, consumer_name, version, type, created_at, updated_at, payload) \
         select 'r' || n, 'r' || n, 's1', 'dead', 1, '', now(), now(), $1 from generate_series(1, $2) n",
        &[&payload, &WORKS],
    )
    .await
    .unwrap();
    let source = server.source("s1").await;
    let path = format!("/api/maestro/v1/consumers/{id}/force-remove");
    let request = r#"{"reason":"burnt down","includeLive":true}"#;
    let other = bundle(&[config_map("a")]);
    // A disk that stalls for so long ends a request, and not what it has done: one asks again for the rest.
    let ask_until_it_ends = async || {
        let mut asked = 0;
        loop {
            asked += 1;
            let (status, body) = server.send("POST", &path, request).await;
            if status == 200 {
                return (asked, body);
            }
            assert!(status == 503 && asked < 20, "{asked} times: {body}");
        }
    };
    let ((asked, body), created) =
        tokio::join!(ask_until_it_ends(), source.create("other", "alive", &other));
    created.unwrap();
    assert_eq!(body["resources"], WORKS, "{body}");
    let (_, audit) = server
        .get(&format!("/api/maestro/v1/consumers/{id}/audit"))
        .await;
    let entries = audit["items"].as_array().unwrap();
    assert!((2..=asked + 1).contains(&entries.len()), "{asked} times");
    let (last, others) = entries.split_first().unwrap();
    assert_eq!(last["action"], "force-remove");
    assert_eq!(last["resources"].as_array().unwrap().len(), 20_000);
    let (begun, continued) = others.split_last().unwrap();
    assert_eq!(begun["action"], "force-remove-begun");
    for entry in continued {
        assert_eq!(entry["action"], "force-remove-continued");
    }
}

/// Of a name that nobody registered only a number is kept. When it is registered, its agent is asked once more.
async fn orphans_of_a_cluster_registered_later_are_named_again(config: Config) {
    let server = Server::start(config).await;
    let ids: Vec<String> = (0..30).map(|number| format!("stranger-{number}")).collect();
    let held: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), 4)).collect();
    let mut specs = server.agent("c1").await.join(&held).await;
    let url = format!("http://{}/metrics", server.addresses.metrics);
    testkit::eventually(
        "what it has to be compared",
        crate::harness::DEADLINE,
        async || {
            let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
            let line = "resources_spec_resync_duration_seconds_count 1";
            text.contains(line).then_some(())
        },
    )
    .await;
    // An orphan that is tolerated would be deleted.
    specs.silence(Duration::from_millis(100)).await;
    let id = server.cluster("c1").await;
    let orphans = async |count: u64| {
        let path = format!("/api/maestro/v1/consumers/{id}");
        testkit::eventually("the orphans", crate::harness::DEADLINE, async || {
            let (_, body) = server.get(&path).await;
            (body["delivery"]["held_orphans"] == count).then_some(())
        })
        .await;
    };
    orphans(30).await;
    let path = format!("/api/maestro/v1/consumers/{id}/accept-orphans");
    let (status, body) = server.send("POST", &path, "").await;
    assert_eq!((status, &body["resources"]), (200, &json!(0)), "{body}");
    assert!(specs.try_next().await.is_err(), "its connection is closed");
    orphans(0).await;

    let mut specs = server.agent("c1").await.join(&held).await;
    orphans(30).await;
    let (status, body) = server.send("POST", &path, "").await;
    assert_eq!((status, &body["resources"]), (200, &json!(30)), "{body}");
    assert_eq!(specs.collect(30).await.len(), 30);
}

async fn an_id_that_lives_elsewhere_now_goes_from_its_old_cluster(mut config: Config) {
    config.limits.seen_lately = Duration::ZERO;
    let server = Server::start(config).await;
    let id = server.cluster("c1").await;
    server.cluster("c2").await;
    let source = server.source("s1").await;
    let content = bundle(&[config_map("a")]);
    source.create("moved", "c1", &content).await.unwrap();
    let mut specs = server.agent("c1").await.join(&[]).await;
    let old = specs.next().await;
    drop(specs);
    let path = format!("/api/maestro/v1/consumers/{id}/force-remove");
    testkit::eventually("the end", crate::harness::DEADLINE, async || {
        let request = r#"{"reason":"test","includeLive":true}"#;
        (server.send("POST", &path, request).await.0 == 200).then_some(())
    })
    .await;
    // The id and another one live on the other cluster; the first one comes back and has both.
    for id in ["moved", "theirs"] {
        source.create(id, "c2", &content).await.unwrap();
    }
    let id = server.cluster("c1").await;
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[("moved", 1), ("theirs", 1)]).await;
    let deletion = specs.next().await;
    assert!(deletion.deleting && deletion.id == "moved");
    testkit::eventually("the other to show", crate::harness::DEADLINE, async || {
        let (_, body) = server.get(&format!("/api/maestro/v1/consumers/{id}")).await;
        (body["delivery"]["held_orphans"] == 1).then_some(())
    })
    .await;
    // The agent can finish, and nothing happens to the new life.
    agent.deleted(&old).await.unwrap();
    let (_, body) = server.bundle("moved").await;
    assert_eq!(body["consumer_name"], "c2", "{body}");
    // The other goes by an operator's word.
    let path = format!("/api/maestro/v1/consumers/{id}/accept-orphans");
    assert_eq!(server.send("POST", &path, "").await.0, 200);
    let deletion = specs.next().await;
    assert!(deletion.deleting && deletion.id == "theirs");
    assert_eq!(server.bundle("theirs").await.0, 200);
}
