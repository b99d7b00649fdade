//! What a template is once it is parsed.

use serde_json::Value;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// Text outside of braces.
    Text(Value),
    /// One path in braces.
    Path(Path),
    /// `{range path}body{end}`; without an end it reaches to the end of the template.
    Range { over: Path, body: Vec<Part> },
}

/// Selectors, each applied to all results of the one before.
pub(crate) type Path = Vec<Selector>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selector {
    /// `.name`
    Field(String),
    /// `['name']`; with unescaped dots inside, client-go reads a path of names, which is tried if there is no such key.
    Key { name: String, path: Vec<String> },
    /// `.*`
    Wildcard,
    /// `[3]`, `[-1]`, `[1:3]`, `[*]`
    Slice(Slice),
    /// `[0,2]`, `['a','b']`
    Union(Vec<Selector>),
    /// `[?(@.a=="b")]`
    Filter(Box<Filter>),
    /// `..`
    Recursive,
    /// A literal in braces or on a side of a comparison: text, number or boolean.
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    Index(i64),
    Range {
        start: Option<i64>,
        end: Option<i64>,
        step: Option<i64>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    pub left: Path,
    /// None: keep what has a result on the left.
    pub comparison: Option<(Operator, Path)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
