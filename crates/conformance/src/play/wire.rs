//! What sources and agents share: a connection, publishing, opening a stream.

use std::sync::Arc;
use std::time::Duration;

use event_wire::Event;
use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{CloudEvent, PublishRequest, SubscriptionRequest};
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::recording::{Refusal, What};
use super::stage::ANSWER;
use super::{Error, Stage, Subscription};

/// The largest message that a player reads or writes, bytes. Above every limit of a server, so that it is the server
/// that refuses.
const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;
/// Window of a stream and of a connection, bytes: what Go clients start with.
const WINDOW_BYTES: u32 = 65_535;
/// How long a connection may take, before scaling.
const CONNECT: Duration = Duration::from_secs(10);

/// One connection to a source or agent port.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    client: CloudEventServiceClient<Channel>,
    token: Option<Arc<str>>,
    pub(super) stage: Stage,
    pub(super) actor: Arc<str>,
}

impl Wire {
    pub(super) async fn connect(
        address: &str,
        actor: String,
        stage: &Stage,
    ) -> Result<Self, Error> {
        let endpoint = stage
            .access
            .endpoint(address)?
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .tcp_nodelay(true);
        let channel = stage
            .within(CONNECT, "a connection", endpoint.connect())
            .await?
            .map_err(|error| Error::Connect {
                address: address.to_owned(),
                why: deepest(&error),
            })?;
        let client = CloudEventServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self {
            client,
            token: stage.access.token(),
            stage: stage.clone(),
            actor: actor.into(),
        })
    }

    pub(super) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    pub(super) async fn publish(&self, event: Event) -> Result<(), Status> {
        let started = self.stage.recording.now();
        let message = CloudEvent::from(event.clone());
        let outcome = self.publish_raw(Some(message)).await;
        let recorded = outcome.clone().map_err(|status| Refusal {
            code: status.code(),
            message: status.message().to_owned(),
        });
        self.stage.recording.add(
            &self.actor,
            What::Published {
                started,
                event: Arc::new(event),
                outcome: recorded,
            },
        );
        outcome
    }

    pub(super) async fn publish_raw(&self, event: Option<CloudEvent>) -> Result<(), Status> {
        let request = self.request(PublishRequest { event });
        let call = self.client.clone();
        let answer = async move { { call }.publish(request).await.map(drop) };
        self.stage
            .within(ANSWER, "an answer to Publish", answer)
            .await
            .unwrap_or_else(|late| Err(Status::deadline_exceeded(late.to_string())))
    }

    pub(super) async fn subscribe(
        &self,
        request: SubscriptionRequest,
    ) -> Result<Subscription, Error> {
        let request = self.request(request);
        let call = self.client.clone();
        let answer = async move { { call }.subscribe(request).await };
        let response = self
            .stage
            .within(ANSWER, "an answer to Subscribe", answer)
            .await??;
        Ok(Subscription::start(response, &self.stage, &self.actor))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = self
            .token
            .as_ref()
            .and_then(|token| format!("Bearer {token}").parse().ok());
        if let Some(bearer) = bearer {
            request.metadata_mut().insert("authorization", bearer);
        }
        request
    }
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
