//! Text to tree: one pass, character by character, columns kept.

use serde_json::{Number, Value};

use crate::error::{Error, Kind};
use crate::tree::{Filter, Operator, Part, Path, Selector, Slice};
use crate::{JsonPath, MAX_NESTING, MAX_TEMPLATE_BYTES};

/// What a path that starts with a bare word means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeadingWord {
    /// `status` is an unknown identifier (client-go).
    Identifier,
    /// `status` is the field `.status` (kubectl's relaxed form).
    Field,
}

pub(crate) fn template(text: &str) -> Result<JsonPath, Error> {
    let parser = Parser::new(text)?;
    Ok(JsonPath {
        parts: parser.template()?,
    })
}

pub(crate) fn path(text: &str, leading: LeadingWord) -> Result<JsonPath, Error> {
    let mut parser = Parser::new(text)?;
    parser.skip_blanks();
    let mut path = Path::new();
    let word = parser
        .peek()
        .is_some_and(|c| !matches!(c, '.' | '[' | '$' | '@' | '"' | '\''));
    if leading == LeadingWord::Field && word {
        path.push(parser.field());
    }
    match parser.action(path, None)? {
        Action::Path(path) => Ok(JsonPath {
            parts: vec![Part::Path(path)],
        }),
        Action::Range(_) | Action::End => {
            Err(parser.error_at(0, "range and end need braces around them"))
        }
    }
}

/// Content of one pair of braces.
enum Action {
    Path(Path),
    Range(Path),
    End,
}

struct Parser {
    text: Vec<char>,
    /// Next character.
    at: usize,
    /// Where to stop: the end of the text, or of the filter side that is being parsed.
    end: usize,
    /// Filters that are open.
    depth: usize,
}

// === impl Parser ===

