//! A server under test and short ways to talk to it.

use hyperfleet_api::{Config, Database, Service, http::identity, registry::Entity};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Path of clusters.
pub const CLUSTERS: &str = "/api/hyperfleet/v1/clusters";

pub struct Server {
    pub base: String,
    pub health: String,
    pub metrics: String,
    http: reqwest::Client,
    pub headers: HeaderMap,
    stop: DropGuard,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), hyperfleet_api::Error>>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    /// Status, code and detail of a problem.
    pub fn problem(&self) -> (u16, &str, &str) {
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{self:?}"
        );
        let word = |name: &str| self.body[name].as_str().unwrap_or_default();
        assert_eq!(self.body["status"], self.status.as_u16());
        (
            self.status.as_u16(),
            word("code").trim_start_matches("HYPERFLEET-"),
            word("detail"),
        )
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.body
    }
}

impl Server {
    pub async fn sqlite() -> Self {
        Self::ready(Self::config(Database::SqliteMemory)).await
    }

    pub async fn postgres() -> Self {
        Self::ready(Self::config(database().await)).await
    }

    /// Starts and waits until requests are served.
    pub async fn ready(config: Config) -> Self {
        let server = Self::start(config).await;
        let readyz = format!("{}/readyz", server.health);
        testkit::eventually(
            "the server is ready",
            std::time::Duration::from_secs(60),
            async || (server.get(&readyz).await.status == 200).then_some(()),
        )
        .await;
        server
    }

    /// Few adapters, so that scenarios stay short.
    pub fn config(database: Database) -> Config {
        let listen = || "127.0.0.1:0".to_owned();
        let config = Config {
            listen: listen(),
            health_listen: listen(),
            metrics_listen: listen(),
            database,
            ..Config::default()
        };
        config
            .required_adapters("Cluster", &["validation", "dns"])
            .required_adapters("NodePool", &["validation"])
    }

    pub async fn with_entities(database: Database, change: impl FnOnce(&mut Vec<Entity>)) -> Self {
        let mut config = Self::config(database);
        change(&mut config.entities);
        Self::ready(config).await
    }

    pub async fn with_identity(options: identity::Options) -> Self {
        Self::ready(Config {
            identity: options,
            ..Self::config(Database::SqliteMemory)
        })
        .await
    }

    pub async fn start(config: Config) -> Self {
        service_runtime::install_crypto_provider();
        let service = Service::bind(config).await.unwrap();
        let addresses = service.addresses();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        let url = |address| format!("http://{address}");
        Self {
            base: url(addresses.rest),
            health: url(addresses.health),
            metrics: url(addresses.metrics),
            http: reqwest::Client::new(),
            headers: HeaderMap::new(),
            stop: shutdown.clone().drop_guard(),
            shutdown,
            running,
        }
    }

    /// Ends the server when it is cancelled.
    pub fn stopper(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Ends the server and waits for it.
    pub async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        let mut request = self.http.request(method, url).headers(self.headers.clone());
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer {
            status,
            headers,
            text,
            body,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// A list with URL-encoded parameters.
    pub async fn list(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let url =
            reqwest::Url::parse_with_params(&format!("{}{path}", self.base), parameters).unwrap();
        self.get(url.as_str()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Creates a cluster and returns its path.
    pub async fn cluster(&self, name: &str) -> String {
        let body = self.post(CLUSTERS, cluster(name)).await.expect(201);
        body["href"].as_str().unwrap().to_owned()
    }

    /// Creates a node pool and returns its (nested) path.
    pub async fn nodepool(&self, cluster: &str, name: &str) -> String {
        let body = json!({"kind": "NodePool", "name": name, "spec": {}});
        let body = self
            .post(&format!("{cluster}/nodepools"), body)
            .await
            .expect(201);
        body["href"].as_str().unwrap().to_owned()
    }

    /// Reports with the three mandatory conditions, `Available` as given.
    pub async fn report(
        &self,
        resource: &str,
        adapter: &str,
        generation: i64,
        available: &str,
    ) -> Answer {
        self.put(
            &format!("{resource}/statuses"),
            report(adapter, generation, available),
        )
        .await
    }

    /// Reports `Finalized=True`.
    pub async fn finalize(&self, resource: &str, adapter: &str, generation: i64) -> Answer {
        let mut body = report(adapter, generation, "False");
        body["conditions"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "Finalized", "status": "True"}));
        self.put(&format!("{resource}/statuses"), body).await
    }

    /// A condition of a resource as it is now.
    pub async fn condition(&self, resource: &str, type_: &str) -> Value {
        let body = self.get(resource).await.expect(200);
        condition(&body, type_)
    }
}

/// A fresh database.
pub async fn database() -> Database {
    let database = testkit::postgres::Server::shared()
        .await
        .unwrap()
        .database()
        .await
        .unwrap();
    Database::Postgres(Box::new(
        sql_store::postgres::Config::from_url(&database.url()).unwrap(),
    ))
}

pub fn cluster(name: &str) -> Value {
    json!({"kind": "Cluster", "name": name, "spec": {}})
}

pub fn report(adapter: &str, generation: i64, available: &str) -> Value {
    json!({
        "adapter": adapter,
        "observed_generation": generation,
        "conditions": [
            {"type": "Applied", "status": "True"},
            {"type": "Available", "status": available, "reason": "Said", "message": "so"},
            {"type": "Health", "status": "True"},
        ],
    })
}

pub fn condition(resource: &Value, type_: &str) -> Value {
    let conditions = resource["status"]["conditions"].as_array().unwrap();
    conditions
        .iter()
        .find(|condition| condition["type"] == type_)
        .cloned()
        .unwrap_or_default()
}
