//! Text to tree.

use super::{Check, Node, Operator, Selector, SyntaxError};

/// Deepest nesting of parentheses and NOTs.
const MAX_DEPTH: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Term(String),
}

/// Parses a whole expression.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let tokens = tokens(text)?;
    let end = text.chars().count() + 1;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        end,
    };
    let tree = parser.any(0)?;
    match parser.peek() {
        None => Ok(tree),
        Some((column, Token::Close)) => Err(error(*column, "this ')' closes nothing")),
        Some((column, _)) => Err(error(*column, "AND or OR is missing before this")),
    }
}

/// True if an expression that is an OR at the top also has an AND at the top level of its text.
pub(super) fn mixes_without_parentheses(text: &str, alternatives: usize) -> bool {
    let Ok(tokens) = tokens(text) else {
        return false;
    };
    let mut depth = 0_usize;
    let mut ands = false;
    for (_, token) in tokens {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::And if depth == 0 => ands = true,
            _ => {}
        }
    }
    ands && alternatives > 1
}

fn error(column: usize, message: impl Into<String>) -> SyntaxError {
    SyntaxError {
        column,
        message: message.into(),
    }
}

/// Splits into tokens with their columns. A term is everything up to the next operator or parenthesis.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SyntaxError> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied();
    let mut tokens = Vec::new();
    let mut index = 0;
    while let Some(character) = at(index) {
        let column = index + 1;
        let two = at(index + 1) == Some(character);
        match character {
            _ if character.is_whitespace() => index += 1,
            '(' => {
                tokens.push((column, Token::Open));
                index += 1;
            }
            ')' => {
                tokens.push((column, Token::Close));
                index += 1;
            }
            '&' | '|' if two => {
                tokens.push((
                    column,
                    if character == '&' {
                        Token::And
                    } else {
                        Token::Or
                    },
                ));
                index += 2;
            }
            '&' | '|' => {
                return Err(error(
                    column,
                    format!("a single '{character}'; write '{character}{character}'"),
                ));
            }
            '!' => {
                tokens.push((column, Token::Not));
                index += 1;
            }
            _ => {
                let (term, next) = term(&characters, index)?;
                match term.to_ascii_uppercase().as_str() {
                    "AND" => tokens.push((column, Token::And)),
                    "OR" => tokens.push((column, Token::Or)),
                    "NOT" => tokens.push((column, Token::Not)),
                    _ => tokens.push((column, Token::Term(term))),
                }
                index = next;
            }
        }
    }
    Ok(tokens)
}

/// A term from `start`, and where it ends. Words AND, OR end it; a NOT at its beginning is a token of its own.
fn term(characters: &[char], start: usize) -> Result<(String, usize), SyntaxError> {
    let mut index = start;
    let mut end = start;
    let mut quoted = None;
    while let Some(&character) = characters.get(index) {
        if let Some(opened) = quoted {
            if character == '"' {
                quoted = None;
            }
            index += 1;
            end = index;
            if index >= characters.len() && quoted.is_some() {
                return Err(error(opened + 1, "this quote is never closed"));
            }
            continue;
        }
        match character {
            '"' => quoted = Some(index),
            '(' | ')' => break,
            '&' | '|' if characters.get(index + 1) == Some(&character) => break,
            _ if character.is_whitespace() => {
                let word = word_after(characters, index);
                if matches!(word.to_ascii_uppercase().as_str(), "AND" | "OR") {
                    break;
                }
                index += 1;
                // NOT before a term stands alone.
                let so_far: String = characters[start..end].iter().collect();
                if so_far.eq_ignore_ascii_case("NOT") {
                    break;
                }
                continue;
            }
            _ => {}
        }
        index += 1;
        end = index;
        let so_far_is_word = end - start <= 3
            && characters
                .get(end)
                .is_none_or(|next| next.is_whitespace() || *next == '(');
        if so_far_is_word {
            let so_far: String = characters[start..end].iter().collect();
            if matches!(so_far.to_ascii_uppercase().as_str(), "AND" | "OR" | "NOT") {
                break;
            }
        }
    }
    if let Some(opened) = quoted {
        return Err(error(opened + 1, "this quote is never closed"));
    }
    Ok((characters[start..end].iter().collect(), end.max(start + 1)))
}

/// The word after white space.
fn word_after(characters: &[char], from: usize) -> String {
    characters
        .iter()
        .skip(from)
        .skip_while(|character| character.is_whitespace())
        .take_while(|character| character.is_ascii_alphabetic())
        .collect()
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    at: usize,
    /// Column after the last character.
    end: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&(usize, Token)> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|(_, found)| found == token);
        if found {
            self.at += 1;
        }
        found
    }

    fn any(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let mut parts = vec![self.all(depth)?];
        while self.take(&Token::Or) {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Node::Any(parts)
        })
    }

    fn all(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let mut parts = vec![self.one(depth)?];
        while self.take(&Token::And) {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Node::All(parts)
        })
    }

    fn one(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let Some((column, token)) = self.peek().cloned() else {
            return Err(error(
                self.end,
                if self.tokens.is_empty() {
                    "the condition is empty"
                } else {
                    "a condition is missing here"
                },
            ));
        };
        if depth >= MAX_DEPTH {
            return Err(error(column, "too many levels of parentheses"));
        }
        self.at += 1;
        match token {
            Token::Not => Ok(Node::Not(Box::new(self.one(depth + 1)?))),
            Token::Open => {
                let inner = self.any(depth + 1)?;
                match self.peek() {
                    Some((_, Token::Close)) => {
                        self.at += 1;
                        Ok(inner)
                    }
                    Some((column, _)) => {
                        Err(error(*column, "AND, OR or ')' is missing before this"))
                    }
                    None => Err(error(column, "this '(' is never closed")),
                }
            }
            Token::Term(text) => term_node(&text, column),
            Token::Close => Err(error(column, "a condition is missing before this ')'")),
            Token::And => Err(error(column, "a condition is missing before this AND")),
            Token::Or => Err(error(column, "a condition is missing before this OR")),
        }
    }
}

