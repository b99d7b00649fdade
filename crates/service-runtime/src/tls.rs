//! TLS 1.3 for listeners and clients, with certificates that are replaced while the service runs.
//!
//! One provider (ring) for the whole process. Files are compared by content at an interval: Kubernetes replaces
//! mounted secrets by switching a symbolic link, which file notifications miss. A broken replacement is logged and
//! the last good certificate stays in use.

mod client;
mod pem;
mod server;

pub use client::{Client, ClientFiles, client_config};
pub use server::{Files, Server, incoming, incoming_within};

use std::path::PathBuf;
use std::time::Duration;

/// A sensible interval for [`Server::spawn_reload`] and [`Client::spawn_reload`].
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(30);

/// Makes ring the process-wide provider of cryptography. Call it first in `main` and in tests that use TLS; calling
/// it again does nothing.
pub fn install_crypto_provider() {
    // The error is the provider that somebody installed earlier.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Why TLS could not be set up. Texts name the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds no usable PEM.
    #[error("{}: {problem}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key were given only half.
    #[error("a certificate and its key must be given together")]
    HalfIdentity,
    /// The parts don't fit together, for example a key of another certificate.
    #[error("{what}: {source}")]
    Rejected {
        /// Which part.
        what: String,
        /// What rustls said.
        source: rustls::Error,
    },
    /// A list of client authorities could not be used.
    #[error("client certificate authorities: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// No authorities were given and the system has none in the usual places.
    #[error("no certificate authorities: give a CA file, or install the system's ca-certificates")]
    NoAuthorities,
}

/// The body of the reload tasks: calls `reload` every `interval` and logs what came of it.
async fn reload_loop(
    interval: Duration,
    shutdown: tokio_util::sync::CancellationToken,
    certificate: String,
    reload: impl Fn() -> Result<bool, Error>,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match reload() {
            Ok(false) => {}
            Ok(true) => tracing::info!(certificate, "Certificates were replaced."),
            Err(error) => {
                tracing::warn!(certificate, %error, "New certificates are unusable; the old ones stay.")
            }
        }
    }
}
