//! What Go's flag packages understand and [`clap`] doesn't by itself.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::{Kind, kind};

/// Teaches the boolean flags of a command Go's words for true and false.
pub(super) fn flags(command: Command) -> Command {
    command
        .mut_args(|arg| match is_switch(&arg) {
            true => arg.value_parser(boolean).hide_possible_values(true),
            false => arg,
        })
        .mut_subcommands(flags)
}

/// A boolean flag that takes a value (`--x=false`); those of ours that take none stay as they are.
fn is_switch(arg: &Arg) -> bool {
    kind(arg) == Kind::Bool && arg.get_action().takes_values() && !arg.is_positional()
}

fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// The arguments as [`clap`] takes them: flags that stand before the subcommand behind it, as upstream's hold for every subcommand, and
/// after one of `loose` the underscores of flag names as dashes.
pub fn normalized(arguments: impl IntoIterator<Item = OsString>, loose: &[&str]) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut result: Vec<OsString> = arguments.next().into_iter().collect();
    let mut early = Vec::new();
    let mut rest: Vec<OsString> = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        let ours = ["-h", "--help", "-V", "--version", "--"].contains(&&*text);
        if text.starts_with('-') && !ours {
            // The only one that is commonly written with a blank before its value.
            let takes_next = ["-v", "--v"].contains(&&*text);
            early.push(argument);
            early.extend(takes_next.then(|| arguments.next()).flatten());
            continue;
        }
        rest.push(argument);
        break;
    }
    rest.extend(early);
    rest.extend(arguments);
    let is_loose = rest
        .first()
        .and_then(|name| name.to_str())
        .is_some_and(|name| loose.contains(&name));
    if is_loose {
        let dashed = rest
            .iter()
            .map(|argument| dashed(argument).unwrap_or_else(|| argument.clone()));
        result.extend(dashed);
    } else {
        result.extend(rest);
    }
    result
}

/// `--consumer_name=a_b` becomes `--consumer-name=a_b`.
fn dashed(argument: &OsString) -> Option<OsString> {
    let text = argument.to_str()?;
    let flag = text.strip_prefix("--")?;
    let (name, value) = match flag.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag, None),
    };
    let name = name.replace('_', "-");
    Some(
        match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        }
        .into(),
    )
}
