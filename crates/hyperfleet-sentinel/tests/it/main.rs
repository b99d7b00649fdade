//! Sentinel against an API that can be told what to say, and the in-process broker.
#![allow(clippy::unwrap_used)] // tests say what they expect

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use event_broker::{Broker, Event, MemoryBroker, Subscription};
use hyperfleet_sentinel::{Config, Service};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::eventually;
use tokio_util::sync::{CancellationToken, DropGuard};

const PATIENCE: Duration = Duration::from_secs(60);

/// What the API says.
#[derive(Default)]
struct Api {
    resources: Vec<Value>,
    failures: HashMap<u32, StatusCode>,
    searches: Vec<String>,
    sizes: Vec<u32>,
    headers: HeaderMap,
    lists: usize,
}

type Shared = Arc<Mutex<Api>>;

async fn list(
    State(api): State<Shared>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut api = api.lock().unwrap();
    let number = |name: &str, default: u32| {
        query
            .get(name)
            .map_or(default, |text| text.parse().unwrap())
    };
    let (page, size) = (number("page", 1), number("size", 20));
    let search = query.get("search").cloned().unwrap_or_default();
    api.headers = headers;
    if search.contains("non_existing_label") {
        return Json(json!({"items": [], "page": 1, "size": 0, "total": 0})).into_response();
    }
    api.lists += 1;
    api.searches.push(search);
    api.sizes.push(size);
    if let Some(status) = api.failures.get(&page) {
        return status.into_response();
    }
    let items: Vec<Value> = api
        .resources
        .iter()
        .skip(((page - 1) * size) as usize)
        .take(size as usize)
        .cloned()
        .collect();
    Json(json!({"items": items, "page": page, "size": items.len(), "total": api.resources.len()}))
        .into_response()
}

struct Bench {
    api: Shared,
    health: String,
    metrics: String,
    http: reqwest::Client,
    _stop: DropGuard,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<Result<(), hyperfleet_sentinel::Error>>,
}

async fn serve(api: Shared) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/api/hyperfleet/v1/clusters", get(list))
        .with_state(api);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn config(address: SocketAddr) -> Config {
    Config {
        poll_interval: Duration::from_millis(50),
        health_listen: "127.0.0.1:0".into(),
        metrics_listen: "127.0.0.1:0".into(),
        republish_interval: Duration::from_secs(3600),
        ..Config::new("clusters", &format!("http://{address}"), "topic")
    }
}

impl Bench {
    async fn start(resources: Vec<Value>, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_broker(resources, change, MemoryBroker::new()).await
    }

    async fn with_broker(
        resources: Vec<Value>,
        change: impl FnOnce(&mut Config),
        broker: Arc<dyn Broker>,
    ) -> Self {
        service_runtime::install_crypto_provider();
        let api = Shared::new(Mutex::new(Api {
            resources,
            ..Api::default()
        }));
        let mut config = config(serve(api.clone()).await);
        change(&mut config);
        let service = Service::bind(config, broker).await.unwrap();
        let addresses = service.addresses();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        Self {
            api,
            health: format!("http://{}", addresses.health),
            metrics: format!("http://{}/metrics", addresses.metrics),
            http: reqwest::Client::new(),
            _stop: shutdown.clone().drop_guard(),
            shutdown,
            running,
        }
    }

