//! The tokens of one action, read from left to right.

use super::super::lex::{Token, TokenKind};

/// The tokens of one action, and how far they are read.
pub(super) struct Tokens<'a> {
    pub tokens: &'a [Token],
    pub at: usize,
    /// Offset of the closing braces.
    pub end: usize,
    /// Open parentheses.
    pub depth: usize,
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    pub(super) fn offset(&self) -> usize {
        self.peek().map_or(self.end, |token| token.start)
    }

    /// Where the last token that was read ended.
    pub(super) fn last_end(&self, start: usize) -> usize {
        self.at
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(start, |token| token.end.max(start))
    }

    pub(super) fn unexpected(&self, context: &str) -> String {
        self.unexpected_at(self.at, context)
    }

    pub(super) fn unexpected_at(&self, at: usize, context: &str) -> String {
        let what = match self.tokens.get(at).map(|token| &token.kind) {
            Some(TokenKind::Dot) => "\".\"".to_owned(),
            Some(TokenKind::Field(name)) => format!("\".{name}\""),
            Some(TokenKind::Variable(name)) => format!("\"${name}\""),
            Some(TokenKind::Word(word)) => format!("\"{word}\""),
            Some(TokenKind::Literal(literal)) => literal.to_string(),
            Some(TokenKind::Pipe) => "\"|\"".to_owned(),
            Some(TokenKind::Comma) => "\",\"".to_owned(),
            Some(TokenKind::Declare) => "\":=\"".to_owned(),
            Some(TokenKind::Assign) => "\"=\"".to_owned(),
            Some(TokenKind::Open) => "\"(\"".to_owned(),
            Some(TokenKind::Close) => "\")\"".to_owned(),
            None => "end".to_owned(),
        };
        format!("unexpected {what} in {context}")
    }
}
