//! The agent port: statuses and resync requests in, specs out.

use std::sync::Arc;
use std::time::Instant;

use event_wire::codec::server::{self, StatusReport};
use event_wire::proto::{
    CloudEvent, PublishRequest, SubscriptionRequest, cloud_event_service_server::CloudEventService,
};
use event_wire::trace::TraceContext;
use event_wire::{Action, DataType, Event, SequenceId};
use tonic::{Code, Request, Response, Status};
use tracing::Instrument as _;

use super::errors::Errors;
use super::{Context, MAX_ID, connection, leaf, subscribed, trace};
use crate::authn::{Agent, Denied};
use crate::delivery::connection::Connection;
use crate::delivery::{Courier, Held, Outgoing};
use crate::model::{ClusterName, Done, Ignored, Operation, Report};
use crate::storable;
use crate::storage::Error;
use crate::writer::{Lane, WriteError};

/// Response metadata of a status that was left out because a newer one is stored: its sequence id, so that an agent
/// whose clock stepped back can jump past it.
pub const LAST_SEQUENCE: &str = "x-last-sequence";

/// The service on the agent port.
#[derive(Clone)]
pub struct AgentService {
    context: Context,
    errors: Errors,
}

impl AgentService {
    /// The service.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let errors = Errors {
            typed: context.typed_errors,
        };
        Self { context, errors }
    }

    /// Who calls.
    async fn identify<T>(&self, request: &Request<T>) -> Result<Agent<'_>, Denied> {
        let leaf = leaf(request);
        let headers = request.metadata().as_ref();
        self.context
            .doors
            .agents
            .identify(headers, leaf.as_deref())
            .await
    }

    fn refused(&self, method: &'static str, denied: &Denied, started: Instant) -> Status {
        let telemetry = &self.context.telemetry;
        telemetry.broker_call(method, denied.code(), started.elapsed());
        self.errors.denied(denied)
    }

    async fn accept(
        &self,
        event: CloudEvent,
        agent: &Agent<'_>,
        connection: &Connection,
        call: Option<&TraceContext>,
    ) -> Result<Option<SequenceId>, Status> {
        let kind = event.r#type.clone();
        let mut event = Event::try_from(event).map_err(|error| match error {
            event_wire::Error::Type(error) => self
                .errors
                .invalid(format!("failed to parse cloud event type {kind}, {error}")),
            error => self
                .errors
                .invalid(format!("failed to convert protobuf to cloudevent: {error}")),
        })?;
        if event.event_type.action == Action::ResyncRequest {
            return self.resync(&event, agent, connection).await.map(|()| None);
        }
        if !event.event_type.data_type.is_manifest_bundles() {
            return Err(self
                .errors
                .invalid(format!("failed to find service for event type {kind}")));
        }
        let span = trace::joined(&mut event, call);
        self.status(event, agent).instrument(span).await
    }

    /// Answers at once: the courier of the stream compares, for a Go agent doesn't read while it publishes. When the stream
    /// is on another server, what the agent has is stored for that one.
    async fn resync(
        &self,
        event: &Event,
        agent: &Agent<'_>,
        connection: &Connection,
    ) -> Result<(), Status> {
        const FAILED: &str = "failed to respond resync spec request";
        let refuse = |error: &dyn std::fmt::Display| {
            let text = format!("{FAILED}: {error}");
            self.errors.other(Code::FailedPrecondition, text)
        };
        let (cluster, list) = server::decode_spec_resync(event).map_err(|error| refuse(&error))?;
        storable::check(event).map_err(|error| refuse(&error))?;
        agent
            .acts_for(cluster)
            .map_err(|denied| self.errors.denied(&denied))?;
        let cluster = ClusterName::from(cluster);
        let held = Arc::new(Held::from(list));
        if self.context.hub.resync(&cluster, connection, &held) {
            return Ok(());
        }
        let versions = held.to_text();
        let passed_on = self.context.store.forward_resync(&cluster, &versions).await;
        passed_on.map_err(|error| {
            if matches!(error, Error::Invalid(_)) {
                return self.errors.invalid(format!("{FAILED}: not a cluster name"));
            }
            tracing::warn!(consumer = %cluster, %error, "What an agent has can't be passed on.");
            let text = format!("{FAILED}: the database is unavailable, try again later");
            self.errors.other(Code::Unavailable, text)
        })
    }

    async fn status(&self, event: Event, agent: &Agent<'_>) -> Result<Option<SequenceId>, Status> {
        let refuse = |text: String| self.errors.other(Code::FailedPrecondition, text);
        let StatusReport {
            resource_id,
            resource_version,
            cluster_name,
            sequence_id,
            creation_timestamp,
            deleted,
        } = server::decode_status(&event).map_err(|error| refuse(error.to_string()))?;
        agent
            .acts_for(&cluster_name)
            .map_err(|denied| self.errors.denied(&denied))?;
        storable::check(&event).map_err(|error| refuse(error.to_string()))?;
        if resource_id.len() > MAX_ID {
            return Err(refuse(format!("resourceid is longer than {MAX_ID} bytes")));
        }
        let cluster = ClusterName::from(cluster_name);
        let operation = Operation::Status(Report {
            id: resource_id.as_str().into(),
            cluster: cluster.clone(),
            version: resource_version.into(),
            sequence: sequence_id,
            deleted,
            life: creation_timestamp.map(jiff::Timestamp::as_second),
            event,
        });
        match self
            .context
            .writer
            .submit(Lane::Cluster(cluster), operation)
            .await
        {
            Ok(Done::Ignored(ignored)) => {
                self.context.telemetry.ignored_status(&ignored);
                tracing::debug!(id = %resource_id, ?ignored, "A status was left out.");
                match ignored {
                    Ignored::NotNewer(last) => Ok(Some(last)),
                    _ => Ok(None),
                }
            }
            Ok(_) => {
                self.context.telemetry.flow().status_stored();
                Ok(None)
            }
            Err(WriteError::Refused(refusal)) => Err(refuse(refusal.to_string())),
            Err(error) => Err(self.errors.write(
                "failed to update resource status",
                "Unable to update Resource status",
                &error,
                &resource_id,
            )),
        }
    }
}

