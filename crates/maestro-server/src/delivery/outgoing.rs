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

/// Events between a courier or herald and its connection.
const WINDOW: usize = 2;

/// An event on its way, and whether it still stands when its turn comes: the connection may have been busy for long.
pub struct Outbound {
    pub(super) event: proto::CloudEvent,
    pub(super) stands: Box<dyn Fn() -> bool + Send>,
}

/// Where a courier or herald puts its events; an error ends the stream.
pub type Sender = mpsc::Sender<Result<Outbound, Status>>;

/// What tonic sends.
pub struct Outgoing {
    events: mpsc::Receiver<Result<Outbound, Status>>,
    heartbeats: Option<Interval>,
    /// Counts the subscription until the stream is dropped.
    _counted: Box<dyn Send + Sync>,
}

impl Outgoing {
    /// The stream, and where its events go in. Heartbeats start after a whole `interval`; `None` = none.
    #[must_use]
    pub fn new(interval: Option<Duration>, counted: impl Send + Sync + 'static) -> (Sender, Self) {
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
        // What is checked here isn't on its way yet: hyper asks for a portion (32 KiB or a little more) before it knows that
        // the connection has room, and keeps it until then. So behind a window that is shut, a live spec can wait here for
        // longer than its deletion. That is harmless, for it can't be overtaken: its deletion follows it on the same
        // stream, because the row stays until the agent has taken that and says that the objects are gone.
        loop {
            match std::task::ready!(self.events.poll_recv(cx)) {
                Some(Ok(outbound)) if !(outbound.stands)() => {}
                next => return Poll::Ready(next.map(|next| next.map(|outbound| outbound.event))),
            }
        }
    }
}
