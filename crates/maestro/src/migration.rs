//! `maestro migration`.

use std::time::Duration;

use maestro_server::cli::DatabaseArgs;

use crate::flags::{Given, Layered};
use crate::klog::{Logs, NoKubeconfig};

/// The exit code when the database didn't answer: worth another try, unlike a mistake (1).
pub const AWAY: u8 = 2;

/// The flags of a migration: those of a server that are about its database.
#[derive(Debug, clap::Args)]
#[command(about = "Create or update the database schema, and end", long_about = LONG_ABOUT)]
pub struct MigrationArgs {
    #[command(flatten)]
    layered: Layered,
    #[command(flatten)]
    database: DatabaseArgs,
    /// How long a database is waited for that doesn't answer.
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = duration, help_heading = "Database")]
    db_wait: Duration,
    #[command(flatten)]
    logs: Logs,
    #[command(flatten)]
    kubeconfig: NoKubeconfig,
}

const LONG_ABOUT: &str = "\
Create or update the database schema, and end.

Safe to run any number of times, by several at once, and beside running servers. A database that the Go migration made is taken over, \
and the Go migration finds nothing to do on one that was made here. `maestro server` does the same at its start; run this where the \
server's own user may not change the schema.

Exit codes: 0 the schema is up to date; 1 a setting is wrong or the database refuses; 2 the database did not answer within --db-wait.";

fn duration(text: &str) -> Result<Duration, String> {
    go_compat::duration::parse(text).map_err(|error| error.to_string())
}

impl MigrationArgs {
    /// Brings the schema up to date; the value is the exit code.
    ///
    /// # Errors
    /// When a setting is wrong, or the database refuses.
    pub async fn run(self, given: &Given) -> anyhow::Result<u8> {
        let sql: &[&str] = match self.database.debug() {
            true => &["tokio_postgres=debug"],
            false => &[],
        };
        let database = self.database.resolve()?;
        self.logs.init("maestro-migration", "info", sql)?;
        given.log();
        let shutdown = service_runtime::shutdown::on_signals();
        let migrated = tokio::select! {
            migrated = maestro_server::migrate(&database, self.db_wait) => migrated,
            () = shutdown.cancelled() => anyhow::bail!("ended by a signal before the schema was up to date"),
        };
        match migrated {
            Ok(steps) => {
                tracing::info!(steps = steps.len(), "The schema is up to date.");
                Ok(0)
            }
            Err(error @ maestro_server::Error::Away { .. }) => {
                eprintln!("Error: {error}");
                Ok(AWAY)
            }
            Err(error) => Err(error.into()),
        }
    }
}
