//! Plays the source.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_wire::attribute::name;
use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{PublishRequest, SubscriptionRequest};
use event_wire::{Action, Event, EventType, Incoming, MANIFEST_BUNDLES, Stamp, Subresource};
use futures::StreamExt as _;
use serde_json::json;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::agent::client;
use crate::figures::{Figures, Mark};
use crate::work::Shape;

pub struct Source {
    name: String,
    publisher: CloudEventServiceClient<Channel>,
    subscriber: CloudEventServiceClient<Channel>,
}

pub async fn connect(address: &str, name: &str) -> anyhow::Result<Source> {
    let (publisher, subscriber) = (client(address).await?, client(address).await?);
    Ok(Source {
        name: name.to_owned(),
        publisher,
        subscriber,
    })
}

impl Source {
    /// Notes the statuses that come.
    pub async fn listen(&self, figures: Arc<Figures>) -> anyhow::Result<JoinHandle<()>> {
        let request = SubscriptionRequest {
            source: self.name.clone(),
            data_type: MANIFEST_BUNDLES.to_owned(),
            ..SubscriptionRequest::default()
        };
        let mut statuses = self
            .subscriber
            .clone()
            .subscribe(request)
            .await?
            .into_inner();
        Ok(tokio::spawn(async move {
            while let Ok(Some(message)) = statuses.message().await {
                let Ok(Incoming::Event(event)) = Incoming::from_proto(message) else {
                    continue;
                };
                let Ok(id) = event.resource_id() else {
                    continue;
                };
                let deleted = event
                    .data
                    .as_deref()
                    .is_some_and(|data| memmem(data, br#""type":"Deleted""#));
                figures.mark(
                    id,
                    if deleted {
                        Mark::Removed
                    } else {
                        Mark::Answered
                    },
                );
            }
        }))
    }

    /// Creates all works; returns how many were refused.
    pub async fn create(
        &self,
        shapes: &[Shape],
        publishers: usize,
        rate: u32,
        figures: &Figures,
    ) -> usize {
        let started = Instant::now();
        let failed = futures::stream::iter(shapes.iter().enumerate())
            .map(|(number, shape)| async move {
                if let Some(due) = due(number, rate) {
                    tokio::time::sleep_until((started + due).into()).await;
                }
                let event = self.event(shape, Action::CreateRequest);
                figures.mark(&shape.id, Mark::Sent);
                let accepted = self.publish(event, &shape.name).await;
                if accepted {
                    figures.mark(&shape.id, Mark::Accepted);
                }
                usize::from(!accepted)
            })
            .buffer_unordered(publishers.max(1));
        failed.fold(0, async |sum, failed| sum + failed).await
    }

    /// Deletes all works; returns how many were refused.
    pub async fn delete(&self, shapes: &[Shape], publishers: usize, _: &Figures) -> usize {
        let failed = futures::stream::iter(shapes)
            .map(|shape| async move {
                let event = self.event(shape, Action::DeleteRequest);
                usize::from(!self.publish(event, &shape.name).await)
            })
            .buffer_unordered(publishers.max(1));
        failed.fold(0, async |sum, failed| sum + failed).await
    }

    async fn publish(&self, event: Event, name: &str) -> bool {
        let request = PublishRequest {
            event: Some(event.into()),
        };
        match self.publisher.clone().publish(request).await {
            Ok(_) => true,
            Err(error) => {
                eprintln!("{name} was refused: {}", error.message());
                false
            }
        }
    }

    fn event(&self, shape: &Shape, action: Action) -> Event {
        let deleting = action == Action::DeleteRequest;
        let stamp = Stamp::now();
        let kind = EventType::manifest_bundles(Subresource::Spec, action);
        let mut event = Event::new(kind, self.name.as_str(), stamp);
        let metadata = json!({
            "name": shape.name, "namespace": shape.cluster, "uid": shape.id, "resourceVersion": "0",
            "labels": {"load": "true"},
        });
        event
            .set(name::CLUSTER_NAME, shape.cluster.as_str())
            .set(name::ORIGINAL_SOURCE, "")
            .set(name::RESOURCE_ID, shape.id.as_str())
            .set(name::RESOURCE_VERSION, 0)
            .set(name::LOG_TRACING, "{}")
            .set(name::METADATA, metadata.to_string());
        if deleting {
            event.set(name::DELETION_TIMESTAMP, stamp.time);
        } else {
            event.set_json(&shape.spec());
        }
        event
    }
}

/// When a publish is due, if there is a pace.
fn due(number: usize, rate: u32) -> Option<Duration> {
    let number = u32::try_from(number).ok()?;
    (rate > 0).then(|| Duration::from_secs_f64(f64::from(number) / f64::from(rate)))
}

fn memmem(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}
