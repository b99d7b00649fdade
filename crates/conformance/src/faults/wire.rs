//! Calls to a server, with deadlines and with outcomes that say what is certain.

use std::time::Duration;

use event_wire::attribute::name;
use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{CloudEvent, PublishRequest, SubscriptionRequest};
use event_wire::{Action, Event, EventType, Incoming, MANIFEST_BUNDLES, Stamp, Subresource};
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use super::history::{Answer, Outcome, Row, Seen, Tag};

/// Largest message that is read, bytes.
const MAX_MESSAGE: usize = 64 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// Response metadata with the sequence id that the server has.
const LAST_SEQUENCE: &str = "x-last-sequence";

/// A connection to a gRPC port; made when it is first used, and again when it broke.
#[derive(Clone, Debug)]
pub struct Connection {
    client: CloudEventServiceClient<Channel>,
    patience: Duration,
}

impl Connection {
    /// A connection to `host:port` whose calls are given so much time.
    ///
    /// # Errors
    /// The address isn't one.
    pub fn new(address: &str, patience: Duration) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(CONNECT);
        let client = CloudEventServiceClient::new(endpoint.connect_lazy())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(Self { client, patience })
    }

    /// Publishes an event; the sequence id that the server has instead, if it says so.
    ///
    /// # Errors
    /// What the server or the connection says.
    pub async fn publish(&self, event: Event) -> Result<Option<i64>, Status> {
        self.publish_within(event, self.patience).await
    }

    /// The same with another patience.
    ///
    /// # Errors
    /// As [`Connection::publish`].
    pub async fn publish_within(
        &self,
        event: Event,
        patience: Duration,
    ) -> Result<Option<i64>, Status> {
        let request = PublishRequest {
            event: Some(CloudEvent::from(event)),
        };
        let mut client = self.client.clone();
        let response = tokio::time::timeout(patience, client.publish(request))
            .await
            .map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        let last = response.metadata().get(LAST_SEQUENCE);
        Ok(last.and_then(|value| value.to_str().ok()?.parse().ok()))
    }

    /// Opens a stream, for a source or for a cluster (the other name is empty).
    ///
    /// # Errors
    /// What the server or the connection says.
    pub async fn subscribe(
        &self,
        source: &str,
        cluster: &str,
    ) -> Result<Streaming<CloudEvent>, Status> {
        let request = SubscriptionRequest {
            source: source.to_owned(),
            cluster_name: cluster.to_owned(),
            data_type: MANIFEST_BUNDLES.to_owned(),
        };
        let mut client = self.client.clone();
        let response = tokio::time::timeout(self.patience, client.subscribe(request))
            .await
            .map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        Ok(response.into_inner())
    }
}

/// The next event of a stream; heartbeats count as life, and silence for longer than `patience` is an error.
///
/// # Errors
/// Why the stream is of no more use.
pub async fn next(
    stream: &mut Streaming<CloudEvent>,
    patience: Duration,
) -> Result<Box<Event>, String> {
    loop {
        let message = tokio::time::timeout(patience, stream.message())
            .await
            .map_err(|_| "silence".to_owned())?
            .map_err(|status| format!("{:?}: {}", status.code(), status.message()))?
            .ok_or("ended by the server")?;
        match Incoming::from_proto(message) {
            Ok(Incoming::Heartbeat) => {}
            Ok(Incoming::Event(event)) => return Ok(event),
            Err(error) => return Err(format!("undecodable event: {error}")),
        }
    }
}

/// What is certain after a Publish.
#[must_use]
pub fn outcome(result: &Result<Option<i64>, Status>) -> Outcome {
    match result {
        Ok(None) => Outcome::done(),
        Ok(Some(sequence)) => Outcome::Ok {
            answer: Answer::Later(*sequence),
        },
        Err(status) => refusal(status),
    }
}

