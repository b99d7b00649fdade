//! The grammar of the HyperFleet API's `search` parameter.

use super::grammar::{self, Particulars};
use super::scanner::Escape;
use crate::{Error, Expr};

/// Bytes in one search.
pub const MAX_LENGTH: usize = 4096;

/// Parses a search; an empty one is for the caller to leave out.
///
/// # Errors
/// [`Error::Syntax`] and [`Error::Limit`].
pub fn parse(text: &str) -> Result<Expr, Error> {
    if text.len() > MAX_LENGTH {
        return Err(Error::Limit(format!(
            "search query exceeds maximum length of {MAX_LENGTH} characters"
        )));
    }
    grammar::parse(text, PARTICULARS)
}

/// The words with which a refused search is answered.
pub fn refusal(error: &Error) -> String {
    match error {
        Error::Syntax { column, message } => {
            format!("failed to parse search query: {message} (column {column})")
        }
        Error::Limit(message) | Error::Field { message, .. } => message.clone(),
    }
}

const PARTICULARS: Particulars = Particulars {
    escape: Escape::Backslash,
    text_quotes: "'\"`",
    list: ["[", "]"],
    empty_lists: true,
    // Upstream takes a hyphen for a subtraction, which it then refuses; label keys have hyphens, so here they are part of the name.
    in_identifier: |c| c.is_ascii_alphanumeric() || "_/-".contains(c),
    identifier_quotes: "",
    json_paths: false,
    bare_values: false,
    units: true,
    arithmetic: false,
    lower_case: false,
    literal_first: true,
};
