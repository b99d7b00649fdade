//! The recursive descent that all grammars share: `or` binds weaker than `and`, which binds weaker than `not`.

use super::scanner::{Escape, Scanner};
use super::{MAX_CONTAINED, MAX_DEPTH, MAX_LEVELS, MAX_LIST, MAX_OPERATORS, MAX_STEPS, MAX_TERMS};
use crate::Error;
use crate::tree::{Arithmetic, Comparison, Expr, Field, Literal, Operand, Test};

/// What is particular about one grammar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Particulars {
    /// How quoted text escapes its quote.
    pub escape: Escape,
    /// Quotes that text may have.
    pub text_quotes: &'static str,
    /// Brackets around lists, for example `()`.
    pub list: [&'static str; 2],
    /// Characters inside an identifier after the first.
    pub in_identifier: fn(char) -> bool,
    /// Whether a list may be empty.
    pub empty_lists: bool,
    /// Quotes around identifiers.
    pub identifier_quotes: &'static str,
    /// `->`, `->>` and `@>` after a field.
    pub json_paths: bool,
    /// Values without quotes.
    pub bare_values: bool,
    /// Numbers with a unit, such as `4Ki`.
    pub units: bool,
    /// Whether arithmetic is understood; where it isn't, it is refused in these words.
    pub arithmetic: bool,
    /// Identifiers are lower-cased.
    pub lower_case: bool,
    /// `'x' = field` means `field = 'x'`.
    pub literal_first: bool,
}

pub(super) fn parse(text: &str, particulars: Particulars) -> Result<Expr, Error> {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        particulars,
        terms: 0,
        depth: 0,
    };
    let expression = parser.or()?;
    if parser.scanner.at_end() {
        Ok(expression)
    } else {
        Err(parser.unexpected("and, or, or the end"))
    }
}

struct Parser {
    scanner: Scanner,
    particulars: Particulars,
    terms: usize,
    depth: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Expr, Error> {
        let mut list = vec![self.and()?];
        while self.scanner.keyword("or") {
            list.push(self.and()?);
        }
        Ok(one_or(list, Expr::Or))
    }

    fn and(&mut self) -> Result<Expr, Error> {
        let mut list = vec![self.not()?];
        while self.scanner.keyword("and") {
            list.push(self.not()?);
        }
        Ok(one_or(list, Expr::And))
    }

    fn not(&mut self) -> Result<Expr, Error> {
        if self.scanner.keyword("not") {
            return self.deeper(|parser| Ok(Expr::Not(Box::new(parser.not()?))));
        }
        self.term()
    }

    /// A parenthesis opens an expression, or a computation on the left of a test: both are tried.
    fn term(&mut self) -> Result<Expr, Error> {
        let start = self.scanner.position();
        if self.scanner.take("(") {
            let terms = self.terms;
            let inner = self.deeper(|parser| {
                let inner = parser.or()?;
                parser.expect(")")?;
                Ok(inner)
            });
            if inner.is_ok()
                || !self.particulars.arithmetic
                || matches!(inner, Err(Error::Limit(_)))
            {
                return inner;
            }
            self.scanner.rewind(start);
            self.terms = terms;
            // The error of the expression is the more likely one.
            return self.test().map_err(|error| inner.err().unwrap_or(error));
        }
        self.test()
    }

