//! YAML as a tree that remembers where every value was written.
//!
//! The loader works on this tree: rewriting older spellings, merging overrides and reading typed values, so that
//! each message can name file, line and column.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::problem::Problem;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) file: Arc<str>,
    /// From 1; 0 if unknown.
    pub(crate) line: usize,
    /// From 1.
    pub(crate) column: usize,
}

impl Position {
    /// A place outside of any line, such as an environment variable.
    pub(crate) fn outside(name: impl Into<Arc<str>>) -> Self {
        Self {
            file: name.into(),
            line: 0,
            column: 0,
        }
    }

    /// The place `line`, `column` (from 1) inside of a text that starts here.
    ///
    /// Exact for block scalars and for the first line of others.
    pub(crate) fn inside(&self, line: usize, column: usize, block: bool) -> Self {
        if self.line == 0 || line == 0 {
            return self.clone();
        }
        let indent = if line == 1 || block {
            self.column.saturating_sub(1)
        } else {
            0
        };
        Self {
            file: Arc::clone(&self.file),
            line: self.line + line - 1,
            column: indent + column.max(1),
        }
    }
}

/// A YAML value at its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) at: Position,
}

/// The value itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// The number and how it was written: `1.50` is a fine text.
    Number(Number, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn text(at: &Position, text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Text(text.into()),
            at: at.clone(),
        }
    }

    pub(crate) fn null(at: &Position) -> Self {
        Self {
            kind: Kind::Null,
            at: at.clone(),
        }
    }

    pub(crate) fn list(at: &Position, items: Vec<Node>) -> Self {
        Self {
            kind: Kind::List(items),
            at: at.clone(),
        }
    }

    /// A map whose keys all stand at `at`.
    pub(crate) fn map<K: Into<String>>(
        at: &Position,
        entries: impl IntoIterator<Item = (K, Node)>,
    ) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, value)| Entry {
                key: key.into(),
                key_at: at.clone(),
                value,
            })
            .collect();
        Self {
            kind: Kind::Map(entries),
            at: at.clone(),
        }
    }

    /// The same value as JSON, everything at one place.
    pub(crate) fn from_json(at: &Position, value: &Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(flag) => Kind::Bool(*flag),
            Value::Number(number) => Kind::Number(number.clone(), number.to_string()),
            Value::String(text) => Kind::Text(text.clone()),
            Value::Array(items) => {
                Kind::List(items.iter().map(|item| Self::from_json(at, item)).collect())
            }
            Value::Object(map) => {
                return Self::map(
                    at,
                    map.iter()
                        .map(|(key, value)| (key.clone(), Self::from_json(at, value))),
                );
            }
        };
        Self {
            kind,
            at: at.clone(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Number(number, _) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// What YAML calls it, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(..) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as the text that a string field takes: `true` becomes `"true"`.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Bool(flag) => Some(flag.to_string()),
            Kind::Number(_, written) => Some(written.clone()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.kind {
            Kind::List(items) => items,
            _ => &mut [],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries_mut()?
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.value)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Removes the key from a map.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        let entries = self.entries_mut()?;
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index))
    }

    /// Sets the key of a map, in place if it is there. Anything but a map is left alone.
    pub(crate) fn set(&mut self, key: &str, value: Node) {
        let at = value.at.clone();
        let Some(entries) = self.entries_mut() else {
            return;
        };
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.value = value,
            None => entries.push(Entry {
                key: key.to_owned(),
                key_at: at,
                value,
            }),
        }
    }

    /// Sets `a.b.c`, making maps on the way; what is in the way and no map is replaced.
    pub(crate) fn set_path(&mut self, path: &str, value: Node) {
        match path.split_once('.') {
            None => self.set(path, value),
            Some((head, rest)) => {
                if !self
                    .get(head)
                    .is_some_and(|node| matches!(node.kind, Kind::Map(_)))
                {
                    self.set(
                        head,
                        Node {
                            kind: Kind::Map(Vec::new()),
                            at: value.at.clone(),
                        },
                    );
                }
                if let Some(child) = self.get_mut(head) {
                    child.set_path(rest, value);
                }
            }
        }
    }

    /// Looks up `a.b.c` through maps.
    pub(crate) fn at_path(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| node.get(key))
    }
}

/// Reads the one document of `text`. An empty text is [`Kind::Null`].
pub(crate) fn parse(file: &str, text: &str) -> Result<Node, Problem> {
    let file: Arc<str> = file.into();
    let raw: Raw = go_compat::yaml::from_str_config(text).map_err(|error| Problem {
        file: file.to_string(),
        line: error.line,
        column: error.column,
        key: String::new(),
        message: error.message,
    })?;
    Ok(raw.place(&file, text))
}

