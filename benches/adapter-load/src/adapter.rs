//! The adapter under load, in this process.

use std::sync::Arc;

use anyhow::Context as _;
use controlplane_adapter::configs;
use event_broker::Broker;
use hyperfleet_adapter::service::Error;
use hyperfleet_adapter::{Dependencies, Loader, Service, Source};
use kube_access::Client as Kubernetes;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Args, Embedded, TOPIC};

/// A port that nobody needs to know.
const ANY_PORT: &str = "127.0.0.1:0";
/// A Docker config that opens nothing.
const PULL_SECRET: &str = r#"{"auths":{"registry.example.com":{"auth":"bG9hZDpsb2Fk"}}}"#;

/// A running adapter.
pub struct Adapter {
    /// Under which it reports.
    pub name: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Adapter {
    /// Lets running pulses finish.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task
            .await
            .context("the adapter panicked")?
            .context("the adapter ended early")
    }
}

/// Loads the configs, opens everything and serves.
pub async fn start(args: &Args, broker: Arc<dyn Broker>) -> anyhow::Result<Adapter> {
    let own_name = load(args, loader(args)?)?.config.adapter.name;
    let name = args
        .report_as
        .clone()
        .unwrap_or_else(|| format!("{own_name}-load"));
    let loaded = load(args, loader(args)?.set("adapter.name", name.clone()))?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    let mut dependencies = Dependencies::new(broker).policy(controlplane_adapter::policy());
    dependencies.kubernetes = match (&args.kubeconfig, &args.kubernetes) {
        (Some(path), _) => Some(Kubernetes::from_kubeconfig(path.clone(), None).await?),
        (None, Some(url)) => Some(Kubernetes::from_url(url)?),
        (None, None) => None,
    };
    let service = Service::bind(loaded.config, loaded.task, dependencies).await?;
    let stop = CancellationToken::new();
    let task = tokio::spawn(service.run(stop.clone()));
    Ok(Adapter { name, stop, task })
}

fn loader(args: &Args) -> anyhow::Result<Loader> {
    let (deployment, task) = match (&args.config, &args.task_config) {
        (Some(deployment), Some(task)) => (
            Source::deployment_file(deployment)?,
            Source::task_file(task)?,
        ),
        _ => {
            let embedded = match args.adapter {
                Embedded::Validation => configs::VALIDATION,
                Embedded::Dns => configs::DNS,
                Embedded::Pullsecret => configs::PULLSECRET,
                Embedded::Controlplane => configs::CONTROLPLANE,
            };
            (
                Source::text("deployment.yaml", embedded.deployment),
                Source::text("task.yaml", embedded.task),
            )
        }
    };
    Ok(Loader::new(deployment, task))
}

fn load(args: &Args, loader: Loader) -> anyhow::Result<hyperfleet_adapter::Loaded> {
    let pull_secret = std::env::var("PULL_SECRET_DATA").unwrap_or_else(|_| PULL_SECRET.to_owned());
    let own = [
        ("ADAPTER_NAMESPACE", args.namespace.as_str()),
        ("MANAGEMENT_CLUSTER_CONSUMER", args.consumer.as_str()),
        ("PULL_SECRET_DATA", pull_secret.as_str()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let inherited = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let mut loader = loader
        .environment(inherited.chain(own))
        .set(
            "clients.hyperfleet_api.base_url",
            args.hyperfleet_api.clone(),
        )
        .set("clients.broker.topic", TOPIC)
        .set("health_listen", ANY_PORT)
        .set("metrics_listen", ANY_PORT)
        // One pulse, one report.
        .set("rerun.enabled", false);
    if let Some(parallelism) = args.parallelism {
        loader = loader.set("clients.broker.parallelism", parallelism);
    }
    if let (Some(rest), Some(grpc)) = (&args.maestro_rest, &args.maestro_grpc) {
        loader = loader
            .set("clients.maestro.http_server_address", rest.clone())
            .set("clients.maestro.grpc_server_address", grpc.clone());
        // A deployment config of one's own says how to authenticate; the embedded ones name files that are not here.
        if args.config.is_none() {
            loader = loader
                .set("clients.maestro.insecure", true)
                .set("clients.maestro.auth", Value::Null);
        }
        if let Some(id) = &args.source_id {
            loader = loader.set("clients.maestro.source_id", id.clone());
        }
    } else if args.config.is_none() && matches!(args.adapter, Embedded::Controlplane) {
        anyhow::bail!("--adapter controlplane needs --maestro-rest and --maestro-grpc");
    }
    Ok(loader.load()?)
}