    fn test(&mut self) -> Result<Expr, Error> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(Error::Limit(format!(
                "more than {MAX_TERMS} conditions in one search"
            )));
        }
        if let Some(test) = self.turned_around()? {
            return Ok(test);
        }
        let operand = self.operand()?;
        let is_document = matches!(&operand, Operand::Field(field) if !field.path.is_empty());
        let test = self.right_side(is_document)?;
        Ok(Expr::Test { operand, test })
    }

    /// A comparison whose literal comes first, as if it came last.
    fn turned_around(&mut self) -> Result<Option<Expr>, Error> {
        let literal = self.particulars.literal_first
            && self.scanner.peek().is_some_and(|c| {
                self.particulars.text_quotes.contains(c) || c.is_ascii_digit() || "+-".contains(c)
            });
        if !literal {
            return Ok(None);
        }
        let literal = self.literal()?;
        let Some(comparison) = self.comparison() else {
            return Err(self.unexpected("a comparison"));
        };
        let operand = Operand::Field(self.field()?);
        let test = Test::Compare(comparison.turned_around(), literal);
        Ok(Some(Expr::Test { operand, test }))
    }

    fn right_side(&mut self, is_document: bool) -> Result<Test, Error> {
        if self.particulars.json_paths && self.scanner.take("@>") {
            return self.contains();
        }
        if self.scanner.keyword("is") {
            let negated = self.scanner.keyword("not");
            if self.scanner.keyword("null") {
                return Ok(Test::IsNull { negated });
            }
            // `is not 'x'` and `is 'x'` are comparisons in the older grammar.
            let comparison = if negated {
                Comparison::NotEqual
            } else {
                Comparison::Equal
            };
            return Ok(Test::Compare(comparison, self.literal()?));
        }
        let negated = self.scanner.keyword("not");
        if self.scanner.keyword("in") {
            return Ok(Test::In {
                values: self.list()?,
                negated,
            });
        }
        if self.scanner.keyword("between") {
            let low = self.literal()?;
            if !self.scanner.keyword("and") {
                return Err(self.unexpected("and"));
            }
            return Ok(Test::Between {
                low,
                high: self.literal()?,
                negated,
            });
        }
        for (word, ignore_case) in [("like", false), ("ilike", true)] {
            if self.scanner.keyword(word) {
                return Ok(Test::Like {
                    pattern: self.text()?,
                    ignore_case,
                    negated,
                });
            }
        }
        if negated {
            return Err(self.unexpected("in, like or between after not"));
        }
        if let Some(comparison) = self.comparison() {
            return Ok(Test::Compare(comparison, self.literal()?));
        }
        if self.particulars.arithmetic {
            // The older grammar has regular expressions, and no database language for them.
            for (symbol, name) in [("~=", "$regex"), ("~!", "$nregex")] {
                let at = self.scanner.position();
                if self.scanner.take(symbol) {
                    self.text()?;
                    return Err(Error::Field {
                        column: at + 1,
                        message: format!("unexpected literal: {name}"),
                    });
                }
            }
        }
        let expected = if is_document {
            "a comparison, in or like after the path"
        } else {
            "a comparison"
        };
        Err(self.unexpected(expected))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        [
            ("==", Comparison::Equal),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<>", Comparison::NotEqual),
            ("!=", Comparison::NotEqual),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ]
        .into_iter()
        .find_map(|(symbol, comparison)| self.scanner.take(symbol).then_some(comparison))
    }

    fn contains(&mut self) -> Result<Test, Error> {
        let at = self.scanner.position();
        let text = self.text()?;
        match serde_json::from_str(&text) {
            Ok(value) if values(&value) > MAX_CONTAINED => Err(Error::Limit(format!(
                "more than {MAX_CONTAINED} values after @>"
            ))),
            Ok(value) if levels(&value) > MAX_LEVELS => Err(Error::Limit(format!(
                "more than {MAX_LEVELS} levels of lists and objects after @>"
            ))),
            Ok(value) => Ok(Test::Contains(value)),
            Err(error) => Err(Error::syntax(at, format!("not JSON after @>: {error}"))),
        }
    }

    fn operand(&mut self) -> Result<Operand, Error> {
        let mut left = self.primary()?;
        for operators in 0.. {
            let at = self.scanner.position();
            let Some(operator) = self.arithmetic_operator() else {
                return Ok(left);
            };
            if !self.particulars.arithmetic {
                return Err(Error::syntax(
                    at,
                    "unsupported comparison operator: arithmetic is not supported",
                ));
            }
            if operators == MAX_OPERATORS {
                return Err(Error::Limit(format!(
                    "more than {MAX_OPERATORS} operators in one computation"
                )));
            }
            let right = match self.scanner.number() {
                number if number.is_empty() => self.primary()?,
                number => Operand::Number(parse_number(&number, at)?),
            };
            left = Operand::Computed {
                left: Box::new(left),
                operator,
                right: Box::new(right),
            };
        }
        Ok(left)
    }

    fn arithmetic_operator(&mut self) -> Option<Arithmetic> {
        let at = self.scanner.position();
        for (symbol, operator) in [
            ("*", Arithmetic::Multiply),
            ("/", Arithmetic::Divide),
            ("%", Arithmetic::Remainder),
            ("+", Arithmetic::Add),
            ("-", Arithmetic::Subtract),
        ] {
            if self.scanner.take(symbol) {
                if symbol == "-" && self.scanner.peek() == Some('>') {
                    self.scanner.rewind(at);
                    return None;
                }
                return Some(operator);
            }
        }
        None
    }

    fn primary(&mut self) -> Result<Operand, Error> {
        if self.particulars.arithmetic && self.scanner.take("(") {
            return self.deeper(|parser| {
                let inner = parser.operand()?;
                parser.expect(")")?;
                Ok(inner)
            });
        }
        Ok(Operand::Field(self.field()?))
    }

    fn field(&mut self) -> Result<Field, Error> {
        let at = self.scanner.position();
        let mut parts = vec![self.identifier()?];
        while self.scanner.take(".") {
            parts.push(self.identifier()?);
        }
        let mut path = Vec::new();
        while self.particulars.json_paths {
            let step_at = self.scanner.position();
            let last = self.scanner.take("->>");
            if !last && !self.scanner.take("->") {
                break;
            }
            let step = self.scanner.quoted(self.particulars.escape)?;
            // Such a key can't be addressed in the same way on every database, and no label has one.
            if step.is_empty()
                || step.starts_with(['$', '['])
                || step.contains(['"', '\0', '\\', '\''])
            {
                return Err(Error::syntax(
                    step_at,
                    format!("a path step can't be {step:?}"),
                ));
            }
            if path.len() == MAX_STEPS {
                return Err(Error::Limit(format!(
                    "more than {MAX_STEPS} steps in one path"
                )));
            }
            path.push(step);
            if last {
                break;
            }
        }
        Ok(Field {
            parts,
            path,
            column: at + 1,
        })
    }

    fn identifier(&mut self) -> Result<String, Error> {
        if self
            .scanner
            .peek()
            .is_some_and(|c| self.particulars.identifier_quotes.contains(c))
        {
            return self.scanner.quoted(Escape::Doubled);
        }
        let name = self.scanner.run(
            |c| c.is_ascii_alphabetic() || c == '_',
            self.particulars.in_identifier,
        );
        if name.is_empty() {
            return Err(self.unexpected("a field"));
        }
        Ok(if self.particulars.lower_case {
            name.to_ascii_lowercase()
        } else {
            name
        })
    }

    fn list(&mut self) -> Result<Vec<Literal>, Error> {
        let [open, close] = self.particulars.list;
        self.expect(open)?;
        let mut values = Vec::new();
        if self.particulars.empty_lists && self.scanner.take(close) {
            return Ok(values);
        }
        loop {
            if values.len() == MAX_LIST {
                return Err(Error::Limit(format!(
                    "more than {MAX_LIST} values in one list"
                )));
            }
            values.push(self.literal()?);
            if self.scanner.take(close) {
                return Ok(values);
            }
            self.expect(",")?;
        }
    }

    fn text(&mut self) -> Result<String, Error> {
        match self.literal()? {
            Literal::Text(text) => Ok(text),
            Literal::Number(_, text) if self.particulars.bare_values => Ok(text),
            Literal::Number(..) => Err(self.unexpected("quoted text")),
        }
    }

    fn literal(&mut self) -> Result<Literal, Error> {
        let at = self.scanner.position();
        if self
            .scanner
            .peek()
            .is_some_and(|c| self.particulars.text_quotes.contains(c))
        {
            let text = self.scanner.quoted(self.particulars.escape)?;
            // No database can store it, so nothing can be equal to it.
            if text.contains('\0') {
                return Err(Error::syntax(at, "text can't contain a NUL character"));
            }
            return Ok(Literal::Text(text));
        }
        if self.particulars.bare_values {
            let fits = |c: char| !c.is_whitespace() && !"()'\"{},".contains(c) && c != '\0';
            let text = self.scanner.run(fits, fits);
            return if text.is_empty() {
                Err(self.unexpected("a value"))
            } else {
                Ok(Literal::Text(text))
            };
        }
        let mut text = self.scanner.number();
        if text.is_empty() {
            return Err(self.unexpected("quoted text or a number"));
        }
        let mut number = parse_number(&text, at)?;
        if self.particulars.units {
            let unit = self.scanner.run(|c| "kKMGTP".contains(c), |c| c == 'i');
            if let Some(factor) = unit_factor(&unit) {
                number *= factor;
                text = number.to_string();
            }
        }
        Ok(Literal::Number(number, text))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == MAX_DEPTH {
            return Err(Error::Limit(format!(
                "a search can't be nested more than {MAX_DEPTH} deep"
            )));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Error> {
        if self.scanner.take(symbol) {
            Ok(())
        } else {
            Err(self.unexpected(symbol))
        }
    }

    fn unexpected(&mut self, expected: &str) -> Error {
        let near = self.scanner.near();
        let found = if near.is_empty() {
            "the end".to_owned()
        } else {
            format!("{near:?}")
        };
        Error::syntax(
            self.scanner.position(),
            format!("expected {expected}, found {found}"),
        )
    }
}

/// Values in a document, itself included.
fn values(document: &serde_json::Value) -> usize {
    use serde_json::Value;
    match document {
        Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
        Value::Array(elements) => 1 + elements.iter().map(values).sum::<usize>(),
        _ => 1,
    }
}

/// How many lists and objects are inside each other.
fn levels(document: &serde_json::Value) -> usize {
    use serde_json::Value;
    match document {
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        Value::Array(elements) => 1 + elements.iter().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

fn one_or(mut list: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match list.pop() {
        Some(only) if list.is_empty() => only,
        Some(last) => {
            list.push(last);
            many(list)
        }
        None => many(list),
    }
}

fn parse_number(text: &str, at: usize) -> Result<f64, Error> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(Error::syntax(at, format!("{text} is not a number"))),
    }
}

fn unit_factor(unit: &str) -> Option<f64> {
    let power = match unit.chars().next()? {
        'k' | 'K' => 1,
        'M' => 2,
        'G' => 3,
        'T' => 4,
        _ => 5,
    };
    let base: f64 = if unit.ends_with('i') { 1024.0 } else { 1000.0 };
    Some(base.powi(power))
}
