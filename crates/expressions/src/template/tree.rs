//! What a template is once it is parsed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::functions::Function;

/// A use of a name at the root of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The names: `.a.b` is `["a", "b"]`.
    pub path: Vec<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

#[derive(Debug)]
pub(super) struct Tree {
    pub name: String,
    /// The text, for positions and for the pieces that errors repeat.
    pub text: String,
    pub main: Vec<Node>,
    pub defined: BTreeMap<String, Vec<Node>>,
    pub references: Vec<Reference>,
}

/// A piece of the text, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
}

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If {
        condition: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Template {
        name: String,
        argument: Option<Pipeline>,
        span: Span,
    },
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct Pipeline {
    /// Variables that are declared or assigned, without the dollar.
    pub variables: Vec<String>,
    /// `:=` rather than `=`.
    pub declares: bool,
    /// At least one.
    pub commands: Vec<Command>,
    pub span: Span,
}

#[derive(Debug)]
pub(super) enum Command {
    Value(Operand),
    Call {
        function: Function,
        arguments: Vec<Operand>,
        span: Span,
    },
}

#[derive(Debug)]
pub(super) struct Operand {
    pub kind: OperandKind,
    /// Names selected on it.
    pub fields: Vec<String>,
    pub span: Span,
}

#[derive(Debug)]
pub(super) enum OperandKind {
    Dot,
    Variable(String),
    Literal(Value),
    Nil,
    Call(Function),
    Pipeline(Box<Pipeline>),
}

// === impl Tree ===

impl Tree {
    pub(super) fn is_plain(&self) -> bool {
        self.main.iter().all(|node| matches!(node, Node::Text(_)))
    }

    pub(super) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }
}

/// Line and column, from 1, of an offset in bytes.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}
