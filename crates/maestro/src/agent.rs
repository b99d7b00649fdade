//! `maestro agent`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use maestro_server::cli::compatibility::HEADING;
use service_runtime::shutdown;
use tokio_util::sync::CancellationToken;

use crate::flags::Given;
use crate::klog::Logs;

/// How often --terminate-on-files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The flags of an agent.
#[derive(Debug, clap::Args)]
#[command(about = "Start the agent of one cluster", long_about = LONG_ABOUT)]
pub struct AgentArgs {
    #[command(flatten)]
    agent: maestro_agent::cli::Args,
    /// End when one of these files changes, so that the agent starts anew with it; can be repeated.
    #[arg(long, value_name = "FILE")]
    terminate_on_files: Vec<PathBuf>,
    /// The configuration of Go's controllers says nothing that this agent needs.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = HEADING,
        hide_short_help = true
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    logs: Logs,
}

const LONG_ABOUT: &str = "\
Apply works from a Maestro server to this cluster and report their status.

The server is named in a small YAML file (--workload-source-config):

  url: maestro-grpc-broker.maestro:8091
  caFile: /secrets/ca.crt               # TLS as soon as a CA or a client certificate is given
  clientCertFile: /secrets/client.crt
  clientKeyFile: /secrets/client.key

or, for a first try without TLS, by --server-address. The cluster is the one of --kubeconfig, or the one that the agent runs in. In \
names of flags, _ and - are the same.";

impl AgentArgs {
    /// Applies works until a signal.
    ///
    /// # Errors
    /// When a flag can't be used, or what the service says.
    pub async fn run(self, given: &Given) -> anyhow::Result<()> {
        let client = self.agent.kube_client().await?;
        let config = self.agent.into_config()?;
        self.logs.init("maestro-agent", "info", &[])?;
        given.log();
        let shutdown = shutdown::on_signals();
        if !self.terminate_on_files.is_empty() {
            tokio::spawn(terminate_on(self.terminate_on_files, shutdown.clone()));
        }
        maestro_agent::run(config, client, shutdown).await?;
        Ok(())
    }
}

/// Cancels `shutdown` when one of the files has another content, appears or vanishes.
async fn terminate_on(files: Vec<PathBuf>, shutdown: CancellationToken) {
    let mut known: BTreeMap<PathBuf, Option<Vec<u8>>> = BTreeMap::new();
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = look.tick() => {}
        }
        for file in &files {
            let content = tokio::fs::read(file).await.ok();
            match known.get(file) {
                None => drop(known.insert(file.clone(), content)),
                Some(before) if *before == content => {}
                Some(_) => {
                    tracing::warn!(file = %file.display(), "A file of --terminate-on-files has changed: ending.");
                    return shutdown.cancel();
                }
            }
        }
    }
}
