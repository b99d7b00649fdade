//! The server's agent port as a test double: rows, versions, resync, statuses, and faults on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use event_wire::codec::{server, source};
use event_wire::payload::ResourceVersion;
use event_wire::proto::cloud_event_service_server::{CloudEventService, CloudEventServiceServer};
use event_wire::proto::{CloudEvent, PublishRequest, SubscriptionRequest};
use event_wire::{Action, Event, SUBSCRIPTION_ID_HEADER, Stamp};
use futures::Stream;
use jiff::Timestamp;
use manifestwork::{ManifestWork, conditions};
use service_runtime::tls;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

pub const CONSUMER: &str = "c1";

/// A row as the server would hold it.
#[derive(Debug, Clone)]
struct Row {
    spec: Event,
    version: i32,
    deleted_at: Option<Timestamp>,
}

/// A status as it came in.
#[derive(Debug, Clone)]
pub struct Report {
    pub at: Instant,
    pub work: ManifestWork,
    pub event: Event,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<String, Row>,
    streams: Vec<mpsc::Sender<Result<CloudEvent, Status>>>,
    reports: BTreeMap<String, Vec<Report>>,
    resyncs: Vec<Vec<ResourceVersion>>,
    refuse_publish: bool,
    keep_rows: bool,
    last_sequence: Option<String>,
    /// What requests must carry.
    token: Option<String>,
}

/// The double. Dropping it stops it.
pub struct Broker {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    shutdown: CancellationToken,
}

impl Broker {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), Arc::default()).await
    }

    /// Speaks TLS and wants this token with every request.
    pub async fn start_secured(files: tls::Files, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let state = Arc::new(Mutex::new(State {
            token: Some(format!("Bearer {token}")),
            ..State::default()
        }));
        let service = CloudEventServiceServer::new(Double(Arc::clone(&state)));
        let stop = shutdown.clone();
        let incoming = tls::incoming(listener, tls::Server::load(files).await.unwrap());
        tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming_shutdown(incoming, stop.cancelled())
                .await
                .unwrap();
        });
        Self {
            address,
            state,
            shutdown,
        }
    }

    /// Sends a heartbeat to everybody.
    pub fn beat(&self) {
        let message = event_wire::heartbeat(uuid());
        self.state()
            .streams
            .retain(|stream| stream.try_send(Ok(message.clone())).is_ok());
    }

    async fn start_at(address: SocketAddr, state: Arc<Mutex<State>>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let service = CloudEventServiceServer::new(Double(Arc::clone(&state)));
        let stop = shutdown.clone();
        tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled())
                .await
                .unwrap();
        });
        Self {
            address,
            state,
            shutdown,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Creates or updates a row and sends it.
    pub fn put(&self, work: &ManifestWork) -> i32 {
        let mut state = self.state();
        let id = work.metadata.uid.clone();
        let version = state.rows.get(&id).map_or(1, |row| row.version + 1);
        let mut work = work.clone();
        let created = state.rows.get(&id).map_or_else(
            || {
                work.metadata
                    .creation_timestamp
                    .unwrap_or_else(Timestamp::now)
            },
            |row| {
                row.spec
                    .metadata()
                    .unwrap()
                    .unwrap()
                    .creation_timestamp
                    .unwrap()
            },
        );
        work.metadata.creation_timestamp = Some(created);
        work.metadata.generation = i64::from(version);
        let spec =
            source::encode_spec(&work, Action::CreateRequest, "source", Stamp::now()).unwrap();
        let row = Row {
            spec,
            version,
            deleted_at: None,
        };
        let action = if version == 1 {
            Action::CreateRequest
        } else {
            Action::UpdateRequest
        };
        let event = for_agent(&id, &row, action);
        state.rows.insert(id, row);
        send(&mut state, event);
        version
    }

    /// Marks a row and sends the deletion.
    pub fn delete(&self, id: &str) {
        let mut state = self.state();
        let row = state.rows.get_mut(id).unwrap();
        row.deleted_at = Some(Timestamp::now());
        let row = row.clone();
        send(&mut state, for_agent(id, &row, Action::DeleteRequest));
    }

    /// Sends the live spec of a row once more, whatever its state, with a version of choice.
    pub fn send_live(&self, id: &str, version: i32) {
        let mut state = self.state();
        let row = Row {
            deleted_at: None,
            version,
            ..state.rows[id].clone()
        };
        send(&mut state, for_agent(id, &row, Action::UpdateRequest));
    }

    /// Removes a row without a word, as a person with access to the database could.
    pub fn forget(&self, id: &str) {
        self.state().rows.remove(id);
    }

    /// Marks a row without sending the deletion.
    pub fn delete_silently(&self, id: &str) {
        self.state().rows.get_mut(id).unwrap().deleted_at = Some(Timestamp::now());
    }

    /// Whether the row is still there.
    pub fn has(&self, id: &str) -> bool {
        self.state().rows.contains_key(id)
    }

    /// Everything that was reported about a work.
    pub fn reports(&self, id: &str) -> Vec<Report> {
        self.state().reports.get(id).cloned().unwrap_or_default()
    }

    /// The last thing that was reported about a work.
    pub fn last(&self, id: &str) -> Option<ManifestWork> {
        self.reports(id).pop().map(|report| report.work)
    }

    /// All resync requests.
    pub fn resyncs(&self) -> Vec<Vec<ResourceVersion>> {
        self.state().resyncs.clone()
    }

    /// Refuses every status from now on, or no longer.
    pub fn refuse_publish(&self, refuse: bool) {
        self.state().refuse_publish = refuse;
    }

    /// Keeps rows that the agent has reported as deleted.
    pub fn keep_rows(&self) {
        self.state().keep_rows = true;
    }

    /// Answers publications with this sequence id.
    pub fn last_sequence(&self, id: Option<String>) {
        self.state().last_sequence = id;
    }

    /// How many subscriptions stand.
    pub fn subscriptions(&self) -> usize {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.is_closed());
        state.streams.len()
    }

    /// Ends all streams.
    pub fn cut(&self) {
        for stream in self.state().streams.drain(..) {
            let _ = stream.try_send(Err(Status::unavailable("cut")));
        }
    }

    /// Stops listening. [`Stopped::start`] goes on with the same rows on the same port.
    pub async fn stop(self) -> Stopped {
        self.cut();
        self.shutdown.cancel();
        Stopped {
            address: self.address,
            state: Arc::clone(&self.state),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.state().streams.clear();
        self.shutdown.cancel();
    }
}

