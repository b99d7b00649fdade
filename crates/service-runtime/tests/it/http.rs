use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::routing::get;
use service_runtime::http::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::{DEADLINE, start};

fn router() -> axum::Router {
    axum::Router::new().route(
        "/who",
        get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
    )
}

#[tokio::test]
async fn handlers_see_the_peer() {
    let running = start(router(), None, Options::default()).await;
    let text = reqwest::get(format!("http://{}/who", running.address))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.starts_with("127.0.0.1:"), "{text}");
    running.stop().await;
}

#[tokio::test]
async fn silent_and_half_written_requests_are_cut() {
    let short = Duration::from_millis(200);
    let options = Options {
        first_byte_timeout: short,
        idle_timeout: short,
        ..Options::default()
    };
    let running = start(router(), None, options).await;
    for sent in ["", "GET /who HT"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The server closes, with or without a 408.
        timeout(DEADLINE, stream.read_to_end(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_never_comes_doesnt_keep_its_place() {
    let options = Options {
        body_timeout: Duration::from_millis(200),
        max_connections: 1,
        ..Options::default()
    };
    let read = |body: axum::body::Bytes| async move { body.len().to_string() };
    let router = router().route("/read", axum::routing::post(read));
    let running = start(router, None, options).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // The only place is free again.
    let whole = reqwest::Client::new().post(format!("http://{}/read", running.address));
    let text = whole.body("four").send().await.unwrap().text().await;
    assert_eq!(text.unwrap(), "4");
    running.stop().await;
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let running = start(router(), None, Options::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = format!(
        "GET /who HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "a".repeat(1024 * 1024)
    );
    // The server may close before it has read everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    running.stop().await;
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let running = start(
        router(),
        None,
        Options {
            max_connections: 1,
            ..Options::default()
        },
    )
    .await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    first
        .write_all(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    timeout(DEADLINE, first.read_exact(&mut byte))
        .await
        .unwrap()
        .unwrap();

    let mut second = TcpStream::connect(running.address).await.unwrap();
    second
        .write_all(b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(
        timeout(Duration::from_millis(300), second.read_exact(&mut byte))
            .await
            .is_err(),
        "the only place is taken"
    );
    drop(first);
    timeout(DEADLINE, second.read_exact(&mut byte))
        .await
        .unwrap()
        .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn shutdown_lets_running_requests_finish_and_refuses_new_ones() {
    let (entered, mut begun) = mpsc::channel::<oneshot::Sender<()>>(1);
    let slow = axum::Router::new().route(
        "/slow",
        get(move || {
            let entered = entered.clone();
            async move {
                let (finish, finished) = oneshot::channel();
                entered.send(finish).await.unwrap();
                finished.await.unwrap();
                "done"
            }
        }),
    );
    let running = start(slow, None, Options::default()).await;
    let url = format!("http://{}/slow", running.address);
    let request =
        tokio::spawn(async move { reqwest::get(url).await.unwrap().text().await.unwrap() });
    let finish = timeout(DEADLINE, begun.recv()).await.unwrap().unwrap();
    running.shutdown.cancel();
    until_closed(running.address).await;
    finish.send(()).unwrap();
    assert_eq!(request.await.unwrap(), "done");
    running.stop().await;
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_finish() {
    let (entered, mut begun) = mpsc::channel::<()>(1);
    let endless = axum::Router::new().route(
        "/endless",
        get(move || {
            let entered = entered.clone();
            async move {
                entered.send(()).await.unwrap();
                std::future::pending::<&'static str>().await
            }
        }),
    );
    let running = start(
        endless,
        None,
        Options {
            drain_timeout: Duration::from_millis(100),
            ..Options::default()
        },
    )
    .await;
    let url = format!("http://{}/endless", running.address);
    let request = tokio::spawn(reqwest::get(url));
    timeout(DEADLINE, begun.recv()).await.unwrap().unwrap();
    running.stop().await;
    assert!(request.await.unwrap().is_err());
}

/// Waits until the listener is closed.
async fn until_closed(address: SocketAddr) {
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, closed).await.unwrap();
}
