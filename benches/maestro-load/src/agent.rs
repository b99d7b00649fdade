//! Plays the agent of one cluster.

use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use event_wire::attribute::name;
use event_wire::codec::agent::spec_resync_request;
use event_wire::payload::ResourceVersion;
use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{PublishRequest, SubscriptionRequest};
use event_wire::{
    Action, Event, EventType, Incoming, MANIFEST_BUNDLES, SequenceGenerator, Stamp, Subresource,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::figures::{Figures, Mark};
use crate::work;

/// Statuses of one agent on their way at once.
const REPORTS: usize = 8;

pub async fn client(address: &str) -> anyhow::Result<CloudEventServiceClient<Channel>> {
    let channel = Channel::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .connect()
        .await
        .with_context(|| format!("connect to {address}"))?;
    Ok(CloudEventServiceClient::new(channel).max_decoding_message_size(16 * 1024 * 1024))
}

/// What an agent does with specs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers each with a status.
    Answers,
    /// Only notes that they came.
    Notes,
}

/// A connected agent; it leaves when this is dropped.
pub struct Agent {
    task: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    /// Connects, subscribes and says what it has.
    pub async fn connect(
        address: &str,
        cluster: &str,
        held: Vec<ResourceVersion>,
        manner: Manner,
        figures: Arc<Figures>,
    ) -> anyhow::Result<Self> {
        let mut client = client(address).await?;
        let request = SubscriptionRequest {
            cluster_name: cluster.to_owned(),
            data_type: MANIFEST_BUNDLES.to_owned(),
            ..SubscriptionRequest::default()
        };
        let mut specs = client.subscribe(request).await?.into_inner();
        let agent = format!("{cluster}-work-agent");
        let resync = spec_resync_request(&agent, cluster, held, Stamp::now());
        let task = tokio::spawn({
            let client = client.clone();
            async move {
                let reports = Arc::new(Semaphore::new(REPORTS));
                while let Ok(Some(message)) = specs.message().await {
                    let Ok(Incoming::Event(spec)) = Incoming::from_proto(message) else {
                        continue;
                    };
                    let answer = answer(&spec, &agent, &figures, manner);
                    let Some(answer) = answer else {
                        continue;
                    };
                    let Ok(permit) = Arc::clone(&reports).acquire_owned().await else {
                        return;
                    };
                    let mut client = client.clone();
                    tokio::spawn(async move {
                        let _permit = permit;
                        let request = PublishRequest {
                            event: Some(answer.into()),
                        };
                        if let Err(error) = client.publish(request).await {
                            eprintln!("A status was refused: {}", error.message());
                        }
                    });
                }
            }
        });
        let agent = Self { task };
        // A Go server answers this only when everything is sent, so the stream is read meanwhile.
        client
            .publish(PublishRequest {
                event: Some(resync.into()),
            })
            .await?;
        Ok(agent)
    }
}

fn answer(spec: &Event, agent: &str, figures: &Figures, manner: Manner) -> Option<Event> {
    static SEQUENCE: LazyLock<SequenceGenerator> = LazyLock::new(SequenceGenerator::new);
    let id = spec.resource_id().ok()?;
    let version = spec.resource_version().ok()?;
    let deleting = spec.deletion_timestamp().ok()?.is_some();
    if !deleting {
        figures.mark(id, Mark::Delivered);
    }
    if manner == Manner::Notes {
        return None;
    }
    let stamp = Stamp::now();
    let kind = EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest);
    let mut event = Event::new(kind, agent, stamp);
    event
        .set(name::RESOURCE_ID, id)
        .set(name::RESOURCE_VERSION, version)
        .set(name::CLUSTER_NAME, spec.cluster_name().ok()?)
        .set(name::ORIGINAL_SOURCE, event_wire::SERVER_SOURCE)
        .set(name::SEQUENCE_ID, SEQUENCE.next(stamp.time).to_string())
        .set(name::LOG_TRACING, "{}");
    if let Ok(Some(metadata)) = spec.metadata_text() {
        event.set(name::METADATA, metadata);
    }
    let bytes = spec.data.as_ref().map_or(0, bytes::Bytes::len);
    work::set_text(&mut event, work::status(bytes, version, deleting));
    Some(event)
}
