//! A TCP link between two parties that a test can stall and cut.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes carried at once in each direction.
const BUFFER: usize = 16 * 1024;

#[derive(Clone, Copy, Debug)]
struct Link {
    /// Connections made before the newest epoch are closed.
    epoch: u64,
    flowing: bool,
    accepting: bool,
}

/// Forwards connections to a fixed target; see the methods for what can go wrong on demand.
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (link, state) = watch::channel(Link {
            epoch: 0,
            flowing: true,
            accepting: true,
        });
        let acceptor = tokio::spawn(accept(listener, target, state));
        Ok(Self {
            address,
            link,
            acceptor,
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, link: watch::Receiver<Link>) {
    while let Ok((client, _)) = listener.accept().await {
        let now = *link.borrow();
        if !now.accepting {
            continue;
        }
        let link = link.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else {
                return;
            };
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            tokio::join!(
                copy(client_read, server_write, now.epoch, link.clone()),
                copy(server_read, client_write, now.epoch, link),
            );
        });
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    epoch: u64,
    mut link: watch::Receiver<Link>,
) {
    let mut buffer = vec![0; BUFFER];
    let mut state = link.clone();
    tokio::select! {
        _ = state.wait_for(|link| link.epoch > epoch) => {}
        () = async {
            loop {
                let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
                if link.wait_for(|link| link.flowing).await.is_err() {
                    return;
                }
                if to.write_all(buffer.get(..count).unwrap_or_default()).await.is_err() {
                    return;
                }
            }
        } => {}
    }
}
