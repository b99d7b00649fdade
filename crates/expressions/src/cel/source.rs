//! Text before and while it is parsed: tokens, limits, positions, and hints for habits of other languages.

use ::cel::IdedExpr;
use ::cel::common::ast::SourceInfo;

use super::error::{Error, Kind};
use super::{MAX_EXPRESSION_BYTES, MAX_OPERATORS, functions};

/// What kind of token, as far as anybody here needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Name,
    Text,
    Number,
    /// One character of punctuation.
    Symbol(char),
}

/// A token with its place in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

/// An expression split into tokens; comments and blanks are gone.
pub(super) struct Source<'t> {
    pub text: &'t str,
    pub tokens: Vec<Token>,
}

/// A syntax tree with the place of its nodes.
pub(super) struct Parsed {
    pub tree: IdedExpr,
    info: SourceInfo,
}

// === impl Source ===

impl<'t> Source<'t> {
    /// Splits the text, which is any text, and checks its size.
    pub(super) fn read(text: &'t str) -> Result<Self, Error> {
        let too_large =
            |message: String| Err(Error::at(Kind::TooLarge, 1, 1, message).in_expression(text));
        if text.len() > MAX_EXPRESSION_BYTES {
            return too_large(format!(
                "expression has {} bytes, the limit is {MAX_EXPRESSION_BYTES}",
                text.len()
            ));
        }
        let source = Self {
            text,
            tokens: tokens(text),
        };
        let operators = source.tokens.iter().filter(|token| {
            matches!(
                token.kind,
                TokenKind::Symbol(
                    '(' | '['
                        | '{'
                        | '.'
                        | '+'
                        | '-'
                        | '*'
                        | '/'
                        | '%'
                        | '!'
                        | '?'
                        | '<'
                        | '>'
                        | '='
                )
            )
        });
        let operators = operators.count();
        if operators > MAX_OPERATORS {
            return too_large(format!(
                "expression has {operators} brackets and operators, the limit is {MAX_OPERATORS}"
            ));
        }
        Ok(source)
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    pub(super) fn slice(&self, token: Token) -> &'t str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    pub(super) fn symbol(&self, index: usize) -> Option<char> {
        match self.tokens.get(index)?.kind {
            TokenKind::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    /// True if the tokens at and after `index` spell `symbols` without blanks between them.
    pub(super) fn spells(&self, index: usize, symbols: &str) -> bool {
        symbols.chars().enumerate().all(|(distance, symbol)| {
            let adjacent = distance == 0
                || match (
                    self.tokens.get(index + distance - 1),
                    self.tokens.get(index + distance),
                ) {
                    (Some(before), Some(token)) => before.end == token.start,
                    _ => false,
                };
            adjacent && self.symbol(index + distance) == Some(symbol)
        })
    }

    /// Parses `text`, which is this source or a translation of the same length.
    pub(super) fn parse(&self, text: &str) -> Result<Parsed, Error> {
        match functions::environment()
            .parser()
            .parse_with_source_info(text)
        {
            Ok((tree, info)) => Ok(Parsed { tree, info }),
            Err(errors) => Err(self.syntax_error(&errors.errors)),
        }
    }

    /// The first error that says something about the text rather than about the parser's inside.
    fn syntax_error(&self, errors: &[::cel::ParseError]) -> Error {
        let telling = |error: &&::cel::ParseError| {
            !error.msg.starts_with("No `") && !error.msg.starts_with("Incomplete")
        };
        let first = errors.iter().find(telling).or(errors.first());
        let (position, message) = first.map_or(((1, 1), "not an expression"), |error| {
            (error.pos, error.msg.as_str())
        });
        let coordinate = |value: isize| usize::try_from(value).unwrap_or(1).max(1);
        let (line, column) = (coordinate(position.0), coordinate(position.1));
        if message.contains("Recursion limit") {
            return Error::at(
                Kind::TooLarge,
                line,
                column,
                "expression is nested more than 96 levels deep",
            )
            .in_expression(self.text);
        }
        let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
        // A list of everything the grammar would accept helps nobody.
        let message = match message.split_once(" expecting {") {
            Some((head, expected)) if expected.len() > 20 => head,
            _ => message,
        };
        Error::at(Kind::Syntax, line, column, message)
            .in_expression(self.text)
            .with_hint(self.hint())
    }

    /// What the writer probably meant.
    fn hint(&self) -> Option<String> {
        (0..self.tokens.len()).find_map(|index| self.hint_at(index))
    }

    fn hint_at(&self, index: usize) -> Option<String> {
        let token = *self.tokens.get(index)?;
        match token.kind {
            TokenKind::Symbol('?') if self.spells(index, "??") => Some(self.coalesce_hint(index)),
            TokenKind::Symbol('?') if self.spells(index, "?.") => Some("optional selection is written `a.?b`".to_owned()),
            TokenKind::Symbol('[') if self.spells(index, "[?(@") => {
                Some("filters are written `list.filter(e, e.key == 'value')[0]`".to_owned())
            }
            TokenKind::Symbol('=') if self.spells(index, "===") => Some("equality is written `==`".to_owned()),
            TokenKind::Symbol('!') if self.spells(index, "!==") => Some("inequality is written `!=`".to_owned()),
            TokenKind::Symbol('=') => {
                let compares = self.spells(index, "==") || index > 0 && ["==", "!=", "<=", ">="].iter().any(|op| self.spells(index - 1, op));
                (!compares).then(|| "equality is written `==`".to_owned())
            }
            TokenKind::Symbol('&') if !self.spells(index, "&&") && (index == 0 || !self.spells(index - 1, "&&")) => {
                Some("and is written `&&`".to_owned())
            }
            TokenKind::Symbol('|') if !self.spells(index, "||") && (index == 0 || !self.spells(index - 1, "||")) => {
                Some("or is written `||`; CEL has no pipes".to_owned())
            }
            TokenKind::Symbol('{') if self.spells(index, "{{") => Some("templates are not expanded in expressions; use the name itself".to_owned()),
            TokenKind::Symbol('`') => Some("use `a['b-c']` for a key that is not a name".to_owned()),
            TokenKind::Symbol('\'' | '"') => Some("text is not closed, or has an escape that CEL doesn't know (write r'…' for raw text)".to_owned()),
            TokenKind::Name => match self.slice(token) {
                "and" => Some("and is written `&&`".to_owned()),
                "or" if index == 0 || self.symbol(index - 1) != Some('.') => Some("or is written `||`".to_owned()),
                "not" => Some("not is written `!`".to_owned()),
                "if" | "else" => Some("a choice is written `condition ? a : b`".to_owned()),
                _ => None,
            },
            _ => None,
        }
    }

    /// `a.b ?? c` becomes `a.?b.orValue(c)`, with the names that stand there.
    fn coalesce_hint(&self, index: usize) -> String {
        let mut start = index;
        while start > 0 {
            let before = self.tokens.get(start - 1).map(|token| token.kind);
            match before {
                Some(TokenKind::Name) if start == index || self.symbol(start) == Some('.') => {
                    start -= 1
                }
                Some(TokenKind::Symbol('.')) if start < index => start -= 1,
                _ => break,
            }
        }
        let names: Vec<&str> = self
            .tokens
            .get(start..index)
            .unwrap_or_default()
            .iter()
            .map(|token| self.slice(*token))
            .collect();
        let fallback = self
            .tokens
            .get(index + 2)
            .filter(|token| token.kind != TokenKind::Symbol('('))
            .map_or("…", |token| self.slice(*token));
        match names.as_slice() {
            [path @ .., ".", last] => format!(
                "`??` is not CEL; write `{}.?{last}.orValue({fallback})`",
                path.concat()
            ),
            _ => "`??` is not CEL; write `a.?b.orValue(c)`".to_owned(),
        }
    }
}

// === impl Parsed ===

impl Parsed {
    /// Offset in bytes of the token that made this node: its operator, its name, or the bracket of a call.
    pub(super) fn offset(&self, id: u64) -> Option<usize> {
        self.info.offset_for(id).map(|(start, _)| start as usize)
    }

    /// Line and column, from 1, of an offset in bytes.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.info.source.get(..offset).unwrap_or(&self.info.source);
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

    /// Where the name of a call stands: the parser remembers the bracket of member calls.
    pub(super) fn name_offset(&self, id: u64, name: &str) -> usize {
        let offset = self.offset(id).unwrap_or(0);
        let source = &self.info.source;
        let before = source.get(..offset).unwrap_or_default().trim_end();
        if before.ends_with(name) && !source.get(offset..).unwrap_or_default().starts_with(name) {
            before.len() - name.len()
        } else {
            offset
        }
    }
}

/// Splits any text. What is not CEL comes out as symbols.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or_default();
        let (kind, length) = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if let Some(length) = text_length(rest) {
            (TokenKind::Text, length)
        } else if first == '_' || first.is_ascii_alphabetic() {
            (
                TokenKind::Name,
                span(rest, |c| c == '_' || c.is_ascii_alphanumeric()),
            )
        } else if first.is_ascii_digit() {
            (
                TokenKind::Number,
                span(rest, |c| c == '.' || c.is_ascii_alphanumeric()),
            )
        } else {
            (TokenKind::Symbol(first), first.len_utf8())
        };
        tokens.push(Token {
            kind,
            start: at,
            end: at + length,
        });
        at += length;
    }
    tokens
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// Length of the text literal that `text` starts with: prefixes, one or three quotes, escapes unless raw. None if there is none
/// or it isn't closed.
fn text_length(text: &str) -> Option<usize> {
    let prefix = span(text, |c| matches!(c, 'r' | 'R' | 'b' | 'B'));
    if prefix > 2 {
        return None;
    }
    let raw = text.get(..prefix)?.contains(['r', 'R']);
    let body = text.get(prefix..)?;
    let quote = ["'''", "\"\"\"", "'", "\""]
        .into_iter()
        .find(|quote| body.starts_with(quote))?;
    let mut at = quote.len();
    loop {
        let rest = body.get(at..)?;
        if rest.starts_with(quote) {
            return Some(prefix + at + quote.len());
        }
        let mut chars = rest.chars();
        let first = chars.next()?;
        at += first.len_utf8();
        if first == '\\' && !raw {
            at += chars.next()?.len_utf8();
        } else if first == '\n' && quote.len() == 1 {
            return None;
        }
    }
}
