//! The command line: upstream's commands and flags, and what they add up to.
//!
//! Nothing here reads the environment or prints: a front door gives the environment, takes the [`Action`] and does both.

mod broker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde_json::Value;

use crate::config::{self, Loaded, Loader, Problem, Source};
use crate::dry_run::{self, Input};

/// Where the deployment config is looked for if nothing names it.
const DEFAULT_PATHS: [&str; 2] = ["/etc/hyperfleet/config.yaml", "./configs/config.yaml"];

/// Runs the config-driven adapter.
///
/// An adapter takes pulses from a broker, checks preconditions against the HyperFleet API, applies Kubernetes resources
/// (directly or through Maestro) and reports conditions. What it does is in two files: the deployment config says where
/// to connect, the task config says what to do.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "Examples:\n  \
    adapter serve --config adapter.yaml --task-config task.yaml\n  \
    adapter dry-run -c adapter.yaml -t task.yaml --dry-run-event event.json --dry-run-api-responses api.json\n  \
    adapter config-dump -c adapter.yaml -t task.yaml")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "parsed once per process")]
pub enum Command {
    /// Serve until SIGTERM; with --dry-run-event: one event in memory, as `dry-run`.
    Serve {
        /// Files and overrides.
        #[command(flatten)]
        config: ConfigArgs,
        /// Inputs of a dry run.
        #[command(flatten)]
        dry_run: DryRunArgs,
        /// Where pulses come from: memory://, amqp://… or pubsub://… [env: HYPERFLEET_BROKER_URL; else what
        /// BROKER_CONFIG_FILE and BROKER_… say].
        #[arg(long, value_name = "URL")]
        broker: Option<String>,
    },
    /// Run one event in memory, without broker, API or cluster, and print what happened.
    DryRun {
        /// Files and overrides.
        #[command(flatten)]
        config: ConfigArgs,
        /// Inputs.
        #[command(flatten)]
        dry_run: DryRunArgs,
    },
    /// Check both configs and print them merged and redacted, as YAML.
    ConfigDump {
        /// Files and overrides.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print version, commit and build date.
    Version,
}

/// Both files, and flags that override keys of the deployment config (flag > environment > file > default).
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct ConfigArgs {
    /// Deployment config [env: HYPERFLEET_ADAPTER_CONFIG; else /etc/hyperfleet/config.yaml, ./configs/config.yaml].
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Task config [env: HYPERFLEET_TASK_CONFIG].
    #[arg(short, long, value_name = "FILE")]
    pub task_config: Option<PathBuf>,
    /// Log the redacted config at start and serve it at /config (debug_config).
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub debug_config: Option<bool>,
    /// debug, info, warn or error (log.level).
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// json or text (log.format).
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// stdout or stderr (log.output).
    #[arg(long, value_name = "OUTPUT")]
    pub log_output: Option<String>,
    /// Maestro's gRPC source service, host:port.
    #[arg(long, value_name = "ADDRESS")]
    pub maestro_grpc_server_address: Option<String>,
    /// Maestro's REST API, https://host:port.
    #[arg(long, value_name = "URL")]
    pub maestro_http_server_address: Option<String>,
    /// The identity of this source in Maestro.
    #[arg(long, value_name = "ID")]
    pub maestro_source_id: Option<String>,
    /// Accepted for compatibility; without effect.
    #[arg(long, value_name = "ID")]
    pub maestro_client_id: Option<String>,
    /// none, tls or token.
    #[arg(long, value_name = "TYPE")]
    pub maestro_auth_type: Option<String>,
    /// Roots that Maestro's certificates are checked with.
    #[arg(long, value_name = "FILE")]
    pub maestro_ca_file: Option<String>,
    /// Client certificate for Maestro.
    #[arg(long, value_name = "FILE")]
    pub maestro_cert_file: Option<String>,
    /// Key of the client certificate.
    #[arg(long, value_name = "FILE")]
    pub maestro_key_file: Option<String>,
    /// Roots for Maestro's REST API, if they differ.
    #[arg(long, value_name = "FILE")]
    pub maestro_http_ca_file: Option<String>,
    /// Time for one call to Maestro, such as 10s.
    #[arg(long, value_name = "DURATION")]
    pub maestro_timeout: Option<String>,
    /// Silence after which Maestro's stream counts as lost, such as 20s.
    #[arg(long, value_name = "DURATION")]
    pub maestro_server_healthiness_timeout: Option<String>,
    /// Tries in total for passing errors of Maestro.
    #[arg(long, value_name = "N")]
    pub maestro_retry_attempts: Option<i64>,
    /// Time between gRPC keepalive pings.
    #[arg(long, value_name = "DURATION")]
    pub maestro_keepalive_time: Option<String>,
    /// Time for the answer to a keepalive ping.
    #[arg(long, value_name = "DURATION")]
    pub maestro_keepalive_timeout: Option<String>,
    /// Plain text to Maestro.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub maestro_insecure: Option<bool>,
    /// Base URL of the HyperFleet API.
    #[arg(long, value_name = "URL")]
    pub hyperfleet_api_base_url: Option<String>,
    /// Version that completes relative URLs, such as v1.
    #[arg(long, value_name = "VERSION")]
    pub hyperfleet_api_version: Option<String>,
    /// Time for one try of an API call, such as 10s.
    #[arg(long, value_name = "DURATION")]
    pub hyperfleet_api_timeout: Option<String>,
    /// Tries in total for an API call.
    #[arg(long, value_name = "N")]
    pub hyperfleet_api_retry: Option<i64>,
    /// exponential, linear or constant.
    #[arg(long, value_name = "STRATEGY")]
    pub hyperfleet_api_retry_backoff: Option<String>,
    /// First wait between tries, such as 1s.
    #[arg(long, value_name = "DURATION")]
    pub hyperfleet_api_base_delay: Option<String>,
    /// Longest wait between tries, such as 30s.
    #[arg(long, value_name = "DURATION")]
    pub hyperfleet_api_max_delay: Option<String>,
    /// Subscription to consume.
    #[arg(long, value_name = "ID")]
    pub broker_subscription_id: Option<String>,
    /// Topic of the subscription.
    #[arg(long, value_name = "TOPIC")]
    pub broker_topic: Option<String>,
    /// Kubeconfig of the adapter's own cluster; in-cluster if absent.
    #[arg(long, value_name = "FILE")]
    pub kubernetes_kube_config_path: Option<String>,
    /// Accepted for compatibility; without effect.
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_api_version: Option<String>,
    /// Requests per second to Kubernetes.
    #[arg(long, value_name = "RATE")]
    pub kubernetes_qps: Option<f64>,
    /// Burst of requests to Kubernetes.
    #[arg(long, value_name = "N")]
    pub kubernetes_burst: Option<i64>,
    /// Address of the health endpoints (health_listen).
    #[arg(long, value_name = "ADDRESS")]
    pub health_listen: Option<String>,
    /// Address of /metrics (metrics_listen).
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<String>,
}

/// Inputs of a dry run.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct DryRunArgs {
    /// The pulse: a CloudEvent in JSON.
    #[arg(long, value_name = "FILE")]
    pub dry_run_event: Option<PathBuf>,
    /// Recorded answers of the API; without it every call answers 200 {}.
    #[arg(long, value_name = "FILE")]
    pub dry_run_api_responses: Option<PathBuf>,
    /// Objects that exist, by metadata.name.
    #[arg(long, value_name = "FILE")]
    pub dry_run_discovery: Option<PathBuf>,
    /// Show bodies and rendered manifests.
    #[arg(long)]
    pub dry_run_verbose: bool,
    /// text or json.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub dry_run_output: String,
    /// End with exit code 2 if the run failed.
    #[arg(long)]
    pub dry_run_exit_code: bool,
}

