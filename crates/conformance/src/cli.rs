//! The command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use clap::Parser;

use crate::context::{Doors, Profile, Target};
use crate::play::{Access, TimeScale, access};
use crate::runner::{self, Options, Outcome};
use crate::{report, suite};

/// Judge a Maestro server, whoever made it, by its addresses alone.
///
/// Plays sources, agents and operators; every test registers clusters of its own and removes them.
///
/// Ends with 0 if nothing failed, with 1 if something did, and with 2 if nothing could be judged: flags that can't be
/// used, a filter that no test fits, a file that can't be written, or not a single test that is applicable.
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
    /// Port for sources of a third replica: statuses have to reach it, too.
    #[arg(long, value_name = "HOST:PORT", requires = "rest_2")]
    source_grpc_3: Option<String>,
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
    /// Authorities of the server's certificates, PEM. With it, both gRPC ports are spoken to over TLS; REST and health
    /// are by their https://.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Certificate that sources, agents and clients of REST show, PEM.
    #[arg(long, value_name = "FILE", requires_all = ["ca_file", "key_file"])]
    cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Bearer token of every call, at every door. Whom it names must be allowed to act for any source.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
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
    /// Only tests whose name holds this text, or whose group has this name; may be given several times.
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// No tests whose name holds this text, or whose group has this name; may be given several times.
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

/// Exit code of a run that judged nothing.
const NOTHING_JUDGED: u8 = 2;

/// Runs the suite as the flags say, and prints.
pub async fn run(args: Args) -> ExitCode {
    match judge(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("conformance: {why:#}");
            ExitCode::from(NOTHING_JUDGED)
        }
    }
}

/// Whether nothing failed.
async fn judge(args: &Args) -> anyhow::Result<bool> {
    let tests = args.tests()?;
    if args.list {
        for test in &tests {
            let group = format!("{:?}", test.group).to_lowercase();
            println!("{group:<12}  {:<60}  {}", test.name, test.says);
        }
        return Ok(true);
    }
    let target = args
        .target(Access::read(&args.files())?)
        .context("--rest, --source-grpc and --agent-grpc are needed")?;
    let options = Options {
        target: Arc::new(target),
        profile: args.profile,
        scale: args.time_scale,
        at_once: args.at_once,
    };
    // A run may take an hour: better to know now that its results can't be kept.
    let mut file = args.json.as_deref().map(Results::create).transpose()?;
    let (done, of) = (AtomicUsize::new(0), tests.len());
    let judged = runner::run(tests, &options, |judged| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!("{}", report::progress(done, of, judged));
    })
    .await;
    println!("{}", report::table(&judged));
    if let Some(file) = &mut file {
        file.write(&report::document(&judged, &options))?;
    }
    let any = |outcome| judged.iter().any(|test| test.outcome == outcome);
    anyhow::ensure!(
        any(Outcome::Pass) || any(Outcome::Fail),
        "nothing was judged: no selected test is applicable with these flags"
    );
    Ok(!any(Outcome::Fail))
}

/// Where the results for machines go.
struct Results<'a> {
    path: &'a Path,
    file: std::fs::File,
}

// === impl Results ===

impl<'a> Results<'a> {
    fn create(path: &'a Path) -> anyhow::Result<Self> {
        let file = std::fs::File::create(path)
            .with_context(|| format!("--json {} can't be written", path.display()))?;
        Ok(Self { path, file })
    }

    fn write(&mut self, document: &serde_json::Value) -> anyhow::Result<()> {
        let text = format!("{document:#}\n");
        self.file
            .write_all(text.as_bytes())
            .with_context(|| format!("--json {} can't be written", self.path.display()))
    }
}

// === impl Args ===

impl Args {
    /// The tests that are asked for, at least one.
    fn tests(&self) -> anyhow::Result<Vec<suite::Test>> {
        let fits = |test: &suite::Test, text: &String| {
            let group = format!("{:?}", test.group).to_lowercase();
            test.name.contains(text.as_str()) || group == *text
        };
        let mut tests = suite::all();
        for text in &self.filter {
            anyhow::ensure!(
                tests.iter().any(|test| fits(test, text)),
                "--filter {text} fits no test and no group; --list says which there are"
            );
        }
        tests.retain(|test| {
            let wanted = self.filter.is_empty() || self.filter.iter().any(|text| fits(test, text));
            wanted && !self.skip.iter().any(|text| fits(test, text))
        });
        anyhow::ensure!(!tests.is_empty(), "--skip leaves no test to run");
        Ok(tests)
    }

    fn files(&self) -> access::Files {
        access::Files {
            ca: self.ca_file.clone(),
            cert: self.cert_file.clone(),
            key: self.key_file.clone(),
            token: self.token_file.clone(),
        }
    }

    fn target(&self, access: Access) -> Option<Target> {
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
            third: self.source_grpc_3.clone(),
            health: self.health.clone(),
            database: self.database_url.clone(),
            pid: self.server_pid,
            access,
        })
    }
}
