//! A Maestro server for tests, in memory: REST, source service, and buttons for what the other side would do.
//!
//! It answers errors as upstream's server does: code UNKNOWN and a text.

#[path = "fake/grpc.rs"]
mod grpc;
#[path = "fake/rest.rs"]
mod rest;
#[path = "fake/store.rs"]
mod store;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicI64},
    time::Duration,
};

use event_wire::{
    Action, Event, EventType, Stamp, Subresource, attribute::name, codec::server,
    proto::cloud_event_service_server::CloudEventServiceServer,
};
use manifestwork::hash::status_hash;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;

use grpc::Service;
use rest::router;
use store::spec_with_times;
pub use store::{Data, Row};

type Answer<T> = Result<T, Status>;

#[derive(Clone)]
pub struct Fake {
    data: Arc<Mutex<Data>>,
    sequence: Arc<AtomicI64>,
    pub rest: SocketAddr,
    pub grpc: SocketAddr,
    tasks: Arc<Tasks>,
}

struct Tasks(Mutex<Vec<JoinHandle<()>>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.lock().unwrap().drain(..) {
            task.abort();
        }
    }
}

/// TLS of the source service.
pub type Tls = service_runtime::tls::Server;

impl Fake {
    pub async fn start() -> Self {
        Self::start_with(None, Some(Duration::from_millis(200))).await
    }

    pub async fn start_with(tls: Option<Tls>, heartbeat: Option<Duration>) -> Self {
        let rest = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            data: Arc::default(),
            sequence: Arc::new(AtomicI64::new(1)),
            rest: rest.local_addr().unwrap(),
            grpc: grpc.local_addr().unwrap(),
            tasks: Arc::new(Tasks(Mutex::default())),
        };
        // Tasks hold the data only: when the last handle goes they are aborted.
        let service = Service {
            data: Arc::clone(&fake.data),
            heartbeat,
        };
        let router = router(Arc::clone(&fake.data));
        let mut tasks = fake.tasks.0.lock().unwrap();
        tasks.push(tokio::spawn(async move {
            axum::serve(rest, router).await.unwrap()
        }));
        let mut builder = tonic::transport::Server::builder();
        let routes = builder.add_service(CloudEventServiceServer::new(service));
        tasks.push(match tls {
            None => tokio::spawn(async move {
                routes
                    .serve_with_incoming(TcpListenerStream::new(grpc))
                    .await
                    .unwrap()
            }),
            Some(tls) => tokio::spawn(async move {
                routes
                    .serve_with_incoming(service_runtime::tls::incoming(grpc, tls))
                    .await
                    .unwrap();
            }),
        });
        drop(tasks);
        fake.consumer("c1");
        fake
    }

    pub fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }

    pub fn rest_url(&self) -> String {
        format!("http://{}", self.rest)
    }

    pub fn consumer(&self, name: &str) {
        let consumer = json!({"id": format!("id-{name}"), "kind": "Consumer", "name": name});
        self.data().consumers.insert(format!("id-{name}"), consumer);
    }

    /// The id of a work by its name.
    pub fn id(&self, work: &str) -> String {
        let data = self.data();
        let found = data
            .rows
            .iter()
            .find(|(_, row)| row.spec.metadata().unwrap().unwrap().name == work);
        found.unwrap_or_else(|| panic!("no work {work}")).0.clone()
    }

    /// The agent reports Applied and Available for the current version, with a feedback value.
    pub fn report(&self, work: &str, feedback: Value) {
        let id = self.id(work);
        let generation = self.data().rows[&id].version;
        self.report_status(&id, |meta| {
            json!({"conditions": [
                {"type": "Applied", "status": "True", "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:03Z", "reason": "AppliedManifestWorkComplete", "message": ""},
                {"type": "Available", "status": "True", "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:04Z", "reason": "ResourcesAvailable", "message": ""}],
              "resourceStatus": [{"resourceMeta": meta,
                "statusFeedback": {"values": [{"name": "status", "fieldValue": {"type": "JsonRaw", "jsonRaw": feedback.to_string()}}]},
                "conditions": [{"type": "Applied", "status": "True", "lastTransitionTime": "2026-01-01T00:00:03Z", "reason": "AppliedManifestComplete", "message": ""}]}]})
        });
    }

    /// The agent reports any status; the argument is the first manifest's resource meta.
    pub fn report_status(&self, id: &str, status: impl FnOnce(Value) -> Value) {
        let sequence = self.next_sequence();
        let mut data = self.data();
        let row = data.rows.get_mut(id).unwrap();
        let bundle: event_wire::payload::ManifestBundle = row.spec.json().unwrap();
        let meta = bundle.manifests.first().map_or(Value::Null, |manifest| {
            let meta = manifest.meta().unwrap();
            let (group, version) = meta.api_version.split_once('/').unwrap_or(("", &meta.api_version));
            json!({"ordinal": 0, "group": group, "version": version, "kind": meta.kind,
                   "resource": format!("{}s", meta.kind.to_lowercase()), "name": meta.metadata.name, "namespace": meta.metadata.namespace})
        });
        let mut event = Event::new(
            EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest),
            "agent",
            Stamp::now(),
        );
        let payload: event_wire::payload::ManifestBundleStatus =
            serde_json::from_value(status(meta)).unwrap();
        event
            .set(name::RESOURCE_ID, id)
            .set(name::RESOURCE_VERSION, row.version)
            .set(name::CLUSTER_NAME, row.consumer.as_str())
            .set(name::ORIGINAL_SOURCE, "maestro")
            .set(name::SEQUENCE_ID, sequence)
            .set(name::STATUS_HASH, status_hash(&payload.clone().into()))
            .set_json(&payload);
        row.status = Some(event.clone());
        let (source, event) = (
            row.source.clone(),
            server::status_for_source(&event, &spec_with_times(row)).unwrap(),
        );
        data.broadcast(&source, &event);
    }

    /// The agent reports that everything is gone; the row goes.
    pub fn finish_deletion(&self, work: &str) {
        let id = self.id(work);
        self.report_status(&id, |_| {
            json!({"conditions": [{"type": "Deleted", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z", "reason": "ManifestsDeleted", "message": "The manifests are deleted"}]})
        });
        self.data().rows.remove(&id);
    }

    /// The row goes and nobody is told.
    pub fn vanish(&self, work: &str) {
        let id = self.id(work);
        self.data().rows.remove(&id);
    }

    /// Ends every subscription.
    pub fn end_subscriptions(&self) {
        for (_, subscriber) in self.data().subscribers.drain(..) {
            tokio::spawn(async move {
                drop(
                    subscriber
                        .send(Err(Status::unavailable("shutting down")))
                        .await,
                )
            });
        }
    }

    /// Whether nobody is subscribed.
    pub fn is_deserted(&self) -> bool {
        self.data()
            .subscribers
            .iter()
            .all(|(_, subscriber)| subscriber.is_closed())
    }

    fn next_sequence(&self) -> String {
        let sequence = self
            .sequence
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        ((sequence << 22) | (1 << 12)).to_string()
    }
}