/// What a front door has to do.
#[allow(clippy::large_enum_variant, reason = "made once per process")]
pub enum Action {
    /// Serve with this configuration and this broker URL.
    Serve {
        /// The checked configuration.
        loaded: Loaded,
        /// Where pulses come from.
        broker: String,
    },
    /// Run one event in memory with [`dry_run::dry_run`], then print with [`DryRun::print`].
    DryRun(Box<DryRun>),
    /// Print this on standard output and end with success.
    Print {
        /// The text, with its line end.
        text: String,
        /// To be logged before.
        warnings: Vec<Problem>,
    },
}

/// A dry run that is ready to start.
pub struct DryRun {
    /// The checked configuration.
    pub loaded: Loaded,
    /// Event, answers and objects.
    pub input: Input,
    verbose: bool,
    json: bool,
    exit_code: bool,
}

/// Why the command line can't be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A config can't be loaded.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// An input of a dry run can't be read.
    #[error(transparent)]
    DryRun(#[from] dry_run::Error),
    /// A flag is missing.
    #[error("{0}")]
    Usage(String),
}

impl Args {
    /// Loads what the command needs. `environment` is what the configs see.
    ///
    /// # Errors
    /// A missing or wrong file or flag; all problems of the configs at once.
    pub fn into_action(
        self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Action, Error> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        match self.command {
            Command::Version => Ok(Action::Print {
                text: version(),
                warnings: Vec::new(),
            }),
            Command::ConfigDump { config } => {
                let loaded = config.load(environment)?;
                Ok(Action::Print {
                    text: config::dump(&loaded),
                    warnings: loaded.warnings,
                })
            }
            Command::DryRun { config, dry_run } => dry_run.start(config.load(environment)?),
            Command::Serve {
                config, dry_run, ..
            } if dry_run.is_asked_for() => dry_run.start(config.load(environment)?),
            Command::Serve { config, broker, .. } => {
                let chosen = broker::choose(broker, &environment).map_err(Error::Usage)?;
                let mut loaded = config.load(environment)?;
                if let Some(parallelism) = chosen.parallelism.and_then(|n| usize::try_from(n).ok())
                {
                    loaded.config.clients.broker.parallelism = parallelism.max(1);
                }
                Ok(Action::Serve {
                    loaded,
                    broker: chosen.url,
                })
            }
        }
    }
}

