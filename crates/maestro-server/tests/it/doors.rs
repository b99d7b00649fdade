//! What the gRPC ports do with callers that say nothing, that are too many, or that give no time.

use std::time::{Duration, Instant};

use event_wire::Action;
use event_wire::proto::PublishRequest;
use maestro_server::Config;
use prost::Message as _;
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

/// Go agents take CANCELLED for their own shutdown.
#[tokio::test]
async fn a_call_whose_time_is_over_is_answered_with_deadline_exceeded() {
    let server = Server::memory().await;
    server.cluster("c1").await;
    let source = server.source("s1").await;
    service_runtime::install_crypto_provider();
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let started = Instant::now();
    let mut over = 0;
    // Not every call is too slow for a nanosecond.
    while over < 20 && started.elapsed() < DEADLINE {
        let id = uuid::Uuid::new_v4().to_string();
        let event = source.event(
            Action::CreateRequest,
            &id,
            "c1",
            0,
            Some(&bundle(&[config_map("a")])),
        );
        let request = PublishRequest {
            event: Some(event.into()),
        };
        let message = request.encode_to_vec();
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
        let url = format!(
            "http://{}/io.cloudevents.v1.CloudEventService/Publish",
            server.addresses.grpc
        );
        let response = client
            .post(url)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", "1n")
            .body(body)
            .send()
            .await
            .unwrap();
        match response.headers().get("grpc-status") {
            Some(status) => {
                assert_eq!(status, "4", "{:?}", response.headers());
                over += 1;
            }
            None => drop(response.bytes().await),
        }
    }
    assert_eq!(over, 20);
}
