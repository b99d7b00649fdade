//! A server in this process, and raw clients that play sources and agents.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use event_wire::attribute::name;
use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{CloudEvent, PublishRequest, SubscriptionRequest};
use event_wire::{Action, Event, EventType, Incoming, MANIFEST_BUNDLES, Stamp, Subresource};
use maestro_server::config::Secret;
use maestro_server::{Addresses, Config, Database, Service};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

/// Far more than anything needs; it only costs time when a test fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    pub addresses: Addresses,
    config: Config,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(config: Config) -> Self {
        let service = Service::bind(config.clone()).await.unwrap();
        let addresses = service.addresses();
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let task = tokio::spawn(async move { service.run(token).await.unwrap() });
        Self {
            addresses,
            config,
            shutdown,
            task,
        }
    }

    /// A server with its data in memory.
    pub async fn memory() -> Self {
        Self::start(Config::default()).await
    }

    /// Ends the server in order, and returns what it was started with.
    pub async fn stop(mut self) -> Config {
        self.shutdown.cancel();
        (&mut self.task).await.unwrap();
        self.config.clone()
    }

    /// What it was started with.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.rest)
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(reqwest::get(self.url(path)).await.unwrap()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let method = method.parse().unwrap();
        let request = http_client()
            .request(method, self.url(path))
            .body(body.to_owned());
        answer(request.send().await.unwrap()).await
    }

    /// Registers a cluster.
    pub async fn cluster(&self, name: &str) -> String {
        let body = json!({"name": name}).to_string();
        let (status, body) = self.send("POST", "/api/maestro/v1/consumers", &body).await;
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    pub async fn bundle(&self, id: &str) -> (u16, Value) {
        self.get(&format!("/api/maestro/v1/resource-bundles/{id}"))
            .await
    }

    pub async fn source(&self, id: &str) -> Source {
        Source {
            id: id.to_owned(),
            client: connect(self.addresses.grpc.to_string()).await,
        }
    }

    pub async fn agent(&self, cluster: &str) -> Agent {
        Agent {
            cluster: cluster.to_owned(),
            client: connect(self.addresses.broker.to_string()).await,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap()
    };
    (status, body)
}

pub fn http_client() -> reqwest::Client {
    service_runtime::install_crypto_provider();
    reqwest::Client::new()
}

/// A connection of its own.
pub async fn connect(address: String) -> CloudEventServiceClient<Channel> {
    try_connect(address).await.unwrap()
}

pub async fn try_connect(
    address: String,
) -> Result<CloudEventServiceClient<Channel>, tonic::transport::Error> {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await?;
    Ok(CloudEventServiceClient::new(channel)
        .max_decoding_message_size(64 * 1024 * 1024)
        .max_encoding_message_size(64 * 1024 * 1024))
}

/// A folder that goes with the test; in memory where the system allows it, for commits there cost nothing.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A server with its data in a file of the folder.
pub fn sqlite_in(folder: &tempfile::TempDir) -> Config {
    Config {
        database: Database::Sqlite(folder.path().join("maestro.db")),
        ..Config::default()
    }
}

/// A fresh PostgreSQL database.
pub async fn postgres() -> Config {
    let server = testkit::postgres::Server::shared().await.unwrap();
    let url = server.database().await.unwrap().url();
    Config {
        database: Database::Postgres(Secret(url)),
        ..Config::default()
    }
}

/// The address of a PostgreSQL database.
pub fn url(config: &Config) -> String {
    let Database::Postgres(Secret(url)) = config.database.clone() else {
        panic!("PostgreSQL")
    };
    url
}

/// A session at its prompt.
pub async fn session(config: &Config) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&url(config), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

/// The same server with little patience: reminders and resyncs come after fractions of a second.
pub fn impatient(mut config: Config) -> Config {
    config.limits.sweep_interval = Duration::from_millis(50);
    config.limits.grace = Duration::from_millis(100);
    config.limits.resync_wait = Duration::from_millis(200);
    config
}

/// One manifest.
pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
}

/// The data of a spec event.
pub fn bundle(manifests: &[Value]) -> Value {
    json!({"manifests": manifests})
}

/// A bundle whose manifest is so large.
pub fn large_bundle(bytes: usize) -> Value {
    let mut manifest = config_map("large");
    manifest["data"] = json!({"k": "x".repeat(bytes)});
    bundle(&[manifest])
}

/// Plays a source.
#[derive(Clone)]
pub struct Source {
    pub id: String,
    pub client: CloudEventServiceClient<Channel>,
}

