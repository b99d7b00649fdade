//! `maestro server`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use maestro_server::{Addresses, Bound};
use service_runtime::shutdown;

use crate::flags::{Given, Layered};
use crate::klog::{Logs, NoKubeconfig};
use crate::migration::MigrationArgs;

/// The flags of a server.
#[derive(Debug, clap::Args)]
#[command(
    about = "Start the Maestro server",
    long_about = LONG_ABOUT,
)]
pub struct ServerArgs {
    #[command(flatten)]
    layered: Layered,
    #[command(flatten)]
    server: maestro_server::cli::Args,
    /// Write the addresses as JSON to this file once all are bound: {"rest":…,"grpc":…,"broker":…,"health":…,"metrics":…}.
    /// For scripts that let the system choose ports (0).
    #[arg(long, value_name = "FILE", help_heading = "Addresses")]
    addresses_file: Option<PathBuf>,
    #[command(flatten)]
    logs: Logs,
    #[command(flatten)]
    kubeconfig: NoKubeconfig,
}

/// What stands above the flags.
pub const LONG_ABOUT: &str = "\
Serve Maestro: REST for operators, gRPC for sources and for agents.

Without any database setting the data is kept in the SQLite file maestro.db. Several servers may share one PostgreSQL database; each \
then needs its own --client-id. The schema is created or updated at start; a database that is away is waited for.

Try:
  maestro server --database sqlite:maestro.db
  curl -d '{\"name\":\"cluster1\"}' localhost:8000/api/maestro/v1/consumers
  maestro server --print-config > maestro.yaml; maestro server --config maestro.yaml

Every flag can also be given as the environment variable MAESTRO_<FLAG> (--client-id: MAESTRO_CLIENT_ID). MAESTRO_ENV=development, \
testing or production selects upstream's preset of defaults: verbosity 10, 0 or 1.";

/// All flags that a configuration file may set: those of a server, and what a migration has besides.
pub(crate) fn schema() -> clap::Command {
    let server = <ServerArgs as clap::Args>::augment_args(clap::Command::new("server"));
    let migration = <MigrationArgs as clap::Args>::augment_args(clap::Command::new("migration"));
    let known: Vec<_> = server
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    let more: Vec<_> = migration
        .get_arguments()
        .filter(|arg| !known.contains(arg.get_id()))
        .cloned()
        .collect();
    server.args(more)
}

impl ServerArgs {
    /// Serves until a signal.
    ///
    /// # Errors
    /// When a flag can't be used, or what the service says.
    pub async fn run(self, given: &Given) -> anyhow::Result<()> {
        let sql: &[&str] = match self.server.database_debug() {
            true => &["tokio_postgres=debug"],
            false => &[],
        };
        let config = self.server.into_config()?;
        self.logs.init("maestro-server", "info", sql)?;
        given.log();
        let commit = std::env::var("GIT_COMMIT").unwrap_or_default();
        tracing::info!(git_commit = %commit, instance = %config.instance_id, "Starting.");
        if std::env::var_os("OTEL_TRACES_EXPORTER").is_some() {
            tracing::warn!(
                "OTEL_TRACES_EXPORTER is set, but traces are not exported; traceparent is passed on."
            );
        }
        let shutdown = shutdown::on_signals();
        let bound = Bound::new(config).await?;
        let addresses = bound.addresses();
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
        let service = tokio::select! {
            service = bound.open() => service?,
            () = shutdown.cancelled() => return Ok(()),
        };
        Ok(service.run(shutdown).await?)
    }
}

/// Writes the whole file at once: who waits for it never reads a half. A port that isn't served is null.
fn write_addresses(file: &Path, addresses: Addresses) -> std::io::Result<()> {
    let served = |address: std::net::SocketAddr| (address.port() != 0).then_some(address);
    let json = serde_json::json!({
        "rest": addresses.rest,
        "grpc": served(addresses.grpc),
        "broker": served(addresses.broker),
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
