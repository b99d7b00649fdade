//! Signals to a [`CancellationToken`].

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code after a second signal: the operator does not want to wait for the drain.
pub const IMPATIENT_EXIT_CODE: i32 = 130;

/// A token that is cancelled at the first SIGTERM or SIGINT.
///
/// A second signal ends the process at once with [`IMPATIENT_EXIT_CODE`]. If the handlers cannot be installed
/// (a sandbox may forbid it), that is logged and the token never fires: the process then ends as the platform
/// decides.
///
/// Must be called inside a Tokio runtime.
pub fn on_signals() -> CancellationToken {
    let token = CancellationToken::new();
    let handlers = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (mut terminate, mut interrupt) = match handlers {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "Signal handlers could not be installed.");
            return token;
        }
    };
    let fire = token.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(
            signal = name,
            "Shutting down; a second signal ends the process at once."
        );
        fire.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(IMPATIENT_EXIT_CODE);
    });
    token
}
