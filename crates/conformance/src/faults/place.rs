//! What all players of a round share: the record, the addresses of the servers, and the pace of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::recorder::Recorder;
use super::wire::Connection;
use crate::play::Proxy;

/// Where a server listens, `host:port` each.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// REST.
    pub rest: String,
    /// Sources.
    pub grpc: String,
    /// Agents.
    pub broker: String,
    /// Probes.
    pub health: String,
    /// Metrics.
    pub metrics: String,
}

/// What all players of a round share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place {
    /// The record.
    pub recorder: Recorder,
    /// The servers.
    pub servers: Arc<[Addresses]>,
    /// Multiplies every patience.
    pub time_scale: f64,
    /// Ends the round.
    pub shutdown: CancellationToken,
}

/// A player's way to the servers: a link of its own, led to one of them at a time.
#[derive(Debug)]
pub struct Way {
    proxy: Proxy,
    server: AtomicUsize,
    place: Place,
    door: Door,
}

/// Which port of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// That of sources.
    Sources,
    /// That of agents.
    Agents,
}

impl Place {
    /// A patience on this machine.
    #[must_use]
    pub fn patience(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds * self.time_scale)
    }

    /// Waits, or returns false because the round is over.
    pub async fn sleep(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.shutdown.cancelled() => false,
        }
    }
}

impl Way {
    /// A way to one of the servers.
    ///
    /// # Errors
    /// No port for the link.
    pub async fn new(place: &Place, door: Door, server: usize) -> anyhow::Result<Self> {
        let way = Self {
            proxy: Proxy::start("127.0.0.1:1").await?,
            server: AtomicUsize::new(server),
            place: place.clone(),
            door,
        };
        way.lead(server);
        Ok(way)
    }

    /// Its link, for faults.
    #[must_use]
    pub fn link(&self) -> &Proxy {
        &self.proxy
    }

    /// Which server it leads to.
    #[must_use]
    pub fn server(&self) -> usize {
        self.server.load(Ordering::Relaxed)
    }

    /// Leads new connections to another server.
    pub fn lead(&self, server: usize) {
        let Some(addresses) = self.place.servers.get(server) else {
            return;
        };
        self.server.store(server, Ordering::Relaxed);
        self.proxy.redirect(match self.door {
            Door::Sources => &addresses.grpc,
            Door::Agents => &addresses.broker,
        });
    }

    /// Leads new connections to the next server.
    pub fn turn(&self) {
        self.lead((self.server() + 1) % self.place.servers.len().max(1));
    }

    /// A new connection over it.
    ///
    /// # Errors
    /// Never in practice: the address is that of the link.
    pub fn connect(&self) -> anyhow::Result<Connection> {
        self.connect_with(self.place.patience(5.0))
    }

    /// The same with another patience for answers.
    ///
    /// # Errors
    /// As [`Way::connect`].
    pub fn connect_with(&self, patience: Duration) -> anyhow::Result<Connection> {
        Connection::new(&self.proxy.address(), patience)
    }
}
