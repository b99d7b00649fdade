//! maestro-cli: one command per thing that a person or a Job wants from Maestro.
//!
//! Data goes to standard output, everything else to standard error. A command ends with an exit code that says what went wrong
//! and a text that says what to do next.
//!
//! Reading order:
//! - [`cli`]: flags and commands; [`run`] runs one
//! - [`settings`]: flags and environment to a client
//! - [`manifests`]: files to works
//! - [`expression`]: what `--wait` and `--for` understand
//! - [`commands`]: one module per command
//! - [`output`]: YAML, JSON, tables, text
//! - [`results`]: the file that a status reporter reads
//! - [`failure`]: exit codes
//!
//! Flags, formats and exit codes are described in `docs/protocol/maestro-cli.md`.

pub mod cli;
pub mod commands;
pub mod expression;
pub mod failure;
mod lookup;
pub mod manifests;
pub mod output;
pub mod results;
pub mod settings;
mod ui;
mod usage;

use tokio_util::sync::CancellationToken;

pub use failure::{ExitCode, Failure};

/// Runs a command that was parsed. Errors are printed; the answer is the exit code.
///
/// Cancelling `shutdown` ends the command: `watch` well, all others with [`ExitCode::Interrupted`].
pub async fn run(args: cli::Args, shutdown: CancellationToken) -> ExitCode {
    match commands::run(args, shutdown).await {
        Ok(code) => code,
        Err(failure) => {
            failure.print();
            failure.code
        }
    }
}

/// Parses the arguments of a process (the first is its name). Help and usage errors are printed; then the answer is the exit
/// code.
///
/// # Errors
/// The exit code, if there is nothing to run.
pub fn parse(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<cli::Args, ExitCode> {
    usage::parse(arguments)
}
