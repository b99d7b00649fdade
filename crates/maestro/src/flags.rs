//! Reading a command line: flags over environment over configuration file over defaults.
//!
//! The keys of the file and the environment variables follow from the flags, so nothing is listed twice: a flag `--client-id` under the
//! help heading "Rules" is the key `client-id` in the section `rules`, and the variable `MAESTRO_CLIENT_ID`. The file gives what it
//! says to [`clap`] as defaults, so that everything else (types, conflicts, help) has one owner.

mod file;
mod go;
mod print;

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use maestro_server::cli::compatibility::HEADING;

pub use go::normalized;

/// Commands that have this group are read in layers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub struct Layered {
    /// YAML file with settings, in sections that are named after the headings of this help. A flag wins over its variable MAESTRO_<FLAG>,
    /// that over the file, and that over the default. Its own variable is MAESTRO_CONFIG.
    #[arg(id = CONFIG, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings that would be used as such a file, and where each comes from; secrets are hidden.
    #[arg(id = PRINT, long = "print-config")]
    print: bool,
}

const CONFIG: &str = "maestro_config";
const PRINT: &str = "maestro_print_config";
/// Names the preset of flags.
const PRESET: &str = "MAESTRO_ENV";

/// What a command line holds besides the values of its flags.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Flags without effect that somebody set.
    pub without_effect: Vec<String>,
}

impl Given {
    /// Says once what was given in vain.
    pub fn log(&self) {
        if !self.without_effect.is_empty() {
            tracing::warn!(
                flags = self.without_effect.join(" "),
                "Flags that are accepted for compatibility and have no effect were given."
            );
        }
    }
}

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Stop {
    /// Help, the version, or a mistake in the flags.
    Usage(clap::Error),
    /// Mistakes in the configuration file or the environment, all of them.
    Config(Vec<String>),
    /// What was asked for instead.
    Print(String),
}

impl Stop {
    /// Prints it. The exit code is 0 for help and what was asked for, and `mistake` for mistakes: 1 in upstream's `maestro`.
    pub fn exit(self, mistake: ExitCode) -> ExitCode {
        match self {
            Self::Usage(error) => {
                // A bare group of commands asks for its help, as in upstream.
                let bare = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
                if bare {
                    print!("{}", error.render());
                    return ExitCode::SUCCESS;
                }
                let _ = error.print();
                match error.use_stderr() {
                    true => mistake,
                    false => ExitCode::SUCCESS,
                }
            }
            Self::Config(problems) => {
                for problem in problems {
                    eprintln!("Error: {problem}");
                }
                mistake
            }
            Self::Print(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
        }
    }
}

/// Reads a command line whose first part is the program's name.
///
/// # Errors
/// When there is nothing to run.
pub fn parse<C: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(C, Given), Stop> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    parse_from(&arguments, &|name| std::env::var(name).ok())
}

/// Looks an environment variable up.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

fn parse_from<C: CommandFactory + FromArgMatches>(
    arguments: &[OsString],
    environment: Environment<'_>,
) -> Result<(C, Given), Stop> {
    let mut command = C::command()
        .mut_subcommands(go::flags)
        .mut_subcommands(global)
        // As in Go, the last of several wins.
        .args_override_self(true);
    let mut origins = Origins::new();
    let active = command
        .clone()
        .ignore_errors(true)
        .try_get_matches_from(arguments)
        .ok()
        .and_then(|matches| matches.subcommand_name().map(str::to_owned));
    let layered = active.filter(|name| {
        command
            .find_subcommand(name)
            .is_some_and(|sub| sub.get_arguments().any(|arg| arg.get_id() == CONFIG))
    });
    if let Some(name) = &layered {
        let file = command
            .clone()
            .ignore_errors(true)
            .try_get_matches_from(arguments)
            .ok()
            .and_then(|matches| {
                let (_, matches) = matches.subcommand()?;
                matches.get_one::<PathBuf>(CONFIG).cloned()
            })
            .or_else(|| environment("MAESTRO_CONFIG").map(PathBuf::from))
            .filter(|file| !file.as_os_str().is_empty());
        origins = below_flags(file, environment).map_err(Stop::Config)?;
        command = command.mut_subcommand(name, |sub| with_defaults(sub, &origins));
    }
    let matches = command
        .try_get_matches_from_mut(arguments)
        .map_err(Stop::Usage)?;
    let mut given = Given::default();
    if let Some((name, matches)) = matches.subcommand()
        && let Some(sub) = command.find_subcommand(name)
    {
        if layered.is_some() && matches.get_flag(PRINT) {
            return Err(Stop::Print(print::effective(sub, matches, &origins)));
        }
        given.without_effect = without_effect(sub, matches, &origins);
    }
    let value =
        C::from_arg_matches(&matches).map_err(|error| Stop::Usage(error.format(&mut command)))?;
    Ok((value, given))
}

/// Where a value comes from that is neither a flag nor a variable, by the flag's name.
type Origins = BTreeMap<String, Origin>;

#[derive(Clone, Debug, PartialEq)]
struct Origin {
    /// For people: `file maestro.yaml:3`.
    place: String,
    values: Vec<String>,
}

/// The variable of a flag: the one that it names, or that of the rule.
fn variable(long: &str, arg: &Arg) -> String {
    match arg.get_env() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => format!("MAESTRO_{}", long.to_ascii_uppercase().replace('-', "_")),
    }
}

