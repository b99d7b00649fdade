//! Every service as a subcommand: its peer's flags, logs, signals, exit code. Nothing of the services themselves.

use std::collections::BTreeMap;

use anyhow::Context;
use clap::Subcommand;
use maestro::flags::Given;
use service_runtime::{logs, shutdown};

/// A service, run by itself.
#[derive(Debug, Subcommand)]
pub enum Service {
    /// The HyperFleet API: clusters, node pools, adapter statuses
    Api(Box<hyperfleet_api::cli::Args>),
    /// Sentinel: decides which resources need a pulse
    Sentinel {
        /// The broker that takes the pulses
        #[arg(
            long,
            env = "HYPERFLEET_BROKER_URL",
            value_name = "URL",
            default_value = "memory://"
        )]
        broker: String,
        /// Settings
        #[command(flatten)]
        args: Box<hyperfleet_sentinel::cli::Args>,
    },
    /// The config-driven adapter (serve, dry-run, config-dump)
    Adapter(Box<hyperfleet_adapter::cli::Args>),
    /// The Maestro server
    MaestroServer(Box<maestro::server::ServerArgs>),
    /// The Maestro agent of one management cluster
    MaestroAgent(Box<maestro::agent::AgentArgs>),
    /// An embedded Kubernetes API for development
    KubeSandbox(Box<kube_sandbox::cli::Args>),
    /// Plays the HyperShift operator on a cluster
    HypershiftSimulator(Box<hypershift_simulator::cli::Args>),
}

impl Service {
    /// Runs until a signal; the value is the exit code.
    ///
    /// # Errors
    /// What the service says.
    pub async fn run(self, given: &Given) -> anyhow::Result<u8> {
        match self {
            Self::Api(args) => {
                let config = args.into_config()?;
                log("hyperfleet-api", "info", "json")?;
                hyperfleet_api::run(config, shutdown::on_signals()).await?;
            }
            Self::Sentinel { broker, args } => {
                let config = args.into_config()?;
                log("sentinel", &config.log.level, &config.log.format)?;
                let broker = event_broker::connect(&broker).context("--broker")?;
                hyperfleet_sentinel::run(config, broker, shutdown::on_signals()).await?;
            }
            Self::Adapter(args) => return adapter(*args).await,
            Self::MaestroServer(args) => args.run(given).await?,
            Self::MaestroAgent(args) => args.run(given).await?,
            Self::KubeSandbox(args) => {
                let config = args.into_config()?;
                log("kube-sandbox", "info", "text")?;
                let service = kube_sandbox::Service::bind(config).await?;
                print!("{}", service.kubeconfig());
                service.run(shutdown::on_signals()).await?;
            }
            Self::HypershiftSimulator(args) => {
                log("hypershift-simulator", "info", "text")?;
                let client = match &args.kubeconfig {
                    Some(file) => kube_access::Client::from_kubeconfig(file.clone(), None).await?,
                    None => kube_access::Client::infer().await?,
                };
                hypershift_simulator::run(args.config(), client, shutdown::on_signals()).await?;
            }
        }
        Ok(0)
    }
}

async fn adapter(args: hyperfleet_adapter::cli::Args) -> anyhow::Result<u8> {
    use hyperfleet_adapter::cli::Action;
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    match args.into_action(environment)? {
        Action::Serve { loaded, broker } => {
            log(
                "adapter",
                &loaded.config.log.level,
                &loaded.config.log.format,
            )?;
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            let dependencies = hyperfleet_adapter::Dependencies::new(
                event_broker::connect(&broker).context("--broker")?,
            )
            .policy(controlplane_adapter::policy());
            hyperfleet_adapter::run(
                loaded.config,
                loaded.task,
                dependencies,
                shutdown::on_signals(),
            )
            .await?;
            Ok(0)
        }
        Action::Print { text, warnings } => {
            for warning in &warnings {
                eprintln!("Warning: {warning}");
            }
            print!("{text}");
            Ok(0)
        }
        Action::DryRun(dry_run) => {
            let (text, errors, code) = dry_run.print(vec![controlplane_adapter::policy()]).await;
            print!("{text}");
            for error in errors {
                eprintln!("Error: {error}");
            }
            Ok(code)
        }
    }
}

fn log(component: &str, level: &str, format: &str) -> anyhow::Result<()> {
    let format = if format == "text" {
        logs::Format::Text
    } else {
        logs::Format::Json
    };
    logs::init(logs::Options {
        level: level.to_owned(),
        format,
        component: component.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..logs::Options::default()
    })
    .context("set up logs")
}
