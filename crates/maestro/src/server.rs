//! `maestro server`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use maestro_server::{Addresses, Service};
use service_runtime::shutdown;

use crate::klog;

/// The flags of a server.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    #[command(flatten)]
    server: maestro_server::cli::Args,
    /// Write the addresses as JSON to this file once all are bound: {"rest":…,"grpc":…,"broker":…,"health":…,"metrics":…}.
    /// For scripts that let the system choose ports (0).
    #[arg(long, value_name = "FILE", help_heading = "Addresses and TLS")]
    addresses_file: Option<PathBuf>,
}

impl ServerArgs {
    /// Serves until a signal.
    ///
    /// # Errors
    /// When a flag can't be used, or what the service says.
    pub async fn run(self) -> anyhow::Result<()> {
        let config = self.server.into_config()?;
        klog::init("maestro-server")?;
        let shutdown = shutdown::on_signals();
        let service = tokio::select! {
            service = Service::bind(config) => service?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let addresses = service.addresses();
        tracing::info!(
            rest = %addresses.rest,
            grpc = %addresses.grpc,
            broker = %addresses.broker,
            health = %addresses.health,
            metrics = %addresses.metrics,
            "Listening."
        );
        if let Some(file) = &self.addresses_file {
            write_addresses(file, addresses)
                .with_context(|| format!("--addresses-file: write {}", file.display()))?;
        }
        Ok(service.run(shutdown).await?)
    }
}

/// Writes the whole file at once: who waits for it never reads a half.
fn write_addresses(file: &Path, addresses: Addresses) -> std::io::Result<()> {
    let json = serde_json::json!({
        "rest": addresses.rest,
        "grpc": addresses.grpc,
        "broker": addresses.broker,
        "health": addresses.health,
        "metrics": addresses.metrics,
    });
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut whole = tempfile::Builder::new()
        .prefix(".addresses-")
        .tempfile_in(folder)?;
    writeln!(whole, "{json}")?;
    whole.persist(file).map_err(|error| error.error)?;
    Ok(())
}
