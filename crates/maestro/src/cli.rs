//! The subcommands of `maestro`, and the process around them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::agent::AgentArgs;
use crate::consumer::ConsumerArgs;
use crate::flags::{self, Given};
use crate::migration::MigrationArgs;
use crate::operator::Failed;
use crate::resourcebundle::ResourceBundleArgs;
use crate::server::ServerArgs;

/// Maestro carries Kubernetes resources to many clusters and brings their status back.
///
/// One server (or several on one PostgreSQL database) takes resources from sources and streams them to one agent on each cluster. To try
/// it: `maestro server` in one terminal, `maestro consumer create cluster1 --rest-url http://localhost:8000` in another.
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
    Server(Box<ServerArgs>),
    Migration(Box<MigrationArgs>),
    Agent(Box<AgentArgs>),
    Consumer(Box<ConsumerArgs>),
    #[command(name = "resourcebundle")]
    ResourceBundle(Box<ResourceBundleArgs>),
    /// Print a completion script, for example: maestro completion bash > /etc/bash_completion.d/maestro
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The whole process: parses `arguments` (the first is the name of the program), runs, and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = flags::normalized(arguments, &["agent"]);
    let (cli, given) = match flags::parse::<Cli>(arguments) {
        Ok(parsed) => parsed,
        Err(stop) => return stop.exit(ExitCode::FAILURE),
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
    match runtime.block_on(cli.run(&given)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("Error: {error:#}");
            let reason = error
                .downcast_ref::<Failed>()
                .and_then(|failed| failed.reason.as_deref());
            if let Some(reason) = reason {
                eprintln!("The server says: {reason}");
            }
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    async fn run(self, given: &Given) -> anyhow::Result<u8> {
        match self.command {
            Command::Server(args) => args.run(given).await?,
            Command::Migration(args) => return args.run(given).await,
            Command::Agent(args) => args.run(given).await?,
            Command::Consumer(args) => args.run().await?,
            Command::ResourceBundle(args) => args.run().await?,
            Command::Completion { shell } => {
                let mut command = Self::command();
                clap_complete::generate(shell, &mut command, "maestro", &mut std::io::stdout());
            }
        }
        Ok(0)
    }
}
