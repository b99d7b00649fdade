//! Who comes in at a gRPC port: so many at once, and only who begins to speak in time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tokio_util::sync::PollSemaphore;

use crate::delivery::connection::Tracked;

/// Connections of a listener. While all places are taken, more wait in the listen queue.
pub(super) struct Door<S> {
    incoming: Pin<Box<S>>,
    places: PollSemaphore,
    /// Taken before anybody is let in, so that who is in has one.
    place: Option<OwnedSemaphorePermit>,
    /// How long a newcomer may take to say that it speaks HTTP/2.
    patience: Duration,
}

impl<S> Door<S> {
    pub(super) fn new(incoming: S, places: usize, patience: Duration) -> Self {
        Self {
            incoming: Box::pin(incoming),
            places: PollSemaphore::new(Arc::new(Semaphore::new(places))),
            place: None,
            patience,
        }
    }
}

impl<IO, S: Stream<Item = io::Result<IO>>> Stream for Door<S> {
    type Item = io::Result<Tracked<IO>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.place.is_none() {
            self.place = ready!(self.places.poll_acquire(cx));
        }
        let next = ready!(self.incoming.as_mut().poll_next(cx));
        let patience = self.patience;
        Poll::Ready(next.map(|io| Ok(Tracked::new(io?, patience, self.place.take()))))
    }
}
