//! Filters: the sides are cut out first, as quotes allow, then parsed as paths.

use super::{Action, Parser};
use crate::MAX_NESTING;
use crate::error::Error;
use crate::tree::{Filter, Operator, Path, Selector};

impl Parser {
    /// `[?(left op right)]`: the sides are cut out first, as quotes allow, then parsed as paths.
    pub(super) fn filter(&mut self) -> Result<Selector, Error> {
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
