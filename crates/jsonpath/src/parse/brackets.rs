//! Brackets that are no filter: elements, ranges, keys, unions.

use super::Parser;
use crate::error::Error;
use crate::tree::{Selector, Slice};

impl Parser {
    /// `[…]` that is not a filter.
    pub(super) fn brackets(&mut self) -> Result<Selector, Error> {
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
}
