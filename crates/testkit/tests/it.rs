//! The kit tests itself.

use std::time::Duration;

use testkit::{eventually, postgres, proxy::Proxy};

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn databases_of_the_shared_server_are_apart() {
    let server = postgres::Server::shared().await.unwrap();
    let one = server.database().await.unwrap().connect().await.unwrap();
    let two = server.database().await.unwrap().connect().await.unwrap();
    one.batch_execute("create table t (x int)").await.unwrap();
    two.batch_execute("create table t (x text)").await.unwrap();
}

#[tokio::test]
async fn a_server_survives_stop_crash_and_pause() {
    let server = postgres::Server::start().await.unwrap();
    let database = server.database().await.unwrap();
    let client = database.connect().await.unwrap();
    client
        .batch_execute("create table t (x int); insert into t values (7)")
        .await
        .unwrap();

    server.stop().await.unwrap();
    assert!(database.connect().await.is_err());
    server.start_again().await.unwrap();
    server.crash().await.unwrap();
    server.start_again().await.unwrap();

    let client = database.connect().await.unwrap();
    server.pause().await.unwrap();
    let answer = tokio::time::timeout(
        Duration::from_millis(300),
        client.query_one("select x from t", &[]),
    )
    .await;
    assert!(answer.is_err(), "a paused server doesn't answer");
    server.resume().await.unwrap();
    let row = client.query_one("select x from t", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    assert!(
        server
            .terminate_sessions(&format!("datname = '{}'", database.name()))
            .await
            .unwrap()
            >= 1
    );
}

#[tokio::test]
async fn a_proxy_stalls_and_cuts() {
    let server = postgres::Server::shared().await.unwrap();
    let database = server.database().await.unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], database.port()).into())
        .await
        .unwrap();
    let url = format!(
        "postgres://postgres@{}/{}",
        proxy.address(),
        database.name()
    );
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    proxy.stall();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), client.simple_query("select 1"))
            .await
            .is_err()
    );
    proxy.flow();
    client.simple_query("select 1").await.unwrap();
    proxy.cut();
    eventually("the connection to end", DEADLINE, async || {
        client.is_closed().then_some(())
    })
    .await;
}

#[test]
fn certificates_are_signed_for_their_names() {
    let ca = testkit::certs::Ca::new();
    let folder = tempfile::tempdir().unwrap();
    let files = ca
        .server(&["localhost", "127.0.0.1"])
        .write(folder.path(), "server")
        .unwrap();
    assert!(
        std::fs::read_to_string(files.cert)
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
    assert!(
        ca.client("cluster1-agent", "agents")
            .key
            .contains("PRIVATE KEY")
    );
}
