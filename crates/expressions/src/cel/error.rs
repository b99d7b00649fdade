//! What can be wrong with an expression, when it is compiled and when it is evaluated.

use ::cel::ExecutionError;

/// Class of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text is not CEL. Found on compilation.
    Syntax,
    /// A name that isn't declared. Found on compilation if names are declared, else see [`Kind::NoSuchAttribute`].
    UndeclaredName,
    /// A function or macro that doesn't exist. Found on compilation.
    UnknownFunction,
    /// A function with the wrong number of arguments. Found on compilation.
    Arguments,
    /// Too long or too deep. Found on compilation.
    TooLarge,
    /// A name that isn't bound.
    NoSuchAttribute,
    /// A key that a map doesn't have.
    NoSuchKey,
    /// An index outside of a list.
    IndexOutOfBounds,
    /// An operator or function that doesn't accept these types, a field of null or of a scalar included.
    NoSuchOverload,
    /// Division or remainder by zero, or an integer out of range.
    Arithmetic,
    /// A function refused its arguments.
    Function,
    /// The budget of the evaluation is used up.
    Budget,
    /// The result has no JSON form.
    Result,
    /// A defect in the interpreter.
    Internal,
}

/// An expression that doesn't compile or can't be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Error {
    /// The expression, as written.
    pub expression: String,
    /// Line, from 1; 0 for errors of evaluation.
    pub line: usize,
    /// Column in characters, from 1; 0 for errors of evaluation.
    pub column: usize,
    /// Class of the error.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where a common mistake is recognized.
    pub hint: Option<String>,
}

/// Longest part of an expression that an error text repeats, in characters.
const MAX_QUOTED_CHARS: usize = 200;

// === impl Kind ===

impl Kind {
    /// True if the expression itself is wrong, whatever the data.
    #[must_use]
    pub fn is_compilation(self) -> bool {
        matches!(
            self,
            Self::Syntax
                | Self::UndeclaredName
                | Self::UnknownFunction
                | Self::Arguments
                | Self::TooLarge
        )
    }
}

// === impl Error ===

