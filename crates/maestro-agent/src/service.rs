//! An agent as a service: everything that runs beside its owner.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube_access::watch::{Event, Selection};
use kube_access::{Client, Error as KubeError};
use manifestwork::constants::FIELD_MANAGER;
use service_runtime::health::Health;
use service_runtime::metrics::Metrics as Registry;
use service_runtime::{http, tls};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::config::Config;
use crate::core::{Core, Message, Settings};
use crate::job::Runner;
use crate::link::{Connection, Link, Publisher};
use crate::metrics::Metrics;
use crate::observer::{Observer, Sight};
use crate::record::{Record, Records, crd};

/// News of the link and sights of objects that wait for the owner; whoever has more waits.
const INBOX: usize = 256;
/// Statuses on their way at a time.
const PUBLISHERS: usize = 32;
/// How often it is tried to read records at all.
const RECORDS_PAUSE: Duration = Duration::from_secs(3);

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is incomplete or contradicts itself; everything that is wrong with it.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// The TLS files can't be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The client for the managed cluster can't be used.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// The address for health and metrics can't be had.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Where an agent listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Health and metrics, if they are served.
    pub health: Option<SocketAddr>,
}

/// An agent that is ready to run.
pub struct Service {
    agent: Box<Agent>,
    link: Box<Link>,
    records: Records,
    record_messages: mpsc::Sender<Message>,
    client: Client,
    install_crds: bool,
    tls: Option<tls::Client>,
    listener: Option<TcpListener>,
    health: Health,
    registry: Registry,
    addresses: Addresses,
}

