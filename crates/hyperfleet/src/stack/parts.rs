//! The configuration of each part, and the order in which they start.

mod adapters;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube_access::{Apply, Client as Kubernetes, Patch, Write};
use serde_json::{Value, json};

pub use adapters::ControlPlane;
pub(super) use adapters::start as start_adapters;

use super::data::DataDir;
use super::endpoints::Endpoints;
use super::{CONSUMER, NAMESPACE, Options, Stack, TOPIC};

pub(super) const AGENT: &str = "maestro-agent";
pub(super) const MAESTRO_SERVER: &str = "maestro-server";
const API: &str = "hyperfleet-api";
const MANAGEMENT: &str = "management-cluster";
const REGIONAL: &str = "regional-cluster";
const SENTINEL: &str = "hyperfleet-sentinel";
const SIMULATOR: &str = "hypershift-simulator";

/// The source id under which the control-plane adapter publishes.
pub(super) const SOURCE_ID: &str = "controlplane-adapter";

/// Namespace on the regional cluster in which the adapters keep their objects.
const ADAPTERS_NAMESPACE: &str = "hyperfleet-adapters";

/// A port that nobody needs to know.
const ANY_PORT: &str = "127.0.0.1:0";

/// How often Sentinel looks. A laptop can afford what a fleet can't.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Pause between pulses of a cluster that is not reconciled yet, in CEL.
const PULSE_AGAIN: &str = "1s";

/// How long everything may take to answer at first.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn addresses(options: &Options, data: &mut DataDir) -> anyhow::Result<Endpoints> {
    let external = options.maestro.as_ref();
    let mut door = |name: &str| data.address(name);
    let (rest, grpc, broker) = match external {
        Some(maestro) => (
            maestro.rest.clone(),
            maestro.grpc.clone(),
            maestro.broker.clone(),
        ),
        None => (
            format!("http://{}", door("maestro-rest")?),
            door("maestro-grpc")?,
            door("maestro-broker")?,
        ),
    };
    Ok(Endpoints {
        api: format!("http://{}", door("api")?),
        regional: format!("http://{}", door(REGIONAL)?),
        management: format!("http://{}", door(MANAGEMENT)?),
        maestro_rest: rest,
        maestro_grpc: grpc,
        maestro_broker: broker,
        consumer: CONSUMER.to_owned(),
        source_id: SOURCE_ID.to_owned(),
        data: data.join(""),
        regional_kubeconfig: data.join("regional.kubeconfig"),
        management_kubeconfig: options
            .kubeconfig
            .clone()
            .unwrap_or_else(|| data.join("management.kubeconfig")),
    })
}

/// Starts everything, each part after those that it talks to.
pub(super) async fn start_all(stack: &mut Stack) -> anyhow::Result<()> {
    start_regional(stack).await?;
    if stack.options.kubeconfig.is_none() {
        start_management(stack).await?;
        start_simulator(stack).await?;
    } else {
        let management = stack.management().await?;
        stack.endpoints.management = management.url();
        ensure_namespace(&management, NAMESPACE).await?;
    }
    start_api(stack).await?;
    if stack.options.maestro.is_none() {
        start_maestro_server(stack).await?;
    }
    register_consumer(stack).await?;
    start_agent(stack).await?;
    start_adapters(stack).await?;
    start_sentinel(stack).await
}

async fn start_regional(stack: &mut Stack) -> anyhow::Result<()> {
    let config = kube_sandbox::Config {
        name: "regional".to_owned(),
        listen: host_port(&stack.endpoints.regional),
        data: kube_sandbox::Data::File(stack.data.join("regional.db")),
        ..kube_sandbox::Config::default()
    };
    let service = kube_sandbox::Service::bind(config)
        .await
        .context("start the regional cluster")?;
    stack
        .data
        .write("regional.kubeconfig", &service.kubeconfig())?;
    let client = Kubernetes::from_url(&service.url())?;
    stack.add(REGIONAL, |token| service.run(token));
    ensure_namespace(&client, ADAPTERS_NAMESPACE).await
}

async fn start_management(stack: &mut Stack) -> anyhow::Result<()> {
    let checks = stack.options.crd_checks;
    let config = kube_sandbox::Config {
        name: CONSUMER.to_owned(),
        listen: host_port(&stack.endpoints.management),
        data: kube_sandbox::Data::File(stack.data.join("management.db")),
        crds: vec![
            hypershift::crd::hosted_cluster(),
            hypershift::crd::node_pool(),
        ],
        admission: if checks {
            vec![hypershift_simulator::admission()]
        } else {
            Vec::new()
        },
        validate_schemas: checks,
        ..kube_sandbox::Config::default()
    };
    let service = kube_sandbox::Service::bind(config)
        .await
        .context("start the management cluster")?;
    stack
        .data
        .write("management.kubeconfig", &service.kubeconfig())?;
    let client = Kubernetes::from_url(&service.url())?;
    stack.add(MANAGEMENT, |token| service.run(token));
    ensure_namespace(&client, NAMESPACE).await
}

async fn start_simulator(stack: &mut Stack) -> anyhow::Result<()> {
    let config = hypershift_simulator::Config {
        time_scale: stack.options.time_scale,
        ..hypershift_simulator::Config::default()
    };
    let client = stack.management().await?;
    let service = hypershift_simulator::Service::bind(config, client)
        .await
        .context("start the simulator")?;
    stack.add(SIMULATOR, |token| service.run(token));
    Ok(())
}

async fn start_api(stack: &mut Stack) -> anyhow::Result<()> {
    let config = hyperfleet_api::Config {
        listen: host_port(&stack.endpoints.api),
        health_listen: ANY_PORT.to_owned(),
        metrics_listen: ANY_PORT.to_owned(),
        database: hyperfleet_api::Database::Sqlite(stack.data.join("hyperfleet-api.db")),
        ..hyperfleet_api::Config::default()
    };
    let service = hyperfleet_api::Service::bind(config)
        .await
        .context("start the HyperFleet API")?;
    stack.add(API, |token| service.run(token));
    Ok(())
}

