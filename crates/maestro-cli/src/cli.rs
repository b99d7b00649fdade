//! Flags and commands.

use std::time::Duration;

use clap::{ArgAction, Subcommand, ValueEnum};

use crate::usage::duration;

/// The command line.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command. Most can be set by environment variables; the flag wins.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connection and output")]
pub struct Global {
    /// Source service, host:port [env: MAESTRO_GRPC_ENDPOINT] [default: localhost:8090]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub grpc_endpoint: Option<String>,
    /// REST API [env: MAESTRO_HTTP_ENDPOINT] [default: http://localhost:8000]
    #[arg(long, global = true, value_name = "URL")]
    pub http_endpoint: Option<String>,
    /// No TLS for gRPC, no certificate checks for HTTPS. A token is not sent then [env: MAESTRO_GRPC_INSECURE]
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub grpc_insecure: Option<bool>,
    /// TLS for gRPC without checking the server's certificate
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub grpc_tls_skip_verify: bool,
    /// Authority of the source service's certificate [env: MAESTRO_GRPC_SERVER_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub grpc_server_ca_file: Option<String>,
    /// Client certificate for gRPC [env: MAESTRO_GRPC_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub grpc_client_cert_file: Option<String>,
    /// Key of the client certificate [env: MAESTRO_GRPC_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub grpc_client_key_file: Option<String>,
    /// Another authority that is trusted for gRPC
    #[arg(long, global = true, value_name = "FILE")]
    pub grpc_broker_ca_file: Option<String>,
    /// Bearer token; others can see it in the process list, so prefer the file [env: MAESTRO_GRPC_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN")]
    pub grpc_client_token: Option<String>,
    /// File with a bearer token, read again when it changes [env: MAESTRO_GRPC_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub grpc_client_token_file: Option<String>,
    /// Authority of the REST API's certificate
    #[arg(long, global = true, value_name = "FILE")]
    pub http_ca_file: Option<String>,
    /// Client certificate for HTTPS
    #[arg(long, global = true, value_name = "FILE")]
    pub http_client_cert_file: Option<String>,
    /// Key of the client certificate for HTTPS
    #[arg(long, global = true, value_name = "FILE")]
    pub http_client_key_file: Option<String>,
    /// Who owns the works. Another id can't see or change them [env: MAESTRO_SOURCE_ID] [default: maestro-cli]
    #[arg(long, global = true, value_name = "ID")]
    pub source_id: Option<String>,
    /// File that tells a status reporter how it went [env: RESULTS_PATH]
    #[arg(long, global = true, value_name = "FILE")]
    pub results_path: Option<String>,
    /// Form of the results file [env: RESULTS_FORMAT] [default: maestro-cli]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub results_format: Option<ResultsFormat>,
    /// yaml, json, table, text, name, manifestwork (get only) or jsonpath=TEMPLATE [default: yaml; text for list and describe on a terminal]
    #[arg(long, short = 'o', global = true, value_name = "FORMAT")]
    pub output: Option<String>,
    /// Limit of the whole command, such as 5m; of wait and watch: of the waiting. 0 = 5 minutes of waiting
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    pub timeout: Duration,
    /// Time between two looks while waiting
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    pub poll_interval: Duration,
    /// Understand conditions as upstream's maestro-cli does, including that OR binds tighter than AND
    #[arg(long, global = true, value_name = "WHOSE")]
    pub condition_compat: Option<ConditionCompat>,
    /// Log what happens, to standard error
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", action = ArgAction::Set)]
    pub verbose: bool,
}

/// Form of the results file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ResultsFormat {
    /// Upstream's object and more, rewritten as things go on.
    #[default]
    MaestroCli,
    /// What status-reporter reads, written once at the end.
    StatusReporter,
    /// The same with the adapter's conditions and data, written once at the end.
    Hyperfleet,
}

/// Whose rules conditions follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConditionCompat {
    /// Those of upstream's maestro-cli.
    Upstream,
}

/// A command.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Create a work, or update it if it differs
    Apply(Apply),
    /// Merge manifests into a work, and apply or print the result
    Build(Build),
    /// Delete a work
    Delete(Delete),
    /// Show a work
    Get(Get),
    /// Show the works of a consumer
    List(List),
    /// Show a work for people
    Describe(Get),
    /// Wait until a condition holds
    Wait(Wait),
    /// Print a line whenever the state of a work changes
    Watch(Watch),
    /// Check a file without sending it
    Validate(Validate),
    /// Compare a file with what Maestro has
    Diff(Diff),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `apply`
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  maestro-cli apply --consumer=mgmt-1 --manifest-file=work.yaml --wait
  maestro-cli apply --consumer=mgmt-1 --manifest-file=work.yaml --wait='Job:Complete OR Job:Failed' --timeout=10m
  maestro-cli apply --consumer=mgmt-1 --name=nodepool --manifest-file=nodepool.yaml   # plain objects become a work")]
