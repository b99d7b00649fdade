//! The `maestro-cli` binary.

use std::process::ExitCode;

use service_runtime::{logs, shutdown};

fn main() -> ExitCode {
    let args = match maestro_cli::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(code) => return code.into(),
    };
    service_runtime::install_crypto_provider();
    let logging = logs::init(logs::Options {
        level: if args.global.verbose {
            "debug,hyper=info,h2=info,rustls=info"
        } else {
            "warn"
        }
        .to_owned(),
        format: logs::Format::Text,
        component: "maestro-cli".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..logs::Options::default()
    });
    if let Err(error) = logging {
        eprintln!("Error: {error}");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime
        .block_on(async { maestro_cli::run(args, shutdown::on_signals()).await })
        .into()
}
