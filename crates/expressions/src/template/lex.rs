//! Text to pieces: literal text with trim markers applied, and actions as lists of tokens.

use serde_json::{Number, Value};

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const LEFT_COMMENT: &str = "/*";
const RIGHT_COMMENT: &str = "*/";
/// What trim markers remove.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Action(Action),
}

/// What stands between two braces, comments excepted.
#[derive(Debug)]
pub(super) struct Action {
    pub tokens: Vec<Token>,
    /// Offset of the opening braces.
    pub start: usize,
    /// Offset of the closing braces.
    pub end: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
    /// Blanks stand before it.
    pub spaced: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Dot,
    /// `.name`
    Field(String),
    /// `$name`, without the dollar; empty for the root.
    Variable(String),
    /// Keyword, function, boolean or nil.
    Word(String),
    Literal(Value),
    Pipe,
    Comma,
    Declare,
    Assign,
    Open,
    Close,
}

/// What is wrong, and the offset.
pub(super) type Failure = (usize, String);

pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let open = rest.find(LEFT);
        let mut literal = rest.get(..open.unwrap_or(rest.len())).unwrap_or_default();
        if std::mem::take(&mut trim_next) {
            literal = literal.trim_start_matches(SPACES);
        }
        let Some(open) = open else {
            push_text(&mut pieces, literal);
            return Ok(pieces);
        };
        let start = at + open;
        let mut inside = start + LEFT.len();
        let body = text.get(inside..).unwrap_or_default();
        if let Some(after) = body.strip_prefix('-')
            && after.starts_with(SPACES)
        {
            literal = literal.trim_end_matches(SPACES);
            inside += 1;
        }
        push_text(&mut pieces, literal);
        let action = text.get(inside..).unwrap_or_default();
        let blanks = action.len() - action.trim_start_matches(SPACES).len();
        // Blanks before a comment are only allowed behind a trim marker.
        if action.trim_start_matches(SPACES).starts_with(LEFT_COMMENT)
            && (blanks == 0 || inside > start + LEFT.len())
        {
            (at, trim_next) = comment(text, start, inside + blanks)?;
            continue;
        }
        let mut lexer = Lexer {
            text,
            at: inside,
            start,
            tokens: Vec::new(),
        };
        let end = lexer.action()?;
        let tokens = lexer.tokens;
        (at, trim_next) = (end.next, end.trims);
        pieces.push(Piece::Action(Action {
            tokens,
            start,
            end: end.at,
        }));
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Skips a comment; gives where the text goes on and whether it is trimmed.
fn comment(text: &str, start: usize, at: usize) -> Result<(usize, bool), Failure> {
    let body = text.get(at..).unwrap_or_default();
    let Some(close) = body.find(RIGHT_COMMENT) else {
        return Err((start, "unclosed comment".to_owned()));
    };
    let after = at + close + RIGHT_COMMENT.len();
    match closing(text.get(after..).unwrap_or_default()) {
        Some((length, trims)) => Ok((after + length, trims)),
        None => Err((start, "comment ends before closing delimiter".to_owned())),
    }
}

/// If the text closes an action (perhaps with blanks and a trim marker before): the length up to and with the braces, and whether
/// what follows is trimmed.
fn closing(text: &str) -> Option<(usize, bool)> {
    if text.starts_with(RIGHT) {
        return Some((RIGHT.len(), false));
    }
    let trimmed = text.trim_start_matches(SPACES);
    let blanks = text.len() - trimmed.len();
    let marked = blanks > 0
        && trimmed
            .strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(RIGHT));
    marked.then(|| (blanks + 1 + RIGHT.len(), true))
}

struct End {
    at: usize,
    next: usize,
    trims: bool,
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Offset of the opening braces.
    start: usize,
    tokens: Vec<Token>,
}