/// The tree as serde delivers it.
struct Raw(Spanned<RawKind>);

enum RawKind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn place(self, file: &Arc<str>, text: &str) -> Node {
        let at = position(file, &self.0.referenced);
        let span = self.0.referenced.span();
        let kind = match self.0.value {
            RawKind::Null => Kind::Null,
            RawKind::Bool(flag) => Kind::Bool(flag),
            RawKind::Number(number) => {
                let written = written(text, &span).unwrap_or_else(|| number.to_string());
                Kind::Number(number, written)
            }
            RawKind::Text(text) => Kind::Text(text),
            RawKind::List(items) => Kind::List(
                items
                    .into_iter()
                    .map(|item| item.place(file, text))
                    .collect(),
            ),
            RawKind::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        key_at: position(file, &key.referenced),
                        key: key.value,
                        value: value.place(file, text),
                    })
                    .collect(),
            ),
        };
        Node { kind, at }
    }
}

fn position(file: &Arc<str>, location: &serde_saphyr::Location) -> Position {
    Position {
        file: Arc::clone(file),
        line: usize::try_from(location.line()).unwrap_or(0),
        column: usize::try_from(location.column()).unwrap_or(0),
    }
}

/// The scalar as the file has it; `None` behind an alias.
fn written(text: &str, span: &serde_saphyr::Span) -> Option<String> {
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    let slice = text.get(start..end)?.trim();
    (!slice.is_empty() && !slice.starts_with(['*', '&', '!'])).then(|| slice.to_owned())
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<RawKind>::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawKind, E> {
        Ok(RawKind::Null)
    }

    fn visit_none<E>(self) -> Result<RawKind, E> {
        Ok(RawKind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawKind, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<RawKind, E> {
        Ok(RawKind::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<RawKind, E> {
        Ok(RawKind::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<RawKind, E> {
        Ok(RawKind::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<RawKind, E> {
        Number::from_f64(number)
            .map(RawKind::Number)
            .ok_or_else(|| E::custom("a number that JSON can't hold"))
    }

    fn visit_str<E>(self, text: &str) -> Result<RawKind, E> {
        Ok(RawKind::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<RawKind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(RawKind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<RawKind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key()? {
            entries.push((key, access.next_value()?));
        }
        Ok(RawKind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text =
            "a: 1\nb:\n  - x: true\n    y: |\n      line one\n      line two\n  - 'q'\n1: one\n";
        let node = parse("f.yaml", text).unwrap();
        let place = |node: &Node| (node.at.line, node.at.column);
        assert_eq!(place(node.get("a").unwrap()), (1, 4));
        let first = &node.get("b").unwrap().items()[0];
        assert_eq!(place(first.get("x").unwrap()), (3, 8));
        let block = first.get("y").unwrap();
        assert_eq!(place(block), (5, 7));
        assert_eq!(
            block.at.inside(2, 3, true),
            Position {
                file: "f.yaml".into(),
                line: 6,
                column: 9
            }
        );
        assert_eq!(node.entry("1").unwrap().key_at.line, 8);
        assert_eq!(node.to_json()["b"][0]["y"], "line one\nline two\n");
        assert_eq!(
            parse("f", "v: 1.50")
                .unwrap()
                .get("v")
                .unwrap()
                .scalar_text()
                .unwrap(),
            "1.50"
        );
    }

    #[test]
    fn syntax_errors_have_a_place_too() {
        let problem = parse("f.yaml", "a: 1\na: 2\n").unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 1));
        assert!(problem.message.contains("duplicate"), "{problem}");
        assert_eq!(parse("f.yaml", "").unwrap().kind, Kind::Null);
        // An unquoted template is YAML's flow syntax.
        assert_eq!(parse("f.yaml", "a: {{ .x }}\n").unwrap_err().line, 1);
    }

    #[test]
    fn paths_are_made_on_the_way() {
        let mut node = parse("f", "a: {b: 1}\nc: text\n").unwrap();
        let at = Position::outside("env");
        node.set_path("a.x.y", Node::text(&at, "v"));
        node.set_path("c.d", Node::text(&at, "w"));
        assert_eq!(
            node.to_json(),
            serde_json::json!({"a": {"b": 1, "x": {"y": "v"}}, "c": {"d": "w"}})
        );
        assert_eq!(node.at_path("a.x.y").and_then(Node::as_text), Some("v"));
    }
}
