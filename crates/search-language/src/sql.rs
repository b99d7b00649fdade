//! The tree as bound SQL, with one meaning on PostgreSQL and SQLite.
//!
//! The caller says through [`Columns`] what each field is; [`render`] writes the condition. Text that a stranger typed is only ever in
//! [`Fragment::params`].
//!
//! What is made the same: `like` is case-sensitive and `ilike` ignores ASCII case; values taken out of JSON compare as text, whatever
//! their JSON type, and JSON null is no value; numbers compare with JSON numbers only; times compare as moments.

mod json;

use jiff::Timestamp;

use crate::Error;
use crate::tree::{Arithmetic, Expr, Field, Literal, Operand, Test};

/// The database that will run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL; placeholders are `$n` with a cast.
    Postgres,
    /// SQLite; placeholders are `?n`.
    Sqlite,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A 64-bit integer.
    Integer,
    /// A moment. On SQLite it is text that sorts like the moment; the caller writes parameters in the same form.
    Time,
}

/// A value to bind.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// Text.
    Text(String),
    /// A 64-bit integer.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A moment.
    Time(Timestamp),
}

/// A condition and its parameters, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fragment {
    /// Ready for a `where`; has its own parentheses.
    pub sql: String,
    /// Number `first`, `first + 1`, …
    pub params: Vec<Param>,
}

/// Renders a test of one field in the caller's own way.
pub type Custom<'a> = Box<dyn Fn(&Test, &mut Writer) -> Result<(), Error> + 'a>;

/// What a field is in the database. The SQL text is the caller's own.
pub enum Access<'a> {
    /// A column.
    Column {
        /// Its name or an expression.
        sql: String,
        /// What it holds.
        kind: Kind,
    },
    /// A value inside a JSON column (`jsonb` on PostgreSQL, JSON text on SQLite).
    Json {
        /// The column.
        sql: String,
        /// The way to the value; empty for the whole document.
        path: Vec<String>,
    },
    /// Something that the caller renders, for example a condition in a list.
    Custom(Custom<'a>),
}

/// A field in its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Predicate<'a> {
    /// The field.
    pub field: &'a Field,
    /// What is asked of it.
    pub test: &'a Test,
    /// Whether a `not` is around it.
    pub inside_not: bool,
}

impl Predicate<'_> {
    /// A refusal that points at the field.
    pub fn refuse(&self, message: impl Into<String>) -> Error {
        Error::Field {
            column: self.field.column,
            message: message.into(),
        }
    }
}

/// Says what a field is.
pub trait Columns {
    /// What the field is in the database.
    ///
    /// # Errors
    /// [`Predicate::refuse`] when it doesn't exist or can't be used like this.
    fn access(&self, predicate: &Predicate<'_>) -> Result<Access<'_>, Error>;
}

/// Renders a condition; parameters are numbered from `first`.
///
/// # Errors
/// What `columns` refuses, and values that don't fit their column.
pub fn render(
    expr: &Expr,
    dialect: Dialect,
    columns: &dyn Columns,
    first: usize,
) -> Result<Fragment, Error> {
    let mut writer = Writer {
        dialect,
        first,
        fragment: Fragment::default(),
    };
    expression(expr, columns, false, &mut writer)?;
    Ok(writer.fragment)
}

/// Collects SQL and parameters.
pub struct Writer {
    dialect: Dialect,
    first: usize,
    fragment: Fragment,
}

impl Writer {
    /// The database that will run it.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Adds SQL of the caller's own.
    pub fn push(&mut self, sql: &str) {
        self.fragment.sql.push_str(sql);
    }

    /// Adds a placeholder for a value.
    pub fn bind(&mut self, param: Param) {
        let placeholder = self.bound(param);
        self.push(&placeholder);
    }

    /// Binds a value and returns its placeholder, which may be used several times.
    pub fn bound(&mut self, param: Param) -> String {
        let number = self.first + self.fragment.params.len();
        let placeholder = match (self.dialect, &param) {
            (Dialect::Sqlite, _) => format!("?{number}"),
            (Dialect::Postgres, Param::Text(_)) => format!("${number}::text"),
            (Dialect::Postgres, Param::Integer(_)) => format!("${number}::bigint"),
            (Dialect::Postgres, Param::Number(_)) => format!("${number}::double precision"),
            (Dialect::Postgres, Param::Time(_)) => format!("${number}::timestamptz"),
        };
        self.fragment.params.push(param);
        placeholder
    }

    fn constant(&mut self, value: bool) {
        let sql = match (self.dialect, value) {
            (Dialect::Postgres, true) => "true",
            (Dialect::Postgres, false) => "false",
            (Dialect::Sqlite, true) => "1",
            (Dialect::Sqlite, false) => "0",
        };
        self.push(sql);
    }