fn refusal(status: &Status) -> Outcome {
    let text = status.message().to_owned();
    let code = match status.code() {
        code @ (Code::AlreadyExists
        | Code::NotFound
        | Code::InvalidArgument
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::Aborted) => code,
        // Upstream has one code for everything, and texts.
        Code::Unknown if text.contains("already exists") => Code::AlreadyExists,
        Code::Unknown if text.contains("is not the latest") => Code::Aborted,
        Code::Unknown if text.contains("is under deletion") => Code::FailedPrecondition,
        Code::Unknown if text.contains("maestro-7") => Code::NotFound,
        Code::Unknown if text.contains("maestro-8") => Code::InvalidArgument,
        code => {
            return Outcome::Unknown {
                text: format!("{code:?}: {text}"),
            };
        }
    };
    Outcome::Refused {
        code: format!("{code:?}"),
        text,
    }
}

/// The one manifest of a work, with its tag and so many bytes of ballast.
#[must_use]
pub fn bundle(id: &str, tag: Tag, ballast: usize) -> Value {
    json!({"manifests": [{
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": id, "namespace": "default"},
        "data": {"tag": tag.to_string(), "ballast": "x".repeat(ballast)},
    }]})
}

fn bundle_tag(bundle: &Value) -> Option<Tag> {
    let text = bundle.pointer("/manifests/0/data/tag")?.as_str()?;
    text.parse().ok()
}

/// What a source publishes.
#[must_use]
pub fn spec_event(
    source: &str,
    action: Action,
    id: &str,
    cluster: &str,
    version: i64,
    data: Option<&Value>,
) -> Event {
    let deletion = action == Action::DeleteRequest;
    let kind = EventType::manifest_bundles(Subresource::Spec, action);
    let mut event = Event::new(kind, source, Stamp::now());
    let metadata = json!({"name": id, "namespace": cluster, "uid": id, "resourceVersion": "0",
        "labels": {"app": "faults"}});
    event
        .set(name::RESOURCE_ID, id)
        .set(
            name::RESOURCE_VERSION,
            i32::try_from(version).unwrap_or_default(),
        )
        .set(name::CLUSTER_NAME, cluster)
        .set(name::ORIGINAL_SOURCE, "")
        .set(name::LOG_TRACING, "{}")
        .set(name::METADATA, metadata.to_string());
    if let Some(data) = data {
        event.set_json(data);
    }
    if deletion {
        event.set(name::DELETION_TIMESTAMP, jiff::Timestamp::now());
    }
    event
}

