//! Opening the storage that the configuration names.

use std::sync::Arc;

use sql_store::postgres::TlsMode;

use super::Error;
use crate::config::{Config, Database};
use crate::storage::Store;
use crate::storage::postgres::{OpenError, Postgres};
use crate::storage::sqlite::Sqlite;

/// Opens the database; waits as long as it takes for a PostgreSQL server that is away.
pub(super) async fn open(config: &Config) -> Result<Arc<dyn Store>, Error> {
    Ok(match &config.database {
        Database::Sqlite(path) => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || Sqlite::open(&path)).await;
            Arc::new(opened.map_err(|error| crate::storage::Error::other(error.to_string()))??)
        }
        Database::SqliteMemory => Arc::new(Sqlite::in_memory()?),
        postgres => Arc::new(open_postgres(postgres_settings(postgres)?, config).await?),
    })
}

/// What the driver needs. SQLite has no such settings.
pub(super) fn postgres_settings(database: &Database) -> Result<sql_store::postgres::Config, Error> {
    let settings = match database {
        Database::Sqlite(_) | Database::SqliteMemory => {
            return Err(crate::storage::Error::other("SQLite is not PostgreSQL").into());
        }
        Database::Postgres(url) => sql_store::postgres::Config::from_url(&url.0)?,
        Database::PostgresParts {
            host,
            port,
            user,
            password,
            name,
            sslmode,
            rootcert,
        } => {
            let tls = TlsMode::parse(sslmode, rootcert.clone())?;
            sql_store::postgres::Config::new(host, *port, user, &password.0, name, tls)
        }
    };
    Ok(settings.application_name("maestro"))
}

async fn open_postgres(
    settings: sql_store::postgres::Config,
    config: &Config,
) -> Result<Postgres, Error> {
    let mut settings = settings;
    settings.answer_timeout = config.database_timeout;
    settings.acquire_timeout = settings.acquire_timeout.min(config.database_timeout);
    let opened = Box::pin(Postgres::open(
        &settings,
        config.database_connections,
        &config.instance_id,
        config.instance_heartbeat,
    ));
    opened.await.map_err(|error| match error {
        OpenError::Config(error) => error.into(),
        OpenError::Database(error) => error.into(),
    })
}
