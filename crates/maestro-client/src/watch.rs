//! Following works over everything that can happen on the way.
//!
//! All watches of a client share one status subscription, which is opened by the first and closed by the last. A watch waits
//! until the server has registered it, and only then lists: what is stored before the list is in the list, what is stored after
//! it comes through the subscription. When the subscription ends, or is silent for too long, the same happens again, and the
//! list is compared with what was told before. So
//! - each work is told once as [`WatchEvent::Added`], then as [`WatchEvent::Modified`] whenever it differs from what was told;
//! - a work never goes back to an older version or an older status;
//! - the end of a work is told exactly once as [`WatchEvent::Deleted`], also if it ended while nobody was connected.
//!
//! Between two lists only statuses are streamed. A change of the spec is told with the first status for it or by the next list;
//! [`WatchOptions::relist_every`] asks for more lists.
//!
//! A watch that isn't read holds up nobody. The latest report of each work waits for it; beyond
//! [`Config::watch_buffer`](crate::Config::watch_buffer) bytes they are dropped, and the watch lists again when it is read.
//! It ends when it is dropped.

pub(crate) mod feed;
mod mailbox;
mod session;
mod tracker;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use manifestwork::ManifestWork;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Error, LabelSelector, Works};

/// Events that wait for a reader; beyond that reports wait, the latest of each work.
const BUFFER: usize = 64;

/// Shortest time between lists that [`WatchOptions::relist_every`] asks for.
pub const MIN_RELIST: Duration = Duration::from_secs(1);

/// What to follow.
#[derive(Debug, Clone, Default)]
pub struct WatchOptions {
    /// Only works with these labels. A work that loses them is told as deleted, as Kubernetes does.
    pub label_selector: LabelSelector,
    /// Only the work with this name; works of one consumer only.
    pub name: Option<String>,
    /// Lists again this often and tells what differs; none means only after interruptions. Less than [`MIN_RELIST`] is taken for
    /// that. Brings changes of specs that no agent has reported about yet.
    pub relist_every: Option<Duration>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// A work that was not told before.
    Added(Box<ManifestWork>),
    /// Another version, status, or the beginning of a deletion.
    Modified(Box<ManifestWork>),
    /// The work is gone. If that was noticed by comparison, it has metadata and the condition `Deleted` only.
    Deleted(Box<ManifestWork>),
    /// Everything that exists has been told; from now on changes come as they happen. Comes after every (re)connection.
    Synced,
    /// The connection was lost or could not be made. The watch goes on trying by itself; nothing is missed. If what was asked for
    /// can never be had ([`Works::watch`]) this is the first event and the last.
    Interrupted(WatchError),
}

/// Why a watch is interrupted. Compared by text.
#[derive(Debug, Clone)]
pub struct WatchError(pub Error);

impl PartialEq for WatchError {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl WatchEvent {
    /// The work that it is about.
    #[must_use]
    pub fn work(&self) -> Option<&ManifestWork> {
        match self {
            Self::Added(work) | Self::Modified(work) | Self::Deleted(work) => Some(work),
            Self::Synced | Self::Interrupted(_) => None,
        }
    }
}

/// A running watch: a stream of [`WatchEvent`]s. It ends by itself only if it can never work: see [`Works::watch`].
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<WatchEvent>,
    _stop: DropGuard,
}

impl Watch {
    pub(crate) fn start(works: Works, options: WatchOptions) -> Self {
        let (sender, events) = mpsc::channel(BUFFER);
        let stop = CancellationToken::new();
        if let Err(error) = works.can_watch(&options) {
            // There is room: it is the first. Then nobody writes any more, which is the end of the stream.
            let _ = sender.try_send(WatchEvent::Interrupted(WatchError(error)));
            return Self {
                events,
                _stop: stop.drop_guard(),
            };
        }
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = session::run(works, options, sender) => {}
            }
        });
        Self {
            events,
            _stop: stop.drop_guard(),
        }
    }

    /// The next event; none when the watch has ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next_event(&mut self) -> Option<WatchEvent> {
        self.events.recv().await
    }
}

impl Stream for Watch {
    type Item = WatchEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        self.events.poll_recv(context)
    }
}
