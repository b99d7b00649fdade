//! A Maestro server for tests, in memory: REST, source service, and buttons for what the other side would do.
//!
//! It answers errors as upstream's server does: code UNKNOWN and a text.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicI64},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response as HttpResponse},
    routing::get,
};
use event_wire::{
    Action, Event, EventType, Stamp, Subresource,
    attribute::name,
    codec::server,
    proto::{
        CloudEvent, PublishRequest, SubscriptionRequest,
        cloud_event_service_server::{CloudEventService, CloudEventServiceServer},
    },
};
use jiff::Timestamp;
use manifestwork::{hash::status_hash, validate};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

type Answer<T> = Result<T, Status>;
type Outgoing = mpsc::Sender<Answer<CloudEvent>>;

/// A stored work.
#[derive(Clone)]
pub struct Row {
    pub source: String,
    pub consumer: String,
    pub version: i32,
    pub spec: Event,
    pub status: Option<Event>,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

#[derive(Default)]
pub struct Data {
    pub rows: BTreeMap<String, Row>,
    pub consumers: BTreeMap<String, Value>,
    subscribers: Vec<(String, Outgoing)>,
    /// Subscriptions that were ever opened.
    pub subscriptions: usize,
    /// Events that were published, in order.
    pub published: Vec<Event>,
    /// Texts and pages that were searched for.
    pub searches: Vec<HashMap<String, String>>,
    /// Authorization headers that came with gRPC and REST calls.
    pub tokens: Vec<Option<String>>,
    /// The header `traceparent` of REST calls that had one.
    pub traces: Vec<String>,
    /// Statuses that the next publishes are answered with; `true` stores the event all the same.
    pub failures: Vec<(Status, bool)>,
    /// What the next subscriptions are answered with.
    pub refusals: Vec<Status>,
    /// The only token that is taken.
    pub token: Option<String>,
    /// How long a list takes.
    pub list_delay: Duration,
    /// The executor is shown on single bundles, as our server does.
    pub shows_executor: bool,
}

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

impl Data {
    fn broadcast(&mut self, source: &str, event: &Event) {
        self.subscribers.retain(|(subscribed, subscriber)| {
            subscribed != source || subscriber.try_send(Ok(event.into())).is_ok()
        });
    }

    fn store(&mut self, event: Event) -> Answer<()> {
        let unknown = |text: String| Err(Status::unknown(text));
        let id = event.resource_id().unwrap().to_owned();
        let bundle = || event.json::<event_wire::payload::ManifestBundle>().unwrap();
        match event.event_type.action {
            Action::CreateRequest => {
                if self.rows.contains_key(&id) {
                    return unknown(
                        "failed to create resource: maestro-6: This Resource already exists".into(),
                    );
                }
                let consumer = event.cluster_name().unwrap().to_owned();
                if !self
                    .consumers
                    .values()
                    .any(|found| found["name"] == consumer.as_str())
                {
                    return unknown("failed to create resource: maestro-9: Unable to create Resource: ERROR: insert or update on table \"resources\" violates foreign key constraint \"fk_resources_consumers\" (SQLSTATE 23503)".into());
                }
                if let Err(error) = validate::for_server(&bundle().manifests) {
                    return unknown(format!(
                        "failed to create resource: maestro-8: the manifest bundle in the resource is invalid, {error}"
                    ));
                }
                let row = Row {
                    source: event.source.clone(),
                    consumer,
                    version: 1,
                    spec: event,
                    status: None,
                    created_at: Timestamp::now(),
                    deleted_at: None,
                };
                self.rows.insert(id, row);
            }
            Action::UpdateRequest => {
                let Some(row) = self.rows.get_mut(&id) else {
                    return unknown(format!(
                        "failed to get resource: maestro-7: Resource with id='{id}' not found"
                    ));
                };
                if row.deleted_at.is_some() {
                    return unknown(format!(
                        "failed to update resource: maestro-6: the resource is under deletion, id: {id}"
                    ));
                }
                let version = event.resource_version().unwrap();
                if version != 0 && version != row.version {
                    return unknown(format!(
                        "failed to update resource: maestro-6: the resource version is not the latest, the latest version: {}",
                        row.version
                    ));
                }
                row.version += 1;
                row.spec = event;
            }
            Action::DeleteRequest => {
                if let Some(row) = self.rows.get_mut(&id) {
                    row.deleted_at.get_or_insert_with(Timestamp::now);
                }
            }
            ref other => return unknown(format!("unsupported action {other}")),
        }
        Ok(())
    }

    /// Statuses are sent again: of the works that the request names with another hash, or of all.
    fn resync(&mut self, request: &Event) -> Answer<()> {
        let list: event_wire::payload::StatusHashList = request.json().unwrap();
        let again: Vec<Event> = self
            .rows
            .iter()
            .filter(|(id, row)| {
                row.source == request.source
                    && (list.status_hashes.is_empty()
                        || list
                            .status_hashes
                            .iter()
                            .any(|hash| hash.resource_id == **id))
            })
            .filter_map(|(_, row)| {
                let status = row.status.as_ref()?;
                server::status_for_source(status, &spec_with_times(row)).ok()
            })
            .collect();
        for event in again {
            self.broadcast(&request.source, &event);
        }
        Ok(())
    }