    async fn get(&self, url: &str) -> (u16, String) {
        let response = self.http.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn metric(&self, line: &str) {
        eventually(line, PATIENCE, async || {
            self.get(&self.metrics).await.1.contains(line).then_some(())
        })
        .await;
    }

    /// Waits for so many cycles from now on.
    async fn cycles(&self, count: usize) {
        let before = self.api.lock().unwrap().lists;
        eventually("cycles", PATIENCE, async || {
            (self.api.lock().unwrap().lists >= before + count).then_some(())
        })
        .await;
    }
}

fn cluster(name: &str, generation: i64, reconciled: Option<(&str, i64)>) -> Value {
    let conditions: Vec<Value> = reconciled
        .map(|(status, seconds)| {
            let time = Timestamp::now() - SignedDuration::from_secs(seconds);
            json!({"type": "Reconciled", "status": status, "observed_generation": generation, "last_updated_time": time})
        })
        .into_iter()
        .collect();
    json!({"id": name, "kind": "Cluster", "name": name, "href": format!("/api/hyperfleet/v1/clusters/{name}"), "generation": generation,
           "created_time": "2026-08-21T10:00:00Z", "updated_time": "2026-08-21T10:00:00Z", "status": {"conditions": conditions}})
}

/// Consumes the topic, acknowledging everything.
async fn collect(broker: &MemoryBroker) -> Arc<Mutex<Vec<Event>>> {
    let mut consumer = broker
        .subscribe(Subscription::new("test", "topic").parallelism(100))
        .await
        .unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let all = events.clone();
    tokio::spawn(async move {
        while let Some(delivery) = consumer.next().await {
            all.lock().unwrap().push(delivery.event.clone());
            delivery.ack().await;
        }
    });
    events
}

async fn wait_for(events: &Mutex<Vec<Event>>, count: usize) -> Vec<Event> {
    eventually("events", PATIENCE, async || {
        let events = events.lock().unwrap();
        (events.len() >= count).then(|| events.clone())
    })
    .await
}

#[tokio::test]
async fn f75_forty_five_clusters_get_forty_five_pulses() {
    let broker = MemoryBroker::new();
    let events = collect(&broker).await;
    let clusters = (0..45)
        .map(|n| cluster(&format!("c{n}"), 1, None))
        .collect();
    let bench = Bench::with_broker(clusters, |_| {}, broker).await;
    let events = wait_for(&events, 45).await;
    let mut ids: Vec<&str> = events
        .iter()
        .map(|event| event.data.as_ref().unwrap()["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 45);
    assert_eq!(bench.api.lock().unwrap().sizes[..3], [20, 20, 20]);
}

#[tokio::test]
async fn an_event_is_what_adapters_expect() {
    let broker = MemoryBroker::new();
    let events = collect(&broker).await;
    let _bench =
        Bench::with_broker(vec![cluster("abc", 3, Some(("False", 60)))], |_| {}, broker).await;
    let event = wait_for(&events, 1).await.remove(0);
    let parent = event.extension("traceparent").unwrap();
    assert!(
        event_wire::trace::TraceContext::parse(parent, None).is_some(),
        "{parent}"
    );
    assert_eq!(
        (event.source.as_str(), event.event_type.as_str()),
        (
            "hyperfleet-sentinel",
            "com.redhat.hyperfleet.cluster.reconcile"
        )
    );
    let data = json!({"id": "abc", "kind": "Cluster", "href": "/api/hyperfleet/v1/clusters/abc", "generation": 3});
    assert_eq!(
        (event.data, event.time, event.subject),
        (Some(data), None, None)
    );
}

#[tokio::test]
async fn f77_a_new_generation_is_pulsed_with_the_next_poll_and_once() {
    let broker = MemoryBroker::new();
    let events = collect(&broker).await;
    let change = |config: &mut Config| config.publish_on_generation_change = true;
    let bench =
        Bench::with_broker(vec![cluster("abc", 1, Some(("False", 0)))], change, broker).await;
    wait_for(&events, 1).await;
    bench.cycles(3).await;
    assert_eq!(events.lock().unwrap().len(), 1);
    bench.api.lock().unwrap().resources = vec![cluster("abc", 2, Some(("False", 0)))];
    let events = wait_for(&events, 2).await;
    assert_eq!(events[1].data.as_ref().unwrap()["generation"], 2);
    bench.metric(r#"events_published_total{component="sentinel",version="0.1.0",resource_type="clusters",resource_selector="all",reason="generation changed"} 2"#).await;
}

#[tokio::test]
async fn what_is_reconciled_is_left_alone_and_counted() {
    let bench = Bench::start(vec![cluster("abc", 1, Some(("True", 60)))], |_| {}).await;
    bench.metric(r#"hyperfleet_sentinel_resources_skipped_total{component="sentinel",version="0.1.0",resource_type="clusters",resource_selector="all",reason="message decision result is false"}"#).await;
    bench.metric(r#"hyperfleet_sentinel_pending_resources{component="sentinel",version="0.1.0",resource_type="clusters",resource_selector="all"} 0"#).await;
}

#[tokio::test]
async fn a_failing_page_fails_the_cycle_and_nothing_is_published() {
    let broker = MemoryBroker::new();
    let events = collect(&broker).await;
    let clusters = (0..30)
        .map(|n| cluster(&format!("c{n}"), 1, None))
        .collect();
    let bench = Bench::with_broker(clusters, |_| {}, broker).await;
    wait_for(&events, 30).await;
    bench
        .api
        .lock()
        .unwrap()
        .failures
        .insert(2, StatusCode::BAD_REQUEST);
    bench
        .api
        .lock()
        .unwrap()
        .resources
        .iter_mut()
        .for_each(|resource| resource["generation"] = json!(2));
    let published = events.lock().unwrap().len();
    bench.metric(r#"hyperfleet_sentinel_api_errors_total{component="sentinel",version="0.1.0",resource_type="clusters",resource_selector="all",error_type="fetch_error"} 2"#).await;
    assert_eq!(events.lock().unwrap().len(), published);
    bench.api.lock().unwrap().failures.clear();
    wait_for(&events, published + 30).await;
}

#[tokio::test]
async fn an_odd_resource_does_not_hide_the_others() {
    let broker = MemoryBroker::new();
    let events = collect(&broker).await;
    let resources = vec![
        json!({"id": ""}),
        json!({"id": "odd", "generation": "x"}),
        cluster("fine", 1, None),
    ];
    let _bench = Bench::with_broker(resources, |_| {}, broker).await;
    let events = wait_for(&events, 1).await;
    assert!(
        events
            .iter()
            .any(|event| event.data.as_ref().unwrap()["id"] == "fine")
    );
}

#[tokio::test]
async fn selectors_pages_and_names_reach_the_api() {
    let bench = Bench::start(Vec::new(), |config| {
        config.clients.hyperfleet_api.page_size = 300;
        config.sentinel.name = "shard-1".into();
        config.resource_selector = serde_json::from_value(
            json!([{"label": "b", "value": "2"}, {"label": "a", "value": "1"}]),
        )
        .unwrap();
    })
    .await;
    bench.cycles(1).await;
    let api = bench.api.lock().unwrap();
    assert_eq!(
        (api.searches[0].as_str(), api.sizes[0]),
        ("labels.a='1' and labels.b='2'", 100)
    );
    assert_eq!(
        api.headers["user-agent"],
        "hyperfleet-sentinel/0.1.0 (shard-1)"
    );
    assert!(!api.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_missing_token_is_an_auth_error_and_cured_by_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let bench = Bench::start(Vec::new(), |config| {
        config.clients.hyperfleet_api.auth.token_path = Some(file.clone())
    })
    .await;
    bench.cycles(1).await;
    assert_eq!(
        bench.api.lock().unwrap().headers["authorization"],
        "Bearer secret"
    );
}

#[tokio::test]
async fn a_pulse_the_broker_refuses_is_counted_and_tried_again() {
    let broker = MemoryBroker::new();
    let events = collect(&broker).await;
    let clusters = ["a", "b", "c"].map(|name| cluster(name, 1, None)).into();
    let refusing = Arc::new(Refusing {
        inner: broker.clone(),
        id: "b".into(),
        left: Mutex::new(2),
    });
    let bench = Bench::with_broker(clusters, |_| {}, refusing).await;
    let labels =
        r#"{component="sentinel",version="0.1.0",resource_type="clusters",resource_selector="all""#;
    let events = wait_for(&events, 3).await;
    assert_eq!(
        events.last().unwrap().data.as_ref().unwrap()["id"],
        "b",
        "the others were not held up"
    );
    bench
        .metric(&format!(
            r#"hyperfleet_sentinel_broker_errors_total{labels},error_type="publish_error"}} 2"#
        ))
        .await;
    bench
        .metric(&format!(
            r#"hyperfleet_sentinel_pending_resources{labels}}} 0"#
        ))
        .await;
}

#[tokio::test]
async fn health_follows_the_polls() {
    let bench = Bench::start(Vec::new(), |config| {
        config.poll_interval = Duration::from_millis(200)
    })
    .await;
    let ready = async || bench.get(&format!("{}/readyz", bench.health)).await;
    let body = eventually("ready", PATIENCE, async || {
        Some(ready().await).filter(|(status, _)| *status == 200)
    })
    .await
    .1;
    assert_eq!(
        body,
        r#"{"checks":{"broker":"ok","sentinel_poll":"ok"},"status":"ok"}"#
    );
    assert_eq!(
        bench.get(&format!("{}/healthz", bench.health)).await,
        (200, r#"{"status":"ok"}"#.into())
    );
    bench
        .api
        .lock()
        .unwrap()
        .failures
        .insert(1, StatusCode::NOT_FOUND);
    let stale = async || {
        Some(bench.get(&format!("{}/healthz", bench.health)).await)
            .filter(|(status, _)| *status == 503)
    };
    assert_eq!(
        eventually("stale", PATIENCE, stale).await.1,
        r#"{"status":"poll stale"}"#
    );
    assert!(ready().await.1.contains(r#""status":"error""#));
    assert_eq!(bench.get(&format!("{}/livez", bench.health)).await.0, 200);
    bench.shutdown.cancel();
    bench.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn before_the_first_poll_nothing_is_ready() {
    let bench = Bench::start(Vec::new(), |config| {
        config.clients.hyperfleet_api.base_url = "http://127.0.0.1:9".into()
    })
    .await;
    let (status, body) = bench.get(&format!("{}/readyz", bench.health)).await;
    assert_eq!(status, 503);
    assert_eq!(
        body,
        r#"{"checks":{"broker":"ok","sentinel_poll":"no successful poll completed yet"},"status":"error"}"#
    );
    assert_eq!(bench.get(&format!("{}/healthz", bench.health)).await.0, 200);
}

#[tokio::test]
async fn an_api_that_refuses_at_start_ends_the_service() {
    let bench = Bench::start(Vec::new(), |config| {
        config.resource_type = "nothings".into()
    })
    .await;
    let error = bench.running.await.unwrap().unwrap_err().to_string();
    assert!(
        error.contains("/api/hyperfleet/v1/nothings") && error.contains("404"),
        "{error}"
    );
}

#[tokio::test]
async fn every_mistake_in_the_settings_is_named_at_once() {
    let mut config = Config::default();
    config.message_decision.result = "nope".into();
    config.message_data = json!({"a": "1 +", "b": null}).as_object().cloned().unwrap();
    let error = Service::bind(config, MemoryBroker::new())
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    for expected in [
        "'resource_type'",
        "'clients.hyperfleet_api.base_url'",
        "message_decision.result",
        "message_data.a",
        "message_data.b",
    ] {
        assert!(error.contains(expected), "{expected} not in {error}");
    }
}

/// A broker that refuses one resource for a while.
struct Refusing {
    inner: Arc<MemoryBroker>,
    id: String,
    left: Mutex<u32>,
}

#[async_trait::async_trait]
impl Broker for Refusing {
    async fn publish(&self, topic: &str, event: &Event) -> Result<(), event_broker::Error> {
        let refused = event
            .data
            .as_ref()
            .is_some_and(|data| data["id"] == self.id.as_str());
        if refused && *self.left.lock().unwrap() > 0 {
            *self.left.lock().unwrap() -= 1;
            return Err(event_broker::Error::Unavailable("told to refuse".into()));
        }
        self.inner.publish(topic, event).await
    }

    async fn subscribe(
        &self,
        subscription: Subscription,
    ) -> Result<event_broker::Consumer, event_broker::Error> {
        self.inner.subscribe(subscription).await
    }

    fn health(&self) -> Result<(), event_broker::Error> {
        self.inner.health()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