    /// Writes a test of `left`, an expression of the caller's own that holds a value of `kind`.
    ///
    /// # Errors
    /// When a value doesn't fit.
    pub fn test(
        &mut self,
        left: &str,
        kind: Kind,
        test: &Test,
        field: &Field,
    ) -> Result<(), Error> {
        let param = |literal: &Literal| coerce(literal, kind, field);
        match test {
            Test::Compare(comparison, literal) => {
                let right = self.bound(param(literal)?);
                self.push(&format!("{left} {} {right}", comparison.sql()));
            }
            Test::Between { low, high, negated } => {
                let (low, high) = (self.bound(param(low)?), self.bound(param(high)?));
                let not = if *negated { "not " } else { "" };
                self.push(&format!("{left} {not}between {low} and {high}"));
            }
            Test::In { values, negated } if values.is_empty() => self.constant(*negated),
            Test::In { values, negated } => {
                let list: Result<Vec<String>, Error> =
                    values.iter().map(|v| Ok(self.bound(param(v)?))).collect();
                let not = if *negated { "not " } else { "" };
                self.push(&format!("{left} {not}in ({})", list?.join(", ")));
            }
            Test::Like {
                pattern,
                ignore_case,
                negated,
            } => self.like(left, kind, pattern, *ignore_case, *negated),
            Test::IsNull { negated } => {
                self.push(&format!(
                    "{left} is {}null",
                    if *negated { "not " } else { "" }
                ));
            }
            Test::Contains(_) => {
                return Err(Error::Field {
                    column: field.column,
                    message: format!("{} is not a JSON document: @> can't be used", field.name()),
                });
            }
        }
        Ok(())
    }

