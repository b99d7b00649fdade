//! All parts of HyperFleet in one process, each one startable and stoppable by itself.
//!
//! ```text
//!   sandboxes (regional, management) ─► API ─► Maestro server ─► agent ─► simulator ─► adapters ─► Sentinel
//! ```
//!
//! The stack only wires: it chooses addresses, writes the files that a user reads ([`data`]), gives each service its configuration
//! ([`parts`]), and notices when one ends ([`part`]). A part that the user has elsewhere (`--maestro-server`, `--kubeconfig`) isn't started.

mod data;
mod endpoints;
mod part;
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use event_broker::{Broker, Consumer, Subscription};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use data::{DataDir, create};
pub use endpoints::Endpoints;
pub use part::Ended;
use part::Part;
pub use parts::{ControlPlane, degrade};

/// The topic of the pulses.
pub const TOPIC: &str = "hyperfleet-clusters";

/// Name of the management cluster and of its consumer.
pub const CONSUMER: &str = "us-east-mgmt-01";

/// Namespace of the HostedClusters.
pub const NAMESPACE: &str = "clusters";

/// A Maestro server that is already running.
#[derive(Debug, Clone)]
pub struct ExternalMaestro {
    /// Base URL of its REST API.
    pub rest: String,
    /// `host:port` for sources.
    pub grpc: String,
    /// `host:port` for agents.
    pub broker: String,
}

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data is.
    pub data: PathBuf,
    /// How much faster than real time the simulated operator works.
    pub time_scale: f64,
    /// Whether the management sandbox refuses what the HostedCluster's CRD and webhooks would refuse.
    pub crd_checks: bool,
    /// The configuration of the control-plane adapter.
    pub control_plane: ControlPlane,
    /// Adapters that are not started.
    pub without: BTreeSet<String>,
    /// A Maestro server to use instead of ours.
    pub maestro: Option<ExternalMaestro>,
    /// Kubeconfig of a management cluster to use instead of the sandbox.
    pub kubeconfig: Option<PathBuf>,
    /// URL of the broker.
    pub broker: String,
}

/// A running stack.
pub struct Stack {
    options: Options,
    data: DataDir,
    endpoints: Endpoints,
    broker: Arc<dyn Broker>,
    /// Id of the consumer at Maestro, if it was registered by this stack.
    registered: Option<String>,
    parts: BTreeMap<String, Part>,
    /// The order of starting; stopped in reverse.
    order: Vec<String>,
    token: CancellationToken,
    ended_sender: mpsc::Sender<Ended>,
    ended: mpsc::Receiver<Ended>,
}

impl Stack {
    /// Starts every part and waits until each one listens.
    ///
    /// # Errors
    /// When a part can't start; the parts that run already are stopped again.
    pub async fn start(options: Options, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        let broker = event_broker::connect(&options.broker).context("--broker")?;
        let mut data = DataDir::open(&options.data)?;
        let endpoints = parts::addresses(&options, &mut data)?;
        data.remember_ports()?;
        // Room for one note of each part: sending never waits.
        let (ended_sender, ended) = mpsc::channel(32);
        let mut stack = Self {
            options,
            data,
            endpoints,
            broker,
            registered: None,
            parts: BTreeMap::new(),
            order: Vec::new(),
            // Not a child of `shutdown`: a signal stops the parts in order, not all at once.
            token: CancellationToken::new(),
            ended_sender,
            ended,
        };
        let started = tokio::select! {
            started = parts::start_all(&mut stack) => started,
            () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted while starting")),
        };
        match started {
            Ok(()) => Ok(stack),
            Err(error) => {
                // The first error is the one worth telling.
                let _ = stack.stop().await;
                Err(error)
            }
        }
    }

    /// Where everything is.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The data directory.
    pub fn data(&self) -> &DataDir {
        &self.data
    }

    /// Whether the operator on the management cluster is the simulator.
    pub fn is_simulated(&self) -> bool {
        self.options.kubeconfig.is_none()
    }

    /// How much faster than real time the simulated operator works.
    pub fn time_scale(&self) -> f64 {
        self.options.time_scale
    }

    /// Waits for the next part that ends although nobody asked it to.
    pub async fn ended(&mut self) -> Ended {
        match self.ended.recv().await {
            Some(ended) => ended,
            // The stack holds a sender itself.
            None => std::future::pending().await,
        }
    }

    /// Listens to the pulses like an adapter does.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn subscribe_pulses(&self, id: &str) -> anyhow::Result<Consumer> {
        self.broker
            .subscribe(Subscription::new(id, TOPIC))
            .await
            .context("subscribe to the pulses")
    }

    /// Stops the agent, as if its cluster were cut off.
    ///
    /// # Errors
    /// When it ended with an error.
    pub async fn stop_agent(&mut self) -> anyhow::Result<()> {
        self.stop_part(parts::AGENT).await
    }

    /// Starts the agent again.
    ///
    /// # Errors
    /// When it can't start.
    pub async fn start_agent(&mut self) -> anyhow::Result<()> {
        parts::start_agent(self).await
    }

    /// Stops the Maestro server.
    ///
    /// # Errors
    /// When it ended with an error.
    pub async fn stop_maestro_server(&mut self) -> anyhow::Result<()> {
        self.stop_part(parts::MAESTRO_SERVER).await
    }

    /// Starts the Maestro server on the same data and addresses.
    ///
    /// # Errors
    /// When it can't start.
    pub async fn start_maestro_server(&mut self) -> anyhow::Result<()> {
        parts::start_maestro_server(self).await
    }

    /// Removes the consumer from a Maestro server that goes on living, if this stack registered it and no works are left.
    pub async fn unregister(&mut self) {
        if self.options.maestro.is_none() {
            return;
        }
        let Some(id) = self.registered.take() else {
            return;
        };
        let removed = match self.maestro() {
            Ok(client) => client.consumers().delete(&id).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!("the consumer {id} stays at the Maestro server: {error}");
        }
    }

    /// Stops every part, the newest first.
    ///
    /// # Errors
    /// The first error of a part; all are stopped nevertheless.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let mut first = Ok(());
        while let Some(name) = self.order.pop() {
            if let Some(part) = self.parts.remove(&name) {
                first = first.and(part.stop().await);
            }
        }
        self.broker.close().await;
        first
    }

    async fn stop_part(&mut self, name: &str) -> anyhow::Result<()> {
        match self.parts.remove(name) {
            Some(part) => part.stop().await,
            None => Ok(()),
        }
    }

    fn add<F, E>(&mut self, name: &str, service: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        let part = Part::spawn(name, &self.token, self.ended_sender.clone(), service);
        if !self.order.iter().any(|n| n == name) {
            self.order.push(name.to_owned());
        }
        self.parts.insert(name.to_owned(), part);
    }
}