    fn allowed(&mut self, header: Option<&str>) -> bool {
        self.tokens.push(header.map(str::to_owned));
        match &self.token {
            None => true,
            Some(token) => header == Some(format!("Bearer {token}").as_str()),
        }
    }
}

/// The stored spec with the times of its row in the metadata, as the server tells it.
fn spec_with_times(row: &Row) -> Event {
    let mut spec = row.spec.clone();
    let mut metadata = spec.metadata().unwrap().unwrap_or_default();
    metadata.creation_timestamp = Some(row.created_at);
    metadata.deletion_timestamp = row.deleted_at;
    spec.set(name::METADATA, serde_json::to_string(&metadata).unwrap());
    spec
}

struct Service {
    data: Arc<Mutex<Data>>,
    heartbeat: Option<Duration>,
}

#[tonic::async_trait]
impl CloudEventService for Service {
    async fn publish(&self, request: Request<PublishRequest>) -> Answer<Response<()>> {
        let header = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let mut data = self.data.lock().unwrap();
        if !data.allowed(header.as_deref()) {
            return Err(Status::unknown("token not authenticated"));
        }
        let event = Event::try_from(request.into_inner().event.unwrap())
            .map_err(|error| Status::unknown(error.to_string()))?;
        data.published.push(event.clone());
        if event.event_type.action == Action::ResyncRequest {
            return data.resync(&event).map(Response::new);
        }
        if !data.failures.is_empty() {
            let (status, stored) = data.failures.remove(0);
            if stored {
                data.store(event)?;
            }
            return Err(status);
        }
        data.store(event).map(Response::new)
    }

    type SubscribeStream = Pin<Box<dyn tokio_stream::Stream<Item = Answer<CloudEvent>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscriptionRequest>,
    ) -> Answer<Response<Self::SubscribeStream>> {
        let header = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let mut data = self.data.lock().unwrap();
        if !data.allowed(header.as_deref()) {
            return Err(Status::unknown("token not authenticated"));
        }
        if !data.refusals.is_empty() {
            return Err(data.refusals.remove(0));
        }
        let (sender, receiver) = mpsc::channel(1000);
        data.subscriptions += 1;
        data.subscribers
            .push((request.into_inner().source, sender.clone()));
        if let Some(interval) = self.heartbeat {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(interval).await;
                    if sender
                        .send(Ok(event_wire::heartbeat(uuid::Uuid::new_v4())))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
        let mut response: Response<Self::SubscribeStream> =
            Response::new(Box::pin(ReceiverStream::new(receiver)));
        response
            .metadata_mut()
            .insert("subscription-id", "1".parse().unwrap());
        Ok(response)
    }
}

type Shared = State<Arc<Mutex<Data>>>;

fn router(data: Arc<Mutex<Data>>) -> Router {
    let api = Router::new()
        .route("/resource-bundles", get(list_bundles))
        .route(
            "/resource-bundles/{id}",
            get(get_bundle).delete(delete_bundle),
        )
        .route("/consumers", get(list_consumers).post(create_consumer));
    Router::new().nest("/api/maestro/v1", api).with_state(data)
}

fn problem(status: StatusCode, code: u32, reason: &str) -> HttpResponse {
    (status, Json(json!({"kind": "Error", "id": code.to_string(), "code": format!("maestro-{code}"), "reason": reason}))).into_response()
}

#[allow(clippy::result_large_err, reason = "a test")]
fn check(data: &mut Data, headers: &HeaderMap) -> Result<(), HttpResponse> {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap());
    data.traces.extend(header("traceparent").map(str::to_owned));
    if data.allowed(header("authorization")) {
        Ok(())
    } else {
        Err(problem(
            StatusCode::UNAUTHORIZED,
            15,
            "Account authentication could not be verified",
        ))
    }
}

fn bundle(id: &str, row: &Row, single: bool, executor: bool) -> Value {
    let payload: Value = serde_json::from_slice(row.spec.data.as_deref().unwrap_or(b"{}")).unwrap();
    let metadata = spec_with_times(row).metadata().unwrap().unwrap();
    let mut bundle = json!({"id": id, "kind": "ResourceBundle", "href": format!("/api/maestro/v1/resource-bundles/{id}"), "name": id,
        "consumer_name": row.consumer, "version": row.version, "created_at": row.created_at, "updated_at": row.created_at,
        "metadata": metadata, "manifests": payload["manifests"],
        "manifest_configs": payload.get("manifestConfigs").cloned().unwrap_or(json!([])),
        "delete_option": payload.get("deleteOption").cloned().unwrap_or(json!({}))});
    if let Some(time) = row.deleted_at {
        bundle["deleted_at"] = json!(time);
    }
    if single && executor {
        bundle["executer"] = payload["executer"].clone();
        bundle["source"] = json!(row.source);
    }
    if let Some(status) = &row.status {
        let mut shown: Value = serde_json::from_slice(status.data.as_deref().unwrap()).unwrap();
        shown["ObservedVersion"] = json!(status.resource_version().unwrap());
        shown["SequenceID"] = json!(status.sequence_id().unwrap().to_string());
        bundle["status"] = shown;
    }
    bundle
}

