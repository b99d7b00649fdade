//! Plays an agent: one call at a time, exactly what the caller says. [`super::Puppet`] is one that runs by itself.

use std::sync::LazyLock;

use event_wire::attribute::name;
use event_wire::proto::{CloudEvent, SubscriptionRequest};
use event_wire::{
    Action, Event, EventType, MANIFEST_BUNDLES, SERVER_SOURCE, SequenceGenerator, SequenceId,
    Stamp, Subresource, codec, payload,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tonic::Status;

use super::wire::Wire;
use super::{Error, Seen, Stage, Subscription};

/// An agent with a connection of its own. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Agent {
    cluster: String,
    id: String,
    wire: Wire,
}

/// Sequence ids of all agents of the process, so that no two are equal.
static SEQUENCE: LazyLock<SequenceGenerator> = LazyLock::new(SequenceGenerator::new);

impl Agent {
    /// Connects to an agent port as the agent `<cluster>-work-agent`.
    ///
    /// # Errors
    /// No connection.
    pub async fn connect(address: &str, cluster: &str, stage: &Stage) -> Result<Self, Error> {
        Ok(Self {
            cluster: cluster.to_owned(),
            id: format!("{cluster}-work-agent"),
            wire: Wire::connect(address, format!("agent {cluster}"), stage).await?,
        })
    }

    /// The same with another bearer token on every call than the stage has, if it has one.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.wire = self.wire.with_token(token);
        self
    }

    /// Its cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
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

    /// Opens a stream of the cluster's specs. Nothing is asked for: a real agent resyncs next.
    ///
    /// # Errors
    /// What the server answered; no answer in time.
    pub async fn subscribe(&self) -> Result<Subscription, Error> {
        self.subscribe_with(SubscriptionRequest {
            cluster_name: self.cluster.clone(),
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

    /// Says which works it holds, in which version, and asks for the rest.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn resync(&self, held: &[(&str, i32)]) -> Result<(), Status> {
        let versions = held
            .iter()
            .map(|(id, version)| payload::ResourceVersion {
                resource_id: (*id).to_owned(),
                resource_version: i64::from(*version),
            })
            .collect();
        let event =
            codec::agent::spec_resync_request(&self.id, &self.cluster, versions, Stamp::now());
        self.publish(event).await
    }

    /// Subscribes, then resyncs: what an agent does when it starts.
    ///
    /// # Errors
    /// What the server answered; no answer in time.
    pub async fn join(&self, held: &[(&str, i32)]) -> Result<Subscription, Error> {
        let subscription = self.subscribe().await?;
        self.resync(held).await?;
        Ok(subscription)
    }

    /// A status event about a spec that was received, with the metadata that an agent keeps of it.
    #[must_use]
    pub fn status(&self, spec: &Seen, data: &Value) -> Event {
        let kind = EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest);
        let mut event = Event::new(kind, self.id.as_str(), Stamp::now());
        let sequence = self.next_sequence();
        event
            .set(name::RESOURCE_ID, spec.id())
            .set(name::RESOURCE_VERSION, spec.version())
            .set(name::CLUSTER_NAME, self.cluster.as_str())
            .set(name::ORIGINAL_SOURCE, SERVER_SOURCE)
            .set(name::SEQUENCE_ID, sequence.to_string())
            .set(name::LOG_TRACING, "{}")
            .set_json(data);
        let hash = sha256(event.data.as_deref().unwrap_or_default());
        event.set(name::STATUS_HASH, hash);
        let mut metadata = spec.metadata();
        if let Some(fields) = metadata.as_object_mut() {
            fields.insert("uid".to_owned(), json!(spec.id()));
            fields.insert("namespace".to_owned(), json!(self.cluster));
            fields.insert("generation".to_owned(), json!(spec.version()));
            event.set(name::METADATA, metadata.to_string());
        }
        event
    }

    /// Later than every one before.
    #[must_use]
    pub fn next_sequence(&self) -> SequenceId {
        SEQUENCE.next(Timestamp::now())
    }

    /// Reports one condition of the whole work.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn report(&self, spec: &Seen, kind: &str, status: &str) -> Result<(), Status> {
        let data = json!({"conditions": [condition(kind, status, spec.version())]});
        self.publish(self.status(spec, &data)).await
    }

    /// Reports that everything is applied.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn applied(&self, spec: &Seen) -> Result<(), Status> {
        self.report(spec, "Applied", "True").await
    }

    /// Reports that everything is gone.
    ///
    /// # Errors
    /// What the server answered; DEADLINE_EXCEEDED if it didn't.
    pub async fn deleted(&self, spec: &Seen) -> Result<(), Status> {
        self.report(spec, "Deleted", "True").await
    }
}

/// A condition as agents write it, with the current second.
#[must_use]
pub fn condition(kind: &str, status: &str, generation: i32) -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({"type": kind, "status": status, "observedGeneration": generation, "reason": "Conformance",
        "message": "played by the conformance suite", "lastTransitionTime": now})
}

fn sha256(data: &[u8]) -> String {
    use sha2::Digest as _;
    manifestwork::ids::hex(&sha2::Sha256::digest(data))
}