impl Error {
    pub(super) fn at(kind: Kind, line: usize, column: usize, message: impl Into<String>) -> Self {
        Self {
            expression: String::new(),
            line,
            column,
            kind,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn in_expression(mut self, expression: &str) -> Self {
        expression.clone_into(&mut self.expression);
        self
    }

    pub(super) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    pub(super) fn evaluation(expression: &str, message: impl Into<String>) -> Self {
        Self::at(Kind::Result, 0, 0, message).in_expression(expression)
    }

    pub(super) fn budget(expression: &str, message: &str) -> Self {
        Self::at(Kind::Budget, 0, 0, message).in_expression(expression)
    }

    pub(super) fn internal(expression: &str, message: &str) -> Self {
        Self::at(Kind::Internal, 0, 0, message).in_expression(expression)
    }

    /// An error of the interpreter, in cel-go's words.
    pub(super) fn from_execution(expression: &str, error: &ExecutionError) -> Self {
        let (kind, message) = describe(error);
        Self::at(kind, 0, 0, message).in_expression(expression)
    }

    fn text(&self) -> String {
        let mut quoted: String = self.expression.chars().take(MAX_QUOTED_CHARS).collect();
        if quoted.len() < self.expression.len() {
            quoted.push('…');
        }
        let hint = self
            .hint
            .as_ref()
            .map(|hint| format!(" ({hint})"))
            .unwrap_or_default();
        if self.kind.is_compilation() {
            let Self {
                line,
                column,
                message,
                ..
            } = self;
            format!(
                "CEL parse error for expression \"{quoted}\": failed to parse expression: {line}:{column}: {message}{hint}"
            )
        } else {
            format!(
                "CEL evaluation error for expression \"{quoted}\": {}{hint}",
                self.message
            )
        }
    }
}

fn describe(error: &ExecutionError) -> (Kind, String) {
    use ExecutionError as E;
    match error {
        E::NoSuchKey(key) => (Kind::NoSuchKey, format!("no such key: {key}")),
        E::UndeclaredReference(name) => (
            Kind::NoSuchAttribute,
            format!("no such attribute(s): {name}"),
        ),
        E::IndexOutOfBounds(index) => (
            Kind::IndexOutOfBounds,
            format!("index out of bounds: {}", plain(index)),
        ),
        // A field of something that has none; cel-go speaks of a key that isn't there.
        E::NoSuchOverload(overload) if overload.function() == "_._" => {
            let operand = overload
                .argument_types()
                .first()
                .map_or("value", String::as_str);
            (
                Kind::NoSuchKey,
                format!("no such key: {operand} has no fields"),
            )
        }
        E::NoSuchOverload(overload) => {
            let types = overload.argument_types().join(", ");
            (
                Kind::NoSuchOverload,
                format!(
                    "no such overload: {}({types})",
                    operator(overload.function())
                ),
            )
        }
        E::UnsupportedBinaryOperator(name, left, right) => {
            let (left, right) = (left.type_of(), right.type_of());
            (
                Kind::NoSuchOverload,
                format!("no such overload: {name}({left}, {right})"),
            )
        }
        E::ValuesNotComparable(left, right) => {
            let (left, right) = (left.type_of(), right.type_of());
            (
                Kind::NoSuchOverload,
                format!("no such overload: {left} can't be compared with {right}"),
            )
        }
        E::UnexpectedType { got, want } => (
            Kind::NoSuchOverload,
            format!("no such overload: got {got}, want {want}"),
        ),
        E::UnsupportedKeyType(key) => (
            Kind::NoSuchOverload,
            format!("no such overload: {} can't be a key", key.type_of()),
        ),
        E::UnsupportedIndex(index, target) => {
            let (index, target) = (index.type_of(), target.type_of());
            (
                Kind::NoSuchOverload,
                format!("no such overload: {target}[{index}]"),
            )
        }
        E::UnsupportedTargetType { target } => (
            Kind::NoSuchOverload,
            format!("no such overload: on {}", target.type_of()),
        ),
        E::NotSupportedAsMethod { method, target } => (
            Kind::NoSuchOverload,
            format!("no such overload: {}.{method}()", target.type_of()),
        ),
        E::InvalidArgumentCount { expected, actual } => (
            Kind::NoSuchOverload,
            format!("no such overload: expected {expected} arguments, got {actual}"),
        ),
        E::MissingArgumentOrTarget => (
            Kind::NoSuchOverload,
            "no such overload: missing argument".to_owned(),
        ),
        E::DivisionByZero(_) => (Kind::Arithmetic, "division by zero".to_owned()),
        E::RemainderByZero(_) => (Kind::Arithmetic, "modulus by zero".to_owned()),
        E::Overflow(..) => (Kind::Arithmetic, "integer overflow".to_owned()),
        E::FunctionError { function, .. } if conversion(function).is_some() => (
            Kind::Function,
            conversion(function).unwrap_or_default().to_owned(),
        ),
        E::FunctionError { function, message } => {
            let function = operator(function);
            let named = message.starts_with(function) || function.is_empty();
            (
                Kind::Function,
                if named {
                    message.clone()
                } else {
                    format!("{function}(): {message}")
                },
            )
        }
        // The rest can't be reached by an expression that compiled; its text may hold values, so none is repeated.
        _ => (Kind::Internal, "expression can't be evaluated".to_owned()),
    }
}

/// What a failed conversion of text is called; the interpreter's own words are those of Rust libraries.
fn conversion(function: &str) -> Option<&'static str> {
    Some(match function {
        "bool" => "type conversion error from 'string' to 'bool'",
        "double" => "type conversion error from 'string' to 'double'",
        "duration" => {
            "type conversion error from 'string' to 'google.protobuf.Duration': write it as 1h30m or 90s"
        }
        "int" => "type conversion error to 'int'",
        "uint" => "type conversion error to 'uint'",
        "timestamp" => "invalid RFC 3339 timestamp: write it as 2026-01-02T15:04:05Z",
        "matches" => "error parsing regexp",
        _ => return None,
    })
}

/// Operator names without the marks of internal ones.
fn operator(name: &str) -> &str {
    name.trim_start_matches('@')
}

fn plain(value: &::cel::Value) -> String {
    match value {
        ::cel::Value::Int(index) => index.to_string(),
        ::cel::Value::UInt(index) => index.to_string(),
        ::cel::Value::Float(index) => index.to_string(),
        other => other.type_of().to_string(),
    }
}
