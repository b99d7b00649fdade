//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;

use crate::context::{Doors, Profile, Target};
use crate::play::TimeScale;
use crate::runner::{self, Options, Outcome};
use crate::{report, suite};

/// Judge a Maestro server, whoever made it, by its addresses alone.
///
/// Plays sources, agents and operators; every test registers clusters of its own and removes them. Ends with 0 if
/// nothing failed.
///
/// Try:  conformance --rest http://localhost:8000 --source-grpc localhost:8090 --agent-grpc localhost:8091
#[derive(Clone, Debug, Parser)]
#[command(name = "conformance", version, verbatim_doc_comment)]
pub struct Args {
    /// REST API of the server.
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    rest: Option<String>,
    /// Its port for sources.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    source_grpc: Option<String>,
    /// Its port for agents.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    agent_grpc: Option<String>,
    /// REST API of a second replica on the same database.
    #[arg(long, value_name = "URL", requires_all = ["source_grpc_2", "agent_grpc_2"])]
    rest_2: Option<String>,
    /// Port for sources of the second replica.
    #[arg(long, value_name = "HOST:PORT", requires = "rest_2")]
    source_grpc_2: Option<String>,
    /// Port for agents of the second replica.
    #[arg(long, value_name = "HOST:PORT", requires = "rest_2")]
    agent_grpc_2: Option<String>,
    /// Health endpoint of the server.
    #[arg(long, value_name = "URL")]
    health: Option<String>,
    /// The server's PostgreSQL database, for tests that terminate its sessions or change its rows.
    #[arg(
        long,
        value_name = "URL",
        env = "CONFORMANCE_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// Process id of the server, for tests that look at its memory.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// How much each test does.
    #[arg(long, value_enum, default_value = "ci")]
    profile: Profile,
    /// Factor on every deadline, for slow machines.
    #[arg(
        long,
        env = "CONFORMANCE_TIME_SCALE",
        default_value = "1",
        value_name = "F"
    )]
    time_scale: TimeScale,
    /// Only tests whose name or group holds this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// No tests whose name holds this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    skip: Vec<String>,
    /// Tests that run beside each other, at most.
    #[arg(long, default_value_t = 8, value_name = "N")]
    at_once: usize,
    /// Write the results as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only say which tests there are.
    #[arg(long)]
    list: bool,
}

/// Runs the suite as the flags say, and prints.
pub async fn run(args: Args) -> ExitCode {
    let tests: Vec<suite::Test> = suite::all()
        .into_iter()
        .filter(|test| args.wants(test))
        .collect();
    if args.list {
        for test in &tests {
            let group = format!("{:?}", test.group).to_lowercase();
            println!("{group:<12}  {:<60}  {}", test.name, test.says);
        }
        return ExitCode::SUCCESS;
    }
    let Some(target) = args.target() else {
        eprintln!("--rest, --source-grpc and --agent-grpc are needed");
        return ExitCode::from(2);
    };
    let options = Options {
        target: Arc::new(target),
        profile: args.profile,
        scale: args.time_scale,
        at_once: args.at_once,
    };
    let (done, of) = (AtomicUsize::new(0), tests.len());
    let judged = runner::run(tests, &options, |judged| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!("{}", report::progress(done, of, judged));
    })
    .await;
    println!("{}", report::table(&judged));
    if let Some(file) = &args.json {
        let text = format!("{:#}\n", report::document(&judged));
        if let Err(error) = std::fs::write(file, text) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    }
    let failed = judged.iter().any(|test| test.outcome == Outcome::Fail);
    ExitCode::from(u8::from(failed))
}

// === impl Args ===

impl Args {
    fn wants(&self, test: &suite::Test) -> bool {
        let group = format!("{:?}", test.group).to_lowercase();
        let holds = |text: &String| test.name.contains(text.as_str()) || group == *text;
        (self.filter.is_empty() || self.filter.iter().any(holds)) && !self.skip.iter().any(holds)
    }

    fn target(&self) -> Option<Target> {
        let doors = |rest: &Option<String>, source: &Option<String>, agent: &Option<String>| {
            Some(Doors {
                rest: rest.clone()?,
                source: source.clone()?,
                agent: agent.clone()?,
            })
        };
        Some(Target {
            first: doors(&self.rest, &self.source_grpc, &self.agent_grpc)?,
            second: doors(&self.rest_2, &self.source_grpc_2, &self.agent_grpc_2),
            health: self.health.clone(),
            database: self.database_url.clone(),
            pid: self.server_pid,
        })
    }
}