// === impl Lexer ===

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn action(&mut self) -> Result<End, Failure> {
        loop {
            let before = self.at;
            if let Some((length, trims)) = closing(self.rest()) {
                let at = self.at + length - RIGHT.len();
                return Ok(End {
                    at: if trims { at - 1 } else { at },
                    next: self.at + length,
                    trims,
                });
            }
            let blanks = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
            self.at += blanks;
            if blanks > 0 && closing(self.rest()).is_some() {
                continue;
            }
            let start = self.at;
            let Some(c) = self.rest().chars().next() else {
                return Err((self.start, "unclosed action".to_owned()));
            };
            let kind = self.token(c)?;
            self.tokens.push(Token {
                kind,
                start,
                end: self.at,
                spaced: start > before,
            });
        }
    }

    fn token(&mut self, c: char) -> Result<TokenKind, Failure> {
        let single = |kind| Ok((kind, 1));
        let (kind, length) = match c {
            '(' => single(TokenKind::Open),
            ')' => single(TokenKind::Close),
            '|' => single(TokenKind::Pipe),
            ',' => single(TokenKind::Comma),
            '=' => single(TokenKind::Assign),
            ':' if self.rest().starts_with(":=") => Ok((TokenKind::Declare, 2)),
            '.' => {
                let name = word(self.rest().get(1..).unwrap_or_default());
                if name.is_empty()
                    && self
                        .rest()
                        .chars()
                        .nth(1)
                        .is_some_and(|c| c.is_ascii_digit())
                {
                    return self.number();
                }
                if name.starts_with(|c: char| c.is_ascii_digit()) {
                    return self.number();
                }
                let length = 1 + name.len();
                Ok(if name.is_empty() {
                    (TokenKind::Dot, 1)
                } else {
                    (TokenKind::Field(name.to_owned()), length)
                })
            }
            '$' => {
                let name = word(self.rest().get(1..).unwrap_or_default());
                Ok((TokenKind::Variable(name.to_owned()), 1 + name.len()))
            }
            '"' => return self.quoted(),
            '`' => return self.raw(),
            '\'' => return self.character(),
            '+' | '-' | '0'..='9' => return self.number(),
            c if c == '_' || c.is_alphabetic() => {
                let name = word(self.rest());
                Ok((TokenKind::Word(name.to_owned()), name.len()))
            }
            c => Err((
                self.at,
                format!(
                    "unexpected character U+{:04X} '{c}' in action",
                    u32::from(c)
                ),
            )),
        }?;
        self.at += length;
        Ok(kind)
    }

    fn raw(&mut self) -> Result<TokenKind, Failure> {
        let body = self.rest().get(1..).unwrap_or_default();
        let Some(length) = body.find('`') else {
            return Err((self.at, "unterminated raw quoted string".to_owned()));
        };
        let text = body.get(..length).unwrap_or_default().to_owned();
        self.at += length + 2;
        Ok(TokenKind::Literal(Value::String(text)))
    }

    fn quoted(&mut self) -> Result<TokenKind, Failure> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.next_char() {
                None | Some('\n') => return Err((start, "unterminated quoted string".to_owned())),
                Some('"') => return Ok(TokenKind::Literal(Value::String(text))),
                Some('\\') => text.push(self.escape('"')?),
                Some(c) => text.push(c),
            }
        }
    }

    /// A character constant is the number of the character.
    fn character(&mut self) -> Result<TokenKind, Failure> {
        let start = self.at;
        let malformed = (start, "malformed character constant".to_owned());
        self.at += 1;
        let c = match self.next_char() {
            None | Some('\n') => return Err((start, "unterminated character constant".to_owned())),
            Some('\'') => return Err(malformed),
            Some('\\') => self.escape('\'')?,
            Some(c) => c,
        };
        if self.next_char() != Some('\'') {
            return Err(malformed);
        }
        Ok(TokenKind::Literal(Value::from(u32::from(c))))
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// The character of an escape, whose backslash is already taken.
    fn escape(&mut self, quote: char) -> Result<char, Failure> {
        let start = self.at - 1;
        let invalid = || (start, "invalid escape in quoted text".to_owned());
        let c = self.next_char().ok_or_else(invalid)?;
        let (radix, digits, first) = match c {
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\u{b}'),
            '\\' => return Ok('\\'),
            c if c == quote => return Ok(quote),
            'x' => (16, 2, 0),
            'u' => (16, 4, 0),
            'U' => (16, 8, 0),
            '0'..='7' => (8, 2, c.to_digit(8).unwrap_or(0)),
            _ => return Err(invalid()),
        };
        let mut code = first;
        for _ in 0..digits {
            let digit = self
                .next_char()
                .and_then(|c| c.to_digit(radix))
                .ok_or_else(invalid)?;
            code = code.wrapping_mul(radix).wrapping_add(digit);
        }
        char::from_u32(code).ok_or_else(invalid)
    }

    fn number(&mut self) -> Result<TokenKind, Failure> {
        let start = self.at;
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let mut length = sign;
        let mut previous = ' ';
        for c in rest.get(sign..).unwrap_or_default().chars() {
            let exponent_sign = matches!(c, '+' | '-')
                && matches!(previous, 'e' | 'E')
                && !rest.get(sign..).unwrap_or_default().starts_with("0x");
            if !(c.is_alphanumeric() || c == '_' || c == '.' || exponent_sign) {
                break;
            }
            length += c.len_utf8();
            previous = c;
        }
        let text = rest.get(..length).unwrap_or_default();
        let number =
            parse_number(text).ok_or_else(|| (start, format!("bad number syntax: \"{text}\"")))?;
        self.at += length;
        Ok(TokenKind::Literal(Value::Number(number)))
    }
}

/// The letters, digits and underscores that the text starts with.
fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| c != '_' && !c.is_alphanumeric())
        .unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Go's number syntax: integers with prefix and underscores, decimal floats.
fn parse_number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || digits.ends_with('_')
        || digits.contains("__")
    {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, lower.get(2..)?),
        Some("0b") => (2, lower.get(2..)?),
        Some("0o") => (8, lower.get(2..)?),
        _ if lower.len() > 1
            && lower.starts_with('0')
            && lower
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'_') =>
        {
            (8, lower.get(1..)?)
        }
        _ => (10, lower.as_str()),
    };
    let plain = body.replace('_', "");
    if plain.starts_with(['+', '-']) {
        return None;
    }
    if let Ok(magnitude) = i128::from_str_radix(&plain, radix) {
        let value = if negative { -magnitude } else { magnitude };
        return i64::try_from(value).map(Number::from).ok();
    }
    if radix != 10
        || !plain
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-'))
    {
        return None;
    }
    let value: f64 = plain.parse().ok()?;
    Number::from_f64(if negative { -value } else { value })
}
