//! The source port: specs and deletions in, statuses out.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use event_wire::payload::{ManifestBundle, StatusHashList};
use event_wire::proto::{
    CloudEvent, PublishRequest, SubscriptionRequest, cloud_event_service_server::CloudEventService,
};
use event_wire::trace::TraceContext;
use event_wire::{Action, Event};
use manifestwork::{hash, validate};
use tonic::{Code, Request, Response, Status};
use tracing::Instrument as _;

use super::errors::Errors;
use super::{Context, connection, leaf, subscribed, trace};
use crate::authn::Act;
use crate::delivery::{Herald, Outgoing};
use crate::model::{Delete, Operation, ResourceId, SourceId, Spec};
use crate::storable;
use crate::storage;
use crate::telemetry::{OTHER, Way};
use crate::writer::Lane;

/// Longest resource id, bytes.
const MAX_ID: usize = 253;
/// Rows compared at once in a status resync.
const PAGE: usize = 1000;
/// Before a status resync is tried again, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Before a status resync is tried again, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The service on the source port.
#[derive(Clone)]
pub struct SourceService {
    context: Context,
    errors: Errors,
}

impl SourceService {
    /// The service.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let errors = Errors {
            typed: context.typed_errors,
        };
        Self { context, errors }
    }

    /// Whether the caller may act for `source`. Refused ones get no label of their own: they may invent sources.
    async fn admit<T>(&self, request: &Request<T>, act: Act, source: &str) -> Result<(), Status> {
        let started = Instant::now();
        let leaf = leaf(request);
        let headers = request.metadata().as_ref();
        let door = &self.context.doors.sources;
        let admitted = door.admit(headers, leaf.as_deref(), act, source).await;
        admitted.map_err(|denied| {
            let method = match act {
                Act::Publish => "Publish",
                Act::Subscribe => "Subscribe",
            };
            let telemetry = &self.context.telemetry;
            telemetry.grpc_call(method, OTHER, denied.code(), started.elapsed());
            self.errors.denied(&denied)
        })
    }

    async fn accept(&self, event: CloudEvent, call: Option<&TraceContext>) -> Result<(), Status> {
        let kind = event.r#type.clone();
        let mut event = Event::try_from(event).map_err(|error| match error {
            event_wire::Error::Type(error) => self
                .errors
                .invalid(format!("failed to parse cloud event type {kind}, {error}")),
            error => self
                .errors
                .invalid(format!("failed to convert to cloudevent: {error}")),
        })?;
        if event.source.is_empty() {
            return Err(self
                .errors
                .invalid("failed to decode cloudevent: the event has no source"));
        }
        storable::check(&event).map_err(|error| {
            self.errors
                .invalid(format!("failed to decode cloudevent: {error}"))
        })?;
        let span = trace::joined(&mut event, call);
        let acted = async {
            match event.event_type.action.clone() {
                Action::ResyncRequest => self.resync(&event),
                Action::CreateRequest => self.create(event).await,
                Action::UpdateRequest => self.update(event).await,
                Action::DeleteRequest => self.delete(event).await,
                action => Err(self.errors.invalid(format!("unsupported action {action}"))),
            }
        };
        acted.instrument(span).await
    }

    async fn create(&self, event: Event) -> Result<(), Status> {
        let mut spec = self.spec(event)?;
        if spec.id.as_str().is_empty() {
            spec.id = uuid::Uuid::new_v4().to_string().into();
        }
        self.check_bundle(
            &spec.event,
            "failed to create resource",
            "the manifest bundle",
        )?;
        let id = spec.id.clone();
        self.submit(
            Operation::Create(spec),
            "failed to create resource",
            "Unable to create Resource",
            &id,
        )
        .await
    }

    async fn update(&self, event: Event) -> Result<(), Status> {
        let spec = self.spec(event)?;
        self.check_bundle(
            &spec.event,
            "failed to update resource",
            "the new manifest bundle",
        )?;
        let id = spec.id.clone();
        self.submit(
            Operation::Update(spec),
            "failed to update resource",
            "Unable to update Resource",
            &id,
        )
        .await
    }

    async fn delete(&self, event: Event) -> Result<(), Status> {
        let spec = self.spec(event)?;
        let id = spec.id.clone();
        let delete = Delete {
            id: spec.id,
            source: Some(spec.source),
        };
        self.submit(
            Operation::Delete(delete),
            "failed to delete resource",
            "Unable to delete Resource",
            &id,
        )
        .await
    }

    async fn submit(
        &self,
        operation: Operation,
        prefix: &str,
        doing: &str,
        id: &ResourceId,
    ) -> Result<(), Status> {
        let source = match &operation {
            Operation::Create(spec) | Operation::Update(spec) => spec.source.clone(),
            Operation::Delete(Delete {
                source: Some(source),
                ..
            }) => source.clone(),
            _ => SourceId::from(""),
        };
        let done = self
            .context
            .writer
            .submit(Lane::Source(source), operation)
            .await;
        done.map(drop).map_err(|error| {
            let missing = matches!(
                error,
                crate::writer::WriteError::Refused(crate::model::Refusal::NotFound(_))
            );
            let prefix = if missing {
                "failed to get resource"
            } else {
                prefix
            };
            self.errors.write(prefix, doing, &error, id.as_str())
        })
    }

    /// The parts that create, update and delete have in common.
    fn spec(&self, event: Event) -> Result<Spec, Status> {
        let decode = |error: event_wire::Error| {
            self.errors
                .invalid(format!("failed to decode cloudevent: {error}"))
        };
        if !event.event_type.data_type.is_manifest_bundles() {
            let found = event.event_type.data_type.to_string();
            return Err(decode(event_wire::Error::DataType { found }));
        }
        let cluster = event.cluster_name().map_err(decode)?.into();
        let id: ResourceId = event.resource_id().map_err(decode)?.into();
        let version = event.resource_version().map_err(decode)?;
        event.deletion_timestamp().map_err(decode)?;
        event.metadata().map_err(decode)?;
        if id.as_str().len() > MAX_ID {
            let text =
                format!("failed to decode cloudevent: resourceid is longer than {MAX_ID} bytes");
            return Err(self.errors.invalid(text));
        }
        if version < 0 {
            let text =
                format!("failed to decode cloudevent: resourceversion {version} is negative");
            return Err(self.errors.invalid(text));
        }
        let source = event.source.as_str().into();
        Ok(Spec {
            id,
            source,
            cluster,
            version: version.into(),
            event,
        })
    }

    /// Manifests must be good before anything is stored; an event without data has none.
    fn check_bundle(&self, event: &Event, prefix: &str, what: &str) -> Result<(), Status> {
        let invalid = |why: &dyn std::fmt::Display| {
            self.errors.invalid(format!(
                "{prefix}: maestro-8: {what} in the resource is invalid, {why}"
            ))
        };
        if event.data.is_none() {
            return Ok(());
        }
        let bundle: ManifestBundle = event.json().map_err(|error| invalid(&error))?;
        validate::for_server(&bundle.manifests).map_err(|error| invalid(&error))
    }

    /// Answers at once; the statuses follow on the streams of the source. The answer is a promise: while the database is away, it is
    /// tried again, for as long as one of these streams is open.
    fn resync(&self, event: &Event) -> Result<(), Status> {
        let list: StatusHashList = event.json().map_err(|error| {
            self.errors
                .invalid(format!("failed to respond resync status request: {error}"))
        })?;
        let known: HashMap<ResourceId, String> = list
            .status_hashes
            .into_iter()
            .map(|entry| (ResourceId::from(entry.resource_id), entry.status_hash))
            .collect();
        let source = SourceId::from(event.source.as_str());
        let service = self.clone();
        let shutdown = self.context.shutdown.clone();
        self.context.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = service.send_changed_until_done(&source, &known) => {}
            }
        });
        Ok(())
    }

    async fn send_changed_until_done(
        &self,
        source: &SourceId,
        known: &HashMap<ResourceId, String>,
    ) {
        let asked: HashSet<_> = self.streams(source).collect();
        let mut pause = FIRST_PAUSE;
        loop {
            let result = self.send_changed(source, known).await;
            let flow = self.context.telemetry.flow();
            flow.synced(Way::Status, result.is_ok());
            match result {
                Ok(()) => return,
                Err(error @ storage::Error::Unavailable(_))
                    if self.streams(source).any(|stream| asked.contains(&stream)) =>
                {
                    tracing::warn!(%source, %error, "Can't compare statuses now; it is tried again.");
                }
                Err(error) => {
                    tracing::warn!(%source, %error, "Can't compare statuses; the source has to ask again.");
                    return;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn streams(&self, source: &SourceId) -> impl Iterator<Item = uuid::Uuid> + use<> {
        let streams = self.context.hub.sources_of(source);
        streams.into_iter().map(|stream| stream.id)
    }

    /// Every status of the source when the list is empty, else those on the list whose hash differs.
    async fn send_changed(
        &self,
        source: &SourceId,
        known: &HashMap<ResourceId, String>,
    ) -> Result<(), storage::Error> {
        let mut after = None;
        loop {
            let page = self
                .context
                .store
                .status_hashes(source, after.as_ref(), PAGE)
                .await?;
            let full = page.len() == PAGE;
            after = page.last().map(|row| row.id.clone());
            let differs = |row: &storage::StatusHash| {
                known.is_empty()
                    || known
                        .get(&row.id)
                        .is_some_and(|hash| row.hash.as_deref().unwrap_or(hash::NO_STATUS) != hash)
            };
            let ids: Vec<ResourceId> = page.into_iter().filter(differs).map(|row| row.id).collect();
            for stream in self.context.hub.sources_of(source) {
                stream.add_updates(ids.iter().cloned());
            }
            if !full {
                return Ok(());
            }
        }
    }
}

#[tonic::async_trait]
impl CloudEventService for SourceService {
    type SubscribeStream = Outgoing;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<()>, Status> {
        let _counted = connection(&request).publishing();
        let source = request.get_ref().event.as_ref();
        let source = source.map_or("", |event| event.source.as_str()).to_owned();
        self.admit(&request, Act::Publish, &source).await?;
        let call = trace::of_call(request.metadata());
        let Some(event) = request.into_inner().event else {
            return Err(self
                .errors
                .invalid("failed to convert to cloudevent: the request has no event"));
        };
        let started = Instant::now();
        let result = self.accept(event, call.as_ref()).await;
        let code = result.as_ref().err().map_or(Code::Ok, Status::code);
        self.context
            .telemetry
            .grpc_call("Publish", &source, code, started.elapsed());
        result.map(Response::new)
    }

    async fn subscribe(
        &self,
        request: Request<SubscriptionRequest>,
    ) -> Result<Response<Outgoing>, Status> {
        let connection = connection(&request);
        self.admit(&request, Act::Subscribe, &request.get_ref().source)
            .await?;
        let source = request.into_inner().source;
        if source.is_empty() {
            return Err(self
                .errors
                .invalid("invalid subscription request: missing source"));
        }
        if source.len() > super::MAX_NAME || source.contains('\0') {
            return Err(self
                .errors
                .invalid("invalid subscription request: no source can have this name"));
        }
        self.context
            .telemetry
            .grpc_call("Subscribe", &source, Code::Ok, Duration::ZERO);
        let counted = (
            connection.subscribed(),
            self.context.telemetry.source_client(&source),
        );
        let stream = self.context.hub.add_source(source.into(), connection);
        let id = stream.id;
        let (out, outgoing) = Outgoing::new(self.context.heartbeat, counted);
        let herald = Herald {
            store: self.context.store.clone(),
            hub: self.context.hub.clone(),
            stream,
            out,
            limits: self.context.limits.clone(),
        };
        self.context
            .tasks
            .spawn(herald.run(self.context.shutdown.clone()));
        Ok(subscribed(id, outgoing))
    }
}
