//! The connection to the server, and what the agent says about itself.

use std::time::Duration;

use maestro_agent::Token;
use serde_json::{Value, json};
use service_runtime::tls;
use testkit::certs::Ca;
use testkit::eventually;
use testkit::proxy::Proxy;

use crate::broker::Broker;
use crate::cluster::Cluster;
use crate::world::{PATIENCE, World, config_map, work};

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_client_certificate_and_a_token_file() {
    service_runtime::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new();
    let ca_file = ca.write(folder.path()).unwrap();
    let server = ca
        .server(&["localhost", "127.0.0.1"])
        .write(folder.path(), "server")
        .unwrap();
    let user = ca
        .client("c1", "agents")
        .write(folder.path(), "agent")
        .unwrap();
    let files = tls::Files {
        cert: server.cert,
        key: server.key,
        client_ca: Some(ca_file.clone()),
    };
    let world = World {
        broker: Broker::start_secured(files, "secret").await,
        cluster: Cluster::start().await,
    };
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "secret\n").unwrap();
    let mut config = world.config();
    config.tls = Some(tls::ClientFiles {
        ca: Some(ca_file),
        cert: Some(user.cert),
        key: Some(user.key),
        accept_any_server: false,
    });
    config.token = Some(Token::File(token_file.clone()));
    let agent = world.agent_with(config).await;
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    world.applied("w1", 1).await;
    // A token that isn't valid any more is refused, the next one is taken from the file.
    std::fs::write(&token_file, "wrong").unwrap();
    let before = world.broker.reports("w1").len();
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({"a": "1"}))]));
    world
        .object("ConfigMap", "cm", |live| live["data"]["a"] == "1")
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.broker.reports("w1").len(), before);
    std::fs::write(&token_file, "secret").unwrap();
    world.applied("w1", 2).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f45_a_connection_that_falls_silent_is_replaced() {
    let world = World::new().await;
    let proxy = Proxy::start(world.broker.address).await.unwrap();
    let mut config = world.config();
    config.server_address = proxy.address().to_string();
    config.server_healthiness_timeout = Some(Duration::from_secs(2));
    let agent = world.agent_with(config).await;
    for _ in 0..10 {
        world.broker.beat();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(
        world.broker.resyncs().len(),
        1,
        "heartbeats keep the stream"
    );
    proxy.stall();
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    proxy.flow();
    world.applied("w1", 1).await;
    assert!(world.broker.resyncs().len() > 1);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f26_many_works_at_a_subscription() {
    const WORKS: usize = 100;
    let world = World::new().await;
    let filler = "x".repeat(2400);
    for number in 0..WORKS {
        let name = format!("cm{number}");
        world.broker.put(&work(
            &format!("w{number}"),
            &[config_map(&name, json!({"filler": filler}))],
        ));
    }
    let agent = world.agent().await;
    for number in 0..WORKS {
        world.applied(&format!("w{number}"), 1).await;
    }
    agent.stop().await;
}

async fn ready(address: std::net::SocketAddr) -> (u16, Value) {
    let answer = reqwest::get(format!("http://{address}/readyz"))
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn f57_a_stuck_agent_says_so_and_recovers() {
    let world = World::new().await;
    let mut config = world.config();
    config.listen = Some("127.0.0.1:0".into());
    config.stuck_after = Duration::from_secs(1);
    let agent = world.agent_with(config).await;
    let health = agent.health.unwrap();
    eventually("the agent is ready", PATIENCE, async || {
        (ready(health).await.0 == 200).then_some(())
    })
    .await;
    world.cluster.hang(true);
    world
        .broker
        .put(&work("w1", &[config_map("cm", json!({}))]));
    let body = eventually("the agent says that it is stuck", PATIENCE, async || {
        let (code, body) = ready(health).await;
        (code == 503).then_some(body)
    })
    .await;
    assert!(
        body["reasons"]["works"]
            .as_str()
            .unwrap()
            .contains("1 works are due"),
        "{body}"
    );
    let alive = reqwest::get(format!("http://{health}/livez"))
        .await
        .unwrap();
    assert_eq!(alive.status().as_u16(), 200, "a restart would not help");
    world.cluster.hang(false);
    world.applied("w1", 1).await;
    eventually("the agent is ready again", PATIENCE, async || {
        (ready(health).await.0 == 200).then_some(())
    })
    .await;
    let metrics = reqwest::get(format!("http://{health}/metrics"))
        .await
        .unwrap();
    let text = metrics.text().await.unwrap();
    for line in [
        "cloudevents_received_total{source=\"maestro\",type=\"io.open-cluster-management.works.v1alpha1.manifestbundles\",subresource=\"spec\",action=\"create_request\"} 1",
        "maestro_agent_works 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subscription_is_part_of_readiness() {
    let mut world = World::new().await;
    let mut config = world.config();
    config.listen = Some("127.0.0.1:0".into());
    let agent = world.agent_with(config).await;
    let health = agent.health.unwrap();
    let stopped = world.broker.stop().await;
    eventually("the lost subscription is told", PATIENCE, async || {
        let (code, body) = ready(health).await;
        (code == 503 && body["checks"]["subscription"] == "error").then_some(())
    })
    .await;
    world.broker = stopped.start().await;
    eventually("the agent is ready again", PATIENCE, async || {
        (ready(health).await.0 == 200).then_some(())
    })
    .await;
    agent.stop().await;
}
