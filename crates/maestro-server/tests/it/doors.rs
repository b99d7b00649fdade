//! What the ports do with callers that say nothing, that are too many, that give no time, or that ask for too much at once.

use std::time::{Duration, Instant};

use event_wire::Action;
use event_wire::proto::PublishRequest;
use maestro_server::Config;
use prost::Message as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{DEADLINE, Server, bundle, config_map};

/// How long the ports of [`narrow`] wait for the first bytes: long for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server whose gRPC ports have little patience and few places.
async fn narrow(places: usize) -> Server {
    let mut config = Config::default();
    config.transport.handshake_timeout = PATIENCE;
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
    // Those who do speak have all the time that they want: nothing can be waited for here but the time itself.
    let source = server.source("s1").await;
    tokio::time::sleep(PATIENCE + Duration::from_millis(500)).await;
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

/// A page of consumers with all their labels is large; slow readers of it must not fill the memory.
#[tokio::test]
async fn large_lists_of_consumers_come_in_portions_and_few_at_once() {
    const CONSUMERS: usize = 12;
    let server = Server::memory().await;
    let labels: serde_json::Map<_, _> = (0..220)
        .map(|number| (format!("k{number}"), json!("x".repeat(4000))))
        .collect();
    for number in 0..CONSUMERS {
        let body = json!({"name": format!("c{number}"), "labels": labels}).to_string();
        let (status, _) = server
            .send("POST", "/api/maestro/v1/consumers", &body)
            .await;
        assert_eq!(status, 201);
    }
    // Four peers ask, and read nothing.
    let mut slow = Vec::new();
    for _ in 0..4 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut peer = socket.connect(server.addresses.rest).await.unwrap();
        let request = b"GET /api/maestro/v1/consumers?size=-1 HTTP/1.1\r\nHost: x\r\n\r\n";
        peer.write_all(request).await.unwrap();
        tokio::time::timeout(DEADLINE, peer.readable())
            .await
            .expect("an answer begins")
            .unwrap();
        slow.push(peer);
    }
    let list = reqwest::get(server.url("/api/maestro/v1/consumers?size=-1"));
    let mut list = Box::pin(async { list.await.unwrap() });
    let early = tokio::time::timeout(Duration::from_secs(1), &mut list).await;
    assert!(early.is_err(), "a fifth list is written at once");
    drop(slow);
    let answer = tokio::time::timeout(DEADLINE, list)
        .await
        .expect("the fifth has its turn");
    assert_eq!(answer.content_length(), None, "the list is held as a whole");
    let list: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!((&list["size"], &list["total"]), (&json!(12), &json!(12)));
    let items = list["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["labels"] == json!(labels)));
    assert_eq!(items.len(), CONSUMERS);
}