pub struct Stopped {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Stopped {
    pub async fn start(self) -> Broker {
        // The port may take a moment to be free.
        for _ in 0..200 {
            if let Ok(probe) = TcpListener::bind(self.address).await {
                drop(probe);
                return Broker::start_at(self.address, self.state).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the port of the broker did not become free");
    }
}

fn for_agent(id: &str, row: &Row, action: Action) -> Event {
    let row_of = server::Row {
        id,
        version: row.version,
        consumer: CONSUMER,
        deleted_at: row.deleted_at,
    };
    server::spec_for_agent(&row.spec, row_of, action, Stamp::now()).unwrap()
}

fn send(state: &mut State, event: Event) {
    let message: CloudEvent = event.into();
    state
        .streams
        .retain(|stream| stream.try_send(Ok(message.clone())).is_ok());
}

struct Double(Arc<Mutex<State>>);

impl Double {
    fn check_token<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let wanted = self.0.lock().unwrap().token.clone();
        let given = request.metadata().get("authorization");
        let given = given
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        if wanted.is_some() && wanted != given {
            return Err(Status::unauthenticated("invalid token"));
        }
        Ok(())
    }
}

fn uuid() -> uuid::Uuid {
    Stamp::now().id
}

type EventStream = Pin<Box<dyn Stream<Item = Result<CloudEvent, Status>> + Send>>;

#[tonic::async_trait]
impl CloudEventService for Double {
    type SubscribeStream = EventStream;

    async fn subscribe(
        &self,
        request: Request<SubscriptionRequest>,
    ) -> Result<Response<EventStream>, Status> {
        assert_eq!(request.get_ref().cluster_name, CONSUMER);
        self.check_token(&request)?;
        let (sender, receiver) = mpsc::channel(10_000);
        self.0.lock().unwrap().streams.push(sender);
        let stream: EventStream = Box::pin(ReceiverStream::new(receiver));
        let mut response = Response::new(stream);
        response
            .metadata_mut()
            .insert(SUBSCRIPTION_ID_HEADER, "s".parse().unwrap());
        Ok(response)
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<()>, Status> {
        self.check_token(&request)?;
        let event = Event::try_from(request.into_inner().event.unwrap()).unwrap();
        let mut state = self.0.lock().unwrap();
        if event.event_type.action == Action::ResyncRequest {
            resync(&mut state, &event);
            return Ok(Response::new(()));
        }
        if state.refuse_publish {
            return Err(Status::failed_precondition("{}"));
        }
        let report = server::decode_status(&event).map_err(|e| Status::internal(e.to_string()))?;
        assert_eq!(report.cluster_name, CONSUMER);
        let work = source::decode_status(&event).unwrap();
        let id = report.resource_id.clone();
        if conditions::is_true(&work.status.conditions, "Deleted") && !state.keep_rows {
            state.rows.remove(&id);
        }
        state.reports.entry(id).or_default().push(Report {
            at: Instant::now(),
            work,
            event,
        });
        let mut response = Response::new(());
        if let Some(last) = &state.last_sequence {
            response
                .metadata_mut()
                .insert("x-last-sequence", last.parse().unwrap());
        }
        Ok(response)
    }
}

fn resync(state: &mut State, event: &Event) {
    let (consumer, list) = server::decode_spec_resync(event).unwrap();
    assert_eq!(consumer, CONSUMER);
    let known = list.resource_versions;
    let mut answers = Vec::new();
    for (id, row) in &state.rows {
        let listed = known
            .iter()
            .find(|entry| entry.resource_id == *id)
            .map_or(0, |entry| entry.resource_version);
        if row.deleted_at.is_some() || i64::from(row.version) > listed {
            answers.push(for_agent(id, row, Action::ResyncResponse));
        }
    }
    for entry in &known {
        if !state.rows.contains_key(&entry.resource_id) {
            let mut answer = server::orphan_deletion(&entry.resource_id, 0, CONSUMER, Stamp::now());
            // As upstream's broker sends it.
            answer.extensions.remove("resourceversion");
            answers.push(answer);
        }
    }
    state.resyncs.push(known);
    for answer in answers {
        send(state, answer);
    }
}