    fn like(&mut self, left: &str, kind: Kind, pattern: &str, ignore_case: bool, negated: bool) {
        let not = if negated { "not " } else { "" };
        let left = if kind == Kind::Text {
            left.to_owned()
        } else {
            format!("cast({left} as text)")
        };
        match (self.dialect, ignore_case) {
            (Dialect::Postgres, _) => {
                let word = if ignore_case { "ilike" } else { "like" };
                let right = self.bound(Param::Text(closed(pattern)));
                self.push(&format!("{left} {not}{word} {right}"));
            }
            // SQLite's `like` ignores case; `glob` doesn't.
            (Dialect::Sqlite, false) => {
                let right = self.bound(Param::Text(glob(pattern)));
                self.push(&format!("{left} {not}glob {right}"));
            }
            (Dialect::Sqlite, true) => {
                let right = self.bound(Param::Text(closed(pattern)));
                self.push(&format!("{left} {not}like {right} escape '\\'"));
            }
        }
    }
}

fn expression(
    expr: &Expr,
    columns: &dyn Columns,
    inside_not: bool,
    writer: &mut Writer,
) -> Result<(), Error> {
    match expr {
        Expr::And(list) => joined(list, " and ", columns, inside_not, writer),
        Expr::Or(list) => joined(list, " or ", columns, inside_not, writer),
        Expr::Not(inner) => {
            writer.push("(not ");
            expression(inner, columns, true, writer)?;
            writer.push(")");
            Ok(())
        }
        Expr::Test { operand, test } => {
            writer.push("(");
            tested(operand, test, columns, inside_not, writer)?;
            writer.push(")");
            Ok(())
        }
    }
}

fn joined(
    list: &[Expr],
    with: &str,
    columns: &dyn Columns,
    inside_not: bool,
    writer: &mut Writer,
) -> Result<(), Error> {
    writer.push("(");
    for (index, expr) in list.iter().enumerate() {
        if index > 0 {
            writer.push(with);
        }
        expression(expr, columns, inside_not, writer)?;
    }
    writer.push(")");
    Ok(())
}

fn tested(
    operand: &Operand,
    test: &Test,
    columns: &dyn Columns,
    inside_not: bool,
    writer: &mut Writer,
) -> Result<(), Error> {
    let Operand::Field(field) = operand else {
        return computed(operand, test, columns, inside_not, writer);
    };
    match columns.access(&Predicate {
        field,
        test,
        inside_not,
    })? {
        Access::Column { sql, kind } => writer.test(&sql, kind, test, field),
        Access::Json { sql, path } => json::test(&sql, &path, test, field, writer),
        Access::Custom(custom) => custom(test, writer),
    }
}

/// A test of something computed: numbers on both sides.
fn computed(
    operand: &Operand,
    test: &Test,
    columns: &dyn Columns,
    inside_not: bool,
    writer: &mut Writer,
) -> Result<(), Error> {
    let Some(field) = operand.field() else {
        return Err(Error::Field {
            column: 1,
            message: "a condition needs a field".to_owned(),
        });
    };
    let left = number_sql(operand, test, columns, inside_not, writer)?;
    let number = |literal: &Literal| match literal {
        Literal::Number(number, _) => Ok(Param::Number(*number)),
        Literal::Text(text) => Err(Error::Field {
            column: field.column,
            message: format!("{text:?} can't be compared with a number"),
        }),
    };
    match test {
        Test::Compare(comparison, literal) => {
            let right = writer.bound(number(literal)?);
            writer.push(&format!("{left} {} {right}", comparison.sql()));
            Ok(())
        }
        Test::Between { low, high, negated } => {
            let (low, high) = (writer.bound(number(low)?), writer.bound(number(high)?));
            let not = if *negated { "not " } else { "" };
            writer.push(&format!("{left} {not}between {low} and {high}"));
            Ok(())
        }
        _ => Err(Error::Field {
            column: field.column,
            message: "a computation can only be compared with numbers".to_owned(),
        }),
    }
}

fn number_sql(
    operand: &Operand,
    test: &Test,
    columns: &dyn Columns,
    inside_not: bool,
    writer: &mut Writer,
) -> Result<String, Error> {
    match operand {
        Operand::Number(number) => Ok(writer.bound(Param::Number(*number))),
        Operand::Field(field) => match columns.access(&Predicate {
            field,
            test,
            inside_not,
        })? {
            Access::Column {
                sql,
                kind: Kind::Integer,
            } => Ok(match writer.dialect {
                Dialect::Postgres => format!("({sql})::double precision"),
                Dialect::Sqlite => format!("cast({sql} as real)"),
            }),
            _ => Err(Error::Field {
                column: field.column,
                message: format!("{} is not a number", field.name()),
            }),
        },
        Operand::Computed {
            left,
            operator,
            right,
        } => {
            let left = number_sql(left, test, columns, inside_not, writer)?;
            let right = number_sql(right, test, columns, inside_not, writer)?;
            // A division by zero is no value on both databases, not an error.
            Ok(match operator {
                Arithmetic::Add => format!("({left} + {right})"),
                Arithmetic::Subtract => format!("({left} - {right})"),
                Arithmetic::Multiply => format!("({left} * {right})"),
                Arithmetic::Divide => format!("({left} / nullif({right}, 0))"),
                Arithmetic::Remainder => match writer.dialect {
                    Dialect::Postgres => {
                        format!(
                            "(mod(({left})::numeric, nullif(({right})::numeric, 0)))::double precision"
                        )
                    }
                    Dialect::Sqlite => {
                        format!("cast(cast({left} as integer) % cast({right} as integer) as real)")
                    }
                },
            })
        }
    }
}

fn coerce(literal: &Literal, kind: Kind, field: &Field) -> Result<Param, Error> {
    let refuse = |message: String| Error::Field {
        column: field.column,
        message,
    };
    match kind {
        Kind::Text => Ok(Param::Text(literal.as_text().to_owned())),
        Kind::Integer => {
            let text = literal.as_text().trim();
            if let Ok(integer) = text.parse::<i64>() {
                return Ok(Param::Integer(integer));
            }
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Param::Number(number)),
                _ => Err(refuse(format!(
                    "field '{}' expects an integer",
                    field.name()
                ))),
            }
        }
        Kind::Time => moment(literal.as_text()).map(Param::Time).ok_or_else(|| {
            refuse(format!(
                "field '{}' expects an RFC3339 timestamp (e.g. 2026-01-01T00:00:00Z)",
                field.name()
            ))
        }),
    }
}

/// A moment as people write it: RFC 3339, a date, or date and time without a zone, which is then UTC. Years begin with 1: not every
/// database knows all that came before.
fn moment(text: &str) -> Option<Timestamp> {
    const FIRST_SECOND: i64 = -62_135_596_800;
    let text = text.trim();
    let civil = || {
        let civil = text
            .parse::<jiff::civil::DateTime>()
            .or_else(|_| {
                text.parse::<jiff::civil::Date>()
                    .map(|date| date.at(0, 0, 0, 0))
            })
            .ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(zoned.timestamp())
    };
    text.parse::<Timestamp>()
        .ok()
        .or_else(civil)
        .filter(|moment| moment.as_second() >= FIRST_SECOND)
}

/// A pattern that ends in a lone backslash escapes nothing; PostgreSQL would fail at run time.
fn closed(pattern: &str) -> String {
    let trailing = pattern.chars().rev().take_while(|&c| c == '\\').count();
    if trailing % 2 == 1 {
        format!("{pattern}\\")
    } else {
        pattern.to_owned()
    }
}

/// A `like` pattern as SQLite's `glob` knows it.
fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    let literal = |c: char, glob: &mut String| match c {
        '*' | '?' | '[' => glob.extend(['[', c, ']']),
        c => glob.push(c),
    };
    while let Some(c) = characters.next() {
        match c {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '\\' => literal(characters.next().unwrap_or('\\'), &mut glob),
            c => literal(c, &mut glob),
        }
    }
    glob
}
