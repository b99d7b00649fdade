//! A Kubernetes API that knows one token, and lets whoever has it do anything.

use std::path::{Path, PathBuf};

use axum::extract::Json;
use axum::routing::post;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The token of every player.
pub const TOKEN: &str = "t0ken-of-the-players";

/// Runs until the test is over; the kubeconfig that leads to it.
pub async fn start(folder: &Path) -> PathBuf {
    let router = axum::Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token))
        .route(
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            post(access),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = service_runtime::http::serve(listener, router, None, CancellationToken::new());
    tokio::spawn(serve);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "u", "user": {"token": "t0ken-of-the-server"}}],
    });
    let path = folder.join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

async fn token(Json(mut review): Json<Value>) -> Json<Value> {
    review["status"] = if review["spec"]["token"] == TOKEN {
        json!({"authenticated": true, "user": {"username": "player", "uid": "1", "groups": ["players"]}})
    } else {
        json!({"user": {}, "error": "invalid bearer token"})
    };
    Json(review)
}

async fn access(Json(mut review): Json<Value>) -> Json<Value> {
    review["status"] = json!({"allowed": true});
    Json(review)
}
