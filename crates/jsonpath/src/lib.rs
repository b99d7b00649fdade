//! The Kubernetes JSONPath dialect (the one of client-go and kubectl): parsed once, evaluated over JSON values.
//!
//! It looks like RFC 9535 and is not: a path stands in braces inside of a template, names may hold dashes, slashes and
//! escaped dots, filters have one comparison and no `&&`, a missing key is an error unless allowed. The facts are in
//! `docs/protocol/jsonpath.md`. No I/O, no panics on input; every limit is a constant below.
//!
//! In reading order: `tree` (what a template is), `parse` (text to tree), `evaluate` (tree and value to results),
//! `remove` (dropping fields that a path names).

use std::borrow::Cow;

use serde_json::Value;

mod error;
mod evaluate;
mod parse;
mod remove;
mod tree;

pub use error::{Error, Kind};
pub use remove::remove_field;

/// Longest template accepted, in bytes (64 KiB).
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;
/// Deepest nesting of filters inside filters and of ranges inside ranges.
pub const MAX_NESTING: usize = 16;
/// Most values that one evaluation may visit; repeated `..` over deep documents grows without bound otherwise.
pub const MAX_VISITS: usize = 1_000_000;
/// Longest text that [`JsonPath::render`] writes, in bytes (16 MiB).
pub const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// What a key that isn't there means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// An error: `x is not found`.
    Error,
    /// No result.
    Allow,
}

/// A parsed template. Cheap to share; evaluation needs only a reference.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    parts: Vec<tree::Part>,
}

// === impl JsonPath ===

impl JsonPath {
    /// Parses a template: literal text and paths in braces, `{.metadata.name}{"\n"}`, with `{range …}…{end}`.
    ///
    /// # Errors
    /// Syntax with its column, or a size over a limit.
    pub fn parse(template: &str) -> Result<Self, Error> {
        parse::template(template)
    }

    /// Parses one path without braces, as in feedback rules: `.status.conditions[?(@.type=="Ready")].status`.
    ///
    /// The same as [`JsonPath::parse`] of `{path}`, with columns that fit the text. A leading bare word is an error.
    ///
    /// # Errors
    /// Syntax with its column, or a size over a limit.
    pub fn parse_path(path: &str) -> Result<Self, Error> {
        parse::path(path, parse::LeadingWord::Identifier)
    }

    /// Parses whatever people write for a path: `a.b`, `.a.b`, `{.a.b}`, `$.a.b`, or a whole template starting with `{`.
    ///
    /// # Errors
    /// Syntax with its column, or a size over a limit.
    pub fn parse_relaxed(text: &str) -> Result<Self, Error> {
        let trimmed = text.trim_start();
        if trimmed.starts_with('{') {
            return parse::template(text);
        }
        parse::path(text, parse::LeadingWord::Field)
    }

    /// All results in order: those of every path in the template, and its literal text as strings.
    ///
    /// A key that is there with the value null is a result.
    ///
    /// # Errors
    /// An index out of range, a selector that doesn't fit the value, incomparable filter operands, a missing key with
    /// [`Missing::Error`], or [`MAX_VISITS`].
    pub fn find<'v>(
        &self,
        value: &'v Value,
        missing: Missing,
    ) -> Result<Vec<Cow<'v, Value>>, Error> {
        Ok(self
            .find_groups(value, missing)?
            .into_iter()
            .flatten()
            .collect())
    }

    /// The results of each path and text of the template, separately. A range contributes the groups of each round.
    ///
    /// # Errors
    /// As [`JsonPath::find`].
    pub fn find_groups<'v>(
        &self,
        value: &'v Value,
        missing: Missing,
    ) -> Result<Vec<Vec<Cow<'v, Value>>>, Error> {
        evaluate::groups(&self.parts, value, missing)
    }

    /// The results as kubectl prints them: separated by blanks within a path, lists and maps as JSON, text as it is.
    ///
    /// # Errors
    /// As [`JsonPath::find`], or [`MAX_OUTPUT_BYTES`].
    pub fn render(&self, value: &Value, missing: Missing) -> Result<String, Error> {
        evaluate::render(&self.find_groups(value, missing)?)
    }
}

#[cfg(test)]
mod tests;
