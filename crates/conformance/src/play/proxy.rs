//! A TCP link between two parties that can be cut, stalled, delayed and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Error;

/// Bytes carried at once in each direction.
const BUFFER: usize = 16 * 1024;

#[derive(Clone, Debug)]
struct Link {
    target: Arc<str>,
    /// Connections made before the newest epoch are closed.
    epoch: u64,
    flowing: bool,
    accepting: bool,
    delay: Duration,
}

#[derive(Debug, Default)]
struct Counters {
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
}

/// Forwards connections to a target; the methods say what can go wrong on demand. Dropping it cuts everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    counters: Arc<Counters>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `host:port`.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(target: &str) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (link, state) = watch::channel(Link {
            target: target.into(),
            epoch: 0,
            flowing: true,
            accepting: true,
            delay: Duration::ZERO,
        });
        let counters = Arc::<Counters>::default();
        let acceptor = tokio::spawn(accept(listener, state, Arc::clone(&counters)));
        Ok(Self {
            address,
            link,
            counters,
            acceptor,
        })
    }

    /// Where clients connect to, `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Forwards new connections to another target.
    pub fn redirect(&self, target: &str) {
        self.link.send_modify(|link| link.target = target.into());
    }

    /// Closes every connection; new ones are still accepted.
    pub fn cut(&self) {
        self.link.send_modify(|link| link.epoch += 1);
    }

    /// Stops all bytes without closing anything, as a network that drops packets does.
    pub fn stall(&self) {
        self.link.send_modify(|link| link.flowing = false);
    }

    /// Lets bytes flow again after [`Proxy::stall`].
    pub fn flow(&self) {
        self.link.send_modify(|link| link.flowing = true);
    }

    /// Cuts every connection and closes new ones at once, until [`Proxy::accept`].
    pub fn refuse(&self) {
        self.link.send_modify(|link| {
            link.epoch += 1;
            link.accepting = false;
        });
    }

    /// Accepts connections again after [`Proxy::refuse`].
    pub fn accept(&self) {
        self.link.send_modify(|link| link.accepting = true);
    }

    /// Holds every piece of data back for so long, in both directions.
    pub fn delay(&self, time: Duration) {
        self.link.send_modify(|link| link.delay = time);
    }

    /// Bytes carried so far: to the target, and from it.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.counters.up), read(&self.counters.down))
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counters.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, link: watch::Receiver<Link>, counters: Arc<Counters>) {
    while let Ok((client, _)) = listener.accept().await {
        let now = link.borrow().clone();
        if !now.accepting {
            continue;
        }
        counters.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(carry(client, now, link.clone(), Arc::clone(&counters)));
    }
}

async fn carry(client: TcpStream, now: Link, link: watch::Receiver<Link>, counters: Arc<Counters>) {
    let Ok(server) = TcpStream::connect(&*now.target).await else {
        return;
    };
    // Only for speed.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let mut state = link.clone();
    let both = async {
        tokio::join!(
            copy(client_read, server_write, link.clone(), &counters.up),
            copy(server_read, client_write, link.clone(), &counters.down),
        )
    };
    tokio::select! {
        _ = state.wait_for(|link| link.epoch > now.epoch) => {}
        _ = both => {}
    }
}

/// Carries bytes until one side ends; the end is passed on.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
    counter: &AtomicU64,
) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let Ok(delay) = link
            .wait_for(|link| link.flowing)
            .await
            .map(|link| link.delay)
        else {
            return;
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let piece = buffer.get(..count).unwrap_or_default();
        if to.write_all(piece).await.is_err() {
            return;
        }
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}
