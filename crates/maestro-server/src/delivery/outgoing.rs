//! The response side of a subscription: events, and a heartbeat at each interval.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use event_wire::{heartbeat, proto};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_stream::Stream;
use tonic::Status;
use uuid::Uuid;

/// Events between a courier or herald and its connection. Small: what waits here can't be taken back when something
/// newer is known.
pub(super) const WINDOW: usize = 2;

/// What tonic sends.
pub struct Outgoing {
    events: mpsc::Receiver<Result<proto::CloudEvent, Status>>,
    heartbeats: Option<Interval>,
    /// Counts the subscription until the stream is dropped.
    _counted: Box<dyn Send + Sync>,
}

impl Outgoing {
    /// The stream, and where its events go in. Heartbeats start after a whole `interval`; `None` = none.
    #[must_use]
    pub fn new(
        interval: Option<Duration>,
        counted: impl Send + Sync + 'static,
    ) -> (mpsc::Sender<Result<proto::CloudEvent, Status>>, Self) {
        let (sender, events) = mpsc::channel(WINDOW);
        let heartbeats = interval.map(|interval| {
            let mut ticks = interval_at(Instant::now() + interval, interval);
            // A receiver that didn't read for a while gets one heartbeat, not all that it missed.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        (
            sender,
            Self {
                events,
                heartbeats,
                _counted: Box::new(counted),
            },
        )
    }
}

impl Stream for Outgoing {
    type Item = Result<proto::CloudEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Heartbeats first: a busy stream must not look dead.
        if let Some(heartbeats) = &mut self.heartbeats
            && heartbeats.poll_tick(cx).is_ready()
        {
            return Poll::Ready(Some(Ok(heartbeat(Uuid::new_v4()))));
        }
        self.events.poll_recv(cx)
    }
}
