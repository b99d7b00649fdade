//! The flags of Go's logger, and what they mean here.

use std::path::PathBuf;

use anyhow::Context;
use clap::{ArgAction, Args, ValueEnum};
use maestro_server::cli::compatibility::HEADING;
use service_runtime::logs;

/// Crates whose own events are of interest to their developers only.
const QUIET: &str =
    "h2=info,hyper=info,hyper_util=info,rustls=info,tonic=info,tower=info,tungstenite=info";

/// What is logged, and where.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logs")]
pub struct Logs {
    /// Verbosity in klog's numbers: up to 3 is info, 4 to 7 debug, 8 and more everything.
    #[arg(
        short = 'v',
        long = "v",
        value_name = "LEVEL",
        allow_negative_numbers = true
    )]
    v: Option<i32>,
    /// debug, info, warn, error, or directives such as info,maestro_server::delivery=debug. Wins over --v.
    #[arg(long, value_name = "LEVEL", env = "MAESTRO_LOG_LEVEL", hide_env = true)]
    log_level: Option<String>,
    /// One JSON object a line, or text.
    #[arg(
        long,
        value_enum,
        default_value = "json",
        env = "MAESTRO_LOG_FORMAT",
        hide_env = true
    )]
    log_format: Format,
    /// Log to standard error; with =false to --log_file, if that is given.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    logtostderr: bool,
    /// Where logs go with --logtostderr=false; appended to.
    #[arg(long = "log_file", alias = "log-file", value_name = "FILE")]
    log_file: Option<PathBuf>,
    #[command(flatten)]
    unused: Unused,
}

/// Flags of klog that have no effect.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING)]
struct Unused {
    /// Verbosity of single Go files; use --log-level for single modules.
    #[arg(long, value_name = "PATTERN=N,…", hide_short_help = true)]
    vmodule: Option<String>,
    /// Lines have no header.
    #[arg(long = "add_dir_header", alias = "add-dir-header", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    add_dir_header: bool,
    /// Logs go to one place.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    alsologtostderr: bool,
    /// Logs go to one place.
    #[arg(long, value_name = "SEVERITY", hide_short_help = true)]
    alsologtostderrthreshold: Option<String>,
    /// Logs go to one place.
    #[arg(long, value_name = "SEVERITY", hide_short_help = true)]
    stderrthreshold: Option<String>,
    /// Logs go to one place.
    #[arg(long = "legacy_stderr_threshold_behavior", alias = "legacy-stderr-threshold-behavior", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    legacy_stderr_threshold_behavior: bool,
    /// There are no stack traces of lines.
    #[arg(
        long = "log_backtrace_at",
        alias = "log-backtrace-at",
        value_name = "FILE:N",
        hide_short_help = true
    )]
    log_backtrace_at: Option<String>,
    /// There is one log file at most, that of --log_file.
    #[arg(
        long = "log_dir",
        alias = "log-dir",
        value_name = "DIR",
        hide_short_help = true
    )]
    log_dir: Option<PathBuf>,
    /// The log file is not rotated.
    #[arg(
        long = "log_file_max_size",
        alias = "log-file-max-size",
        value_name = "MEGABYTES",
        hide_short_help = true
    )]
    log_file_max_size: Option<u64>,
    /// Every line is written once.
    #[arg(long = "one_output", alias = "one-output", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    one_output: bool,
    /// Lines have no header.
    #[arg(long = "skip_headers", alias = "skip-headers", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    skip_headers: bool,
    /// Log files have no header.
    #[arg(long = "skip_log_headers", alias = "skip-log-headers", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    skip_log_headers: bool,
}

/// Upstream knows --kubeconfig everywhere, and uses it in few places.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING)]
pub struct NoKubeconfig {
    /// Nothing here talks to Kubernetes through it.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    kubeconfig: Option<PathBuf>,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Text,
}

impl Logs {
    /// Sets up logs of a component. `default` is the level when none of the flags says one; `more` are directives that win over it.
    ///
    /// # Errors
    /// When the level is none, the file can't be opened, or logs are set up already.
    pub fn init(&self, component: &str, default: &str, more: &[&str]) -> anyhow::Result<()> {
        let level = match (&self.log_level, self.v) {
            (Some(level), _) => level.clone(),
            (None, Some(v)) => of_verbosity(v),
            (None, None) => default.to_owned(),
        };
        let level = std::iter::once(level.as_str())
            .chain(more.iter().copied())
            .collect::<Vec<_>>()
            .join(",");
        let output = match &self.log_file {
            Some(file) if !self.logtostderr => logs::Output::File(file.clone()),
            _ => logs::Output::Stderr,
        };
        logs::init(logs::Options {
            level,
            format: match self.log_format {
                Format::Json => logs::Format::Json,
                Format::Text => logs::Format::Text,
            },
            output,
            component: component.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..logs::Options::default()
        })
        .context("set up logs")
    }
}

fn of_verbosity(v: i32) -> String {
    match v {
        ..=3 => "info".to_owned(),
        4..=7 => format!("debug,{QUIET}"),
        8.. => format!("trace,{QUIET}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_becomes_a_level() {
        for (v, level) in [
            (-1, "info"),
            (0, "info"),
            (3, "info"),
            (4, "debug,"),
            (10, "trace,"),
        ] {
            assert!(of_verbosity(v).starts_with(level), "{v}");
        }
    }
}
