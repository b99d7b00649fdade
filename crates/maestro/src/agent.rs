//! `maestro agent`.

use service_runtime::shutdown;

use crate::klog;

/// The flags of an agent.
#[derive(Debug, clap::Args)]
pub struct AgentArgs {
    #[command(flatten)]
    agent: maestro_agent::cli::Args,
}

impl AgentArgs {
    /// Applies works until a signal.
    ///
    /// # Errors
    /// When a flag can't be used, or what the service says.
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.agent.kube_client().await?;
        let config = self.agent.into_config()?;
        klog::init("maestro-agent")?;
        maestro_agent::run(config, client, shutdown::on_signals()).await?;
        Ok(())
    }
}
