//! `maestro server` as a process.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Server, outcome};

const MEMORY: &str = "--database=sqlite::memory:";

#[tokio::test]
async fn it_says_where_it_listens_and_answers_probes_with_upstreams_bodies() {
    let mut server = Server::start(&[MEMORY]).await;
    server.is_ready().await;
    let ok = (200, r#"{"status": "ok"}"#.to_owned());
    assert_eq!(server.probe("/healthcheck").await, ok);
    assert_eq!(server.probe("/livez").await, ok);
    assert_eq!(server.probe("/readyz").await.0, 200);
    let log = server.log();
    for name in ["rest", "grpc", "broker", "health", "metrics"] {
        let address = server.address(name).unwrap();
        assert!(log.contains(&format!("\"{name}\":\"{address}\"")), "{log}");
    }
    server.terminate();
    assert_eq!(server.ended().await, 0);
}

#[tokio::test]
async fn doors_can_stay_closed() {
    let server = Server::start(&[
        MEMORY,
        "--enable-grpc-server=false",
        "--disable-message-broker",
    ])
    .await;
    server.is_ready().await;
    assert_eq!(server.address("grpc"), None);
    assert_eq!(server.address("broker"), None);
    assert!(server.address("rest").is_some());
}

/// The arguments of upstream's chart with its default values, on a real database.
#[tokio::test]
async fn the_command_line_of_the_go_chart_starts_ours() {
    let postgres = testkit::postgres::Server::shared().await.unwrap();
    let database = postgres.database().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = reqwest::Url::parse(&database.url()).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(format!("db.{name}"));
        std::fs::write(&path, text).unwrap();
        format!("--db-{name}-file={}", path.display())
    };
    let files = [
        file("host", url.host_str().unwrap()),
        file("port", &format!("{}\n", url.port().unwrap_or(5432))),
        file("user", url.username()),
        file("password", url.password().unwrap_or_default()),
        file("name", database.name()),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let sslmode = "--db-sslmode=disable";
    let migration = [
        &["migration"][..],
        &files,
        &[sslmode, "--alsologtostderr", "-v=2"],
    ]
    .concat();
    let (code, _, log) = outcome(&migration).await;
    assert_eq!(code, 0, "{log}");
    let rest = [
        "--client-id=maestro-pod-0",
        sslmode,
        "--message-broker-type=grpc",
        "--message-broker-config-file=/secrets/grpc/config.yaml",
        "--enable-https=false",
        "--server-hostname=",
        "--http-server-bindport=8000",
        "--grpc-server-bindport=8090",
        "--health-check-server-bindport=8083",
        "--enable-health-check-https=false",
        "--db-max-open-connections=50",
        "--enable-db-debug=false",
        "--enable-metrics-https=false",
        "--http-read-timeout=5s",
        "--http-write-timeout=30s",
        "--label-metrics-inclusion-duration=168h",
        "--alsologtostderr",
        "-v=2",
    ];
    let environment = [("MAESTRO_ENV", "production"), ("POD_NAME", "pod-0")];
    let server = Server::start_with(&[&files[..], &rest].concat(), &environment).await;
    server.is_ready().await;
    let log = server.log();
    assert!(
        log.contains("--label-metrics-inclusion-duration") && log.contains("have no effect"),
        "{log}"
    );
    // Notices of PostgreSQL, and where a dependency was built, are nobody's news.
    assert!(!log.contains("already exists"), "{log}");
    assert!(!log.contains("log.file"), "{log}");
}

#[tokio::test]
async fn f59_it_waits_for_its_database_and_lives_meanwhile() {
    let postgres = testkit::postgres::Server::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    postgres.stop().await.unwrap();
    let mut server = Server::start(&["--database", &database.url()]).await;
    assert_eq!(server.probe("/livez").await.0, 200);
    assert_eq!(
        server.probe("/healthcheck").await,
        (503, r#"{"status": "not ready"}"#.to_owned())
    );
    assert_eq!(server.probe("/readyz").await.0, 503);
    postgres.start_again().await.unwrap();
    server.is_ready().await;
    assert_eq!(server.probe("/readyz").await.0, 200);
    // Away again: not ready, and not dead.
    postgres.stop().await.unwrap();
    testkit::eventually("unreadiness", PATIENCE, async || {
        (server.probe("/healthcheck").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(server.probe("/livez").await.0, 200);
    server.terminate();
    assert_eq!(server.ended().await, 0);
}

#[tokio::test]
async fn a_signal_ends_the_wait_for_a_database() {
    let postgres = testkit::postgres::Server::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    postgres.stop().await.unwrap();
    let mut server = Server::start(&["--database", &database.url()]).await;
    server.terminate();
    assert_eq!(server.ended().await, 0);
}

/// A request that never ends.
async fn endless_request(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address("rest").unwrap())
        .await
        .unwrap();
    let head = "POST /api/maestro/v1/consumers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    // An answer on another connection: the server had time to begin with the first.
    reqwest::get(format!("{}/api/maestro/v1/consumers", server.rest()))
        .await
        .unwrap();
    stream
}

#[tokio::test]
async fn a_drain_takes_less_than_20_s_and_ends_well() {
    let mut server = Server::start(&[MEMORY]).await;
    server.is_ready().await;
    let _stream = endless_request(&server).await;
    let begun = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await, 0, "{}", server.log());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut server = Server::start(&[MEMORY]).await;
    server.is_ready().await;
    let _stream = endless_request(&server).await;
    server.terminate();
    testkit::eventually("the drain to begin", PATIENCE, async || {
        server.log().contains("Shutting down").then_some(())
    })
    .await;
    server.terminate();
    assert_eq!(server.ended().await, 130);
}

#[tokio::test]
async fn mistakes_end_with_1_and_a_text() {
    for (arguments, text) in [
        (&["server", "--bogus"][..], "unexpected argument '--bogus'"),
        (
            &["server", "--message-broker-type=mqtt"],
            "agents connect to this server by gRPC",
        ),
        (&["server", "--db-auth-method=az-entra"], "is not available"),
        (
            &["server", "--config=/no/such/file"],
            "read the configuration file /no/such/file",
        ),
        (&["bogus"], "unrecognized subcommand"),
    ] {
        let (code, _, error) = outcome(arguments).await;
        assert_eq!(code, 1, "{arguments:?}");
        assert!(error.contains(text), "{arguments:?}: {error}");
    }
    for arguments in [
        &[][..],
        &["consumer"],
        &["server", "--help"],
        &["--version"],
    ] {
        let (code, out, _) = outcome(arguments).await;
        assert_eq!(code, 0, "{arguments:?}");
        assert!(!out.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_effective_configuration_starts_the_same_server() {
    let (code, text, _) = outcome(&["server", "--print-config", MEMORY, "--client-id=x"]).await;
    assert_eq!(code, 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maestro.yaml");
    std::fs::write(&file, text).unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap()]).await;
    server.is_ready().await;
    assert!(server.log().contains("\"instance\":\"x\""));
}
