//! What was said, independent of the grammar that said it.

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// All of them.
    And(Vec<Expr>),
    /// At least one of them.
    Or(Vec<Expr>),
    /// The opposite.
    Not(Box<Expr>),
    /// One test of one operand.
    Test {
        /// The left side.
        operand: Operand,
        /// What must hold for it.
        test: Test,
    },
}

/// The left side of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A field of the row.
    Field(Field),
    /// Something computed from one.
    Computed {
        /// Left of the operator.
        left: Box<Operand>,
        /// The operator.
        operator: Arithmetic,
        /// Right of it.
        right: Box<Operand>,
    },
    /// A number inside a computation.
    Number(f64),
}

impl Operand {
    /// The first field in it.
    pub fn field(&self) -> Option<&Field> {
        match self {
            Self::Field(field) => Some(field),
            Self::Computed { left, right, .. } => left.field().or_else(|| right.field()),
            Self::Number(_) => None,
        }
    }
}

/// A field as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its parts: `resources.name` is `[resources, name]`, `labels.a.b/c` is `[labels, a, b/c]`.
    pub parts: Vec<String>,
    /// Steps into a JSON document that follow the field: `-> 'metadata' ->> 'name'`.
    pub path: Vec<String>,
    /// Column at which it begins, from 1.
    pub column: usize,
}

impl Field {
    /// Its parts joined by dots.
    pub fn name(&self) -> String {
        self.parts.join(".")
    }
}

/// What must hold for an operand.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// A comparison with a value.
    Compare(Comparison, Literal),
    /// SQL's `like`; `%` and `_` are wildcards, `\` escapes.
    Like {
        /// The pattern.
        pattern: String,
        /// Whether case matters not (ASCII).
        ignore_case: bool,
        /// Whether it must not match.
        negated: bool,
    },
    /// One of several values.
    In {
        /// The values.
        values: Vec<Literal>,
        /// Whether it must be none of them.
        negated: bool,
    },
    /// Within bounds, both included.
    Between {
        /// Lower bound.
        low: Literal,
        /// Upper bound.
        high: Literal,
        /// Whether it must be outside.
        negated: bool,
    },
    /// Has no value.
    IsNull {
        /// Whether it must have one.
        negated: bool,
    },
    /// A JSON document that contains this one.
    Contains(serde_json::Value),
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The comparison that means the same with its sides exchanged.
    #[must_use]
    pub fn turned_around(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// In SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Arithmetic operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// A value in the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// A number, and how it was written.
    Number(f64, String),
}

impl Literal {
    /// As text, as it was written.
    pub fn as_text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(_, text) => text,
        }
    }
}
