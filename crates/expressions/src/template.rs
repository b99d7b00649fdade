//! Go's text/template language as adapter task configs use it: parsed and checked at load, rendered within bounds.
//!
//! Data is JSON. A missing key is an error that names it (`missingkey=error`); an unknown function, an undefined variable, a wrong
//! number of arguments and an unbalanced block are errors on parsing. Integers of JSON stay integers: where Go prints a generation of
//! a million as `1e+06`, this prints `1000000`.
//!
//! ```
//! use expressions::template::Template;
//! use serde_json::json;
//!
//! let template = Template::parse("manifest", "cluster-{{ .id | lower }}{{ range $i, $zone := .zones }} {{ $i }}={{ $zone }}{{ end }}")?;
//! assert_eq!(template.render(&json!({"id": "C1", "zones": ["a", "b"]}))?, "cluster-c1 0=a 1=b");
//! # Ok::<(), expressions::template::Error>(())
//! ```
//!
//! In reading order: `tree` (what a template is), `lex` (text to tokens), `parse` (tokens to tree), `value` and `execute` (tree and data
//! to text), `functions`.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

mod error;
mod execute;
mod functions;
mod lex;
mod parse;
mod tree;
mod value;

pub use error::{Error, Kind};
pub use tree::Reference;

/// Longest template accepted, in bytes (1 MiB).
pub const MAX_TEMPLATE_BYTES: usize = 1024 * 1024;
/// Deepest nesting of blocks and of parentheses.
pub const MAX_NESTING: usize = 40;
/// Deepest nesting of blocks and `template` calls when it runs.
pub const MAX_DEPTH: usize = 100;
/// Longest text that a template may render, and that a function may give, in bytes (4 MiB).
pub const MAX_OUTPUT_BYTES: usize = 4 * 1024 * 1024;
/// Most nodes that one rendering may run, rounds of loops included.
pub const MAX_STEPS: usize = 1_000_000;

/// A parsed template. Cheap to clone and to share; rendering needs only a reference.
#[derive(Clone, Debug)]
pub struct Template {
    tree: Arc<tree::Tree>,
}

// === impl Template ===

impl Template {
    /// Parses a template. The name (a file, or file and key) is repeated in errors.
    ///
    /// # Errors
    /// The first thing that is wrong, with line and column.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        Ok(Self {
            tree: Arc::new(parse::parse(name, text)?),
        })
    }

    /// Renders with the clock's time for `now`.
    ///
    /// # Errors
    /// A missing key, a value that doesn't fit, or a limit, with line and column.
    pub fn render(&self, data: &Value) -> Result<String, Error> {
        self.render_at(data, Timestamp::now())
    }

    /// Renders with a given time for `now`.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_at(&self, data: &Value, now: Timestamp) -> Result<String, Error> {
        execute::execute(&self.tree, data, now)
    }

    /// The name it was parsed with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.tree.name
    }

    /// Uses of names at the root of the data, in order: `.a.b` outside of `range`, `with` and `define`, and `$.a.b` anywhere but in
    /// `define`.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.tree.references
    }

    /// True if the text has no actions: rendering gives it back unchanged, whatever the data.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.tree.is_plain()
    }
}

#[cfg(test)]
mod tests;
