//! The `maestro` binary; see [`maestro::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    maestro::cli::main(std::env::args_os())
}
