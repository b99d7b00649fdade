//! Where a resource is: told by every server alike, and sent again by whoever has the stream.

use std::collections::BTreeSet;

use maestro_server::Config;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Server, bundle, condition, config_map};

on_both!(
    a_work_is_explained_from_creation_to_its_end,
    the_agent_of_a_consumer_is_described,
    what_operators_do_is_kept,
    the_sdk_asks_the_same_questions,
);

const BUNDLES: &str = "/api/maestro/v1/resource-bundles";
const CONSUMERS: &str = "/api/maestro/v1/consumers";

async fn explained(server: &Server, id: &str) -> Value {
    let (status, body) = server.get(&format!("{BUNDLES}/{id}/explain")).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn until_state(server: &Server, id: &str, state: &str) -> Value {
    testkit::eventually(state, DEADLINE, async || {
        let body = explained(server, id).await;
        (body["state"] == state).then_some(body)
    })
    .await
}

async fn a_work_is_explained_from_creation_to_its_end(config: Config) {
    let server = Server::start(config).await;
    let consumer = server.cluster("c1").await;
    let source = server.source("s1").await;
    assert_eq!(
        server.get(&format!("{BUNDLES}/nothing/explain")).await.0,
        404
    );
    let data = bundle(&[config_map("a")]);
    source.create("r1", "c1", &data).await.unwrap();
    let body = explained(&server, "r1").await;
    assert_eq!(body["state"], "waiting_for_agent");
    assert_eq!(body["kind"], "ResourceBundleExplanation");
    assert_eq!(
        (&body["consumer_name"], &body["consumer_id"]),
        (&json!("c1"), &json!(consumer))
    );
    assert_eq!(body["stored"]["version"], 1);
    assert_eq!(
        (&body["agent"]["connected"], &body["agent"]["last_seen"]),
        (&json!(false), &Value::Null)
    );
    assert!(
        body["summary"]
            .as_str()
            .unwrap()
            .contains("never connected"),
        "{body}"
    );

    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    let spec = specs.next().await;
    let body = until_state(&server, "r1", "sent").await;
    let sent = &body["delivery"]["sent"];
    assert_eq!(
        (&sent["version"], &sent["times"]),
        (&json!(1), &json!(1)),
        "{body}"
    );
    assert_eq!(sent["event_id"], spec.event.id);
    assert_eq!(body["agent"]["connected"], true);
    assert!(body["agent"]["last_resync"].is_string(), "{body}");
    agent.applied(&spec).await.unwrap();
    let body = explained(&server, "r1").await;
    assert_eq!(body["state"], "settled");
    assert_eq!(body["acknowledged"]["observed_version"], 1);
    assert_eq!(body["acknowledged"]["applied"], "True");

    // One more, because somebody asked.
    let (status, body) = server
        .send("POST", &format!("{BUNDLES}/r1/resend"), "")
        .await;
    assert_eq!((status, &body["connected"]), (202, &json!(true)), "{body}");
    assert_eq!(specs.next().await.version, 1);
    assert_eq!(
        server
            .send("POST", &format!("{BUNDLES}/nothing/resend"), "")
            .await
            .0,
        404
    );

    source.delete("r1", "c1").await.unwrap();
    let deletion = specs.until(|event| event.deleting).await;
    let body = until_state(&server, "r1", "deleting").await;
    assert_eq!(body["deletion"]["waits_for"], "unknown", "{body}");
    let mut conditions = condition("Deleting", "True", 1);
    conditions[0]["reason"] = json!("WorkDeleting");
    let mut status = agent.status(&deletion, &conditions);
    let mut held = condition("Deleting", "True", 1);
    held[0]["message"] = json!(r#"{"finalizers":["a/b"],"since":"2026-01-01T00:00:00Z"}"#);
    status.set_json(&json!({"conditions": conditions, "resourceStatus": [{
        "resourceMeta": {"kind": "ConfigMap", "version": "v1", "namespace": "default", "name": "a", "ordinal": 0},
        "statusFeedback": {}, "conditions": held,
    }]}));
    agent.publish(status).await.unwrap();
    let body = explained(&server, "r1").await;
    assert_eq!(
        body["deletion"]["waits_for"][0]["finalizers"],
        json!(["a/b"]),
        "{body}"
    );
    assert!(
        body["summary"]
            .as_str()
            .unwrap()
            .contains("ConfigMap default/a (finalizers a/b)"),
        "{body}"
    );
    agent.deleted(&deletion).await.unwrap();
    assert_eq!(server.get(&format!("{BUNDLES}/r1/explain")).await.0, 404);
}

async fn the_agent_of_a_consumer_is_described(config: Config) {
    let server = Server::start(config).await;
    let consumer = server.cluster("c1").await;
    let path = format!("{CONSUMERS}/{consumer}/delivery");
    let delivery = async || {
        let (status, body) = server.get(&path).await;
        assert_eq!(status, 200, "{body}");
        body
    };
    assert_eq!(
        server.get(&format!("{CONSUMERS}/nobody/delivery")).await.0,
        404
    );
    let body = delivery().await;
    assert_eq!(
        (&body["connected"], &body["pending"], &body["last_seen"]),
        (&json!(false), &json!(0), &Value::Null)
    );
    let source = server.source("s1").await;
    for id in ["r1", "r2", "r3"] {
        source
            .create(id, "c1", &bundle(&[config_map("a")]))
            .await
            .unwrap();
    }
    source.delete("r2", "c1").await.unwrap();
    let body = delivery().await;
    assert_eq!(
        (&body["pending"], &body["pending_deletions"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(body["oldest_pending"]["id"], "r1");
    let agent = server.agent("c1").await;
    let mut specs = agent.join(&[]).await;
    let all = specs.collect(3).await;
    agent.applied(&all["r1"]).await.unwrap();
    let body = delivery().await;
    assert_eq!(
        (&body["connected"], &body["pending"]),
        (&json!(true), &json!(2)),
        "{body}"
    );
    assert!(
        body["last_resync"].is_string() && body["since"].is_string(),
        "{body}"
    );
    assert_eq!(body["instance"], server.config().instance_id);
    drop((specs, agent));
    testkit::eventually("the agent to be gone", DEADLINE, async || {
        let body = delivery().await;
        (body["connected"] == false && body["last_resync"].is_string()).then_some(())
    })
    .await;
    // Single consumers show it, lists don't: Go clients refuse keys there that they don't know.
    let (_, single) = server.get(&format!("{CONSUMERS}/{consumer}")).await;
    assert_eq!(single["delivery"]["pending"], 2, "{single}");
    let (_, list) = server.get(CONSUMERS).await;
    assert!(list["items"][0].get("delivery").is_none(), "{list}");
}

async fn what_operators_do_is_kept(config: Config) {
    let server = Server::start(config).await;
    let consumer = server.cluster("c1").await;
    let audit = async |of: &str| server.get(&format!("{CONSUMERS}/{of}/audit")).await;
    let (status, body) = audit(&consumer).await;
    assert_eq!((status, &body["items"]), (200, &json!([])), "{body}");
    let source = server.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    server
        .send("POST", &format!("{BUNDLES}/r1/resend"), "")
        .await;
    let path = format!("{CONSUMERS}/{consumer}/force-remove");
    let request = json!({"reason": "burnt down", "includeLive": true}).to_string();
    let (status, body) = server.send("POST", &path, &request).await;
    assert_eq!(status, 200, "{body}");
    for of in [consumer.as_str(), "c1"] {
        let (status, body) = audit(of).await;
        assert_eq!((status, &body["total"]), (200, &json!(3)), "{body}");
        let entries = body["items"].as_array().unwrap();
        assert_eq!(
            (
                &entries[0]["action"],
                &entries[0]["reason"],
                &entries[0]["resources"]
            ),
            (&json!("force-remove"), &json!("burnt down"), &json!(["r1"]))
        );
        assert_eq!(
            (
                &entries[1]["action"],
                &entries[1]["reason"],
                &entries[1]["resources"]
            ),
            (
                &json!("force-remove-begun"),
                &json!("burnt down"),
                &json!([])
            )
        );
        assert_eq!(entries[1]["who"], entries[0]["who"]);
        assert_eq!(entries[2]["action"], "resend");
        assert!(
            entries[0]["who"]
                .as_str()
                .unwrap()
                .starts_with("127.0.0.1 (operation ")
        );
    }
    assert_eq!(audit("nobody").await.0, 404);
}

async fn the_sdk_asks_the_same_questions(config: Config) {
    use maestro_client::explain::{State, WaitsFor};
    let server = Server::start(config).await;
    let consumer = server.cluster("c1").await;
    service_runtime::install_crypto_provider();
    let client = maestro_client::Client::new(maestro_client::Config {
        rest_url: format!("http://{}", server.addresses.rest),
        grpc_address: server.addresses.grpc.to_string(),
        source_id: "s1".into(),
        ..maestro_client::Config::default()
    })
    .unwrap();
    assert!(client.explain("r1").await.unwrap_err().is_not_found());
    assert!(client.resend("r1").await.unwrap_err().is_not_found());
    assert!(client.delivery("nobody").await.unwrap_err().is_not_found());
    let source = server.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    source.delete("r1", "c1").await.unwrap();
    let found = client.explain("r1").await.unwrap();
    assert_eq!(found.state, State::WaitingForAgent);
    assert_eq!(
        (found.id.as_str(), found.consumer_name.as_str()),
        ("r1", "c1")
    );
    assert!(found.stored.deleting_since.is_some() && !found.summary.is_empty());
    assert_eq!(found.deletion.unwrap().waits_for, WaitsFor::default());
    let resend = client.resend("r1").await.unwrap();
    assert!(resend.deleting && !resend.connected);
    let delivery = client.delivery(&consumer).await.unwrap();
    assert_eq!((delivery.pending, delivery.pending_deletions), (1, 1));
    assert_eq!(delivery.oldest_pending.unwrap().id, "r1");
    let _agent = server.agent("c1").await.join(&[]).await;
    let delivery = client.delivery(&consumer).await.unwrap();
    assert!(delivery.connected && delivery.since.is_some());
}

/// Two servers on one database: whichever is asked, the answer is the same.
#[tokio::test]
async fn every_server_explains_alike() {
    let config = crate::harness::postgres().await;
    let named = |name: &str| Config {
        instance_id: name.to_owned(),
        ..config.clone()
    };
    let one = Server::start(named("one")).await;
    let two = Server::start(named("two")).await;
    let consumer = one.cluster("c1").await;
    let ids: Vec<String> = (0..30).map(|number| format!("stranger-{number}")).collect();
    let held: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), 4)).collect();
    let agent = two.agent("c1").await;
    let mut specs = agent.join(&held).await;
    let source = one.source("s1").await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    let spec = specs.next().await;
    let body = until_state(&one, "r1", "sent").await;
    assert_eq!(body["agent"]["instance"], "two", "{body}");
    assert_eq!(body["delivery"]["sent"]["instance"], "two", "{body}");
    assert_eq!(body["delivery"]["sent"]["event_id"], spec.event.id);
    let path = format!("{CONSUMERS}/{consumer}/delivery");
    testkit::eventually("the orphans to show", DEADLINE, async || {
        let (_, body) = one.get(&path).await;
        (body["held_orphans"] == 30 && body["last_resync"].is_string()).then_some(())
    })
    .await;

    // The other server has the stream, and acts.
    let (status, _) = one.send("POST", &format!("{BUNDLES}/r1/resend"), "").await;
    assert_eq!(status, 202);
    assert_eq!(specs.next().await.id, "r1");
    let path = format!("{CONSUMERS}/{consumer}/accept-orphans");
    let (status, body) = one.send("POST", &path, "").await;
    assert_eq!((status, &body["resources"]), (200, &json!(30)), "{body}");
    // The work that isn't settled may come once more between them.
    let mut gone = BTreeSet::new();
    while gone.len() < 30 {
        let event = specs.next().await;
        assert_eq!(event.deleting, event.id != "r1", "{}", event.id);
        if event.deleting {
            gone.insert(event.id);
        }
    }

    // A server that ends says so.
    drop((specs, agent));
    two.stop().await;
    let body = until_state(&one, "r1", "waiting_for_agent").await;
    assert!(body["agent"]["last_seen"].is_string(), "{body}");
}
