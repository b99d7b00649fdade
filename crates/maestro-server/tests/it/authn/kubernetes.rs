//! A Kubernetes API that answers the two reviews, from tables.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The token by which servers are known to it.
pub const SERVICE_TOKEN: &str = "s3cr3t-of-the-server";

#[derive(Clone, Default)]
pub struct Kubernetes {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    service_token: String,
    users: HashMap<String, (String, Vec<String>)>,
    allowed: HashSet<(String, String, String)>,
    reviews: usize,
    failing: bool,
}

/// It runs until dropped.
pub struct Running {
    pub api: Kubernetes,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Kubernetes {
    pub async fn start() -> Running {
        let api = Self::default();
        api.set_service_token(SERVICE_TOKEN);
        let router = axum::Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token))
            .route(
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                post(access),
            )
            .with_state(api.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serve = service_runtime::http::serve(listener, router, None, stop.clone());
        tokio::spawn(serve);
        Running { api, address, stop }
    }

    /// From now on only this token lets a server ask.
    pub fn set_service_token(&self, token: &str) {
        self.inner.lock().unwrap().service_token = token.to_owned();
    }

    /// A token, and whose it is.
    pub fn know(&self, token: &str, user: &str, groups: &[&str]) {
        let groups = groups.iter().map(ToString::to_string).collect();
        let mut inner = self.inner.lock().unwrap();
        inner
            .users
            .insert(token.to_owned(), (user.to_owned(), groups));
    }

    pub fn forget(&self, token: &str) {
        self.inner.lock().unwrap().users.remove(token);
    }

    /// Lets a user, or a group, do something.
    pub fn allow(&self, who: &str, verb: &str, path: &str) {
        let rule = (who.to_owned(), verb.to_owned(), path.to_owned());
        self.inner.lock().unwrap().allowed.insert(rule);
    }

    pub fn forbid(&self, who: &str, verb: &str, path: &str) {
        let rule = (who.to_owned(), verb.to_owned(), path.to_owned());
        self.inner.lock().unwrap().allowed.remove(&rule);
    }

    /// Whether it answers with errors only.
    pub fn fail(&self, failing: bool) {
        self.inner.lock().unwrap().failing = failing;
    }

    /// How often it was asked.
    pub fn reviews(&self) -> usize {
        self.inner.lock().unwrap().reviews
    }
}

impl Running {
    /// A kubeconfig whose token is in a file beside it.
    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let path = folder.join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {"tokenFile": "token"}}],
        });
        std::fs::write(folder.join("token"), format!("{SERVICE_TOKEN}\n")).unwrap();
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

fn refused(api: &Kubernetes, headers: &HeaderMap) -> Option<Response> {
    let mut inner = api.inner.lock().unwrap();
    inner.reviews += 1;
    let known = headers.get("authorization").is_some_and(|value| {
        value.as_bytes() == format!("Bearer {}", inner.service_token).as_bytes()
    });
    let (status, message) = match (known, inner.failing) {
        (false, _) => (StatusCode::UNAUTHORIZED, "Unauthorized"),
        (true, true) => (StatusCode::INTERNAL_SERVER_ERROR, "etcd is away"),
        (true, false) => return None,
    };
    let body =
        json!({"kind": "Status", "status": "Failure", "message": message, "code": status.as_u16()});
    Some((status, Json(body)).into_response())
}

async fn token(
    State(api): State<Kubernetes>,
    headers: HeaderMap,
    Json(mut review): Json<Value>,
) -> Response {
    if let Some(refused) = refused(&api, &headers) {
        return refused;
    }
    assert_eq!(review["kind"], "TokenReview");
    assert_eq!(review["spec"].get("audiences"), None);
    let inner = api.inner.lock().unwrap();
    let user = inner.users.get(review["spec"]["token"].as_str().unwrap());
    review["status"] = match user {
        Some((name, groups)) => {
            json!({"authenticated": true, "user": {"username": name, "uid": "1", "groups": groups}})
        }
        None => json!({"user": {}, "error": "invalid bearer token"}),
    };
    (StatusCode::CREATED, Json(review)).into_response()
}

async fn access(
    State(api): State<Kubernetes>,
    headers: HeaderMap,
    Json(mut review): Json<Value>,
) -> Response {
    if let Some(refused) = refused(&api, &headers) {
        return refused;
    }
    assert_eq!(review["kind"], "SubjectAccessReview");
    let spec = &review["spec"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let verb = text(&spec["nonResourceAttributes"]["verb"]);
    let path = text(&spec["nonResourceAttributes"]["path"]);
    let groups = spec["groups"].as_array().unwrap().iter().map(text);
    let inner = api.inner.lock().unwrap();
    let allowed = std::iter::once(text(&spec["user"]))
        .chain(groups)
        .any(|who| inner.allowed.contains(&(who, verb.clone(), path.clone())));
    review["status"] = json!({"allowed": allowed});
    (StatusCode::CREATED, Json(review)).into_response()
}
