//! `conformance`: judges a Maestro server.

use std::process::ExitCode;

use clap::Parser as _;
use conformance::cli::{self, Args};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Args::parse()).await
}
