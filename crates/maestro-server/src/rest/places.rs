//! Lists on their way out: how many at once, and how their text is handed over. What one holds is bounded, but a peer may ask for
//! thousands, and read them slowly.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::problem::{self, Problem};

/// Places of lists. A list of bundles takes one: it holds the ids of its page (12 MB for the largest) and four portions of 16
/// rows.
const PLACES: u32 = 32;
/// Places that a list of consumers takes: it holds the whole page, labels and all.
const CONSUMERS: u32 = 8;
/// How long a list waits for its place.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes handed over at once: however slowly somebody reads, it is seen that he does.
const SLICE: usize = 256 * 1024;
/// A reader that takes less than a slice in this time loses its place to a list that waits for one.
const PACE: Duration = Duration::from_secs(5);

/// The places of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Some places, given back when this is dropped.
pub(super) struct Place {
    _places: OwnedSemaphorePermit,
    all: Places,
}

/// The end of a list into which it is written.
pub(super) struct Outlet {
    place: Place,
    text: mpsc::Sender<Bytes>,
    whole: Arc<AtomicBool>,
}

// === impl Places ===

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Inner {
            free: Arc::new(Semaphore::new(PLACES as usize)),
            waiting: AtomicUsize::new(0),
        }))
    }
}

impl Places {
    /// A place for a list of bundles, when it is its turn.
    pub(super) async fn bundles(&self) -> Result<Place, Problem> {
        self.take(1).await
    }

    /// Room for a list of consumers, when it is its turn.
    pub(super) async fn consumers(&self) -> Result<Place, Problem> {
        self.take(CONSUMERS).await
    }

    async fn take(&self, places: u32) -> Result<Place, Problem> {
        struct Waits<'a>(&'a AtomicUsize);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.0.waiting);
        let taken = timeout(
            PATIENCE,
            Arc::clone(&self.0.free).acquire_many_owned(places),
        );
        match taken.await {
            Ok(Ok(places)) => Ok(Place {
                _places: places,
                all: self.clone(),
            }),
            Ok(Err(_)) | Err(_) => {
                let reason = "too many lists are being read, try again later";
                let mut busy = Problem::new(problem::GENERAL, reason);
                busy.unavailable = true;
                Err(busy)
            }
        }
    }

    /// Whether a list waits for its place.
    fn wanted(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }
}

// === impl Outlet ===

impl Outlet {
    /// The two ends of a list. The status line is out when it fails: the only honest answer left is to break off, so that nobody takes a
    /// part for the whole.
    pub(super) fn new(place: Place) -> (Self, Body) {
        let (sender, text) = mpsc::channel(1);
        let whole = Arc::new(AtomicBool::new(false));
        let outlet = Self {
            place,
            text: sender,
            whole: Arc::clone(&whole),
        };
        let broken = move || {
            let broken = !whole.load(Ordering::Acquire);
            broken.then(|| Err(std::io::Error::other("the list was broken off")))
        };
        let end = tokio_stream::iter(std::iter::from_fn(broken).take(1));
        let body = Body::from_stream(ReceiverStream::new(text).map(Ok).chain(end));
        (outlet, body)
    }

    /// Hands text over as the reader takes it. `false` when he is gone, or takes so little that somebody else gets the place. Who takes
    /// nothing at all is cut off by the connection.
    pub(super) async fn send(&self, text: impl Into<Bytes>) -> bool {
        let mut text = text.into();
        while !text.is_empty() {
            let slice = text.split_to(SLICE.min(text.len()));
            let mut sent = pin!(self.text.send(slice));
            let taken = loop {
                match timeout(PACE, &mut sent).await {
                    Ok(sent) => break sent.is_ok(),
                    Err(_) if self.place.all.wanted() => break false,
                    Err(_) => {}
                }
            };
            if !taken {
                return false;
            }
        }
        true
    }

    /// Says that everything was handed over.
    pub(super) fn finish(self) {
        self.whole.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_of_a_list_is_not_taken_for_the_whole() {
        for whole in [true, false] {
            let place = Places::default().bundles().await.unwrap();
            let (outlet, body) = Outlet::new(place);
            tokio::spawn(async move {
                assert!(outlet.send("[1,").await && outlet.send("2]").await);
                if whole {
                    outlet.finish();
                }
            });
            let read = axum::body::to_bytes(body, usize::MAX).await;
            assert_eq!(read.is_ok(), whole);
            assert!(!whole || read.is_ok_and(|text| text == "[1,2]"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_readers_keep_their_place_until_somebody_wants_it() {
        let places = Places::default();
        let mut lists = Vec::new();
        for _ in 0..PLACES {
            let (outlet, body) = Outlet::new(places.bundles().await.unwrap());
            let writing = tokio::spawn(async move { outlet.send(vec![0; 3 * SLICE]).await });
            lists.push((writing, body));
        }
        tokio::time::sleep(PACE * 100).await;
        assert!(lists.iter().all(|(writing, _)| !writing.is_finished()));
        // It gets one before its patience is at its end, and from then on nobody loses any more.
        places.bundles().await.unwrap();
        assert!(lists.iter().any(|(writing, _)| writing.is_finished()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_come_again() {
        let places = Places::default();
        let mut held = Vec::new();
        for _ in 0..PLACES / CONSUMERS {
            held.push(places.consumers().await.unwrap());
        }
        let problem = places.bundles().await.err().unwrap();
        assert!(problem.unavailable);
        held.pop();
        places.bundles().await.unwrap();
    }
}
