//! One module per command, and what they share.

pub mod apply;
pub mod build;
pub mod delete;
pub mod diff;
pub mod get;
pub mod list;
pub mod validate;
pub mod wait;
pub mod watch;

use std::time::{Duration, Instant};

use maestro_client::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    ExitCode, Failure,
    cli::{Args, Command, Global},
    output::{self, Format},
    settings::{DEFAULT_WAIT, Settings, Uses},
    usage,
};

/// What a command has at hand.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) settings: Settings,
    pub(crate) client: Client,
    pub(crate) shutdown: CancellationToken,
    started: Instant,
}

impl Context {
    fn new(global: Global, uses: Uses, shutdown: CancellationToken) -> Result<Self, Failure> {
        let settings = Settings::resolve(&global, &|name| std::env::var(name).ok(), uses)?;
        let client = settings.client()?;
        Ok(Self {
            global,
            settings,
            client,
            shutdown,
            started: Instant::now(),
        })
    }

    /// The form of the output: asked for, or a default.
    pub(crate) fn format(&self, default: Format) -> Result<Format, Failure> {
        Format::choose(self.global.output.as_deref(), default)
    }

    /// When waiting ends. The limit counts from the start of the command if `whole`, from now otherwise.
    pub(crate) fn waits_until(&self, whole: bool) -> Instant {
        match self.global.timeout {
            Duration::ZERO => Instant::now() + DEFAULT_WAIT,
            limit if whole => self.started + limit,
            limit => Instant::now() + limit,
        }
    }

    /// Sleeps one interval, but not beyond the deadline; ends early when the command is cancelled.
    pub(crate) async fn pause(&self, interval: Duration, deadline: Instant) {
        let pause = interval.min(deadline.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    /// Runs a part of the command within `--timeout`, until a signal comes.
    pub(crate) async fn bounded<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = self.global.timeout;
        let timer = async {
            if limit.is_zero() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep((self.started + limit).saturating_duration_since(Instant::now()))
                .await;
        };
        tokio::select! {
            result = work => result,
            () = self.shutdown.cancelled() => Err(Failure::interrupted(what)),
            () = timer => Err(Failure::new(ExitCode::Connection, "Timeout", format!("{what}: context deadline exceeded"))
                .hint("Give --timeout more time, or check the endpoints.")),
        }
    }
}

/// Runs a command.
///
/// # Errors
/// Why it failed.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<ExitCode, Failure> {
    let Args { global, command } = args;
    // A format that nobody knows is found before anything is done.
    if let (Some(text), false) = (&global.output, matches!(command, Command::Build(_))) {
        Format::parse(text)?;
    }
    let rest = |global| Context::new(global, Uses::Rest, shutdown.clone());
    let both = |global| Context::new(global, Uses::RestAndGrpc, shutdown.clone());
    match command {
        Command::Apply(flags) => Box::pin(apply::run(both(global)?, flags)).await,
        Command::Build(flags) => {
            let uses = if flags.apply && !flags.dry_run {
                Uses::RestAndGrpc
            } else {
                Uses::Rest
            };
            Box::pin(build::run(
                Context::new(global, uses, shutdown.clone())?,
                flags,
            ))
            .await
        }
        Command::Delete(flags) => Box::pin(delete::run(rest(global)?, flags)).await,
        Command::Get(flags) => Box::pin(get::run(rest(global)?, flags, false)).await,
        Command::Describe(flags) => Box::pin(get::run(rest(global)?, flags, true)).await,
        Command::List(flags) => Box::pin(list::run(rest(global)?, flags)).await,
        Command::Wait(flags) => Box::pin(wait::run(rest(global)?, flags)).await,
        Command::Watch(flags) => Box::pin(watch::run(rest(global)?, flags)).await,
        Command::Validate(flags) => Box::pin(validate::run(rest(global)?, flags)).await,
        Command::Diff(flags) => Box::pin(diff::run(rest(global)?, flags)).await,
        Command::Version => version(),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut usage::command(), "maestro-cli", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::Ok)
        }
    }
}

fn version() -> Result<ExitCode, Failure> {
    let known = |value: Option<&str>| value.unwrap_or("unknown").to_owned();
    output::print(&format!(
        "maestro-cli version {}\nGit commit: {}\nBuilt: {}\nRust version: {}\nOS/Arch: {}/{}\n",
        env!("CARGO_PKG_VERSION"),
        known(option_env!("GIT_COMMIT")),
        known(option_env!("BUILD_DATE")),
        env!("CARGO_PKG_RUST_VERSION"),
        std::env::consts::OS,
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        },
    ))?;
    Ok(ExitCode::Ok)
}