impl Source {
    /// A spec event as the Go SDK writes it.
    pub fn event(
        &self,
        action: Action,
        id: &str,
        cluster: &str,
        version: i32,
        data: Option<&Value>,
    ) -> Event {
        let kind = EventType::manifest_bundles(Subresource::Spec, action);
        let mut event = Event::new(kind, self.id.as_str(), Stamp::now());
        let metadata = json!({"name": format!("work-{id}"), "namespace": cluster, "uid": id, "resourceVersion": "0",
            "labels": {"app": "test"}});
        event
            .set(name::RESOURCE_ID, id)
            .set(name::RESOURCE_VERSION, version)
            .set(name::CLUSTER_NAME, cluster)
            .set(name::ORIGINAL_SOURCE, "")
            .set(name::LOG_TRACING, "{}")
            .set(name::METADATA, metadata.to_string());
        if let Some(data) = data {
            event.set_json(data);
        }
        event
    }

    pub async fn publish(&self, event: impl Into<CloudEvent>) -> Result<(), Status> {
        let request = PublishRequest {
            event: Some(event.into()),
        };
        self.client.clone().publish(request).await.map(drop)
    }

    pub async fn create(&self, id: &str, cluster: &str, data: &Value) -> Result<(), Status> {
        self.publish(self.event(Action::CreateRequest, id, cluster, 0, Some(data)))
            .await
    }

    pub async fn update(
        &self,
        id: &str,
        cluster: &str,
        version: i32,
        data: &Value,
    ) -> Result<(), Status> {
        self.publish(self.event(Action::UpdateRequest, id, cluster, version, Some(data)))
            .await
    }

    pub async fn delete(&self, id: &str, cluster: &str) -> Result<(), Status> {
        let mut event = self.event(Action::DeleteRequest, id, cluster, 0, None);
        event.set(name::DELETION_TIMESTAMP, jiff::Timestamp::now());
        self.publish(event).await
    }

    pub async fn subscribe(&self) -> Events {
        let request = SubscriptionRequest {
            source: self.id.clone(),
            data_type: MANIFEST_BUNDLES.to_owned(),
            ..Default::default()
        };
        Events::new(self.client.clone().subscribe(request).await.unwrap())
    }
}

/// Plays an agent.
#[derive(Clone)]
pub struct Agent {
    pub cluster: String,
    pub client: CloudEventServiceClient<Channel>,
}

impl Agent {
    pub async fn subscribe(&self) -> Events {
        self.try_subscribe().await.unwrap()
    }

    pub async fn try_subscribe(&self) -> Result<Events, Status> {
        let request = SubscriptionRequest {
            cluster_name: self.cluster.clone(),
            data_type: MANIFEST_BUNDLES.to_owned(),
            ..Default::default()
        };
        Ok(Events::new(self.client.clone().subscribe(request).await?))
    }

    /// Subscribes and says what it has.
    pub async fn join(&self, held: &[(&str, i64)]) -> Events {
        let events = self.subscribe().await;
        self.resync(held).await.unwrap();
        events
    }

    pub async fn resync(&self, held: &[(&str, i64)]) -> Result<(), Status> {
        let versions = held
            .iter()
            .map(|(id, version)| event_wire::payload::ResourceVersion {
                resource_id: (*id).to_owned(),
                resource_version: *version,
            })
            .collect();
        let event = event_wire::codec::agent::spec_resync_request(
            "agent",
            &self.cluster,
            versions,
            Stamp::now(),
        );
        self.publish(event).await
    }

    pub async fn publish(&self, event: impl Into<CloudEvent>) -> Result<(), Status> {
        let request = PublishRequest {
            event: Some(event.into()),
        };
        self.client.clone().publish(request).await.map(drop)
    }

    /// A status event for what was received.
    pub fn status(&self, received: &Received, conditions: &Value) -> Event {
        static STEP: AtomicI64 = AtomicI64::new(0);
        let step = STEP.fetch_add(1, Ordering::Relaxed);
        let sequence = (2_000_000_000_000_000_000_i64 + (1 << 12)) + (step << 22);
        let kind = EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest);
        let mut event = Event::new(kind, format!("{}-work-agent", self.cluster), Stamp::now());
        event
            .set(name::RESOURCE_ID, received.id.as_str())
            .set(name::RESOURCE_VERSION, received.version)
            .set(name::CLUSTER_NAME, self.cluster.as_str())
            .set(name::ORIGINAL_SOURCE, "maestro")
            .set(name::SEQUENCE_ID, sequence.to_string())
            .set(name::STATUS_HASH, format!("{step:064x}"))
            .set_json(&json!({"conditions": conditions}));
        if let Some(metadata) = &received.metadata {
            event.set(name::METADATA, metadata.to_string());
        }
        event
    }

    /// Reports that everything is applied.
    pub async fn applied(&self, received: &Received) -> Result<(), Status> {
        let conditions = condition("Applied", "True", received.version);
        self.publish(self.status(received, &conditions)).await
    }

    /// Reports that everything is gone.
    pub async fn deleted(&self, received: &Received) -> Result<(), Status> {
        let conditions = condition("Deleted", "True", received.version);
        self.publish(self.status(received, &conditions)).await
    }
}

