//! Text to tree: one pass, character by character, columns kept.

use serde_json::{Number, Value};

mod brackets;
mod filter;
mod text;

use crate::error::{Error, Kind};
use crate::tree::{Part, Path, Selector};
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
