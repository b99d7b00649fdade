//! Bringing the schema up to date without serving.

use std::time::Duration;

use tokio::time::Instant;

use super::Error;
use super::database::postgres_settings;
use crate::config::Database;
use crate::storage::postgres::{OpenError, Postgres};
use crate::storage::sqlite::Sqlite;

/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// A Go server's migration takes no lock: its steps and ours can get in each other's way, and one of a few attempts finds it done.
const COLLISIONS: usize = 10;

/// Creates or updates the schema, and leaves; the answer is the ids of the steps that were needed. Several may run at once: one does the
/// work, the others find it done.
///
/// # Errors
/// [`Error::Away`] when PostgreSQL doesn't answer within `patience`; else what the database says.
///
/// # Cancel safety
/// Dropping the future leaves the old schema or the new one.
pub async fn migrate(database: &Database, patience: Duration) -> Result<Vec<String>, Error> {
    let settings = match database {
        Database::Sqlite(path) => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || Sqlite::open(&path)).await;
            opened.map_err(|error| crate::storage::Error::other(error.to_string()))??;
            return Ok(Vec::new());
        }
        Database::SqliteMemory => return Ok(Vec::new()),
        postgres => postgres_settings(postgres)?,
    };
    let deadline = Instant::now() + patience;
    let mut collisions = 0;
    let mut said = false;
    loop {
        let error = match Postgres::migrate(&settings).await {
            Ok(steps) => return Ok(steps.into_iter().map(str::to_owned).collect()),
            Err(OpenError::Config(error)) => return Err(error.into()),
            Err(OpenError::Database(error)) => error,
        };
        if error.is_retryable() {
            if Instant::now() + PAUSE > deadline {
                return Err(Error::Away { patience, error });
            }
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(%error, "Waiting for the database.");
            }
        } else {
            collisions += 1;
            if collisions > COLLISIONS || !is_collision(&error) {
                return Err(error.into());
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether somebody else made what we were about to make.
fn is_collision(error: &crate::storage::Error) -> bool {
    matches!(error, crate::storage::Error::Unique { .. })
        || error.to_string().contains("already exists")
}