/// What an agent publishes about a work.
#[must_use]
pub fn status_event(
    cluster: &str,
    id: &str,
    metadata: Option<&str>,
    seen: Seen,
    deleted: bool,
) -> Event {
    let kind = EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest);
    let mut event = Event::new(kind, format!("{cluster}-work-agent"), Stamp::now());
    let tag = seen.tag.map_or_else(String::new, |tag| tag.to_string());
    let (condition, reason) = if deleted {
        ("Deleted", "ManifestsDeleted")
    } else {
        ("Applied", "AppliedManifestComplete")
    };
    let data = json!({"conditions": [{
        "type": condition, "status": "True", "observedGeneration": seen.version, "reason": reason, "message": tag,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    event
        .set(name::RESOURCE_ID, id)
        .set(
            name::RESOURCE_VERSION,
            i32::try_from(seen.version).unwrap_or_default(),
        )
        .set(name::CLUSTER_NAME, cluster)
        .set(name::ORIGINAL_SOURCE, event_wire::SERVER_SOURCE)
        .set(name::SEQUENCE_ID, seen.sequence.to_string())
        .set(name::STATUS_HASH, format!("{:064x}", seen.sequence))
        .set_json(&data);
    if let Some(metadata) = metadata {
        event.set(name::METADATA, metadata);
    }
    event
}

/// The request of a source for every status.
#[must_use]
pub fn status_resync(source: &str) -> Event {
    event_wire::codec::source::status_resync_request(source, Vec::new(), Stamp::now())
}

/// What an agent has, as the request for the rest.
#[must_use]
pub fn spec_resync(cluster: &str, held: impl Iterator<Item = (String, i64)>) -> Event {
    let versions = held
        .map(
            |(resource_id, resource_version)| event_wire::payload::ResourceVersion {
                resource_id,
                resource_version,
            },
        )
        .collect();
    let agent = format!("{cluster}-work-agent");
    event_wire::codec::agent::spec_resync_request(&agent, cluster, versions, Stamp::now())
}

/// The parts of a spec event that matter here.
#[derive(Clone, Debug)]
pub struct SpecParts {
    /// Id of the work.
    pub id: String,
    /// Its version.
    pub version: i64,
    /// What it carries.
    pub tag: Option<Tag>,
    /// Whether it is a deletion.
    pub deleting: bool,
    /// Its metadata, as text.
    pub metadata: Option<String>,
}

/// Reads a spec event; `None` if it isn't one. Deletions of what the server doesn't know may come without a version.
#[must_use]
pub fn spec_parts(event: &Event) -> Option<SpecParts> {
    if event.event_type.subresource != Subresource::Spec {
        return None;
    }
    Some(SpecParts {
        id: event.resource_id().ok()?.to_owned(),
        version: event.resource_version().map_or(0, i64::from),
        tag: data(event).as_ref().and_then(bundle_tag),
        deleting: event.deletion_timestamp().ok()?.is_some(),
        metadata: event.metadata_text().ok()?.map(ToOwned::to_owned),
    })
}

/// The parts of a status event that matter here.
#[derive(Clone, Debug)]
pub struct StatusParts {
    /// Id of the work.
    pub id: String,
    /// What was reported.
    pub seen: Seen,
    /// What the spec beside it carries.
    pub spec: Option<Tag>,
    /// Whether it has metadata with the name that the source gave.
    pub metadata: bool,
    /// Whether it says that everything is gone.
    pub deleted: bool,
}

/// Reads a status event; `None` if it isn't one.
#[must_use]
pub fn status_parts(event: &Event) -> Option<StatusParts> {
    if event.event_type.subresource != Subresource::Status {
        return None;
    }
    let id = event.resource_id().ok()?.to_owned();
    let sequence = event.extensions.get(name::SEQUENCE_ID)?.as_str().ok()?;
    let data = data(event)?;
    let condition = data.pointer("/conditions/0");
    let text = |key: &str| condition?.get(key)?.as_str();
    let metadata: Option<Value> = event
        .metadata_text()
        .ok()
        .flatten()
        .and_then(|text| serde_json::from_str(text).ok());
    let named = metadata.is_some_and(|value| value.get("name") == Some(&json!(id)));
    Some(StatusParts {
        seen: Seen {
            version: event.resource_version().map_or(0, i64::from),
            sequence: sequence.parse().ok()?,
            tag: text("message").and_then(|text| text.parse().ok()),
        },
        spec: data.get("manifestBundle").and_then(bundle_tag),
        metadata: named,
        deleted: text("type") == Some("Deleted") && text("status") == Some("True"),
        id,
    })
}

fn data(event: &Event) -> Option<Value> {
    serde_json::from_slice(event.data.as_deref()?).ok()
}

/// A work as REST shows it.
#[must_use]
pub fn row(item: &Value) -> Option<Row> {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
    let status = item.get("status").and_then(|status| {
        let tag = status.pointer("/conditions/0/message");
        Some(Seen {
            version: status.get("ObservedVersion")?.as_i64()?,
            sequence: status.get("SequenceID")?.as_str()?.parse().ok()?,
            tag: tag
                .and_then(Value::as_str)
                .and_then(|text| text.parse().ok()),
        })
    });
    Some(Row {
        id: text("/id")?.to_owned(),
        cluster: text("/consumer_name")?.to_owned(),
        version: item.get("version")?.as_i64()?,
        deleting: item.get("deleted_at").is_some_and(|value| !value.is_null()),
        tag: bundle_tag(item),
        status,
    })
}
