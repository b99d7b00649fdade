//! Reads typed values from a tree and keeps going after a problem.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::problem::{Problem, Problems, Stage};
use super::tree::{Entry, Kind, Node, Position};

/// Edit distance up to which an unknown key is taken for a slip.
const SLIP: usize = 2;

/// A node, the path that led to it and where to report.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
    pub(crate) problems: &'a Problems,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(node: &'a Node, path: impl Into<String>, problems: &'a Problems) -> Self {
        Self {
            node,
            path: path.into(),
            problems,
        }
    }

    pub(crate) fn error(&self, stage: Stage, message: impl Into<String>) {
        self.problems.error(
            stage,
            Problem::new(&self.node.at, self.path.clone(), message),
        );
    }

    /// `<path> <rest>`, the shape of upstream's structural messages.
    pub(crate) fn structural(&self, rest: &str) {
        self.error(Stage::Structure, format!("{} {rest}", self.path));
    }

    pub(crate) fn semantic(&self, message: impl Into<String>) {
        self.error(Stage::Semantic, message);
    }

    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.problems
            .warn(Problem::new(&self.node.at, self.path.clone(), message));
    }

    fn child_path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Checks that this is a map with only `known` keys. Other keys are reported, each with the key meant, if any.
    pub(crate) fn map(&self, known: &[&str]) -> bool {
        if !self.any_map() {
            return false;
        }
        for entry in self.node.entries() {
            if !known.contains(&entry.key.as_str()) {
                self.unknown_key(entry, known);
            }
        }
        true
    }

    /// Checks that this is a map with any keys.
    pub(crate) fn any_map(&self) -> bool {
        let is_map = matches!(self.node.kind, Kind::Map(_));
        if !is_map {
            self.error(
                Stage::Parse,
                format!("expected a map, got {}", self.node.describe()),
            );
        }
        is_map
    }

    fn unknown_key(&self, entry: &Entry, known: &[&str]) {
        let meant = known
            .iter()
            .copied()
            .filter(|have| distance(have, &entry.key) <= SLIP)
            .min_by_key(|have| distance(have, &entry.key));
        let hint = match meant {
            Some(meant) => format!(" (did you mean {meant:?}?)"),
            None => format!(" (known: {})", known.join(", ")),
        };
        self.problems.error(
            Stage::Parse,
            Problem::new(
                &entry.key_at,
                self.child_path(&entry.key),
                format!("unknown key {:?}{hint}", entry.key),
            ),
        );
    }

    /// The child, unless absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<Reader<'a>> {
        let node = self.node.get(key)?;
        (!node.is_null()).then(|| Reader {
            node,
            path: self.child_path(key),
            problems: self.problems,
        })
    }

    /// The child even if it is null.
    pub(crate) fn get_any(&self, key: &str) -> Option<Reader<'a>> {
        let node = self.node.get(key)?;
        Some(Reader {
            node,
            path: self.child_path(key),
            problems: self.problems,
        })
    }

    /// The child; its absence is reported as `<path> is required`.
    pub(crate) fn required(&self, key: &str) -> Option<Reader<'a>> {
        let child = self.get(key);
        if child.is_none() {
            self.missing(key);
        }
        child
    }

    pub(crate) fn missing(&self, key: &str) {
        let path = self.child_path(key);
        let message = format!("{path} is required");
        let at = self
            .node
            .entry(key)
            .map_or(&self.node.at, |entry| &entry.key_at);
        self.problems
            .error(Stage::Structure, Problem::new(at, path, message));
    }

    /// The items of a list with their index in the path.
    pub(crate) fn items(&self) -> Vec<Reader<'a>> {
        let Kind::List(items) = &self.node.kind else {
            self.error(
                Stage::Parse,
                format!("expected a list, got {}", self.node.describe()),
            );
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .map(|(index, node)| Reader {
                node,
                path: format!("{}[{index}]", self.path),
                problems: self.problems,
            })
            .collect()
    }

    /// The items of the child list; none if it is absent.
    pub(crate) fn list(&self, key: &str) -> Vec<Reader<'a>> {
        self.get(key).map_or_else(Vec::new, |child| child.items())
    }

    /// A scalar as text.
    pub(crate) fn text(&self) -> Option<String> {
        let text = self.node.scalar_text();
        if text.is_none() {
            self.error(
                Stage::Parse,
                format!("expected a text, got {}", self.node.describe()),
            );
        }
        text
    }

    /// A text that is not blank; blank counts as missing.
    pub(crate) fn required_text(&self, key: &str) -> Option<String> {
        let text = self.required(key)?.text()?;
        if text.trim().is_empty() {
            self.missing(key);
            return None;
        }
        Some(text)
    }

    pub(crate) fn optional_text(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match &self.node.kind {
            Kind::Bool(flag) => Some(*flag),
            // Environment variables and flags arrive as text.
            Kind::Text(text) if self.node.at.line == 0 => {
                match text.to_ascii_lowercase().as_str() {
                    "1" | "t" | "true" => Some(true),
                    "0" | "f" | "false" => Some(false),
                    _ => self.wrong("true or false"),
                }
            }
            _ => self.wrong("true or false"),
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match &self.node.kind {
            Kind::Number(number, _) => number.as_i64().or_else(|| self.wrong("a whole number")),
            Kind::Text(text) if self.node.at.line == 0 => text
                .trim()
                .parse()
                .ok()
                .or_else(|| self.wrong("a whole number")),
            _ => self.wrong("a whole number"),
        }
    }

    pub(crate) fn float(&self) -> Option<f64> {
        match &self.node.kind {
            Kind::Number(number, _) => number.as_f64(),
            Kind::Text(text) if self.node.at.line == 0 => {
                text.trim().parse().ok().or_else(|| self.wrong("a number"))
            }
            _ => self.wrong("a number"),
        }
    }

    /// A Go duration such as `1m30s`; a bare number is refused.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let Some(text) = self.node.as_text() else {
            return self.wrong("a duration such as \"10s\" or \"1m30s\"");
        };
        match go_compat::duration::parse(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.error(Stage::Parse, error.to_string());
                None
            }
        }
    }

    pub(crate) fn text_map(&self) -> BTreeMap<String, String> {
        if !self.any_map() {
            return BTreeMap::new();
        }
        let mut map = BTreeMap::new();
        for entry in self.node.entries() {
            let child = Reader {
                node: &entry.value,
                path: self.child_path(&entry.key),
                problems: self.problems,
            };
            if let Some(text) = child.text() {
                map.insert(entry.key.clone(), text);
            }
        }
        map
    }

    pub(crate) fn json(&self) -> Value {
        self.node.to_json()
    }

    pub(crate) fn at(&self) -> &Position {
        &self.node.at
    }

    fn wrong<T>(&self, expected: &str) -> Option<T> {
        let got = match self.node.scalar_text() {
            Some(text) => format!("{text:?}"),
            None => self.node.describe().to_owned(),
        };
        self.error(Stage::Parse, format!("expected {expected}, got {got}"));
        None
    }
}

/// Levenshtein distance, for hints; keys are short.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(&b) {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = *slot;
            left = substitute.min(*slot + 1).min(left + 1);
            *slot = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("url", "ulr", 2),
            ("timeout", "timeuot", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
