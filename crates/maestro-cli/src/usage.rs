//! Usage errors in the words of upstream's command line.

use std::{ffi::OsString, time::Duration};

use clap::{CommandFactory, Parser, error::ContextKind, error::ContextValue, error::ErrorKind};

use crate::{ExitCode, Failure, cli};

/// The command line of the standalone binary.
#[derive(Parser)]
#[command(
    name = "maestro-cli",
    about = "Brings Kubernetes objects to other clusters through Maestro, and tells what became of them.",
    version,
    disable_version_flag = true,
    max_term_width = 110
)]
struct Standalone {
    #[command(flatten)]
    args: cli::Args,
}

/// The standalone binary's command, for completion scripts.
pub(crate) fn command() -> clap::Command {
    Standalone::command()
}

/// Parses, prints what is to be printed.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<cli::Args, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.len() <= 1 {
        // A failing terminal is not ours to report.
        let _ = command().print_help();
        return Err(ExitCode::Ok);
    }
    match Standalone::try_parse_from(arguments) {
        Ok(standalone) => Ok(standalone.args),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            let _ = error.print();
            Err(ExitCode::Ok)
        }
        Err(error) => {
            let failure = translate(&error);
            failure.print();
            Err(failure.code)
        }
    }
}

fn translate(error: &clap::Error) -> Failure {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let suggestion = |kind| {
        text(kind)
            .map(|text| format!("Did you mean {text}?"))
            .unwrap_or_default()
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let argument = text(ContextKind::InvalidArg).unwrap_or_default();
            if argument.starts_with("--") {
                let flag = argument.split('=').next().unwrap_or_default();
                Failure::usage(format!("unknown flag: {flag}"))
                    .hint(suggestion(ContextKind::SuggestedArg))
            } else if let Some(letter) = argument.strip_prefix('-') {
                let letter = letter.chars().next().unwrap_or('-');
                Failure::usage(format!("unknown shorthand flag: {letter:?} in {argument}"))
            } else {
                Failure::usage(format!("unexpected argument {argument:?}")).hint(
                    "There are no positional arguments. A flag with an optional value needs '=': --wait=Job:Complete.",
                )
            }
        }
        ErrorKind::InvalidSubcommand => {
            let command = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            Failure::usage(format!("unknown command {command:?} for \"maestro-cli\""))
                .hint(suggestion(ContextKind::SuggestedSubcommand))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let (argument, value) = (
                text(ContextKind::InvalidArg).unwrap_or_default(),
                text(ContextKind::InvalidValue).unwrap_or_default(),
            );
            let flag = argument
                .split([' ', '=', '['])
                .next()
                .unwrap_or_default()
                .to_owned();
            let why = std::error::Error::source(error)
                .map(ToString::to_string)
                .or_else(|| {
                    text(ContextKind::ValidValue).map(|values| format!("must be one of {values}"))
                });
            if value.is_empty() {
                return Failure::usage(format!("flag needs an argument: {flag}"));
            }
            Failure::usage(format!(
                "invalid argument {value:?} for \"{flag}\" flag: {}",
                why.unwrap_or_default()
            ))
        }
        _ => Failure::usage(
            error
                .to_string()
                .trim()
                .trim_start_matches("error: ")
                .to_owned(),
        ),
    }
}

/// Checks that flags were given, all at once and in alphabetical order.
pub(crate) fn required<const N: usize>(
    flags: [(&str, &Option<String>); N],
) -> Result<[String; N], Failure> {
    let mut missing: Vec<&str> = flags
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| *name)
        .collect();
    if !missing.is_empty() {
        missing.sort_unstable();
        let names: Vec<String> = missing.iter().map(|name| format!("\"{name}\"")).collect();
        return Err(Failure::usage(format!(
            "required flag(s) {} not set",
            names.join(", ")
        )));
    }
    if let Some((name, _)) = flags
        .iter()
        .find(|(_, value)| value.as_ref().is_some_and(String::is_empty))
    {
        return Err(Failure::usage(format!("flag \"{name}\" must not be empty")));
    }
    Ok(flags.map(|(_, value)| value.clone().unwrap_or_default()))
}

/// A Go duration such as `1m30s`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    go_compat::duration::parse(text).map_err(|error| error.to_string())
}
