//! Load for a Maestro server: a fixed amount of work, publishers and agents played by this program, figures as JSON.
//!
//! It speaks only the public protocols (REST and CloudEvents over gRPC), so it measures any server: ours on either database, or
//! the Go one. See `--help` and `docs/measuring.md`.
//!
//! Reading order: [`args`], [`scenario`] (what is measured), [`flow`] (works on their whole way), [`source`] and [`agent`] (who is
//! played), [`figures`] and [`meter`] (what is noted), [`compare`].

mod agent;
mod args;
mod compare;
mod database;
mod figures;
mod flow;
mod load;
mod meter;
mod process;
mod scenario;
mod source;
mod work;

use std::process::ExitCode;

use clap::{Parser as _, ValueEnum as _};
use serde_json::{Map, Value, json};

use args::{Args, Command};
use database::Database;
use load::Load;
use meter::Meter;

#[tokio::main]
async fn main() -> ExitCode {
    service_runtime::install_crypto_provider();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    if let Some(Command::Compare(compare)) = &args.command {
        return compare::print(compare);
    }
    process::check_sockets(args.sockets(), args.pid)?;
    let database = match &args.database_url {
        Some(url) => Some(Database::connect(url).await?),
        None => None,
    };
    let meter = Meter::new(&args, database);
    let (scenarios, delete) = (args.scenarios(), args.delete);
    let mut load = Load::new(args, meter);
    let mut report = Map::new();
    report.insert("machine".into(), process::machine());
    // What was measured before something failed is printed all the same.
    let mut failure = None;
    for scenario in scenarios {
        let name = scenario
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned());
        eprintln!("== {name}");
        match scenario::run(scenario, &mut load).await {
            Ok(figures) => {
                report.insert(name, figures);
            }
            Err(error) => {
                eprintln!("{name} failed: {error:#}");
                report.insert(name, json!({"error": format!("{error:#}")}));
                failure.get_or_insert(error);
            }
        }
    }
    if delete && let Some(figures) = scenario::delete_mix(&mut load).await? {
        report.insert("delete".into(), figures);
    }
    let report = Value::Object(report);
    println!("{}", serde_json::to_string_pretty(&report)?);
    let refused = refused(&report);
    match failure {
        Some(error) => Err(error),
        None if refused > 0 => {
            anyhow::bail!("{refused} requests were refused: rates are those of what is left")
        }
        None => Ok(()),
    }
}

/// What all scenarios together report as failed.
fn refused(report: &Value) -> u64 {
    let Value::Object(figures) = report else {
        return 0;
    };
    let here = figures.get("failed").and_then(Value::as_u64).unwrap_or(0);
    here + figures.values().map(refused).sum::<u64>()
}
