//! The commands of `hyperfleet` and their flags.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use maestro::flags::Given;
use service_runtime::logs;

use crate::demo::{self, console::Output, failures::Failure};
use crate::services::Service;
use crate::stack::{self, ControlPlane, ExternalMaestro};
use crate::up;

/// HyperFleet: OpenShift clusters as REST resources, carried to management clusters and back.
///
/// `demo` shows the whole path in a minute and needs nothing but this binary; `up` keeps it running. Every service of a real fleet is a
/// subcommand with the flags of its upstream peer.
#[derive(Debug, Parser)]
#[command(
    name = "hyperfleet",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, upgrade and delete a cluster in one process, and show every hop
    Demo(DemoArgs),
    /// Run all parts until Ctrl-C, keep their data, print every endpoint
    Up(UpArgs),
    /// Print the cluster that `demo` creates, ready to be POSTed
    SampleCluster,
    /// Works by hand or in a Job (maestro-cli's own commands and flags follow)
    #[command(disable_help_flag = true)]
    MaestroCli {
        /// Commands and flags of maestro-cli; try: hyperfleet maestro-cli --help
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    #[command(flatten)]
    Service(Service),
    /// Print a completion script, for example: hyperfleet completion bash > /etc/bash_completion.d/hyperfleet
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What `demo` and `up` have in common.
#[derive(Debug, Args)]
struct StackArgs {
    /// How much faster than real time the simulated operator works (1 = a control plane takes 5 minutes)
    #[arg(long, value_name = "FACTOR", default_value_t = 600.0, value_parser = time_scale)]
    time_scale: f64,
    /// The YAML of the control-plane adapter
    #[arg(long, value_enum, default_value_t = ControlPlane::Corrected)]
    control_plane: ControlPlane,
    /// Refuse on the management sandbox what the HostedCluster's CRD and webhooks would refuse
    #[arg(long, value_name = "BOOL", num_args(0..=1), require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    crd_checks: bool,
    /// Use this Maestro server instead of ours (its REST URL)
    #[arg(long, value_name = "URL", value_parser = http_url)]
    maestro_server: Option<String>,
    /// Its port for sources [default: the host of --maestro-server, port 8090]
    #[arg(long, value_name = "HOST:PORT", requires = "maestro_server")]
    maestro_grpc: Option<String>,
    /// Its port for agents [default: the host of --maestro-server, port 8091]
    #[arg(long, value_name = "HOST:PORT", requires = "maestro_server")]
    maestro_broker: Option<String>,
    /// Use this management cluster instead of the sandbox (no operator is simulated on it)
    #[arg(long, value_name = "FILE", value_parser = existing_file)]
    kubeconfig: Option<PathBuf>,
    /// The broker between Sentinel and the adapters
    #[arg(long, value_name = "URL", default_value = "memory://", value_parser = broker_url)]
    broker: String,
    /// What is logged to hyperfleet.log in the data directory: debug, info, warn, error
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Show a failure instead: what it looks like to an operator
    #[arg(long, value_enum, value_name = "FAILURE")]
    fail: Option<Failure>,
    /// Lines for a person, or one JSON object a line for scripts
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Where the report is written
    #[arg(long, value_name = "DIR", default_value = "report")]
    report_dir: PathBuf,
    /// How long one stage may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    #[command(flatten)]
    stack: StackArgs,
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Where everything is kept; start again with the same directory to go on
    #[arg(long, value_name = "DIR", default_value = "hyperfleet-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    stack: StackArgs,
}

impl StackArgs {
    fn options(self, data: PathBuf) -> anyhow::Result<stack::Options> {
        let maestro = self
            .maestro_server
            .map(|rest| {
                let url: reqwest::Url = rest.parse().context("--maestro-server")?;
                let host = url
                    .host_str()
                    .context("--maestro-server has no host")?
                    .to_owned();
                anyhow::Ok(ExternalMaestro {
                    grpc: self.maestro_grpc.unwrap_or_else(|| format!("{host}:8090")),
                    broker: self
                        .maestro_broker
                        .unwrap_or_else(|| format!("{host}:8091")),
                    rest: rest.trim_end_matches('/').to_owned(),
                })
            })
            .transpose()?;
        Ok(stack::Options {
            data,
            time_scale: self.time_scale,
            crd_checks: self.crd_checks,
            control_plane: self.control_plane,
            without: std::collections::BTreeSet::new(),
            maestro,
            kubeconfig: self.kubeconfig,
            broker: self.broker,
        })
    }
}

impl Cli {
    /// Runs the command; the value is the exit code.
    ///
    /// # Errors
    /// What the command says; the caller prints it.
    pub async fn run(self, given: &Given) -> anyhow::Result<u8> {
        match self.command {
            Command::Demo(args) => demo(args).await?,
            Command::Up(args) => {
                log_to_file(&args.data_dir, &args.stack.log_level)?;
                let options = args.stack.options(args.data_dir)?;
                up::run(options, service_runtime::shutdown::on_signals()).await?;
            }
            Command::SampleCluster => print!("{}", demo::CLUSTER),
            Command::Completion { shell } => {
                clap_complete::generate(
                    shell,
                    &mut Cli::command(),
                    "hyperfleet",
                    &mut std::io::stdout(),
                );
            }
            Command::MaestroCli { arguments } => return maestro_cli(arguments).await,
            Command::Service(service) => return service.run(given).await,
        }
        Ok(0)
    }
}

async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("hyperfleet-demo-")
        .tempdir()
        .context("create a temporary directory")?;
    log_to_file(folder.path(), &args.stack.log_level)?;
    let options = demo::Options {
        stack: args.stack.options(folder.path().to_owned())?,
        failure: args.fail,
        output: args.output,
        report: args.report_dir,
        patience: Duration::from_secs(args.patience),
    };
    let report = options.report.clone();
    let played = demo::play(options, service_runtime::shutdown::on_signals()).await;
    if let Err(error) = played {
        // The data goes away with the folder; what explains the failure stays.
        let kept = report.join("hyperfleet.log");
        let _ = std::fs::create_dir_all(&report);
        let hint = match std::fs::copy(folder.path().join("hyperfleet.log"), &kept) {
            Ok(_) => format!("; the log of all parts is in {}", kept.display()),
            Err(_) => String::new(),
        };
        anyhow::bail!("{error:#}{hint}");
    }
    Ok(())
}

