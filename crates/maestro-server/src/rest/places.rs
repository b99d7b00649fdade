//! How many lists are written at once. What one holds is bounded, but a peer may ask for thousands, and read them slowly.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places of lists. A list of bundles takes one: it holds the ids of its page (12 MB for the largest) and four portions of 16
/// rows.
const PLACES: usize = 32;
/// Places that a list of consumers takes: it holds the whole page, labels and all.
const CONSUMERS: u32 = 8;

/// The places of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

/// A place that is given back when this is dropped.
pub(super) type Place = Option<OwnedSemaphorePermit>;

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

impl Places {
    /// A place for a list of bundles; waits for its turn.
    pub(super) async fn bundles(&self) -> Place {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }

    /// Room for a list of consumers; waits for its turn.
    pub(super) async fn consumers(&self) -> Place {
        Arc::clone(&self.0).acquire_many_owned(CONSUMERS).await.ok()
    }
}
