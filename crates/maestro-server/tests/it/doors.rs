//! What the gRPC ports do with callers that say nothing, or that are too many.

use std::time::Duration;

use maestro_server::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{DEADLINE, Server, bundle, config_map};

/// A server whose gRPC ports have little patience and few places.
async fn narrow(places: usize) -> Server {
    let mut config = Config::default();
    config.transport.handshake_timeout = Duration::from_millis(300);
    config.transport.max_connections = places;
    Server::start(config).await
}

#[tokio::test]
async fn a_connection_that_never_speaks_http_2_is_closed() {
    let server = narrow(100).await;
    server.cluster("c1").await;
    let mut specs = server.agent("c1").await.join(&[]).await;
    for port in [server.addresses.grpc, server.addresses.broker] {
        for start in ["", "PRI * HTTP/2.0\r\n"] {
            let mut silent = TcpStream::connect(port).await.unwrap();
            silent.write_all(start.as_bytes()).await.unwrap();
            let mut said = Vec::new();
            let closed =
                tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut said));
            // With an end or an error.
            assert!(closed.await.is_ok(), "{port} waits on after {start:?}");
        }
    }
    // Those who do speak have all the time that they want.
    let source = server.source("s1").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    source
        .create("r1", "c1", &bundle(&[config_map("a")]))
        .await
        .unwrap();
    assert_eq!(specs.next().await.id, "r1");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_goes() {
    let server = narrow(2).await;
    server.cluster("c1").await;
    let (first, second) = (server.agent("c1").await, server.agent("c1").await);
    let streams = (first.subscribe().await, second.subscribe().await);
    let third = server.agent("c1").await;
    let waiting = tokio::spawn(async move { third.subscribe().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "a third connection was served");
    drop((first, streams.0));
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .expect("the third connection is served")
        .unwrap();
}
