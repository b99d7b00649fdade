//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Publish works, play the agents, and report rates and latencies as JSON.
///
/// It speaks only the public protocols (REST and CloudEvents over gRPC), so it measures any Maestro server: ours on either
/// database, or the Go one with its message broker set to gRPC. The work of each scenario is fixed. Start with an empty
/// database, for example:
///
///   maestro-load --scenario all --pid "$(pgrep -n maestro)" > figures.json
///
/// Small works have a spec of 0.75 KB and a status of 2 KB, large ones 31 KB and 19 KB: about 3 KB and 49 KB in the database.
/// Half of the works of a mix are small.
#[derive(Clone, Debug, Parser)]
#[command(version, verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to measure; several with commas, in this order.
    #[arg(long, value_delimiter = ',', default_value = "mix")]
    pub scenario: Vec<Scenario>,
    /// REST address of the server.
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    pub rest: String,
    /// Address of the port for sources.
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "HOST:PORT")]
    pub source_grpc: String,
    /// Address of the port for agents.
    #[arg(long, default_value = "127.0.0.1:8091", value_name = "HOST:PORT")]
    pub agent_grpc: String,
    /// Process id of the server: its memory and CPU time are reported.
    #[arg(long)]
    pub pid: Option<u32>,
    /// The server's PostgreSQL database (without TLS): its statements, transactions and log bytes are reported, and `growing`
    /// and `isolation` fill it directly.
    #[arg(
        long,
        value_name = "postgres://…",
        env = "MAESTRO_LOAD_DATABASE",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// Process id of the PostgreSQL server: the CPU time of it and its children is reported.
    #[arg(long, value_name = "PID")]
    pub database_pid: Option<u32>,
    /// mix: clusters.
    #[arg(long, default_value_t = 10)]
    pub consumers: usize,
    /// mix: works per cluster.
    #[arg(long, default_value_t = 600)]
    pub works: usize,
    /// mix: publishes on their way at once.
    #[arg(long, default_value_t = 16)]
    pub publishers: usize,
    /// concurrency: publishes on their way at once, one run each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,8,32,128",
        value_name = "N,…"
    )]
    pub concurrency: Vec<usize>,
    /// latency: publishes per second, one run each.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "50,200",
        value_name = "N,…"
    )]
    pub rates: Vec<u32>,
    /// latency: length of a run, seconds.
    #[arg(long, default_value_t = 15)]
    pub seconds: u32,
    /// idle-agents and reconnect-storm: agents.
    #[arg(long, default_value_t = 1000)]
    pub agents: usize,
    /// resync: works of the one agent.
    #[arg(long, default_value_t = 6000)]
    pub resync_works: usize,
    /// growing: rows in the table, one run each, ascending.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "6000,60000,600000",
        value_name = "N,…"
    )]
    pub sizes: Vec<usize>,
    /// isolation: deletions that wait for a cluster whose agent is away.
    #[arg(long, default_value_t = 2000)]
    pub backlog: usize,
    /// Delete the works of the mix at the end, and measure that as well.
    #[arg(long)]
    pub delete: bool,
    /// Give up when nothing moves for so long, seconds.
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// Start of the names of the source and of the clusters.
    #[arg(long, default_value = "load")]
    pub name: String,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print a Markdown table of two servers from the JSON of their runs: medians, and how many times better the first is.
    Compare(Compare),
}

#[derive(Clone, Debug, clap::Args)]
pub struct Compare {
    /// Results of the first server.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub ours: Vec<PathBuf>,
    /// Results of the second server.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub theirs: Vec<PathBuf>,
    /// Names for the columns.
    #[arg(long, num_args = 2, default_values = ["ours", "theirs"], value_names = ["OURS", "THEIRS"])]
    pub names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// CONSUMERS × WORKS bundles: create → accepted → delivered to the agent → status at the source, as fast as answered.
    Mix,
    /// One consumer's bundles and all bundles over REST, as Go clients list them (pages of 400).
    List,
    /// Agents that are connected and have nothing to do: memory at rest, with them, and at most.
    IdleAgents,
    /// The mix at fixed rates, whatever the server answers; times count from when a publish was due.
    Latency,
    /// The mix with so many publishes on their way at once.
    Concurrency,
    /// One agent that has lost RESYNC_WORKS works, and one that lacks one of them.
    Resync,
    /// AGENTS agents that all connect at once; each has 6 works and lacks one of them.
    ReconnectStorm,
    /// Create → delivered on one cluster, without and with BACKLOG deletions that wait for another.
    Isolation,
    /// Reads by id, one consumer's list and create → delivered while the table grows.
    Growing,
    /// All of them, in this order.
    All,
}

impl Args {
    /// The scenarios to run, in order.
    pub fn scenarios(&self) -> Vec<Scenario> {
        if self.scenario.contains(&Scenario::All) {
            return Scenario::value_variants()
                .iter()
                .copied()
                .filter(|scenario| *scenario != Scenario::All)
                .collect();
        }
        self.scenario.clone()
    }

    /// Sockets that this program opens at most.
    pub fn sockets(&self) -> usize {
        /// Sources, agents of the other scenarios, REST.
        const OTHERS: usize = 64;
        let many = [Scenario::IdleAgents, Scenario::ReconnectStorm];
        let scenarios = self.scenarios();
        let agents = if many.iter().any(|scenario| scenarios.contains(scenario)) {
            self.agents
        } else {
            0
        };
        agents.max(self.consumers) + OTHERS
    }
}
