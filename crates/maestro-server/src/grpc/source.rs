//! The source port: specs and deletions in, statuses out.

use std::time::{Duration, Instant};

use event_wire::payload::{ManifestBundle, StatusHashList};
use event_wire::proto::{
    CloudEvent, PublishRequest, SubscriptionRequest, cloud_event_service_server::CloudEventService,
};
use event_wire::trace::TraceContext;
use event_wire::{Action, Event};
use manifestwork::validate;
use tonic::{Code, Request, Response, Status};
use tracing::Instrument as _;

use super::errors::Errors;
use super::status_resync::Full;
use super::{Context, MAX_ID, connection, leaf, subscribed, trace};
use crate::authn::Act;
use crate::delivery::{Herald, Outgoing};
use crate::model::{Delete, Operation, ResourceId, SourceId, Spec};
use crate::storable;
use crate::telemetry::OTHER;
use crate::writer::Lane;

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

    /// The event of a message.
    fn read(&self, event: Option<CloudEvent>) -> Result<Event, Status> {
        let Some(event) = event else {
            return Err(self
                .errors
                .invalid("failed to convert to cloudevent: the request has no event"));
        };
        let kind = event.r#type.clone();
        Event::try_from(event).map_err(|error| match error {
            event_wire::Error::Type(error) => self
                .errors
                .invalid(format!("failed to parse cloud event type {kind}, {error}")),
            error => self
                .errors
                .invalid(format!("failed to convert to cloudevent: {error}")),
        })
    }

    async fn accept(&self, mut event: Event, call: Option<&TraceContext>) -> Result<(), Status> {
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
        const FAILED: &str = "failed to respond resync status request";
        let list: StatusHashList = event
            .json()
            .map_err(|error| self.errors.invalid(format!("{FAILED}: {error}")))?;
        let source = SourceId::from(event.source.as_str());
        let turn = self.context.status_resyncs.ask(&source, list.into());
        let turn = turn.map_err(|Full| {
            let text = format!("{FAILED}: too many requests wait, try again later");
            self.errors.other(Code::Unavailable, text)
        })?;
        if let Some(turn) = turn {
            let context = self.context.clone();
            self.context.tasks.spawn(async move {
                tokio::select! {
                    () = context.shutdown.cancelled() => {}
                    () = turn.run(&context) => {}
                }
            });
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl CloudEventService for SourceService {
    type SubscribeStream = Outgoing;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<()>, Status> {
        let _counted = connection(&request).publishing();
        let (metadata, extensions, message) = request.into_parts();
        let request = Request::from_parts(metadata, extensions, ());
        let named = message.event.as_ref().map(|event| event.source.clone());
        let event = self.read(message.event);
        // Both modes of an event can name another source than the message does; only the one that is acted for counts.
        let source = match &event {
            Ok(event) => event.source.clone(),
            Err(_) => named.unwrap_or_default(),
        };
        self.admit(&request, Act::Publish, &source).await?;
        let call = trace::of_call(request.metadata());
        let started = Instant::now();
        let result = match event {
            Ok(event) => self.accept(event, call.as_ref()).await,
            Err(status) => Err(status),
        };
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
