//! Servers that no sandbox would be: expired histories, proxies that answer with text, silence, TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use kube_access::watch::{Event, Selection};
use kube_access::{Client, Error, Gvk, Kubeconfig, Resource, object};
use serde_json::{Value, json};
use service_runtime::tls;
use testkit::certs::Ca;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::PATIENCE;

fn maps() -> Resource {
    Resource {
        gvk: Gvk::new("v1", "ConfigMap"),
        plural: "configmaps".into(),
        namespaced: true,
        verbs: vec![],
        subresources: vec![],
    }
}

async fn serve(router: Router, tls: Option<tls::Server>) -> SocketAddr {
    service_runtime::install_crypto_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = CancellationToken::new();
    tokio::spawn(service_runtime::http::serve(listener, router, tls, never));
    address
}

async fn client(router: Router) -> Client {
    let address = serve(router, None).await;
    Client::from_url(&format!("http://{address}")).unwrap()
}

#[tokio::test]
async fn an_expired_history_is_listed_again() {
    let lists = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lists);
    let router = Router::new().fallback(move |uri: Uri| {
        let count = Arc::clone(&count);
        async move {
            if uri.query().unwrap_or_default().contains("watch=true") {
                let gone = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"});
                return format!("{}\n", json!({"type": "ERROR", "object": gone}));
            }
            let number = count.fetch_add(1, Ordering::SeqCst);
            json!({"kind": "ConfigMapList", "metadata": {"resourceVersion": "5"},
                   "items": [{"metadata": {"name": format!("a{number}")}}]})
            .to_string()
        }
    });
    let client = client(router).await;
    let mut events = client.watch(&maps(), None, Selection::default());
    for number in 0..3 {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
        let Some(Event::Listed(items)) = event else {
            panic!("{event:?}");
        };
        assert_eq!(object::name(&items[0]), Some(format!("a{number}").as_str()));
        assert_eq!(object::kind(&items[0]), Some("ConfigMap"));
    }
}

#[tokio::test]
async fn failures_to_watch_are_told_and_slow_down() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let router = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            (
                StatusCode::FORBIDDEN,
                axum::Json(
                    json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"}),
                ),
            )
        }
    });
    let client = client(router).await;
    let mut events = client.watch(&maps(), None, Selection::default());
    for _ in 0..3 {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
        assert!(
            matches!(event, Some(Event::Failed(Error::Forbidden(_)))),
            "{event:?}"
        );
    }
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn answers_that_are_not_from_an_api_server() {
    let answer = |code: StatusCode, text: &'static str| async move {
        let router = Router::new().fallback(move || async move { (code, text) });
        client(router)
            .await
            .get(&maps(), Some("n"), "x")
            .await
            .unwrap_err()
    };
    let error = answer(StatusCode::BAD_GATEWAY, "upstream connect error").await;
    assert!(matches!(error, Error::Unavailable { .. }) && error.is_retryable());
    assert_eq!(error.to_string(), "upstream connect error");
    let error = answer(StatusCode::NOT_FOUND, "404 page not found").await;
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        "the server could not find the requested resource"
    );
    let error = answer(StatusCode::OK, "<html>").await;
    assert!(matches!(error, Error::Decode(_)), "{error:?}");
}

