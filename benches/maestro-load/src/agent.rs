//! Plays the agent of one cluster.

use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use event_wire::attribute::name;
use event_wire::codec::agent::spec_resync_request;
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

/// Subscribes, says that it has nothing, and answers every spec with a status.
pub async fn start(
    address: &str,
    cluster: &str,
    figures: Arc<Figures>,
) -> anyhow::Result<JoinHandle<()>> {
    let mut client = client(address).await?;
    let request = SubscriptionRequest {
        cluster_name: cluster.to_owned(),
        data_type: MANIFEST_BUNDLES.to_owned(),
        ..SubscriptionRequest::default()
    };
    let mut specs = client.subscribe(request).await?.into_inner();
    let agent = format!("{cluster}-work-agent");
    let resync = spec_resync_request(&agent, cluster, Vec::new(), Stamp::now());
    client
        .publish(PublishRequest {
            event: Some(resync.into()),
        })
        .await?;
    let reports = Arc::new(Semaphore::new(REPORTS));
    Ok(tokio::spawn(async move {
        while let Ok(Some(message)) = specs.message().await {
            let Ok(Incoming::Event(spec)) = Incoming::from_proto(message) else {
                continue;
            };
            let Ok(permit) = Arc::clone(&reports).acquire_owned().await else {
                return;
            };
            let (mut client, agent, figures) =
                (client.clone(), agent.clone(), Arc::clone(&figures));
            let Some(answer) = answer(&spec, &agent, &figures) else {
                continue;
            };
            tokio::spawn(async move {
                let _permit = permit;
                let answered = client
                    .publish(PublishRequest {
                        event: Some(answer.into()),
                    })
                    .await;
                if let Err(error) = answered {
                    eprintln!("A status was refused: {}", error.message());
                }
            });
        }
    }))
}

fn answer(spec: &Event, agent: &str, figures: &Figures) -> Option<Event> {
    static SEQUENCE: LazyLock<SequenceGenerator> = LazyLock::new(SequenceGenerator::new);
    let id = spec.resource_id().ok()?;
    let version = spec.resource_version().ok()?;
    let deleting = spec.deletion_timestamp().ok()?.is_some();
    if !deleting {
        figures.mark(id, Mark::Delivered);
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
    let bytes = spec.data.as_ref().map_or(0, |data| data.len());
    event.set_json(&work::status(bytes, version, deleting));
    Some(event)
}
