//! Large answers on their way out: how many at once, and how their text is handed over. What one holds is bounded, but a peer may ask
//! for thousands, and read them slowly.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::Stream;

use crate::problem::{self, Problem};

/// Places of lists. A list of bundles takes one: it holds the ids of its page (12 MB for the largest) and four portions of 16
/// rows.
const LISTS: u32 = 32;
/// Places that a list of consumers takes: it holds the whole page, labels and all.
const CONSUMERS: u32 = 8;
/// Places of single objects. Each takes one while it is read, and keeps it when it is larger than a slice.
const OBJECTS: u32 = 64;
/// How long an answer waits for its place.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes handed over at once: however slowly somebody reads, it is seen that he does.
pub(super) const SLICE: usize = 64 * 1024;
/// Slices that wait for the connection. With one alone, the two who write and send wait for each other: a list takes a third longer.
const SLICES: usize = 4;
/// A reader that takes less than a slice in this time loses its place to an answer that waits for one.
const PACE: Duration = Duration::from_secs(5);

/// The places of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places {
    lists: Arc<Room>,
    objects: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Some places, given back when this is dropped.
pub(super) struct Place {
    _places: OwnedSemaphorePermit,
    room: Arc<Room>,
}

/// The end of an answer into which it is written.
pub(super) struct Outlet {
    place: Place,
    parts: mpsc::Sender<Part>,
}

enum Part {
    Text(Bytes),
    End,
}

/// The other end. The status line is out when it fails: the only honest answer left is to break off, so that nobody takes a part
/// for the whole.
struct Parts(Option<mpsc::Receiver<Part>>);

// === impl Places ===

impl Default for Places {
    fn default() -> Self {
        Self {
            lists: Room::of(LISTS),
            objects: Room::of(OBJECTS),
        }
    }
}

impl Places {
    /// A place for a list of bundles, when it is its turn.
    pub(super) async fn bundles(&self) -> Result<Place, Problem> {
        self.lists.take(1).await
    }

    /// Room for a list of consumers, when it is its turn.
    pub(super) async fn consumers(&self) -> Result<Place, Problem> {
        self.lists.take(CONSUMERS).await
    }

    /// A place for a single object, when it is its turn. To be asked for before the object is read: it may be large.
    pub(super) async fn object(&self) -> Result<Place, Problem> {
        self.objects.take(1).await
    }
}

// === impl Room ===

impl Room {
    fn of(places: u32) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(places as usize)),
            waiting: AtomicUsize::new(0),
        })
    }

    async fn take(self: &Arc<Self>, places: u32) -> Result<Place, Problem> {
        struct Waits<'a>(&'a AtomicUsize);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        let taken = timeout(PATIENCE, Arc::clone(&self.free).acquire_many_owned(places));
        match taken.await {
            Ok(Ok(places)) => Ok(Place {
                _places: places,
                room: Arc::clone(self),
            }),
            Ok(Err(_)) | Err(_) => {
                let reason = "too many answers are being read, try again later";
                let mut busy = Problem::new(problem::GENERAL, reason);
                busy.unavailable = true;
                Err(busy)
            }
        }
    }

    /// Whether an answer waits for its place.
    fn wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

// === impl Outlet ===

impl Outlet {
    /// The two ends of an answer.
    pub(super) fn new(place: Place) -> (Self, Body) {
        let (sender, parts) = mpsc::channel(SLICES);
        let outlet = Self {
            place,
            parts: sender,
        };
        (outlet, Body::from_stream(Parts(Some(parts))))
    }

    /// The body of an answer that is at hand. A small one needs its place no longer.
    pub(super) fn whole(place: Place, text: String) -> Body {
        if text.len() <= SLICE {
            return text.into();
        }
        let (outlet, body) = Self::new(place);
        tokio::spawn(async move {
            if outlet.send(text).await {
                outlet.finish().await;
            }
        });
        body
    }

    /// Hands text over as the reader takes it. `false` when he is gone, or takes so little that somebody else gets the place. Who takes
    /// nothing at all is cut off by the connection.
    pub(super) async fn send(&self, text: impl Into<Bytes>) -> bool {
        let text = text.into();
        for slice in text.chunks(SLICE) {
            // A copy: the connection would hold all of the text as long as it holds a part, also when the place is somebody else's.
            let slice = Part::Text(Bytes::copy_from_slice(slice));
            let Some(Ok(())) = self.paced(self.parts.send(slice)).await else {
                return false;
            };
        }
        true
    }

    /// Says that everything was handed over, and keeps the place until the connection has taken it.
    pub(super) async fn finish(self) {
        if let Some(Ok(())) = self.paced(self.parts.send(Part::End)).await {
            self.paced(self.parts.closed()).await;
        }
    }

    /// Waits for the reader, unless somebody else wants its place.
    async fn paced<T>(&self, taken: impl Future<Output = T>) -> Option<T> {
        let mut taken = pin!(taken);
        loop {
            match timeout(PACE, &mut taken).await {
                Ok(done) => return Some(done),
                Err(_) if self.place.room.wanted() => return None,
                Err(_) => {}
            }
        }
    }
}

// === impl Parts ===

impl Stream for Parts {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(parts) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let end = match ready!(parts.poll_recv(context)) {
            Some(Part::Text(text)) => return Poll::Ready(Some(Ok(text))),
            Some(Part::End) => None,
            None => Some(Err(io::Error::other("the answer was broken off"))),
        };
        self.0 = None;
        Poll::Ready(end)
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_part_of_a_list_is_not_taken_for_the_whole() {
        for whole in [true, false] {
            let place = Places::default().bundles().await.unwrap();
            let (outlet, body) = Outlet::new(place);
            tokio::spawn(async move {
                assert!(outlet.send("[1,").await && outlet.send("2]").await);
                if whole {
                    outlet.finish().await;
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
        for _ in 0..LISTS {
            let (outlet, body) = Outlet::new(places.bundles().await.unwrap());
            let writing =
                tokio::spawn(async move { outlet.send(vec![0; (SLICES + 2) * SLICE]).await });
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
        for _ in 0..LISTS / CONSUMERS {
            held.push(places.consumers().await.unwrap());
        }
        let problem = places.bundles().await.err().unwrap();
        assert!(problem.unavailable);
        held.pop();
        places.bundles().await.unwrap();
    }

    /// What is on its way to a slow reader counts until he has it.
    #[tokio::test(start_paused = true)]
    async fn a_large_object_keeps_its_place_until_its_end_was_taken() {
        let places = Places::default();
        let free = || places.objects.free.available_permits();
        let all = free();
        let text = "x".repeat(SLICE + 1);
        let body = Outlet::whole(places.object().await.unwrap(), text);
        let mut read = body.into_data_stream();
        for bytes in [SLICE, 1] {
            tokio::time::sleep(PACE * 2).await;
            assert_eq!(free(), all - 1, "{bytes} bytes weren't taken");
            assert_eq!(read.next().await.unwrap().unwrap().len(), bytes);
        }
        tokio::time::sleep(PACE * 2).await;
        assert_eq!(free(), all - 1, "its end wasn't taken");
        assert!(read.next().await.is_none());
        tokio::time::sleep(PACE).await;
        assert_eq!(free(), all);

        let gone = Outlet::whole(places.object().await.unwrap(), "x".repeat(SLICE + 1));
        assert_eq!(free(), all - 1);
        drop(gone);
        tokio::time::sleep(PACE).await;
        assert_eq!(free(), all, "its reader is gone");
        let small = Outlet::whole(places.object().await.unwrap(), "small".to_owned());
        assert_eq!(free(), all);
        drop(small);
    }
}
