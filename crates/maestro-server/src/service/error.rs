//! Why a server can't be opened or has to end.

use std::time::Duration;

use service_runtime::tls;

use crate::authn;

/// Why a server can't be opened or has to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken or isn't ours.
    #[error("listen on {address} ({purpose}): {source}")]
    Listen {
        /// What it is for.
        purpose: &'static str,
        /// As configured.
        address: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The database can't be used.
    #[error("open the database: {0}")]
    Database(#[from] crate::storage::Error),
    /// The database didn't answer for as long as it was waited for.
    #[error("the database didn't answer for {patience:?}: {error}")]
    Away {
        /// How long it was waited for.
        patience: Duration,
        /// The last answer.
        error: crate::storage::Error,
    },
    /// A setting of the database is wrong.
    #[error(transparent)]
    DatabaseConfig(#[from] sql_store::postgres::ConfigError),
    /// Certificates can't be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Settings about who is let in can't be used.
    #[error(transparent)]
    Authn(#[from] authn::Error),
    /// A listener ended.
    #[error("serve {purpose}: {source}")]
    Serve {
        /// What it is for.
        purpose: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
}
