//! The one binary for a laptop; see [`hyperfleet::cli`].

use std::process::ExitCode;

use maestro::flags;

/// Exit code for mistakes on the command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = flags::normalized(std::env::args_os(), &["maestro-agent"]);
    let (cli, given) = match flags::parse::<hyperfleet::cli::Cli>(arguments) {
        Ok(parsed) => parsed,
        Err(stop) => return stop.exit(ExitCode::from(USAGE)),
    };
    service_runtime::install_crypto_provider();
    // Two workers carry everything: the services wait, they don't compute.
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run(&given)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