impl Service {
    /// Checks the configuration, reads the TLS files and binds the listener. Neither the server nor the cluster needs to
    /// be there.
    ///
    /// # Errors
    /// Everything that a person must set right first.
    pub async fn bind(config: Config, client: Client) -> Result<Self, Error> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        let client = client.with_user_agent(FIELD_MANAGER)?;
        let tls = config.tls.clone().map(tls::Client::load).transpose()?;
        let listener = match &config.listen {
            None => None,
            Some(address) => {
                let failed = |source| Error::Listen {
                    address: address.clone(),
                    source,
                };
                Some(TcpListener::bind(address).await.map_err(failed)?)
            }
        };
        let health_address = listener.as_ref().and_then(|l| l.local_addr().ok());
        let health = Health::new();
        let registry = Registry::new();
        let (record_messages, records_inbox) = mpsc::channel(INBOX);
        let (sights_sender, sights) = mpsc::channel(INBOX);
        let (news_sender, news) = mpsc::channel(INBOX);
        let identity = Arc::new(config.identity());
        let connection = Connection {
            address: config.server_address.clone(),
            tls: tls.clone(),
            token: config.token.clone(),
        };
        let (link, publisher) = Link::new(
            connection,
            config.consumer_name.clone(),
            config.server_healthiness_timeout,
            news_sender,
        );
        let agent = agent(
            &config,
            &client,
            publisher,
            sights_sender,
            Inboxes {
                news,
                sights,
                records: records_inbox,
            },
            Metrics::register(&registry),
            &health,
        );
        Ok(Self {
            agent: Box::new(agent),
            link: Box::new(link),
            records: Records::new(client.clone(), identity),
            record_messages,
            client,
            install_crds: config.install_crds,
            tls,
            listener,
            health,
            registry,
            addresses: Addresses {
                health: health_address,
            },
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Runs until the shutdown; running jobs end first.
    ///
    /// # Errors
    /// None today: what goes wrong while it runs is reported and tried again.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let records_gate = self.health.gate("records");
        let listing = follow_records(
            self.client,
            self.records,
            self.install_crds,
            self.record_messages,
            records_gate,
        );
        let listing = until(shutdown.clone(), listing);
        let reload = async {
            if let Some(tls) = self.tls {
                let task = tls.spawn_reload(tls::RELOAD_INTERVAL, shutdown.clone());
                let _ = task.await;
            }
        };
        let serving = async {
            if let Some(listener) = self.listener {
                let router = self.health.router().merge(self.registry.router());
                let _ = http::serve(listener, router, None, shutdown.clone()).await;
            }
        };
        let health = self.health.clone();
        let closing = async {
            shutdown.cancelled().await;
            health.shutting_down();
        };
        tokio::join!(
            Box::pin(self.link.run(shutdown.clone())),
            Box::pin(self.agent.run(shutdown.clone())),
            Box::pin(listing),
            reload,
            serving,
            closing,
        );
        Ok(())
    }
}

/// Binds and runs an agent.
///
/// # Errors
/// As [`Service::bind`].
pub async fn run(config: Config, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let service = Service::bind(config, client).await?;
    service.run(shutdown).await
}

struct Inboxes {
    news: mpsc::Receiver<crate::link::News>,
    sights: mpsc::Receiver<Sight>,
    records: mpsc::Receiver<Message>,
}

fn agent(
    config: &Config,
    client: &Client,
    publisher: Publisher,
    sights: mpsc::Sender<Sight>,
    inboxes: Inboxes,
    metrics: Metrics,
    health: &Health,
) -> Agent {
    let identity = Arc::new(config.identity());
    let settings = Settings {
        consumer: config.consumer_name.clone(),
        workers: config.workers,
        publishers: PUBLISHERS,
        max_json_raw_length: config.max_json_raw_length,
        look_interval: config.look_interval,
    };
    Agent {
        core: Core::new(settings, Arc::clone(&identity)),
        client_id: config.client_id.clone(),
        consumer: config.consumer_name.clone(),
        runner: Runner::new(client.clone(), identity),
        publisher,
        observer: Observer::new(client.clone(), config.max_feedback_watch, sights),
        news: inboxes.news,
        sights: inboxes.sights,
        records: inboxes.records,
        metrics,
        link_gate: health.gate("subscription"),
        work_gate: health.gate("works"),
        stuck_after: config.stuck_after,
    }
}

async fn until(shutdown: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

/// Tells the owner of all records, for as long as it listens.
async fn follow_records(
    client: Client,
    records: Records,
    install: bool,
    owner: mpsc::Sender<Message>,
    gate: service_runtime::health::Gate,
) {
    let resource = loop {
        let found = if install {
            match crd::install(&client).await {
                Ok(()) => records.resource().await,
                Err(error) => Err(error),
            }
        } else {
            records.resource().await
        };
        match found {
            Ok(resource) => break resource,
            Err(error) => {
                let problem = unreadable(&error, install);
                tracing::warn!(problem, "The records of this agent can't be read.");
                gate.not_ready(&problem);
                if owner.send(Message::NoRecords(problem)).await.is_err() {
                    return;
                }
                tokio::time::sleep(RECORDS_PAUSE).await;
            }
        }
    };
    let mut events = client.watch(&resource, None, Selection::default());
    while let Some(event) = events.next().await {
        let message = match event {
            Event::Listed(items) => {
                gate.ready();
                Some(Message::Records(
                    items.iter().filter_map(Record::read).collect(),
                ))
            }
            Event::Applied(item) => Record::read(&item).map(Message::Record),
            Event::Deleted(item) => Record::read(&item).map(Message::RecordGone),
            Event::Failed(error) => {
                let problem = unreadable(&error, install);
                Some(Message::NoRecords(problem))
            }
        };
        if let Some(message) = message
            && owner.send(message).await.is_err()
        {
            return;
        }
    }
}

fn unreadable(error: &KubeError, install: bool) -> String {
    match error {
        KubeError::NoSuchKind { .. } if !install => {
            "the cluster doesn't know AppliedManifestWork: install its CustomResourceDefinition, or let the agent do it \
             (--install-crds)"
                .to_owned()
        }
        error => format!("the records of this agent can't be read: {error}"),
    }
}
