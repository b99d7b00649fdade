//! The client against an API that misbehaves.
#![allow(clippy::unwrap_used)] // tests say what they expect

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, Request},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{any, get},
};
use hyperfleet_client::{Class, Client, Config, ListOptions, Method, Reported, Retry, Token};
use hyperfleet_types::{AdapterStatusRequest, Code, NewResource, Problem};
use serde_json::{Map, Value, json};

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn client(address: SocketAddr) -> Client {
    let retry = Retry {
        first_delay: Duration::from_millis(5),
        max_delay: Duration::from_millis(20),
        ..Retry::default()
    };
    Client::new(Config {
        retry,
        ..Config::new(format!("http://{address}"))
    })
    .unwrap()
}

fn resource(id: &str) -> Value {
    json!({"id": id, "kind": "Cluster", "name": id, "created_time": "2026-08-21T10:00:00Z", "updated_time": "2026-08-21T10:00:00Z"})
}

fn problem(code: Code) -> axum::response::Response {
    let status = StatusCode::from_u16(code.status()).unwrap();
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        serde_json::to_string(&Problem::new(code, "said so")).unwrap(),
    )
        .into_response()
}

/// Answers with `failures` first, then with `body`.
async fn flaky(failures: Vec<StatusCode>, body: Value) -> (SocketAddr, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let router = Router::new().fallback(any(move || {
        let n = counter.fetch_add(1, Ordering::SeqCst);
        let answer = failures.get(n).map_or_else(
            || axum::Json(body.clone()).into_response(),
            |code| code.into_response(),
        );
        async move { answer }
    }));
    (serve(router).await, calls)
}

