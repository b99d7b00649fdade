//! Condition expressions: `Available`, `Job/ns/name:Complete AND NOT Degraded`, `Job:succeeded>=1`.
//!
//! `AND` binds tighter than `OR`; `NOT` or `!` binds tightest; words may be lower case, `&&` and `||` do as well. Malformed
//! text is an error with a position before anything is sent. With [`ConditionCompat::Upstream`] the text is understood as upstream
//! does, see [`upstream`].

mod evaluate;
mod parse;
pub mod upstream;

use manifestwork::{Condition, ManifestCondition};

use crate::{Failure, cli::ConditionCompat};

/// A condition expression that can be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    /// None: upstream's rules.
    tree: Option<Node>,
}

/// What an expression is evaluated on: the state of a work as the REST API tells it.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// Version of the spec.
    pub version: i64,
    /// Version that the status speaks about.
    pub observed_version: i64,
    /// Conditions of the work.
    pub conditions: &'a [Condition],
    /// Status of each resource.
    pub resources: &'a [ManifestCondition],
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// A condition of the work.
    Work(String),
    /// Something about a resource.
    Resource(Selector, Check),
}

/// Which resources; matched without regard to case.
#[derive(Debug, Clone, PartialEq)]
struct Selector {
    kind: String,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Check {
    Condition(String),
    Compare {
        path: String,
        operator: Operator,
        value: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why an expression can't be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// Malformed text, with a line that points at it.
    pub fn parse(text: &str, compat: Option<ConditionCompat>) -> Result<Self, Failure> {
        if compat == Some(ConditionCompat::Upstream) {
            return Ok(Self {
                text: text.to_owned(),
                tree: None,
            });
        }
        let tree = parse::parse(text).map_err(|SyntaxError { column, message }| {
            let pointer = format!("{}^", " ".repeat(column.saturating_sub(1)));
            Failure::usage(format!(
                "condition, column {column}: {message}\n  {text}\n  {pointer}"
            ))
            .hint("Examples: Available, Job:Complete, 'Job/ns/name:succeeded>=1 AND NOT Degraded'.")
        })?;
        Ok(Self {
            text: text.to_owned(),
            tree: Some(tree),
        })
    }

    /// The text as given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if AND and OR stand side by side without parentheses: upstream would understand something else.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(&self.tree, Some(Node::Any(parts)) if parse::mixes_without_parentheses(&self.text, parts.len()))
    }

    /// True if the expression holds.
    ///
    /// A status about an older version than the current one meets nothing: what it says is from before the last change.
    #[must_use]
    pub fn holds(&self, snapshot: Snapshot<'_>) -> bool {
        match &self.tree {
            None => upstream::holds(&self.text, snapshot),
            Some(_) if snapshot.observed_version < snapshot.version => false,
            Some(tree) => evaluate::holds(tree, snapshot),
        }
    }
}

#[cfg(test)]
mod tests;
