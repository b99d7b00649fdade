//! A HyperFleet API in memory: one kind of path, reports by adapter, and buttons for trouble.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

#[derive(Default)]
pub struct Data {
    pub clusters: BTreeMap<String, Value>,
    /// Reports by cluster and adapter.
    pub reports: BTreeMap<(String, String), Value>,
    pub calls: Vec<Call>,
    /// What the next requests are answered with instead.
    pub failures: Vec<(StatusCode, Value)>,
    /// While set, every request is answered with this.
    pub down: Option<StatusCode>,
    /// How long every answer takes.
    pub delay: Duration,
}

/// The running API; it stops when it is dropped.
pub struct FakeApi {
    data: Arc<Mutex<Data>>,
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeApi {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let data: Arc<Mutex<Data>> = Arc::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&data));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            data,
            address,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    pub fn cluster(&self, id: &str, generation: i64) {
        let cluster = json!({"id": id, "kind": "Cluster", "name": format!("name-{id}"), "generation": generation, "spec": {}});
        self.data().clusters.insert(id.to_owned(), cluster);
    }

    pub fn delete(&self, id: &str, generation: i64) {
        self.cluster(id, generation);
        self.data().clusters.get_mut(id).unwrap()["deleted_time"] = json!("2026-01-01T00:00:00Z");
    }

    /// The last report of an adapter about a cluster.
    pub fn report(&self, cluster: &str, adapter: &str) -> Option<Value> {
        self.data()
            .reports
            .get(&(cluster.to_owned(), adapter.to_owned()))
            .cloned()
    }

    /// Reports that came in, in order.
    pub fn puts(&self) -> Vec<Value> {
        self.data()
            .calls
            .iter()
            .filter(|call| call.method == "PUT")
            .map(|call| call.body.clone())
            .collect()
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Data>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let delay = shared.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
    let mut data = shared.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    data.calls.push(Call {
        method: method.to_string(),
        path: uri.path().to_owned(),
        headers,
        body: body.clone(),
    });
    let json = |status: StatusCode, body: Value| (status, axum::Json(body)).into_response();
    if let Some(status) = data.down {
        return json(status, json!({"title": "down"}));
    }
    if !data.failures.is_empty() {
        let (status, body) = data.failures.remove(0);
        return json(status, body);
    }
    let missing = || {
        json(
            StatusCode::NOT_FOUND,
            json!({"code": "HYPERFLEET-NTF-002", "detail": "no such cluster"}),
        )
    };
    let Some(rest) = uri.path().strip_prefix("/api/hyperfleet/v1/clusters/") else {
        return json(
            StatusCode::NOT_FOUND,
            json!({"code": "HYPERFLEET-NTF-000", "detail": "no such path"}),
        );
    };
    let (id, tail) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(cluster) = data.clusters.get(id).cloned() else {
        return missing();
    };
    match (method.as_str(), tail) {
        ("GET", "") => json(StatusCode::OK, cluster),
        ("GET", "statuses") => {
            let items: Vec<Value> = data
                .reports
                .iter()
                .filter(|((of, _), _)| of == id)
                .map(|(_, report)| report.clone())
                .collect();
            json(
                StatusCode::OK,
                json!({"items": items, "total": items.len()}),
            )
        }
        ("PUT", "statuses") => {
            let adapter = body["adapter"].as_str().unwrap_or_default().to_owned();
            data.reports.insert((id.to_owned(), adapter), body.clone());
            json(StatusCode::CREATED, body)
        }
        _ => json(StatusCode::METHOD_NOT_ALLOWED, json!({})),
    }
}