pub struct Apply {
    /// File with a ManifestWork, or with plain objects if --name is given; may be repeated; - is standard input, a folder all its YAML and JSON files (required)
    #[arg(long, value_name = "FILE")]
    pub manifest_file: Vec<String>,
    /// Cluster that it is for (required)
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Name of the work, instead of the file's
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Wait for a condition; Available if none is given
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "Available", value_name = "EXPRESSION")]
    pub wait: Option<String>,
    /// The same as --wait=Applied
    #[arg(long, conflicts_with = "wait")]
    pub watch: bool,
    /// Send it even if Maestro has the same, and even if another source has a work of that name
    #[arg(long)]
    pub force: bool,
    /// Try again so many times if somebody else changes the work at the same moment
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry_on_conflict: u32,
}

/// `build`
#[derive(Debug, Clone, clap::Args)]
pub struct Build {
    /// Name of the work (required)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Cluster that it is for (required)
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// File with a ManifestWork, a spec, a workload or manifests (required)
    #[arg(long, value_name = "FILE", visible_aliases = ["nodepool-file", "resource-file"])]
    pub source_file: Option<String>,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    pub output_file: Option<String>,
    /// merge or replace
    #[arg(long, value_name = "STRATEGY", default_value = "merge")]
    pub strategy: String,
    /// Take a manifest out, Kind/namespace/name or Kind/name; may be repeated
    #[arg(long, value_name = "MANIFEST")]
    pub remove: Vec<String>,
    /// Send the result
    #[arg(long)]
    pub apply: bool,
    /// Wait for a condition after --apply; Available if none is given
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "Available", value_name = "EXPRESSION")]
    pub wait: Option<String>,
    /// The same as --wait=Applied
    #[arg(long, conflicts_with = "wait")]
    pub watch: bool,
    /// Print, don't send
    #[arg(long)]
    pub dry_run: bool,
    /// Create the work if there is none
    #[arg(long)]
    pub force: bool,
    /// Merge again so many times if somebody else changes the work at the same moment
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub retry_on_conflict: u32,
}

/// `delete`
#[derive(Debug, Clone, clap::Args)]
pub struct Delete {
    /// Name of the work (required, or --all)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Cluster that it is for (required)
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Resource id, if works of several sources have the name
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Wait until it is gone
    #[arg(long, visible_alias = "watch", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", action = ArgAction::Set)]
    pub wait: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// The whole work; without --name all works of the consumer, together with --yes
    #[arg(long)]
    pub all: bool,
    /// Yes, all works of the consumer
    #[arg(long)]
    pub yes: bool,
}

/// `get` and `describe`
#[derive(Debug, Clone, clap::Args)]
pub struct Get {
    /// Name of the work (required)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Cluster that it is for (required)
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Resource id, if works of several sources have the name
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

/// `list`
#[derive(Debug, Clone, clap::Args)]
pub struct List {
    /// Cluster (required)
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Part of a name, Kind/name, Kind/namespace/name or Kind/
    #[arg(long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Only works with this condition: Applied, or Applied=False
    #[arg(long, value_name = "CONDITION")]
    pub status: Option<String>,
}

/// `wait`
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Conditions:
  Available                      a condition of the work
  Job:Complete                   a condition of a resource, or in its status feedback
  Job/ns/name:succeeded>=1       a feedback value, with = == != < <= > >=
  AND OR NOT && || ! ( )         AND binds tighter than OR")]
pub struct Wait {
    /// Name of the work (required)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Cluster that it is for (required)
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Resource id, if works of several sources have the name
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// The condition
    #[arg(
        long = "for",
        visible_alias = "condition",
        value_name = "EXPRESSION",
        default_value = "Available",
        overrides_with = "condition"
    )]
    pub condition: String,
    /// Accepted for older scripts; progress is always shown
    #[arg(long)]
    pub watch: bool,
}

/// `watch`
#[derive(Debug, Clone, clap::Args)]
pub struct Watch {
    /// Name of the work; all works of the consumer without it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Cluster that it is for (required)
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
}

/// `validate`
#[derive(Debug, Clone, clap::Args)]
pub struct Validate {
    /// File as for apply (required)
    #[arg(long, value_name = "FILE")]
    pub manifest_file: Vec<String>,
    /// Name of the work, instead of the file's
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Check that this cluster is registered
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
}

/// `diff`
#[derive(Debug, Clone, clap::Args)]
pub struct Diff {
    /// File as for apply (required)
    #[arg(long, value_name = "FILE")]
    pub manifest_file: Vec<String>,
    /// Cluster that it is for (required)
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Name of the work, instead of the file's
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Show a line by line difference too
    #[arg(long)]
    pub show_diff: bool,
    /// End with 1 if there are differences
    #[arg(long)]
    pub exit_code: bool,
}