pub fn condition(kind: &str, status: &str, generation: i32) -> Value {
    json!([{"type": kind, "status": status, "observedGeneration": generation, "reason": "Test", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}])
}

/// The receiving side of a stream.
pub struct Events {
    pub subscription_id: Option<String>,
    stream: Streaming<CloudEvent>,
}

/// What tests look at in an event.
#[derive(Clone, Debug)]
pub struct Received {
    pub event: Event,
    pub id: String,
    pub version: i32,
    pub deleting: bool,
    pub metadata: Option<Value>,
}

impl Received {
    pub fn action(&self) -> String {
        self.event.event_type.action.to_string()
    }

    pub fn data(&self) -> Value {
        self.event
            .data
            .as_ref()
            .map_or(Value::Null, |data| serde_json::from_slice(data).unwrap())
    }

    /// Status of a condition in the data of a status event.
    pub fn condition(&self, kind: &str) -> Option<String> {
        let data = self.data();
        let conditions = data["conditions"].as_array()?;
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == kind)?;
        Some(found["status"].as_str()?.to_owned())
    }
}

impl Events {
    fn new(response: tonic::Response<Streaming<CloudEvent>>) -> Self {
        let id = response
            .metadata()
            .get("subscription-id")
            .map(|id| id.to_str().unwrap().to_owned());
        Self {
            subscription_id: id,
            stream: response.into_inner(),
        }
    }

    /// The next message, heartbeats included.
    pub async fn raw(&mut self) -> Result<Option<CloudEvent>, Status> {
        tokio::time::timeout(DEADLINE, self.stream.message())
            .await
            .expect("a message in time")
    }

    /// The next event; heartbeats are passed over.
    pub async fn next(&mut self) -> Received {
        self.try_next().await.unwrap().expect("the stream goes on")
    }

    /// The next event, or how the stream ended. Heartbeats give no more time.
    pub async fn try_next(&mut self) -> Result<Option<Received>, Status> {
        let event = async {
            while let Some(message) = self.raw().await? {
                if let Incoming::Event(event) = Incoming::from_proto(message).unwrap() {
                    return Ok(Some(received(*event)));
                }
            }
            Ok(None)
        };
        tokio::time::timeout(DEADLINE, event)
            .await
            .expect("an event in time")
    }

    /// Waits until one of the events is the one looked for, and returns it. Others give no more time.
    pub async fn until(&mut self, wanted: impl Fn(&Received) -> bool) -> Received {
        let event = async {
            loop {
                let event = self.next().await;
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(DEADLINE, event)
            .await
            .expect("the event in time")
    }

    /// Collects events until each of `count` ids came at least once; the last of each id.
    pub async fn collect(&mut self, count: usize) -> BTreeMap<String, Received> {
        let mut all = BTreeMap::new();
        while all.len() < count {
            let event = self.next().await;
            all.insert(event.id.clone(), event);
        }
        all
    }

    /// Asserts that nothing comes for a while.
    pub async fn silence(&mut self, time: Duration) {
        let quiet = async {
            loop {
                let message = self
                    .stream
                    .message()
                    .await
                    .unwrap()
                    .expect("the stream goes on");
                if let Incoming::Event(event) = Incoming::from_proto(message).unwrap() {
                    return event;
                }
            }
        };
        if let Ok(event) = tokio::time::timeout(time, quiet).await {
            panic!("unexpected: {event:?}");
        }
    }

    /// Waits for the end of the stream.
    pub async fn end(&mut self) -> Code {
        loop {
            match self.raw().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    }
}

fn received(event: Event) -> Received {
    Received {
        id: event.resource_id().unwrap().to_owned(),
        version: event.resource_version().unwrap(),
        deleting: event.deletion_timestamp().unwrap().is_some(),
        metadata: event
            .metadata_text()
            .unwrap()
            .map(|text| serde_json::from_str(text).unwrap()),
        event,
    }
}