impl Parser {
    fn new(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_TEMPLATE_BYTES {
            let message = format!(
                "JSONPath template has {} bytes, the limit is {MAX_TEMPLATE_BYTES}",
                text.len()
            );
            return Err(Error::limit(message));
        }
        let text: Vec<char> = text.chars().collect();
        Ok(Self {
            end: text.len(),
            text,
            at: 0,
            depth: 0,
        })
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> Error {
        Error {
            kind: Kind::Syntax,
            column: at + 1,
            message: message.into(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.peek_ahead(0)
    }

    fn peek_ahead(&self, distance: usize) -> Option<char> {
        let at = self.at + distance;
        if at < self.end {
            self.text.get(at).copied()
        } else {
            None
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn starts_with(&self, prefix: &str) -> bool {
        prefix
            .chars()
            .enumerate()
            .all(|(distance, c)| self.peek_ahead(distance) == Some(c))
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// The whole text: literal parts and braces, ranges nested by a stack.
    fn template(mut self) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        let mut open: Vec<(Path, Vec<Part>)> = Vec::new();
        let mut literal = String::new();
        while let Some(c) = self.next() {
            if c != '{' {
                literal.push(c);
                continue;
            }
            if !literal.is_empty() {
                parts.push(Part::Text(Value::String(std::mem::take(&mut literal))));
            }
            let start = self.at - 1;
            match self.action(Path::new(), Some('}'))? {
                Action::Path(path) => parts.push(Part::Path(path)),
                Action::Range(over) => {
                    if open.len() >= MAX_NESTING {
                        return Err(
                            self.error_at(start, format!("more than {MAX_NESTING} nested ranges"))
                        );
                    }
                    open.push((over, std::mem::take(&mut parts)));
                }
                Action::End => {
                    let (over, outer) = open
                        .pop()
                        .ok_or_else(|| self.error_at(start, "not in range, nothing to end"))?;
                    let body = std::mem::replace(&mut parts, outer);
                    parts.push(Part::Range { over, body });
                }
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(Value::String(literal)));
        }
        while let Some((over, outer)) = open.pop() {
            let body = std::mem::replace(&mut parts, outer);
            parts.push(Part::Range { over, body });
        }
        Ok(parts)
    }

    /// Selectors up to `close` (consumed), or up to the end if there is none.
    fn action(&mut self, mut path: Path, close: Option<char>) -> Result<Action, Error> {
        let mut keyword = None;
        loop {
            let start = self.at;
            if self.starts_with("[?(") {
                path.push(self.filter()?);
                continue;
            }
            if self.starts_with("..") {
                self.recursive(&mut path)?;
                continue;
            }
            match self.peek() {
                c if c.is_some() && c == close => {
                    self.at += 1;
                    break;
                }
                None if close.is_none() => break,
                None | Some('\n' | '\r') => return Err(self.error_at(start, "unclosed action")),
                Some(' ' | '\t' | '@' | '$') => self.at += 1,
                Some('[') => path.push(self.brackets()?),
                Some(quote @ ('"' | '\'')) => {
                    let text = self.quoted(quote)?;
                    path.push(Selector::Literal(Value::String(text)));
                }
                Some('.') => {
                    self.at += 1;
                    if self.is_whole_object(&path, close) {
                        continue;
                    }
                    path.push(self.field());
                }
                Some(c) if c == '+' || c == '-' || c.is_ascii_digit() => path.push(self.number()?),
                Some(c) if is_word(c) => {
                    let word = self.word();
                    match word.as_str() {
                        "true" | "false" => {
                            path.push(Selector::Literal(Value::Bool(word == "true")))
                        }
                        "range" | "end"
                            if path.is_empty() && keyword.is_none() && close.is_some() =>
                        {
                            keyword = Some(word)
                        }
                        _ => return Err(self.unknown_word(start, &word)),
                    }
                }
                Some(c) => {
                    let message = format!(
                        "unrecognized character in action: U+{:04X} '{c}'",
                        u32::from(c)
                    );
                    return Err(self.error_at(start, message));
                }
            }
        }
        Ok(match keyword.as_deref() {
            Some("range") => Action::Range(path),
            Some(_) => Action::End,
            None => Action::Path(path),
        })
    }

    fn unknown_word(&self, at: usize, word: &str) -> Error {
        Error {
            kind: Kind::Evaluation,
            column: at + 1,
            message: format!("unrecognized identifier {word}"),
        }
    }

    /// `{.}` and `{$.}`: a dot with nothing behind it, alone.
    fn is_whole_object(&self, path: &Path, close: Option<char>) -> bool {
        path.is_empty() && self.peek() == close
    }

    /// The name after a dot: up to a terminator, a backslash takes the next character as it is.
    fn field(&mut self) -> Selector {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '\\' {
                self.at += 1;
                name.extend(self.next().filter(|c| *c != '\\'));
            } else if is_terminator(c) {
                break;
            } else {
                self.at += 1;
                name.push(c);
            }
        }
        if name == "*" {
            Selector::Wildcard
        } else {
            Selector::Field(name)
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| !is_terminator(*c)) {
            self.at += 1;
            word.push(c);
        }
        word
    }

    fn recursive(&mut self, path: &mut Path) -> Result<(), Error> {
        if path.last() == Some(&Selector::Recursive) {
            return Err(self.error_at(self.at, "invalid multiple recursive descent"));
        }
        self.at += 2;
        path.push(Selector::Recursive);
        if self.peek().is_some_and(is_word) {
            let field = self.field();
            path.push(field);
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Selector, Error> {
        let start = self.at;
        let mut text = String::new();
        text.extend(self.next());
        while let Some(c) = self.peek().filter(|c| *c == '.' || c.is_ascii_digit()) {
            self.at += 1;
            text.push(c);
        }
        let number = text
            .parse::<i64>()
            .map(Number::from)
            .ok()
            .or_else(|| text.parse().ok().and_then(Number::from_f64));
        match number {
            Some(number) => Ok(Selector::Literal(Value::Number(number))),
            None => Err(self.error_at(start, format!("cannot parse number {text}"))),
        }
    }

    /// A quoted text, quotes included in the input, with Go's escapes.
    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err(self.error_at(start, "unterminated quoted string")),
                Some('\\') => out.push(self.escape()?),
                Some(c) if c == quote => return Ok(out),
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let start = self.at - 1;
        let invalid = |parser: &Self| parser.error_at(start, "invalid escape in quoted string");
        let digits = match self.next() {
            Some('n') => return Ok('\n'),
            Some('t') => return Ok('\t'),
            Some('r') => return Ok('\r'),
            Some('a') => return Ok('\u{7}'),
            Some('b') => return Ok('\u{8}'),
            Some('f') => return Ok('\u{c}'),
            Some('v') => return Ok('\u{b}'),
            Some(c @ ('\\' | '"' | '\'')) => return Ok(c),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => return Err(invalid(self)),
        };
        let mut code = 0_u32;
        for _ in 0..digits {
            let digit = self
                .next()
                .and_then(|c| c.to_digit(16))
                .ok_or_else(|| invalid(self))?;
            code = code.wrapping_mul(16).wrapping_add(digit);
        }
        char::from_u32(code).ok_or_else(|| invalid(self))
    }

    /// `[…]` that is not a filter.
    fn brackets(&mut self) -> Result<Selector, Error> {
        let start = self.at;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            if !items.is_empty() {
                self.skip_blanks();
            }
            let item_start = self.at;
            let item = match self.peek() {
                Some(quote @ ('"' | '\'')) => self.quoted_key(quote)?,
                _ => self.slice(item_start)?,
            };
            let before_blanks = self.at;
            self.skip_blanks();
            match self.next() {
                None | Some('\n') => return Err(self.error_at(start, "unterminated array")),
                Some(',') => items.push(item),
                Some(']') if items.is_empty() && self.at - 1 == before_blanks => return Ok(item),
                Some(']') if !items.is_empty() => {
                    items.push(item);
                    return Ok(Selector::Union(items));
                }
                Some(_) => {
                    let text: String = self.text[start + 1..]
                        .iter()
                        .take_while(|c| !matches!(c, ']' | '\n'))
                        .collect();
                    return Err(self.error_at(start, format!("invalid array index {text}")));
                }
            }
        }
    }

    /// A key in quotes. Escapes are those of names: a backslash takes the next character as it is.
    fn quoted_key(&mut self, quote: char) -> Result<Selector, Error> {
        let start = self.at;
        self.at += 1;
        let mut name = String::new();
        let mut path = vec![String::new()];
        loop {
            let (c, escaped) = match self.next() {
                None | Some('\n') => return Err(self.error_at(start, "unterminated array")),
                Some(c) if c == quote => break,
                Some('\\') => match self.next() {
                    Some(c) => (c, true),
                    None => return Err(self.error_at(start, "unterminated array")),
                },
                Some(c) => (c, false),
            };
            name.push(c);
            match path.last_mut() {
                Some(last) if c != '.' || escaped => last.push(c),
                _ => path.push(String::new()),
            }
        }
        if path.len() == 1 {
            path.clear();
        }
        Ok(Selector::Key { name, path })
    }

    /// `3`, `-1`, `1:3`, `::2`, `*` or nothing (the first element).
    fn slice(&mut self, start: usize) -> Result<Selector, Error> {
        if self.peek() == Some('*') {
            self.at += 1;
            return Ok(Selector::Slice(Slice::Range {
                start: None,
                end: None,
                step: None,
            }));
        }
        let first = self.bound(start)?;
        if self.peek() != Some(':') {
            return Ok(Selector::Slice(Slice::Index(first.unwrap_or(0))));
        }
        self.at += 1;
        let end = self.bound(start)?;
        let mut step = None;
        if self.peek() == Some(':') {
            self.at += 1;
            step = self.bound(start)?;
        }
        Ok(Selector::Slice(Slice::Range {
            start: first,
            end,
            step,
        }))
    }

    fn bound(&mut self, start: usize) -> Result<Option<i64>, Error> {
        let mut text = String::new();
        if self.peek() == Some('-') {
            text.extend(self.next());
        }
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            self.at += 1;
            text.push(c);
        }
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| self.error_at(start, format!("array index {text} is not a number")))
    }

    /// `[?(left op right)]`: the sides are cut out first, as quotes allow, then parsed as paths.
    fn filter(&mut self) -> Result<Selector, Error> {
        let start = self.at;
        if self.depth >= MAX_NESTING {
            return Err(self.error_at(start, format!("more than {MAX_NESTING} nested filters")));
        }
        self.at += 3;
        let inside = self.at;
        let (close, operator) = self.filter_extent(start)?;
        let outer_end = self.end;
        self.depth += 1;
        let filter = match operator {
            None => Filter {
                left: self.side(inside, close)?,
                comparison: None,
            },
            Some((at, length)) => {
                let operator = self.operator(at, length)?;
                let left = self.side(inside, at)?;
                let right = self.side(at + length, close)?;
                Filter {
                    left,
                    comparison: Some((operator, right)),
                }
            }
        };
        self.depth -= 1;
        self.end = outer_end;
        self.at = close + 1;
        match self.next() {
            Some(']') => Ok(Selector::Filter(Box::new(filter))),
            _ => Err(self.error_at(close, "unclosed array expect ]")),
        }
    }

    /// Where the closing parenthesis is, and start and length of the operator.
    fn filter_extent(&self, start: usize) -> Result<(usize, Option<(usize, usize)>), Error> {
        let mut operator: Option<(usize, usize)> = None;
        let mut quote = None;
        let mut depth = 0_usize;
        let mut at = self.at;
        while at < self.end {
            let Some(c) = self.text.get(at).copied() else {
                break;
            };
            match (quote, c) {
                (_, '\n') => break,
                (_, '\\') => at += 1,
                (Some(open), _) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '(') => depth += 1,
                (None, ')') if depth == 0 => return Ok((at, operator)),
                (None, ')') => depth -= 1,
                (None, '!' | '<' | '>' | '=') if depth == 0 => match &mut operator {
                    None => operator = Some((at, 1)),
                    Some((from, length)) if *from + *length == at => *length += 1,
                    Some(_) => {}
                },
                _ => {}
            }
            at += 1;
        }
        Err(self.error_at(start, "unterminated filter"))
    }

    fn operator(&self, at: usize, length: usize) -> Result<Operator, Error> {
        let text: String = self
            .text
            .get(at..at + length)
            .unwrap_or_default()
            .iter()
            .collect();
        Ok(match text.as_str() {
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            _ => return Err(self.error_at(at, format!("unrecognized filter operator {text}"))),
        })
    }

    fn side(&mut self, from: usize, to: usize) -> Result<Path, Error> {
        self.at = from;
        self.end = to;
        if self
            .text
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .all(|c| c.is_whitespace())
        {
            return Err(self.error_at(from, "filter has an empty side"));
        }
        match self.action(Path::new(), None)? {
            Action::Path(path) => Ok(path),
            Action::Range(_) | Action::End => {
                Err(self.error_at(from, "range and end have no place in a filter"))
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_terminator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}'
    )
}
