//! The two grammars of Maestro's `search` parameter. A text with `->>` or `@>` is in the one with JSON paths.

use super::grammar::{self, Particulars};
use super::scanner::Escape;
use crate::{Error, Expr};

/// Characters in one search. The longest that a client of the SDK sends, with dozens of labels, is a few kilobytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Whether the grammar with JSON paths applies.
pub fn has_json_paths(text: &str) -> bool {
    text.contains("->>") || text.contains("@>")
}

/// Parses a search; an empty one is for the caller to leave out.
///
/// # Errors
/// [`Error::Syntax`] and [`Error::Limit`].
pub fn parse(text: &str) -> Result<Expr, Error> {
    if text.len() > MAX_LENGTH {
        return Err(Error::Limit(format!(
            "search is longer than {MAX_LENGTH} bytes"
        )));
    }
    grammar::parse(text, if has_json_paths(text) { JSON } else { PLAIN })
}

/// The words with which a refused search is answered.
pub fn refusal(text: &str, error: &Error) -> String {
    match error {
        Error::Field { message, .. } => message.clone(),
        _ if has_json_paths(text) => {
            let position = error.column().unwrap_or(1);
            format!(
                "failed to parse the search query: [{position}] error parsing the filter: {error}"
            )
        }
        _ => format!("Failed to parse search query: {text}"),
    }
}

const PLAIN: Particulars = Particulars {
    escape: Escape::Doubled,
    text_quotes: "'",
    list: ["(", ")"],
    empty_lists: true,
    in_identifier: |c| c.is_ascii_alphanumeric() || c == '_',
    identifier_quotes: "\"`[",
    json_paths: false,
    bare_values: false,
    units: false,
    arithmetic: true,
    lower_case: false,
    literal_first: false,
};

const JSON: Particulars = Particulars {
    escape: Escape::Backslash,
    text_quotes: "'",
    list: ["(", ")"],
    empty_lists: false,
    in_identifier: |c| c.is_ascii_alphanumeric() || c == '_',
    identifier_quotes: "",
    json_paths: true,
    bare_values: true,
    units: false,
    arithmetic: false,
    lower_case: true,
    literal_first: false,
};
