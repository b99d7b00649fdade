//! Text in quotes, with Go's escapes.

use super::Parser;
use crate::error::Error;

impl Parser {
    /// A quoted text, quotes included in the input, with Go's escapes.
    pub(super) fn quoted(&mut self, quote: char) -> Result<String, Error> {
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
}