#[tokio::test]
async fn what_is_worth_retrying_is_retried() {
    let failures = vec![
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::REQUEST_TIMEOUT,
    ];
    let (address, calls) = flaky(failures, resource("a")).await;
    assert_eq!(client(address).clusters().get("a").await.unwrap().id, "a");
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_post_is_not_repeated_after_an_answer_that_may_follow_a_commit() {
    let (address, calls) = flaky(vec![StatusCode::INTERNAL_SERVER_ERROR], resource("a")).await;
    let new = NewResource::new("Cluster", "a", Map::new());
    let error = client(address).clusters().create(&new).await.unwrap_err();
    assert_eq!(
        (error.class(), calls.load(Ordering::SeqCst)),
        (Class::Unavailable, 1)
    );

    let (address, calls) = flaky(vec![StatusCode::SERVICE_UNAVAILABLE], resource("a")).await;
    assert_eq!(
        client(address).clusters().create(&new).await.unwrap().id,
        "a"
    );
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn attempts_are_limited() {
    let (address, calls) = flaky(vec![StatusCode::BAD_GATEWAY; 50], resource("a")).await;
    let retry = Retry {
        attempts: Some(3),
        first_delay: Duration::from_millis(1),
        ..Retry::default()
    };
    let client = Client::new(Config {
        retry,
        ..Config::new(format!("http://{address}"))
    })
    .unwrap();
    assert!(client.clusters().get("a").await.is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn f79_a_404_is_gone_only_if_the_api_says_so() {
    let router = Router::new()
        .route(
            "/api/hyperfleet/v1/clusters/gone",
            get(|| async { problem(Code::ResourceNotFound) }),
        )
        .route(
            "/api/hyperfleet/v1/clusters/endpoint",
            get(|| async { problem(Code::EndpointNotFound) }),
        );
    let client = client(serve(router).await);
    let class = async |id: &str| client.clusters().get(id).await.unwrap_err().class();
    assert_eq!(class("gone").await, Class::NotFound);
    assert_eq!(class("endpoint").await, Class::WrongEndpoint);
    assert_eq!(class("plain-404-of-a-proxy").await, Class::WrongEndpoint);
}

#[tokio::test]
async fn errors_have_the_class_a_caller_needs() {
    let router = Router::new().route(
        "/api/hyperfleet/v1/clusters/{which}",
        get(
            |axum::extract::Path(which): axum::extract::Path<String>| async move {
                problem(match which.as_str() {
                    "exists" => Code::AlreadyExists,
                    "state" => Code::StateConflict,
                    "invalid" => Code::Validation,
                    "who" => Code::InvalidToken,
                    "no" => Code::PermissionDenied,
                    _ => Code::NotImplemented,
                })
            },
        ),
    );
    let retry = Retry::never();
    let client = Client::new(Config {
        retry,
        ..Config::new(format!("http://{}", serve(router).await))
    })
    .unwrap();
    for (id, class, retryable) in [
        ("exists", Class::AlreadyExists, false),
        ("state", Class::Conflict, false),
        ("invalid", Class::Invalid, false),
        ("who", Class::Unauthenticated, false),
        ("no", Class::Denied, false),
    ] {
        let error = client.clusters().get(id).await.unwrap_err();
        assert_eq!(
            (error.class(), error.is_retryable()),
            (class, retryable),
            "{error}"
        );
        assert!(error.to_string().contains("said so"), "{error}");
    }
}

#[tokio::test]
async fn f75_all_pages_are_collected_and_repeated_items_counted_once() {
    #[derive(serde::Deserialize)]
    struct Page {
        page: u32,
        size: u32,
        search: String,
    }
    let router = Router::new().route(
        "/api/hyperfleet/v1/clusters",
        get(|Query(query): Query<Page>| async move {
            assert_eq!(
                (query.size, query.search.as_str()),
                (20, "labels.a='1' and labels.b='2'")
            );
            // The pages overlap by one item, as when something shifted them.
            let first = (query.page - 1) * 20;
            let items: Vec<Value> = (first.saturating_sub(1)..(first + 19).min(45))
                .map(|n| resource(&format!("c{n}")))
                .collect();
            axum::Json(
                json!({"items": items, "page": query.page, "size": items.len(), "total": 47}),
            )
        }),
    );
    let client = client(serve(router).await);
    let options = ListOptions {
        size: Some(20),
        ..ListOptions::search("labels.a='1' and labels.b='2'")
    };
    let all = client.clusters().list_all(&options).await.unwrap();
    assert_eq!(all.len(), 45);
}

#[tokio::test]
async fn a_report_is_stored_or_discarded() {
    let router = Router::new()
        .route(
            "/api/hyperfleet/v1/clusters/a/statuses",
            axum::routing::put(|axum::Json(body): axum::Json<Value>| async move {
                assert_eq!(body, json!({"adapter": "dns", "observed_generation": 1, "conditions": []}));
                let stored = json!({"adapter": "dns", "observed_generation": 1, "conditions": [], "data": {},
                                    "created_time": "2026-08-21T10:00:00Z", "last_report_time": "2026-08-21T10:00:00Z"});
                (StatusCode::CREATED, axum::Json(stored))
            }),
        )
        .route("/api/hyperfleet/v1/clusters/b/statuses", axum::routing::put(|| async { StatusCode::NO_CONTENT }));
    let client = client(serve(router).await);
    let report: AdapterStatusRequest =
        serde_json::from_value(json!({"adapter": "dns", "observed_generation": 1})).unwrap();
    assert!(
        matches!(client.statuses("clusters", "a").put(&report).await.unwrap(), Reported::Stored(status) if status.adapter == "dns")
    );
    assert_eq!(
        client.statuses("clusters", "b").put(&report).await.unwrap(),
        Reported::Discarded
    );
}

#[tokio::test]
async fn the_token_file_is_read_again_after_its_time_and_never_printed() {
    let dir = std::env::temp_dir().join(format!("hyperfleet-client-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("token");
    let router = Router::new().fallback(any(|request: Request| async move {
        let bearer = request.headers()[header::AUTHORIZATION]
            .to_str()
            .unwrap()
            .to_owned();
        axum::Json(resource(&bearer))
    }));
    let address = serve(router).await;
    let with = |cache| {
        let token = Some(Token::File {
            path: file.clone(),
            cache,
        });
        Client::new(Config {
            token,
            retry: Retry::never(),
            ..Config::new(format!("http://{address}"))
        })
        .unwrap()
    };
    let (always, cached) = (with(Duration::ZERO), with(Duration::from_secs(3600)));

    let error = always.clusters().get("a").await.unwrap_err();
    assert!(
        error.is_retryable() && error.class() == Class::Unauthenticated,
        "{error}"
    );
    std::fs::write(&file, " one\n").unwrap();
    assert_eq!(always.clusters().get("a").await.unwrap().id, "Bearer one");
    assert_eq!(cached.clusters().get("a").await.unwrap().id, "Bearer one");
    std::fs::write(&file, "two").unwrap();
    assert_eq!(always.clusters().get("a").await.unwrap().id, "Bearer two");
    assert_eq!(cached.clusters().get("a").await.unwrap().id, "Bearer one");
    assert_eq!(
        format!("{:?}", Token::Literal("secret".into())),
        "Literal(***)"
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_token_is_not_sent_to_another_host() {
    let stranger = serve(Router::new().fallback(any(|request: Request| async move {
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        "{}"
    })))
    .await;
    let token = Some(Token::Literal("secret".into()));
    let client = Client::new(Config {
        token,
        ..Config::new("http://127.0.0.1:9")
    })
    .unwrap();
    client
        .request(Method::GET, &format!("http://{stranger}/x"), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn silence_times_out_and_a_closed_port_is_unavailable() {
    let router = Router::new().fallback(any(|| async { std::future::pending::<()>().await }));
    let address = serve(router).await;
    let config = Config {
        timeout: Duration::from_millis(50),
        retry: Retry::never(),
        ..Config::new(format!("http://{address}"))
    };
    assert_eq!(
        Client::new(config)
            .unwrap()
            .clusters()
            .get("a")
            .await
            .unwrap_err()
            .class(),
        Class::Timeout
    );

    let closed = {
        tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let config = Config {
        retry: Retry::never(),
        ..Config::new(format!("http://{closed}"))
    };
    assert_eq!(
        Client::new(config)
            .unwrap()
            .clusters()
            .get("a")
            .await
            .unwrap_err()
            .class(),
        Class::Unavailable
    );
}

#[tokio::test]
async fn malformed_json_fails_at_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let router = Router::new().fallback(any(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { "{not json" }
    }));
    let error = client(serve(router).await)
        .clusters()
        .list_all(&ListOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), calls.load(Ordering::SeqCst)),
        (Class::BadResponse, 1)
    );
}

#[test]
fn a_bad_base_url_is_a_clear_error() {
    for base in ["", "localhost:8000", "ftp://x", "http://"] {
        let Err(error) = Client::new(Config::new(base)) else {
            panic!("{base:?} accepted")
        };
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains("base URL"), "{error}");
    }
}