fn log_to_file(folder: &std::path::Path, level: &str) -> anyhow::Result<()> {
    stack::create(folder)?;
    let path = folder.join("hyperfleet.log");
    logs::init(logs::Options {
        level: level.to_owned(),
        format: logs::Format::Text,
        output: logs::Output::File(path.clone()),
        component: "hyperfleet".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..logs::Options::default()
    })
    .with_context(|| format!("log to {}", path.display()))
}

async fn maestro_cli(arguments: Vec<OsString>) -> anyhow::Result<u8> {
    let arguments = std::iter::once(OsString::from("maestro-cli")).chain(arguments);
    let code = match maestro_cli::parse(arguments) {
        Ok(args) => maestro_cli::run(args, service_runtime::shutdown::on_signals()).await,
        Err(code) => code,
    };
    Ok(code as u8)
}

fn time_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor > 0.0 && factor.is_finite() => Ok(factor),
        _ => Err("must be a number greater than 0".to_owned()),
    }
}

fn http_url(text: &str) -> Result<String, String> {
    let url: reqwest::Url = text
        .parse()
        .map_err(|error| format!("not a URL: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some() => Ok(text.to_owned()),
        _ => Err("must be an http:// or https:// URL with a host".to_owned()),
    }
}

fn existing_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_file() {
        Ok(path)
    } else {
        Err("no such file".to_owned())
    }
}

fn broker_url(text: &str) -> Result<String, String> {
    event_broker::connect(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}