#[tokio::test]
async fn a_kind_that_is_not_served_any_more_is_forgotten() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let router = Router::new().fallback(move |uri: Uri| {
        let count = Arc::clone(&count);
        async move {
            match uri.path() {
                "/apis/test.io/v1" => {
                    count.fetch_add(1, Ordering::SeqCst);
                    let thing = json!({"name": "things", "kind": "Thing", "namespaced": false});
                    axum::Json(json!({"resources": [thing]})).into_response()
                }
                "/apis/test.io/v1/things/missing" => {
                    let status = json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "m", "details": {"name": "missing"}});
                    (StatusCode::NOT_FOUND, axum::Json(status)).into_response()
                }
                _ => (StatusCode::NOT_FOUND, "404 page not found").into_response(),
            }
        }
    });
    let client = client(router).await;
    let things = client.resolve("test.io/v1", "Thing").await.unwrap();
    assert_eq!(
        client.resolve_plural("test.io", "things").await.unwrap(),
        things
    );
    assert!(
        client
            .find(&things, None, "missing")
            .await
            .unwrap()
            .is_none()
    );
    client.resolve("test.io/v1", "Thing").await.unwrap();
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "a missing object says nothing about its kind"
    );
    assert!(client.find(&things, None, "gone").await.unwrap().is_none());
    client.resolve("test.io/v1", "Thing").await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn silence_ends_with_a_timeout() {
    let router = Router::new().fallback(std::future::pending::<Response>);
    let client = client(router)
        .await
        .with_request_timeout(Duration::from_millis(200));
    let error = client.get(&maps(), Some("n"), "x").await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)) && error.is_retryable());
    let nobody = Client::from_url("http://127.0.0.1:1").unwrap();
    let error = nobody.get(&maps(), Some("n"), "x").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn requests_are_as_the_api_wants_them() {
    let router = Router::new().fallback(|uri: Uri, headers: HeaderMap| async move {
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        axum::Json(json!({"uri": uri.to_string(), "agent": header("user-agent"), "type": header("content-type")})).into_response()
    });
    let client = client(router).await.with_user_agent("work-agent").unwrap();
    let options = kube_access::Apply::new("work-agent").forced();
    let answer: Value = client
        .apply(&maps(), Some("n"), "x", &json!({}), &options)
        .await
        .unwrap();
    assert_eq!(
        answer["uri"],
        "/api/v1/namespaces/n/configmaps/x?fieldManager=work-agent&force=true"
    );
    assert_eq!(answer["agent"], "work-agent");
    assert_eq!(answer["type"], "application/apply-patch+yaml");
}

#[tokio::test]
async fn https_with_a_private_authority_and_a_client_certificate() {
    service_runtime::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new();
    let server = ca.server(&["localhost", "127.0.0.1"]);
    let user = ca.client("agent", "fleet");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let files = tls::Files {
        cert: write("server.crt", &server.cert),
        key: write("server.key", &server.key),
        client_ca: Some(write("ca.crt", ca.pem())),
    };
    let router = Router::new().fallback(|| async { axum::Json(json!({"hello": "agent"})) });
    let address = serve(router, Some(tls::Server::load(files).await.unwrap())).await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    write("user.crt", &user.cert);
    write("user.key", &user.key);
    let kubeconfig = |user: Value| {
        let cluster = json!({"server": format!("https://{address}"), "certificate-authority": path("ca.crt")});
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "c", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        })
        .to_string()
    };
    let known =
        kubeconfig(json!({"client-certificate": path("user.crt"), "client-key": path("user.key")}));
    let client = Client::from_kubeconfig(Kubeconfig::Text(known), None)
        .await
        .unwrap();
    assert_eq!(client.get_path("/version").await.unwrap()["hello"], "agent");
    let stranger = kubeconfig(json!({}));
    let client = Client::from_kubeconfig(Kubeconfig::Text(stranger), None)
        .await
        .unwrap();
    assert!(client.get_path("/version").await.is_err());
}

#[tokio::test]
async fn a_header_goes_with_every_request_of_its_client_only() {
    let router = Router::new().fallback(|headers: HeaderMap| async move {
        let seen = headers.get("traceparent");
        let seen = seen.map_or("none", |value| value.to_str().unwrap());
        json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "seen": seen}).to_string()
    });
    let plain = client(router).await;
    let traced = plain.with_header("traceparent", "00-aa-bb-01").unwrap();
    let seen = async |client: &Client| {
        let found = client.get(&maps(), Some("n"), "a").await.unwrap();
        found["seen"].as_str().unwrap().to_owned()
    };
    assert_eq!(seen(&traced).await, "00-aa-bb-01");
    assert_eq!(seen(&plain).await, "none");
    assert!(matches!(
        plain.with_header("traceparent", "a\nb"),
        Err(Error::Config(_))
    ));
}