#[tonic::async_trait]
impl CloudEventService for AgentService {
    type SubscribeStream = Outgoing;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<()>, Status> {
        let connection = connection(&request);
        connection.cut_if_deaf();
        let _counted = connection.publishing();
        let started = Instant::now();
        let agent = self
            .identify(&request)
            .await
            .map_err(|denied| self.refused("Publish", &denied, started))?;
        let call = trace::of_call(request.metadata());
        let Some(event) = request.into_inner().event else {
            let text = "failed to convert protobuf to cloudevent: the request has no event";
            return Err(self.errors.invalid(text));
        };
        let result = self.accept(event, &agent, &connection, call.as_ref()).await;
        let code = result.as_ref().err().map_or(Code::Ok, Status::code);
        self.context
            .telemetry
            .broker_call("Publish", code, started.elapsed());
        let mut response = Response::new(());
        if let Some(last) = result?
            && let Ok(value) = last.to_string().parse()
        {
            response.metadata_mut().insert(LAST_SEQUENCE, value);
        }
        Ok(response)
    }

    async fn subscribe(
        &self,
        request: Request<SubscriptionRequest>,
    ) -> Result<Response<Outgoing>, Status> {
        let connection = connection(&request);
        let started = Instant::now();
        let agent = self
            .identify(&request)
            .await
            .map_err(|denied| self.refused("Subscribe", &denied, started))?;
        let SubscriptionRequest {
            cluster_name,
            data_type,
            ..
        } = request.into_inner();
        if cluster_name.is_empty() {
            return Err(self
                .errors
                .invalid("invalid subscription request: missing cluster name"));
        }
        if cluster_name.len() > super::MAX_NAME || cluster_name.contains('\0') {
            return Err(self
                .errors
                .invalid("invalid subscription request: no cluster can have this name"));
        }
        let bundles = data_type
            .parse()
            .is_ok_and(|kind: DataType| kind.is_manifest_bundles());
        if !bundles {
            let text = format!("invalid subscription request: invalid data type {data_type}");
            return Err(self.errors.invalid(text));
        }
        agent
            .acts_for(&cluster_name)
            .map_err(|denied| self.refused("Subscribe", &denied, started))?;
        self.context
            .telemetry
            .broker_call("Subscribe", Code::Ok, std::time::Duration::ZERO);
        let counted = (
            connection.subscribed(),
            self.context.telemetry.agent_client(),
        );
        let stream = self.context.hub.add_agent(cluster_name.into(), connection);
        let id = stream.id;
        let (out, outgoing) = Outgoing::new(self.context.heartbeat, counted);
        let courier = Courier {
            store: self.context.store.clone(),
            hub: self.context.hub.clone(),
            stream,
            out,
            limits: self.context.limits.clone(),
        };
        self.context
            .tasks
            .spawn(courier.run(self.context.shutdown.clone()));
        Ok(subscribed(id, outgoing))
    }
}
