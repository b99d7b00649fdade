//! Plays the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use event_wire::proto::cloud_event_service_client::CloudEventServiceClient;
use event_wire::proto::{PublishRequest, SubscriptionRequest};
use event_wire::{Action, Incoming, MANIFEST_BUNDLES};
use futures::StreamExt as _;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::agent::client;
use crate::figures::{Figures, Mark};
use crate::work::Shape;

/// Publishes on their way at once at a fixed rate, at most; further ones are late, and their time counts.
const MOST_AT_ONCE: usize = 2000;

/// How works are published.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many at once, as fast as they are answered.
    Closed(usize),
    /// So many per second, whatever is answered.
    PerSecond(u32),
}

/// A connected source that notes the statuses that come; it leaves when this is dropped.
pub struct Source {
    pub name: String,
    publisher: CloudEventServiceClient<Channel>,
    figures: Arc<Figures>,
    /// Deletions are expected; looking for them costs time.
    deleting: Arc<AtomicBool>,
    listener: JoinHandle<()>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Source {
    pub async fn connect(address: &str, name: &str, figures: Arc<Figures>) -> anyhow::Result<Self> {
        let (publisher, mut subscriber) = (client(address).await?, client(address).await?);
        let request = SubscriptionRequest {
            source: name.to_owned(),
            data_type: MANIFEST_BUNDLES.to_owned(),
            ..SubscriptionRequest::default()
        };
        let mut statuses = subscriber.subscribe(request).await?.into_inner();
        let deleting = Arc::new(AtomicBool::new(false));
        let listener = tokio::spawn({
            let (figures, deleting) = (Arc::clone(&figures), Arc::clone(&deleting));
            async move {
                while let Ok(Some(message)) = statuses.message().await {
                    let Ok(Incoming::Event(event)) = Incoming::from_proto(message) else {
                        continue;
                    };
                    let Ok(id) = event.resource_id() else {
                        continue;
                    };
                    let removed = deleting.load(Ordering::Relaxed)
                        && event.data.as_deref().is_some_and(says_deleted);
                    let mark = if removed {
                        Mark::Removed
                    } else {
                        Mark::Answered
                    };
                    figures.mark(id, mark);
                }
            }
        });
        Ok(Self {
            name: name.to_owned(),
            publisher,
            figures,
            deleting,
            listener,
        })
    }

    /// Creates works; returns how many were refused.
    pub async fn create(&self, shapes: &[Shape], pace: Pace) -> usize {
        let started = Instant::now();
        let failed = futures::stream::iter(shapes.iter().enumerate())
            .map(|(number, shape)| async move {
                let due = due(started, number, pace);
                tokio::time::sleep_until(due.into()).await;
                let sent = match pace {
                    Pace::Closed(_) => Instant::now(),
                    Pace::PerSecond(_) => due,
                };
                self.figures.mark_at(&shape.id, Mark::Sent, sent);
                let accepted = self.publish(shape, Action::CreateRequest).await;
                if accepted {
                    self.figures.mark(&shape.id, Mark::Accepted);
                }
                usize::from(!accepted)
            })
            .buffer_unordered(match pace {
                Pace::Closed(publishers) => publishers.max(1),
                Pace::PerSecond(_) => MOST_AT_ONCE,
            });
        failed.fold(0, async |sum, failed| sum + failed).await
    }

    /// Deletes works; returns how many were refused.
    pub async fn delete(&self, shapes: &[Shape], publishers: usize) -> usize {
        self.deleting.store(true, Ordering::Relaxed);
        let failed =
            futures::stream::iter(shapes)
                .map(|shape| async move {
                    usize::from(!self.publish(shape, Action::DeleteRequest).await)
                })
                .buffer_unordered(publishers.max(1));
        failed.fold(0, async |sum, failed| sum + failed).await
    }

    async fn publish(&self, shape: &Shape, action: Action) -> bool {
        let request = PublishRequest {
            event: Some(shape.event(&self.name, action).into()),
        };
        match self.publisher.clone().publish(request).await {
            Ok(_) => true,
            Err(error) => {
                eprintln!("{} was refused: {}", shape.name, error.message());
                false
            }
        }
    }
}

/// When a publish is due.
fn due(started: Instant, number: usize, pace: Pace) -> Instant {
    match (pace, u32::try_from(number)) {
        (Pace::PerSecond(rate), Ok(number)) => {
            started + Duration::from_secs_f64(f64::from(number) / f64::from(rate.max(1)))
        }
        _ => started,
    }
}

fn says_deleted(status: &[u8]) -> bool {
    const DELETED: &[u8] = br#""type":"Deleted""#;
    status
        .windows(DELETED.len())
        .any(|window| window == DELETED)
}
