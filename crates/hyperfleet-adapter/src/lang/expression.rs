//! CEL, current and older.

use std::fmt;

use expressions::cel::{Bindings, Environment, Program};
use serde_json::{Map, Value};

use super::SyntaxError;

/// Which CEL a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Current,
    /// With `a ?? b`, `nil`, `list[?(@.k == 'v')]`, and a `has()` that is false wherever the path ends early.
    Older,
}

/// A compiled expression. Blank means true.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    source: String,
    program: Program,
}

/// An older construct inside of an expression, with its modern spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OlderConstruct {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) construct: &'static str,
    pub(crate) modern: &'static str,
}

impl Expression {
    /// Compiles; also says which older constructs were understood.
    pub(crate) fn compile(
        source: &str,
        dialect: Dialect,
    ) -> Result<(Self, Vec<OlderConstruct>), SyntaxError> {
        let environment = Environment::adapter();
        let compiled = match dialect {
            Dialect::Current => environment
                .compile(source)
                .map(|program| (program, Vec::new())),
            Dialect::Older => environment.compile_seed(source),
        };
        let (program, rewrites) = compiled.map_err(|error| {
            let mut message = error.message.clone();
            if let Some(hint) = &error.hint {
                message = format!("{message}; {hint}");
            }
            SyntaxError {
                line: error.line,
                column: error.column,
                message,
            }
        })?;
        let constructs = rewrites
            .into_iter()
            .map(|rewrite| OlderConstruct {
                line: rewrite.line,
                column: rewrite.column,
                construct: rewrite.construct,
                modern: rewrite.modern,
            })
            .collect();
        Ok((
            Self {
                source: source.to_owned(),
                program,
            },
            constructs,
        ))
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Names that must come from outside.
    pub(crate) fn names(&self) -> Vec<String> {
        self.program
            .free_identifiers()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn evaluate(&self, variables: &Variables<'_>) -> Result<Value, EvaluationError> {
        let mut bindings = Bindings::new();
        for name in self.program.free_identifiers() {
            if let Some(value) = variables.get(name) {
                bindings.insert(name, value);
            }
        }
        self.program
            .evaluate(&bindings)
            .map_err(|error| EvaluationError(error.to_string()))
    }
}

/// Why an expression gave no value; the text names the expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EvaluationError(String);

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an expression can see: maps, the first that knows a name wins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables<'a> {
    layers: Vec<&'a Map<String, Value>>,
}

impl<'a> Variables<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds names below those that are there.
    pub(crate) fn layer(&mut self, names: &'a Map<String, Value>) {
        self.layers.push(names);
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }
}

/// Whether a result counts as met: a boolean is itself; null, `""`, `[]` and `{}` are not met, everything else is.
pub(crate) fn matched(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Number(_) => true,
    }
}