fn term_node(text: &str, column: usize) -> Result<Node, SyntaxError> {
    let Some((selector, check)) = split_outside_quotes(text, ':') else {
        if let Some(operator) = text.find(['=', '<', '>']) {
            let at = column + text[..operator].chars().count();
            return Err(error(
                at,
                "a comparison needs a resource: Kind:field>=value",
            ));
        }
        return Ok(Node::Work(word(text, column, "condition")?));
    };
    let parts: Vec<&str> = selector.split('/').map(str::trim).collect();
    let selector = match parts.as_slice() {
        [kind] => Selector {
            kind: (*kind).to_owned(),
            namespace: None,
            name: None,
        },
        [kind, name] => Selector {
            kind: (*kind).to_owned(),
            namespace: None,
            name: Some((*name).to_owned()),
        },
        [kind, namespace, name] => Selector {
            kind: (*kind).to_owned(),
            namespace: Some((*namespace).to_owned()),
            name: Some((*name).to_owned()),
        },
        _ => {
            return Err(error(
                column,
                "a resource is Kind, Kind/name or Kind/namespace/name",
            ));
        }
    };
    if parts
        .iter()
        .any(|part| part.is_empty() || part.contains(char::is_whitespace))
    {
        return Err(error(
            column,
            "a resource is Kind, Kind/name or Kind/namespace/name, without blanks",
        ));
    }
    let after = column + text.chars().count() - check.chars().count();
    Ok(Node::Resource(selector, check_of(check, after)?))
}

fn check_of(text: &str, column: usize) -> Result<Check, SyntaxError> {
    let quote = text.find('"').unwrap_or(text.len());
    let Some(start) = text[..quote].find(['=', '<', '>', '!']) else {
        return Ok(Check::Condition(word(text, column, "condition")?));
    };
    let at = column + text[..start].chars().count();
    let rest = &text[start..];
    let (operator, length) = [
        (">=", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        ("!=", Operator::NotEqual),
        ("==", Operator::Equal),
        ("=", Operator::Equal),
        (">", Operator::Greater),
        ("<", Operator::Less),
    ]
    .into_iter()
    .find(|(symbol, _)| rest.starts_with(symbol))
    .map(|(symbol, operator)| (operator, symbol.len()))
    .ok_or_else(|| error(at, "a comparison is one of = == != < <= > >="))?;
    let path = word(&text[..start], column, "field")?;
    let value = rest[length..].trim();
    let value = match value.strip_prefix('"') {
        Some(inner) => inner
            .strip_suffix('"')
            .ok_or_else(|| error(at, "text follows the closing quote"))?,
        None if value.is_empty() => return Err(error(at + length, "a value is missing here")),
        None if value.starts_with(['=', '<', '>', '!']) => {
            return Err(error(at, "a comparison is one of = == != < <= > >="));
        }
        None if value.contains(char::is_whitespace) => {
            return Err(error(
                at + length,
                "a value with blanks needs quotes: \"...\"",
            ));
        }
        None => value,
    };
    Ok(Check::Compare {
        path,
        operator,
        value: value.to_owned(),
    })
}

/// One word: letters, digits, `.`, `-`, `_`, `/`.
fn word(text: &str, column: usize, what: &str) -> Result<String, SyntaxError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(error(
            column,
            format!("the name of a {what} is missing here"),
        ));
    }
    let bad = trimmed
        .chars()
        .position(|character| !(character.is_alphanumeric() || ".-_/".contains(character)));
    match bad {
        None => Ok(trimmed.to_owned()),
        Some(position) => {
            let lead = text
                .chars()
                .take_while(|character| character.is_whitespace())
                .count();
            let after = trimmed
                .chars()
                .skip(position)
                .find(|character| !character.is_whitespace())
                .unwrap_or(' ');
            let message = if after.is_alphanumeric() {
                "AND or OR is missing before this".to_owned()
            } else {
                format!("'{after}' can't be part of the name of a {what}")
            };
            let blanks = trimmed
                .chars()
                .skip(position)
                .take_while(|character| character.is_whitespace())
                .count();
            Err(error(column + lead + position + blanks, message))
        }
    }
}

fn split_outside_quotes(text: &str, separator: char) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => {
                return Some((&text[..at], &text[at + character.len_utf8()..]));
            }
            _ => {}
        }
    }
    None
}