impl ConfigArgs {
    /// Loads both configs with the environment and these flags on top.
    ///
    /// # Errors
    /// No path, or anything wrong with either document.
    pub fn load(self, environment: BTreeMap<String, String>) -> Result<Loaded, Error> {
        let variable = |name: &str| {
            environment
                .get(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let default = || {
            DEFAULT_PATHS
                .iter()
                .map(Path::new)
                .find(|path| path.is_file())
                .map(Path::to_owned)
        };
        let deployment =
            self.config.clone().or_else(|| variable("HYPERFLEET_ADAPTER_CONFIG")).or_else(default).ok_or_else(|| {
                Error::Usage(
                    "failed to load adapter configuration: failed to load adapter config: adapter config file path is \
                     required (use --config flag or HYPERFLEET_ADAPTER_CONFIG env var)"
                        .into(),
                )
            })?;
        let task = self.task_config.clone().or_else(|| variable("HYPERFLEET_TASK_CONFIG")).ok_or_else(|| {
            Error::Usage(
                "failed to load adapter configuration: failed to load task config: task config file path is required \
                 (use --task-config flag or HYPERFLEET_TASK_CONFIG env var)"
                    .into(),
            )
        })?;
        let mut loader = Loader::new(
            Source::deployment_file(&deployment)?,
            Source::task_file(&task)?,
        );
        loader = loader.environment(environment);
        for (key, value) in self.settings() {
            loader = loader.set(key, value);
        }
        Ok(loader.load()?)
    }

    /// Keys that flags set.
    fn settings(self) -> Vec<(&'static str, Value)> {
        let text = |key: &'static str, value: Option<String>| {
            value.map(|value| (key, Value::String(value)))
        };
        let number =
            |key: &'static str, value: Option<i64>| value.map(|value| (key, Value::from(value)));
        let flag =
            |key: &'static str, value: Option<bool>| value.map(|value| (key, Value::Bool(value)));
        [
            flag("debug_config", self.debug_config),
            text("log.level", self.log_level),
            text("log.format", self.log_format),
            text("log.output", self.log_output),
            text(
                "clients.maestro.grpc_server_address",
                self.maestro_grpc_server_address,
            ),
            text(
                "clients.maestro.http_server_address",
                self.maestro_http_server_address,
            ),
            text("clients.maestro.source_id", self.maestro_source_id),
            text("clients.maestro.client_id", self.maestro_client_id),
            text("clients.maestro.auth.type", self.maestro_auth_type),
            text(
                "clients.maestro.auth.tls_config.ca_file",
                self.maestro_ca_file,
            ),
            text(
                "clients.maestro.auth.tls_config.cert_file",
                self.maestro_cert_file,
            ),
            text(
                "clients.maestro.auth.tls_config.key_file",
                self.maestro_key_file,
            ),
            text(
                "clients.maestro.auth.tls_config.http_ca_file",
                self.maestro_http_ca_file,
            ),
            text("clients.maestro.timeout", self.maestro_timeout),
            text(
                "clients.maestro.server_healthiness_timeout",
                self.maestro_server_healthiness_timeout,
            ),
            number(
                "clients.maestro.retry_attempts",
                self.maestro_retry_attempts,
            ),
            text(
                "clients.maestro.keepalive.time",
                self.maestro_keepalive_time,
            ),
            text(
                "clients.maestro.keepalive.timeout",
                self.maestro_keepalive_timeout,
            ),
            flag("clients.maestro.insecure", self.maestro_insecure),
            text(
                "clients.hyperfleet_api.base_url",
                self.hyperfleet_api_base_url,
            ),
            text(
                "clients.hyperfleet_api.version",
                self.hyperfleet_api_version,
            ),
            text(
                "clients.hyperfleet_api.timeout",
                self.hyperfleet_api_timeout,
            ),
            number(
                "clients.hyperfleet_api.retry_attempts",
                self.hyperfleet_api_retry,
            ),
            text(
                "clients.hyperfleet_api.retry_backoff",
                self.hyperfleet_api_retry_backoff,
            ),
            text(
                "clients.hyperfleet_api.base_delay",
                self.hyperfleet_api_base_delay,
            ),
            text(
                "clients.hyperfleet_api.max_delay",
                self.hyperfleet_api_max_delay,
            ),
            text(
                "clients.broker.subscription_id",
                self.broker_subscription_id,
            ),
            text("clients.broker.topic", self.broker_topic),
            text(
                "clients.kubernetes.kube_config_path",
                self.kubernetes_kube_config_path,
            ),
            text(
                "clients.kubernetes.api_version",
                self.kubernetes_api_version,
            ),
            self.kubernetes_qps
                .map(|qps| ("clients.kubernetes.qps", Value::from(qps))),
            number("clients.kubernetes.burst", self.kubernetes_burst),
            text("health_listen", self.health_listen),
            text("metrics_listen", self.metrics_listen),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl DryRunArgs {
    fn is_asked_for(&self) -> bool {
        self.dry_run_event.is_some() || self.dry_run_api_responses.is_some()
    }

    fn start(self, loaded: Loaded) -> Result<Action, Error> {
        let event = self
            .dry_run_event
            .as_deref()
            .ok_or_else(|| Error::Usage("--dry-run-event is required for dry-run mode".into()))?;
        let input = Input::read(
            event,
            self.dry_run_api_responses.as_deref(),
            self.dry_run_discovery.as_deref(),
        )?;
        Ok(Action::DryRun(Box::new(DryRun {
            loaded,
            input,
            verbose: self.dry_run_verbose,
            // Anything but json is text, as upstream.
            json: self.dry_run_output == "json",
            exit_code: self.dry_run_exit_code,
        })))
    }
}

impl DryRun {
    /// Runs, and gives what belongs on standard output, what belongs on standard error, and the exit code.
    pub async fn print(
        self,
        policies: Vec<std::sync::Arc<dyn crate::ResourcePolicy>>,
    ) -> (String, Vec<String>, u8) {
        let Self {
            loaded,
            input,
            verbose,
            json,
            exit_code,
        } = self;
        let report = dry_run::dry_run(loaded.config, loaded.task, input, policies).await;
        let text = if json {
            report.json(verbose) + "\n"
        } else {
            report.text(verbose)
        };
        let code = if exit_code && report.failed() { 2 } else { 0 };
        (text, report.errors().collect(), code)
    }
}

/// Three lines, as upstream prints them.
fn version() -> String {
    let of_build =
        |value: Option<&'static str>, otherwise: &'static str| value.unwrap_or(otherwise);
    format!(
        "Version:    {}\nCommit:     {}\nBuild Date: {}\n",
        env!("CARGO_PKG_VERSION"),
        of_build(option_env!("HYPERFLEET_COMMIT"), "none"),
        of_build(option_env!("HYPERFLEET_BUILD_DATE"), "unknown")
    )
}