pub(super) async fn start_maestro_server(stack: &mut Stack) -> anyhow::Result<()> {
    let config = maestro_server::Config {
        rest_listen: host_port(&stack.endpoints.maestro_rest),
        grpc_listen: stack.endpoints.maestro_grpc.clone(),
        broker_listen: stack.endpoints.maestro_broker.clone(),
        health_listen: ANY_PORT.to_owned(),
        metrics_listen: ANY_PORT.to_owned(),
        database: maestro_server::Database::Sqlite(stack.data.join("maestro.db")),
        ..maestro_server::Config::default()
    };
    let service = maestro_server::Service::bind(config)
        .await
        .context("start the Maestro server")?;
    stack.add(MAESTRO_SERVER, |token| service.run(token));
    Ok(())
}

/// The management cluster must be known to Maestro before anything can be sent to it.
async fn register_consumer(stack: &mut Stack) -> anyhow::Result<()> {
    let consumers = stack.maestro()?.consumers();
    let labels = std::collections::BTreeMap::new();
    match consumers.create(CONSUMER, &labels).await {
        Ok(consumer) => {
            stack.registered = Some(consumer.id);
            Ok(())
        }
        Err(maestro_client::Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error).context(format!("register the consumer {CONSUMER} at Maestro")),
    }
}

pub(super) async fn start_agent(stack: &mut Stack) -> anyhow::Result<()> {
    let config = maestro_agent::Config {
        consumer_name: CONSUMER.to_owned(),
        client_id: format!("{CONSUMER}-work-agent"),
        server_address: stack.endpoints.maestro_broker.clone(),
        ..maestro_agent::Config::default()
    };
    let client = stack.management().await?;
    let service = maestro_agent::Service::bind(config, client)
        .await
        .context("start the Maestro agent")?;
    stack.add(AGENT, |token| service.run(token));
    Ok(())
}

async fn start_sentinel(stack: &mut Stack) -> anyhow::Result<()> {
    let config = hyperfleet_sentinel::Config {
        poll_interval: POLL_INTERVAL,
        publish_on_generation_change: true,
        // The adapters of this process were restarted as well.
        publish_on_start: true,
        republish_interval: Duration::from_secs(1),
        message_decision: hyperfleet_sentinel::config::Decision::with_ages(PULSE_AGAIN, "30m"),
        health_listen: ANY_PORT.to_owned(),
        metrics_listen: ANY_PORT.to_owned(),
        ..hyperfleet_sentinel::Config::new("clusters", &stack.endpoints.api, TOPIC)
    };
    let service = hyperfleet_sentinel::Service::bind(config, Arc::clone(&stack.broker))
        .await
        .context("start Sentinel")?;
    stack.add(SENTINEL, |token| service.run(token));
    Ok(())
}

impl Stack {
    /// A client of the management cluster.
    pub(super) async fn management(&self) -> anyhow::Result<Kubernetes> {
        match &self.options.kubeconfig {
            Some(file) => Kubernetes::from_kubeconfig(PathBuf::from(file), None)
                .await
                .context("--kubeconfig"),
            None => Ok(Kubernetes::from_url(&self.endpoints.management)?),
        }
    }

    /// A client of Maestro under the adapter's source id.
    pub(super) fn maestro(&self) -> anyhow::Result<maestro_client::Client> {
        let config = maestro_client::Config {
            rest_url: self.endpoints.maestro_rest.clone(),
            grpc_address: self.endpoints.maestro_grpc.clone(),
            source_id: SOURCE_ID.to_owned(),
            ..maestro_client::Config::default()
        };
        maestro_client::Client::new(config).context("connect to Maestro")
    }

    /// What the demo looks at.
    ///
    /// # Errors
    /// When a client can't be made.
    pub async fn targets(&self) -> anyhow::Result<crate::demo::Targets> {
        Ok(crate::demo::Targets {
            api: self.endpoints.api.clone(),
            maestro: self.maestro()?,
            consumer: CONSUMER.to_owned(),
            management: self.management().await?,
            namespace: NAMESPACE.to_owned(),
        })
    }
}

/// Sets the annotation at which the simulator makes a control plane degrade.
///
/// # Errors
/// What the API server answers.
pub async fn degrade(client: &Kubernetes, namespace: &str, name: &str) -> anyhow::Result<()> {
    let resource = client
        .resolve(
            hypershift::names::API_VERSION,
            hypershift::names::HOSTED_CLUSTER,
        )
        .await?;
    let patch = Patch::Merge(
        json!({"metadata": {"annotations": {hypershift_simulator::DEGRADE_ANNOTATION: "D1"}}}),
    );
    client
        .patch(&resource, Some(namespace), name, &patch, &Write::default())
        .await?;
    Ok(())
}

/// Makes a namespace. The cluster may have been started a moment ago.
async fn ensure_namespace(client: &Kubernetes, name: &str) -> anyhow::Result<()> {
    let namespace: Value =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let apply = async {
        loop {
            let applied = async {
                let resource = client.resolve("v1", "Namespace").await?;
                client
                    .apply(&resource, None, name, &namespace, &Apply::new("hyperfleet"))
                    .await
            };
            match applied.await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_retryable() => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                Err(error) => return Err(error),
            }
        }
    };
    let made = tokio::time::timeout(PATIENCE, apply)
        .await
        .context("the cluster does not answer");
    made.and_then(|made| Ok(made?))
        .with_context(|| format!("make namespace {name} on {}", client.url()))
}

fn host_port(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}
