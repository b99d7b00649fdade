//! A sandbox cluster behind a proxy that records every request and fails on demand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use kube_access::{Client, Delete, List, Patch, Resource, Write};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A request of the agent.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub content_type: String,
    pub body: Value,
}

impl Call {
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    pub fn is_apply(&self) -> bool {
        self.content_type == "application/apply-patch+yaml"
    }

    /// Whether the request makes or changes the object, rather than deleting or disowning it.
    pub fn brings_back(&self, name: &str) -> bool {
        let about_it =
            self.path.ends_with(&format!("/{name}")) || self.body["metadata"]["name"] == name;
        about_it && (self.is_apply() || self.method == Method::POST || self.method == Method::PUT)
    }
}

type Fault = Box<dyn FnMut(&Call) -> Option<(StatusCode, Value)> + Send>;

#[derive(Default)]
struct Proxy {
    target: String,
    client: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    fault: Mutex<Option<Fault>>,
    hangs: AtomicBool,
}

/// The cluster. Dropping it stops it.
pub struct Cluster {
    pub client: Client,
    pub through_proxy: Client,
    proxy: Arc<Proxy>,
    shutdown: CancellationToken,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::start_with(vec![thing_definition()]).await
    }

    pub async fn start_with(crds: Vec<Value>) -> Self {
        service_runtime::install_crypto_provider();
        let config = kube_sandbox::Config {
            crds,
            ..kube_sandbox::Config::default()
        };
        let sandbox = kube_sandbox::Service::bind(config).await.unwrap();
        let url = sandbox.url();
        let shutdown = CancellationToken::new();
        tokio::spawn(sandbox.run(shutdown.clone()));
        let proxy = Arc::new(Proxy {
            target: url.clone(),
            ..Proxy::default()
        });
        let address = serve(Arc::clone(&proxy), shutdown.clone()).await;
        Self {
            client: Client::from_url(&url).unwrap(),
            through_proxy: Client::from_url(&format!("http://{address}"))
                .unwrap()
                .with_request_timeout(Duration::from_secs(4)),
            proxy,
            shutdown,
        }
    }

    /// Everything that was asked through the proxy.
    pub fn calls(&self) -> Vec<Call> {
        self.proxy.calls.lock().unwrap().clone()
    }

    /// Forgets what was asked so far.
    pub fn forget_calls(&self) {
        self.proxy.calls.lock().unwrap().clear();
    }

    /// Answers requests itself where this function has an answer.
    pub fn fail(&self, fault: impl FnMut(&Call) -> Option<(StatusCode, Value)> + Send + 'static) {
        *self.proxy.fault.lock().unwrap() = Some(Box::new(fault));
    }

    /// Accepts writes and never answers them, or does again.
    pub fn hang(&self, hangs: bool) {
        self.proxy.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Passes everything on again.
    pub fn heal(&self) {
        *self.proxy.fault.lock().unwrap() = None;
    }

    pub async fn resource(&self, api_version: &str, kind: &str) -> Resource {
        self.client.resolve(api_version, kind).await.unwrap()
    }

    pub async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let resource = self.kind(kind).await;
        let namespace = resource.namespaced.then_some("default");
        self.client.find(&resource, namespace, name).await.unwrap()
    }

    /// `Thing` and `ConfigMap` in the namespace `default`, records.
    async fn kind(&self, kind: &str) -> Resource {
        let api_version = match kind {
            "Thing" => "test.io/v1",
            "AppliedManifestWork" => "work.open-cluster-management.io/v1",
            _ => "v1",
        };
        self.resource(api_version, kind).await
    }

    pub async fn records(&self) -> Vec<Value> {
        let Ok(resource) = self
            .client
            .resolve("work.open-cluster-management.io/v1", "AppliedManifestWork")
            .await
        else {
            return Vec::new();
        };
        self.client
            .list_all(&resource, None, &List::default())
            .await
            .unwrap()
            .items
    }

    pub async fn create(&self, object: &Value) -> Value {
        let resource = self.kind(object["kind"].as_str().unwrap()).await;
        self.client
            .create(&resource, Some("default"), object, &Write::default())
            .await
            .unwrap()
    }

    pub async fn merge(&self, kind: &str, name: &str, patch: Value, manager: &str) {
        let resource = self.kind(kind).await;
        let options = Write {
            field_manager: manager.to_owned(),
            ..Write::default()
        };
        let namespace = resource.namespaced.then_some("default");
        self.client
            .patch(&resource, namespace, name, &Patch::Merge(patch), &options)
            .await
            .unwrap();
    }

    pub async fn merge_status(&self, kind: &str, name: &str, status: Value) {
        let resource = self.kind(kind).await;
        let options = Write {
            field_manager: "controller".to_owned(),
            ..Write::default()
        };
        let patch = Patch::Merge(json!({"status": status}));
        self.client
            .patch_status(&resource, Some("default"), name, &patch, &options)
            .await
            .unwrap();
    }

    pub async fn remove(&self, kind: &str, name: &str) {
        let resource = self.kind(kind).await;
        let namespace = resource.namespaced.then_some("default");
        self.client
            .delete(&resource, namespace, name, &Delete::default())
            .await
            .unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A custom resource with a status, whose spec takes anything.
pub fn thing_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.test.io"},
        "spec": {
            "group": "test.io", "scope": "Namespaced",
            "names": {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}

async fn serve(proxy: Arc<Proxy>, shutdown: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(forward).with_state(proxy);
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = axum::serve(listener, router) => {}
        }
    });
    address
}

async fn forward(
    State(proxy): State<Arc<Proxy>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call {
        method: method.clone(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        content_type: headers
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    proxy.calls.lock().unwrap().push(call.clone());
    if call.is_write() && proxy.hangs.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let fault = proxy
        .fault
        .lock()
        .unwrap()
        .as_mut()
        .and_then(|fault| fault(&call));
    if let Some((code, answer)) = fault {
        return (code, axum::Json(answer)).into_response();
    }
    let mut request = proxy
        .client
        .request(method, format!("{}{uri}", proxy.target))
        .body(body);
    for name in ["content-type", "accept", "user-agent"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    match request.send().await {
        Ok(answer) => {
            let code = answer.status();
            (code, Body::from_stream(answer.bytes_stream())).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