/// Flags of a group of commands of an operator hold for each of them, and may stand behind it.
fn global(command: Command) -> Command {
    let is_group = command.has_subcommands()
        && command
            .get_arguments()
            .any(|arg| arg.get_long() == Some("rest-url"));
    match is_group {
        true => command.mut_args(|arg| match arg.is_positional() {
            true => arg,
            false => arg.global(true),
        }),
        false => command,
    }
}

/// Everything that counts less than a flag, the weightier replacing the others: preset, file, environment.
fn below_flags(
    file: Option<PathBuf>,
    environment: Environment<'_>,
) -> Result<Origins, Vec<String>> {
    let schema = go::flags(crate::server::schema());
    let mut problems = Vec::new();
    let mut origins = Origins::new();
    let layers = [
        preset(environment).map_err(|problem| vec![problem]),
        file.map_or_else(|| Ok(Origins::new()), |file| file::read(&file, &schema)),
        variables(&schema, environment),
    ];
    for layer in layers {
        match layer {
            Ok(layer) => origins.extend(layer),
            Err(wrong) => problems.extend(wrong),
        }
    }
    match problems.is_empty() {
        true => Ok(origins),
        false => Err(problems),
    }
}

/// Every flag can be set by its variable; an empty one counts as none.
fn variables(schema: &Command, environment: Environment<'_>) -> Result<Origins, Vec<String>> {
    let mut origins = Origins::new();
    let mut problems = Vec::new();
    for (long, arg) in settings(schema) {
        let name = variable(long, arg);
        let Some(value) = environment(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        if let Err(problem) = file::accepted(schema, arg, &value) {
            problems.push(format!("environment variable {name}: {problem}"));
        }
        let origin = Origin {
            place: format!("environment variable {name}"),
            values: vec![value],
        };
        origins.insert(long.to_owned(), origin);
    }
    match problems.is_empty() {
        true => Ok(origins),
        false => Err(problems),
    }
}

/// What stands below the flags becomes their defaults, and [`clap`] looks at no variable by itself.
fn with_defaults(command: Command, origins: &Origins) -> Command {
    command.mut_args(|arg| {
        let arg = arg.env(Resettable::Reset);
        match arg.get_long().and_then(|long| origins.get(long)) {
            Some(origin) => arg.default_values(origin.values.clone()),
            None => arg,
        }
    })
}

/// Upstream's presets. Without the variable there is none: logs are at info, not at upstream's verbosity 10.
fn preset(environment: Environment<'_>) -> Result<Origins, String> {
    let Some(name) = environment(PRESET).filter(|name| !name.is_empty()) else {
        return Ok(Origins::new());
    };
    let flags: &[(&str, &str)] = match name.as_str() {
        "development" => &[
            ("v", "10"),
            ("enable-https", "false"),
            ("enable-metrics-https", "false"),
            ("server-hostname", "localhost"),
            ("http-server-bindport", "8000"),
        ],
        "testing" => &[
            ("v", "0"),
            ("logtostderr", "true"),
            ("enable-https", "false"),
            ("enable-metrics-https", "false"),
        ],
        "production" => &[("v", "1")],
        other => {
            return Err(format!(
                "Unknown runtime environment: {other} ({PRESET} must be development, testing or production)"
            ));
        }
    };
    Ok(flags
        .iter()
        .map(|(flag, value)| {
            let origin = Origin {
                place: format!("preset {PRESET}={name}"),
                values: vec![(*value).to_owned()],
            };
            ((*flag).to_owned(), origin)
        })
        .collect())
}

/// The section of a flag in the file: its heading without what is in parentheses.
fn section(arg: &Arg) -> String {
    let heading = arg.get_help_heading().unwrap_or("general");
    let heading = heading.split(" (").next().unwrap_or(heading);
    heading.to_ascii_lowercase().replace(' ', "-")
}

/// Flags that can stand in the file, with their names.
fn settings(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    command
        .get_arguments()
        .filter(|arg| ![CONFIG, PRINT, "help", "version"].contains(&arg.get_id().as_str()))
        .filter_map(|arg| Some((arg.get_long()?, arg)))
}

fn without_effect(command: &Command, matches: &ArgMatches, origins: &Origins) -> Vec<String> {
    settings(command)
        .filter(|(_, arg)| arg.get_help_heading() == Some(HEADING))
        .filter(
            |(long, arg)| match matches.value_source(arg.get_id().as_str()) {
                Some(ValueSource::CommandLine) => true,
                _ => origins.contains_key(*long),
            },
        )
        .map(|(long, _)| format!("--{long}"))
        .collect()
}

/// What a flag holds, as far as YAML tells kinds apart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Bool,
    Number,
    Text,
    /// Read by the flag's own parser: a duration, one of several words.
    Other,
}

fn kind(arg: &Arg) -> Kind {
    let id = arg.get_value_parser().type_id();
    let is = |types: &[TypeId]| types.iter().any(|known| id == *known);
    if is(&[TypeId::of::<bool>()]) {
        Kind::Bool
    } else if is(&[
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
        TypeId::of::<f32>(),
        TypeId::of::<f64>(),
    ]) {
        Kind::Number
    } else if is(&[TypeId::of::<String>(), TypeId::of::<PathBuf>()]) {
        Kind::Text
    } else {
        Kind::Other
    }
}

#[cfg(test)]
mod tests;
