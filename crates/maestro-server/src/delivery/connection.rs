//! A gRPC connection: what runs on it, and how to close it when its peer has stopped reading.
//!
//! A stream whose peer doesn't read can't be ended by trailers, and one that is reset is taken for a local shutdown by Go
//! agents. So the whole connection is closed, which every client understands as "unavailable: connect again".

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// A connection that only publishes, although it had subscribed once, is closed after this time: its agent has lost its
/// stream without noticing.
const DEAF_AFTER: Duration = Duration::from_secs(30);

/// One connection as handlers see it; a request extension. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: u64,
    publishing: AtomicUsize,
    subscriptions: Mutex<Subscriptions>,
    cut: CancellationToken,
}

#[derive(Debug, Default)]
struct Subscriptions {
    open: usize,
    last_ended: Option<Instant>,
}

impl Connection {
    /// A connection with nothing running on it.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let inner = Inner {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            publishing: AtomicUsize::new(0),
            subscriptions: Mutex::default(),
            cut: CancellationToken::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Tells connections of this process apart.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// Ends the connection of an agent that publishes although its subscription ended a while ago: it doesn't know that it hears nothing
    /// any more. A source may stop listening and go on publishing.
    pub fn cut_if_deaf(&self) {
        let subscriptions = self.subscriptions();
        let deaf = subscriptions.open == 0
            && subscriptions
                .last_ended
                .is_some_and(|ended| ended.elapsed() > DEAF_AFTER);
        drop(subscriptions);
        if deaf {
            tracing::info!("An agent publishes but lost its subscription: closing its connection.");
            self.cut();
        }
    }

    /// Counts a Publish until the value is dropped.
    #[must_use]
    pub fn publishing(&self) -> impl Drop + use<> {
        self.inner.publishing.fetch_add(1, Ordering::Relaxed);
        Running {
            connection: self.clone(),
            is: Kind::Publish,
        }
    }

    /// Counts a subscription until the value is dropped.
    #[must_use]
    pub fn subscribed(&self) -> impl Drop + Send + Sync + use<> {
        self.subscriptions().open += 1;
        Running {
            connection: self.clone(),
            is: Kind::Subscription,
        }
    }

    /// Whether a Publish is running. A Go agent doesn't read while it publishes.
    #[must_use]
    pub fn is_publishing(&self) -> bool {
        self.inner.publishing.load(Ordering::Relaxed) > 0
    }

    /// Closes the connection.
    pub fn cut(&self) {
        self.inner.cut.cancel();
    }

    /// Whether it is closed, or about to be.
    #[cfg(test)]
    pub(super) fn is_cut(&self) -> bool {
        self.inner.cut.is_cancelled()
    }

    fn subscriptions(&self) -> std::sync::MutexGuard<'_, Subscriptions> {
        self.inner
            .subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

enum Kind {
    Publish,
    Subscription,
}

struct Running {
    connection: Connection,
    is: Kind,
}

impl Drop for Running {
    fn drop(&mut self) {
        match self.is {
            Kind::Publish => {
                self.connection
                    .inner
                    .publishing
                    .fetch_sub(1, Ordering::Relaxed);
            }
            Kind::Subscription => {
                let mut subscriptions = self.connection.subscriptions();
                subscriptions.open = subscriptions.open.saturating_sub(1);
                subscriptions.last_ended = Some(Instant::now());
            }
        }
    }
}

/// A byte stream that ends when its [`Connection`] is cut, or when its peer doesn't begin to speak.
pub struct Tracked<IO> {
    io: IO,
    connection: Connection,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until the peer has said that it speaks HTTP/2. From then on HTTP/2 asks silent peers for signs of life.
    preface: Option<Preface>,
    _place: Option<OwnedSemaphorePermit>,
}

/// The first bytes of an HTTP/2 connection.
struct Preface {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<IO> Tracked<IO> {
    /// Tracks a freshly accepted stream whose peer has so much time for its first bytes. `place` is given back with it.
    #[must_use]
    pub fn new(io: IO, patience: Duration, place: Option<OwnedSemaphorePermit>) -> Self {
        /// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`
        const PREFACE_BYTES: usize = 24;
        let connection = Connection::new();
        let cut = Box::pin(connection.inner.cut.clone().cancelled_owned());
        let preface = Preface {
            missing: PREFACE_BYTES,
            deadline: Box::pin(tokio::time::sleep(patience)),
        };
        Self {
            io,
            connection,
            cut,
            preface: Some(preface),
            _place: place,
        }
    }
}

impl<IO: Connected> Connected for Tracked<IO> {
    type ConnectInfo = (Connection, IO::ConnectInfo);

    fn connect_info(&self) -> Self::ConnectInfo {
        (self.connection.clone(), self.io.connect_info())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Tracked<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // HTTP/2 always has a read outstanding, so this is where a cut is noticed.
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let this = &mut *self;
        let Some(preface) = &mut this.preface else {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        };
        if preface.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buf);
        preface.missing = preface.missing.saturating_sub(buf.filled().len() - before);
        if preface.missing == 0 {
            this.preface = None;
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Tracked<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.connection.inner.cut.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.inner.cut.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_agent_that_lost_its_stream_is_cut() {
        let connection = Connection::new();
        connection.cut_if_deaf();
        assert!(!connection.inner.cut.is_cancelled(), "it never subscribed");
        drop(connection.subscribed());
        connection.cut_if_deaf();
        assert!(!connection.inner.cut.is_cancelled(), "it may come back");
        let long_ago = Instant::now().checked_sub(DEAF_AFTER * 2);
        connection.subscriptions().last_ended = long_ago;
        drop(connection.publishing());
        assert!(
            !connection.inner.cut.is_cancelled(),
            "a source may stop listening and go on publishing"
        );
        let open = connection.subscribed();
        connection.cut_if_deaf();
        assert!(!connection.inner.cut.is_cancelled(), "it listens");
        drop(open);
        connection.subscriptions().last_ended = long_ago;
        connection.cut_if_deaf();
        assert!(connection.inner.cut.is_cancelled());
    }
}
