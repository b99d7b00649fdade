//! The subcommands of `maestro`, and the process around them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::{agent, server};

/// Maestro carries Kubernetes resources to many clusters and brings their status back.
///
/// One server (or several on one PostgreSQL database) takes resources from sources and streams them to one agent on each cluster.
#[derive(Debug, Parser)]
#[command(
    name = "maestro",
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
    /// Start the Maestro server
    Server(Box<server::ServerArgs>),
    /// Start the agent of one cluster
    Agent(Box<agent::AgentArgs>),
    /// Print a completion script, for example: maestro completion bash > /etc/bash_completion.d/maestro
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The whole process: parses `arguments` (the first is the name of the program), runs, and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    service_runtime::install_crypto_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Server(args) => args.run().await,
            Command::Agent(args) => args.run().await,
            Command::Completion { shell } => {
                let mut command = Self::command();
                clap_complete::generate(shell, &mut command, "maestro", &mut std::io::stdout());
                Ok(())
            }
        }
    }
}
