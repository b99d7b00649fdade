//! Characters, positions, words and quoted text.

use crate::Error;

/// How quoted text escapes its own quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// `''`
    Doubled,
    /// `\'`
    Backslash,
}

pub(super) struct Scanner {
    characters: Vec<char>,
    position: usize,
}

impl Scanner {
    pub(super) fn new(text: &str) -> Self {
        Self {
            characters: text.chars().collect(),
            position: 0,
        }
    }

    /// Where the next character is, after blanks.
    pub(super) fn position(&mut self) -> usize {
        self.skip_blanks();
        self.position
    }

    pub(super) fn rewind(&mut self, position: usize) {
        self.position = position;
    }

    pub(super) fn at_end(&mut self) -> bool {
        self.skip_blanks();
        self.position >= self.characters.len()
    }

    /// The next character after blanks.
    pub(super) fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.characters.get(self.position).copied()
    }

    /// Takes `symbol` if it is next.
    pub(super) fn take(&mut self, symbol: &str) -> bool {
        self.skip_blanks();
        let mut end = self.position;
        for expected in symbol.chars() {
            if self.characters.get(end) != Some(&expected) {
                return false;
            }
            end += 1;
        }
        self.position = end;
        true
    }

    /// Takes `keyword` in any case if it is next and ends there.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        self.skip_blanks();
        let end = self.position + keyword.len();
        let matches = keyword.chars().zip(self.position..).all(|(expected, at)| {
            self.characters
                .get(at)
                .is_some_and(|c| c.eq_ignore_ascii_case(&expected))
        });
        let ends = self
            .characters
            .get(end)
            .is_none_or(|c| !(c.is_alphanumeric() || *c == '_'));
        if matches && ends {
            self.position = end;
        }
        matches && ends
    }

    /// Takes characters as long as they fit; empty if the first doesn't.
    pub(super) fn run(
        &mut self,
        first: impl Fn(char) -> bool,
        rest: impl Fn(char) -> bool,
    ) -> String {
        self.skip_blanks();
        let mut text = String::new();
        while let Some(&c) = self.characters.get(self.position) {
            if !(if text.is_empty() { first(c) } else { rest(c) }) {
                break;
            }
            text.push(c);
            self.position += 1;
        }
        text
    }

    /// Takes quoted text; the opening quote is next.
    pub(super) fn quoted(&mut self, escape: Escape) -> Result<String, Error> {
        self.skip_blanks();
        let start = self.position;
        let Some(&open) = self.characters.get(start) else {
            return Err(Error::syntax(start, "expected quoted text at the end"));
        };
        let quote = if open == '[' { ']' } else { open };
        self.position += 1;
        let mut text = String::new();
        while let Some(&c) = self.characters.get(self.position) {
            self.position += 1;
            if c == '\\' && escape == Escape::Backslash {
                match self.characters.get(self.position) {
                    Some(&escaped) => {
                        // Only quotes and the backslash itself are escaped; `like` patterns keep theirs.
                        if !matches!(escaped, '\'' | '"' | '`' | '\\') {
                            text.push('\\');
                        }
                        text.push(escaped);
                        self.position += 1;
                    }
                    None => break,
                }
            } else if c == quote {
                if escape == Escape::Doubled && self.characters.get(self.position) == Some(&quote) {
                    text.push(quote);
                    self.position += 1;
                } else {
                    return Ok(text);
                }
            } else {
                text.push(c);
            }
        }
        Err(Error::syntax(start, "quoted text has no end"))
    }

    /// Takes a number; empty when there is none.
    pub(super) fn number(&mut self) -> String {
        self.skip_blanks();
        let start = self.position;
        let mut text = String::new();
        if let Some(&sign) = self.characters.get(self.position)
            && (sign == '-' || sign == '+')
        {
            text.push(sign);
            self.position += 1;
        }
        text.push_str(&self.digits());
        if self.characters.get(self.position) == Some(&'.')
            && self
                .characters
                .get(self.position + 1)
                .is_some_and(char::is_ascii_digit)
        {
            self.position += 1;
            text.push('.');
            text.push_str(&self.digits());
        }
        if !text.ends_with(|c: char| c.is_ascii_digit()) {
            self.position = start;
            return String::new();
        }
        if self
            .characters
            .get(self.position)
            .is_some_and(|c| matches!(c, 'e' | 'E'))
        {
            let exponent_at = self.position;
            self.position += 1;
            let mut exponent = "e".to_owned();
            if let Some(&sign) = self.characters.get(self.position)
                && (sign == '-' || sign == '+')
            {
                exponent.push(sign);
                self.position += 1;
            }
            let digits = self.digits();
            if digits.is_empty() {
                self.position = exponent_at;
            } else {
                text.push_str(&exponent);
                text.push_str(&digits);
            }
        }
        text
    }

    fn digits(&mut self) -> String {
        let mut text = String::new();
        while let Some(&c) = self
            .characters
            .get(self.position)
            .filter(|c| c.is_ascii_digit())
        {
            text.push(c);
            self.position += 1;
        }
        text
    }

    /// A few of the next characters, for messages.
    pub(super) fn near(&mut self) -> String {
        self.skip_blanks();
        self.characters
            .iter()
            .skip(self.position)
            .take(16)
            .collect()
    }

    fn skip_blanks(&mut self) {
        while self
            .characters
            .get(self.position)
            .is_some_and(|c| c.is_whitespace())
        {
            self.position += 1;
        }
    }
}
