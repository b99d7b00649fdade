//! Plays a source: one call at a time, exactly what the caller says.

use event_wire::proto::{CloudEvent, SubscriptionRequest};
use event_wire::{Action, Event, MANIFEST_BUNDLES, Stamp, codec, payload};
use tonic::Status;

use super::wire::Wire;
use super::{Error, Stage, Subscription, Work};

/// A source with a connection of its own. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Source {
    id: String,
    wire: Wire,
}

impl Source {
    /// Connects to a source port.
    ///
    /// # Errors
    /// No connection.
    pub async fn connect(address: &str, id: &str, stage: &Stage) -> Result<Self, Error> {
        Ok(Self {
            id: id.to_owned(),
            wire: Wire::connect(address, format!("source {id}"), stage).await?,
        })
    }

    /// The same with another bearer token on every call than the stage has, if it has one.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.wire = self.wire.with_token(token);
        self
    }

    /// Id of the source.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A work of this source, see [`Work::new`].
    #[must_use]
    pub fn work(&self, cluster: &str, work_name: &str) -> Work {
        Work::new(&self.id, cluster, work_name)
    }

    /// Publishes any event.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn publish(&self, event: Event) -> Result<(), Status> {
        self.wire.publish(event).await
    }

    /// Publishes any message, or none.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn publish_raw(&self, event: Option<CloudEvent>) -> Result<(), Status> {
        self.wire.publish_raw(event).await
    }

    /// Publishes a create request with version 0, as the Go SDK does.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn create(&self, work: &Work) -> Result<(), Status> {
        self.publish(work.event(&self.id, Action::CreateRequest, 0))
            .await
    }

    /// Publishes an update request; version 0 means "whatever there is".
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn update(&self, work: &Work, version: i32) -> Result<(), Status> {
        self.publish(work.event(&self.id, Action::UpdateRequest, version))
            .await
    }

    /// Publishes a delete request.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn delete(&self, work: &Work) -> Result<(), Status> {
        self.publish(work.event(&self.id, Action::DeleteRequest, 0))
            .await
    }

    /// Opens a stream of the statuses of this source's works.
    ///
    /// # Errors
    /// What the server answered; no answer in time.
    pub async fn subscribe(&self) -> Result<Subscription, Error> {
        self.subscribe_with(SubscriptionRequest {
            source: self.id.clone(),
            data_type: MANIFEST_BUNDLES.to_owned(),
            ..SubscriptionRequest::default()
        })
        .await
    }

    /// Opens a stream with any request.
    ///
    /// # Errors
    /// What the server answered; no answer in time.
    pub async fn subscribe_with(
        &self,
        request: SubscriptionRequest,
    ) -> Result<Subscription, Error> {
        self.wire.subscribe(request).await
    }

    /// Asks for the statuses whose hash differs; for all if the list is empty.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn resync(&self, known: &[(&str, &str)]) -> Result<(), Status> {
        let hashes = known
            .iter()
            .map(|(id, hash)| payload::StatusHash {
                resource_id: (*id).to_owned(),
                status_hash: (*hash).to_owned(),
            })
            .collect();
        self.publish(codec::source::status_resync_request(
            &self.id,
            hashes,
            Stamp::now(),
        ))
        .await
    }
}
