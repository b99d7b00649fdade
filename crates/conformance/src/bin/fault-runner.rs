//! Breaks real servers by seed and says whether they kept their promises; see `docs/fault-runner.md`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use conformance::faults::history::Limits;
use conformance::faults::plan::{self, Plan, Profile};
use conformance::faults::runner::{self, Options, Report};
use conformance::faults::stack::{self, Kind};

/// Start PostgreSQL and two Maestro servers, break them in ways that a seed decides, and check that no promise was broken.
///
/// Everything that is started is ended with it. Exit code 0: everything held; 1: something didn't; 2: it could not be run.
///
/// Try:  fault-runner --rounds 3
///       fault-runner --seed 42 --minutes 60 --profile full --json report.json
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// Seed of the first round; the following rounds take the following numbers. Chosen by the clock if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// No round begins after so many minutes.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// At most so many rounds.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    rounds: u64,
    /// Size of the rounds.
    #[arg(long, value_enum, default_value_t = Profile::Ci)]
    profile: Profile,
    /// The server: `maestro` (ours or upstream's) or `hyperfleet` [default: one of these beside this program].
    #[arg(long, value_name = "FILE")]
    server_binary: Option<PathBuf>,
    /// Whose command line it has.
    #[arg(long, value_enum, default_value_t = Kind::Ours)]
    server: Kind,
    /// Where the report is written as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where logs, histories and stories go [default: a new folder among the temporary files].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Go on after a violation, with new servers on an empty database.
    #[arg(long)]
    keep_going: bool,
    /// How many rounds may be spent on showing a violation with fewer faults.
    #[arg(long, default_value_t = 6)]
    attempts: u32,
    /// Multiplies every deadline, for slow machines.
    #[arg(long, env = "CONFORMANCE_TIME_SCALE", default_value_t = 1.0)]
    time_scale: f64,
    /// Largest resident set of a server, MiB (I10).
    #[arg(long, default_value_t = 256)]
    memory: u64,
    /// Only print what the seed (and the following ones, with --rounds) means.
    #[arg(long)]
    plan: bool,
    /// PostgreSQL doesn't wait for the disk: quicker, and as good unless the machine itself goes down.
    #[arg(long)]
    no_fsync: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.plan {
        print_plans(&arguments);
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: start the runtime: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(report) if report.holds() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn print_plans(arguments: &Arguments) {
    let first = arguments.seed.unwrap_or_default();
    let rounds = arguments.rounds.min(1000);
    for seed in (first..).take(usize::try_from(rounds).unwrap_or_default()) {
        let plan = Plan::new(seed, arguments.profile);
        let kind = match plan.kind {
            plan::Kind::Storm => "",
            plan::Kind::Pace => ", looks at the pace",
            plan::Kind::Deaf => ", deaf",
        };
        println!(
            "seed {seed}: {} clusters, {} sources, {} idle agents, {} s{kind}",
            plan.clusters.len(),
            plan.sources.len(),
            plan.idle,
            plan.storm.as_secs()
        );
        for fault in &plan.faults {
            println!(
                "  at {} ms for {} ms: {}",
                fault.after, fault.lasts, fault.fault
            );
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let folder = match arguments.folder {
        Some(folder) => folder,
        None => tempfile::Builder::new()
            .prefix("fault-runner-")
            .tempdir()?
            .keep(),
    };
    let seed = arguments
        .seed
        .unwrap_or_else(|| jiff::Timestamp::now().as_second().unsigned_abs());
    let binary = match arguments.server_binary {
        Some(binary) => binary,
        None => beside()?,
    };
    let options = Options {
        seed,
        time: Duration::from_secs_f64(arguments.minutes.max(0.0) * 60.0),
        rounds: arguments.rounds,
        profile: arguments.profile,
        keep_going: arguments.keep_going,
        attempts: arguments.attempts,
        limits: Limits {
            time_scale: arguments.time_scale,
            memory: arguments.memory << 20,
        },
        stack: stack::Options {
            binary: std::path::absolute(binary)?,
            kind: arguments.server,
            durable: !arguments.no_fsync,
            folder: std::path::absolute(folder)?,
            time_scale: arguments.time_scale,
            servers: 2,
        },
    };
    let report = tokio::select! {
        report = runner::run(&options, |line| println!("{line}")) => report?,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    };
    summary(&report);
    if let Some(file) = arguments.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(&file, json).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(report)
}

/// A server beside this program.
fn beside() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    ["maestro", "hyperfleet"]
        .iter()
        .map(|name| here.with_file_name(name))
        .find(|file| file.is_file())
        .context("there is no `maestro` or `hyperfleet` beside this program: name one with --server-binary")
}

fn summary(report: &Report) {
    println!("how often rare things happened:");
    for (name, count) in &report.sometimes {
        println!("  {count:>7}  {name}");
    }
    let violations: usize = report
        .rounds
        .iter()
        .map(|round| round.violations.len())
        .sum();
    let broken = report
        .rounds
        .iter()
        .filter(|round| !round.violations.is_empty());
    for round in broken {
        println!("seed {} shows:", round.seed);
        for violation in round.violations.iter().take(10) {
            println!("  {violation}");
        }
        if let Some(enough) = &round.enough {
            println!("  with these faults only:");
            for fault in enough {
                println!("    {fault}");
            }
        }
    }
    println!("{} rounds, {violations} violations", report.rounds.len());
}
