//! The effective configuration as a file.

use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use maestro_server::cli::compatibility::HEADING;

use super::{Kind, Origins, kind, section, settings};

/// What replaces a secret.
const HIDDEN: &str = "(hidden)";

/// All settings in sections, each with where it comes from; what is not set is a comment.
pub(super) fn effective(command: &Command, matches: &ArgMatches, origins: &Origins) -> String {
    let mut sections: Vec<(String, String)> = Vec::new();
    for (long, arg) in settings(command) {
        let id = arg.get_id().as_str();
        let source = matches.value_source(id);
        let origin = match source {
            None => None,
            Some(ValueSource::CommandLine) => Some(format!("flag --{long}")),
            Some(_) => Some(match origins.get(long) {
                Some(origin) => origin.place.clone(),
                None => "default".to_owned(),
            }),
        };
        let by_default = origin.as_deref().is_none_or(|origin| origin == "default");
        if by_default && arg.get_help_heading() == Some(HEADING) {
            continue;
        }
        let raw = matches.get_raw(id).into_iter().flatten();
        let values: Vec<String> = raw
            .map(|value| yaml(arg, &value.to_string_lossy()))
            .collect();
        let line = match (&values[..], origin) {
            ([], _) | (_, None) => format!("  # {long}:\n"),
            ([value], Some(origin)) => format!("  {long}: {value}  # {origin}\n"),
            (values, Some(origin)) => format!("  {long}: [{}]  # {origin}\n", values.join(", ")),
        };
        let name = section(arg);
        match sections.iter_mut().find(|(known, _)| *known == name) {
            Some((_, lines)) => lines.push_str(&line),
            None => sections.push((name, line)),
        }
    }
    let mut text = String::new();
    for (name, lines) in sections {
        // A section without a value must not be an empty key.
        let empty = lines.lines().all(|line| line.trim_start().starts_with('#'));
        let mark = if empty { "# " } else { "" };
        // Writing to a String can't fail.
        let _ = write!(text, "{mark}{name}:\n{lines}");
    }
    text
}

fn yaml(arg: &Arg, value: &str) -> String {
    if arg.is_hide_env_values_set() {
        return quoted(&without_password(value));
    }
    match kind(arg) {
        Kind::Bool | Kind::Number => value.to_owned(),
        Kind::Text | Kind::Other => quoted(value),
    }
}

/// JSON's quotes are YAML's as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A URL keeps what is not secret in it; anything else is a secret.
fn without_password(value: &str) -> String {
    if value.starts_with("sqlite:") {
        return value.to_owned();
    }
    let Some((scheme, rest)) = value.split_once("://") else {
        return HIDDEN.to_owned();
    };
    let (authority, place) = match rest.rsplit_once('@') {
        Some((login, place)) => {
            let user = login.split(':').next().unwrap_or_default();
            (format!("{user}:{HIDDEN}@"), place)
        }
        None => (String::new(), rest),
    };
    // Parameters may hold a password as well.
    let place = place.split('?').next().unwrap_or_default();
    format!("{scheme}://{authority}{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden() {
        for (url, shown) in [
            ("postgres://u:p@h/d?password=x", "postgres://u:(hidden)@h/d"),
            ("postgres://u:p@ss@h/d", "postgres://u:(hidden)@h/d"),
            ("postgres://h/d", "postgres://h/d"),
            ("sqlite:maestro.db", "sqlite:maestro.db"),
            ("secret", "(hidden)"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