/// The few searches that clients make: terms joined by `and`.
fn found(
    search: &str,
    id: &str,
    source: &str,
    consumer: &str,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    search
        .split(" and ")
        .filter(|term| !term.is_empty())
        .all(|term| {
            let quoted = || term.split('\'').nth(1).unwrap();
            if let Some(rest) = term.strip_prefix("payload->'metadata'->'labels'@>") {
                let wanted: BTreeMap<String, String> =
                    serde_json::from_str(rest.trim_matches('\'')).unwrap();
                return wanted
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value));
            }
            if let Some(rest) = term.strip_prefix("payload->'metadata'->>'name' = ") {
                return name == rest.trim_matches('\'');
            }
            if let Some(rest) = term.strip_prefix("payload->'metadata'->'labels'->>") {
                let mut parts = rest.split('\'').skip(1).step_by(2);
                let key = parts.next().unwrap();
                assert!(rest.contains("'in("), "only `in` is sent: {term}");
                return labels
                    .get(key)
                    .is_some_and(|value| parts.any(|part| part == value));
            }
            match term.split(['=', '>']).next().unwrap().trim() {
                "source" => source == quoted(),
                "consumer_name" => consumer == quoted(),
                "name" => name == quoted(),
                "id" => id > quoted(),
                other => panic!("unknown column {other} in {search}"),
            }
        })
}

fn page(query: &HashMap<String, String>, kind: &str, mut items: Vec<Value>) -> Json<Value> {
    let number =
        |key: &str, default: usize| query.get(key).map_or(default, |text| text.parse().unwrap());
    let (page, size) = (number("page", 1), number("size", 100));
    let total = items.len();
    items = items
        .into_iter()
        .skip((page - 1) * size)
        .take(size)
        .collect();
    Json(json!({"kind": kind, "page": page, "size": items.len(), "total": total, "items": items}))
}

async fn list_bundles(
    State(shared): Shared,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> HttpResponse {
    let delay = shared.lock().unwrap().list_delay;
    let items = {
        let mut data = shared.lock().unwrap();
        if let Err(refusal) = check(&mut data, &headers) {
            return refusal;
        }
        data.searches.push(query.clone());
        let search = query.get("search").cloned().unwrap_or_default();
        data.rows
            .iter()
            .filter(|(id, row)| {
                let metadata = row.spec.metadata().unwrap().unwrap_or_default();
                found(
                    &search,
                    id,
                    &row.source,
                    &row.consumer,
                    &metadata.name,
                    &metadata.labels,
                )
            })
            .map(|(id, row)| bundle(id, row, false, false))
            .collect()
    };
    tokio::time::sleep(delay).await;
    page(&query, "ResourceBundleList", items).into_response()
}

async fn get_bundle(
    State(shared): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> HttpResponse {
    let mut data = shared.lock().unwrap();
    if let Err(refusal) = check(&mut data, &headers) {
        return refusal;
    }
    match data.rows.get(&id) {
        Some(row) => Json(bundle(&id, row, true, data.shows_executor)).into_response(),
        None => problem(
            StatusCode::NOT_FOUND,
            7,
            &format!("Resource with id='{id}' not found"),
        ),
    }
}

async fn delete_bundle(
    State(shared): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> HttpResponse {
    let mut data = shared.lock().unwrap();
    if let Err(refusal) = check(&mut data, &headers) {
        return refusal;
    }
    if let Some(row) = data.rows.get_mut(&id) {
        row.deleted_at.get_or_insert_with(Timestamp::now);
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn list_consumers(
    State(shared): Shared,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> HttpResponse {
    let mut data = shared.lock().unwrap();
    if let Err(refusal) = check(&mut data, &headers) {
        return refusal;
    }
    let search = query.get("search").cloned().unwrap_or_default();
    let items = data
        .consumers
        .iter()
        .filter(|(id, consumer)| {
            found(
                &search,
                id,
                "",
                "",
                consumer["name"].as_str().unwrap(),
                &BTreeMap::new(),
            )
        })
        .map(|(_, consumer)| consumer.clone())
        .collect();
    page(&query, "ConsumerList", items).into_response()
}

async fn create_consumer(State(shared): Shared, Json(body): Json<Value>) -> HttpResponse {
    let mut data = shared.lock().unwrap();
    let name = body["name"].as_str().unwrap().to_owned();
    let id = format!("id-{name}");
    if data.consumers.contains_key(&id) {
        return problem(StatusCode::CONFLICT, 6, "This Consumer already exists");
    }
    let consumer = json!({"id": id, "kind": "Consumer", "name": name, "labels": body["labels"]});
    data.consumers.insert(id, consumer.clone());
    (StatusCode::CREATED, Json(consumer)).into_response()
}
