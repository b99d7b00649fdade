//! Sets of field paths: what a field manager owns (`fieldsV1` of `managedFields`).
//!
//! A set is a tree. A node can be a *member* (the path itself is owned; written `.` or, without children, `{}`) and can
//! have children. Follows `docs/protocol/kubernetes-api.md`, "Field managers".

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// `f:name`: a member of an object.
    Field(String),
    /// `k:{"name":"x"}`: the list item with these key values, as compact JSON with sorted keys.
    Key(String),
    /// `v:"x"`: the item of a set, as compact JSON.
    Value(String),
    /// `i:0`: an item by position; never produced here, kept if a client sends it.
    Index(u64),
}

impl Element {
    /// A member of an object.
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => match serde_json::from_str::<Value>(rest) {
                Ok(value @ Value::Object(_)) => Some(Self::Key(value.to_string())),
                _ => None,
            },
            "v" => serde_json::from_str::<Value>(rest)
                .ok()
                .map(|value| Self::Value(value.to_string())),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    fn to_key(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(json) => format!("k:{json}"),
            Self::Value(json) => format!("v:{json}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(json) => match serde_json::from_str::<Map<String, Value>>(json) {
                Ok(keys) => {
                    let parts: Vec<String> = keys
                        .iter()
                        .map(|(key, value)| format!("{key}={value}"))
                        .collect();
                    write!(f, "[{}]", parts.join(","))
                }
                Err(_) => write!(f, "[{json}]"),
            },
            Self::Value(json) => write!(f, "[={json}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// Elements from the root down.
pub type Path = Vec<Element>;

/// `.spec.containers[name="app"].image`
pub fn display_path(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<Element, Node>,
}

/// One path of a [`FieldSet`] and what lies below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The path itself belongs to the set.
    pub member: bool,
    /// Paths below.
    pub children: FieldSet,
}

impl FieldSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// No path is in the set.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node for `element`, if it or something below it is in the set.
    pub fn get(&self, element: &Element) -> Option<&Node> {
        self.nodes.get(element)
    }

    /// The node for `element`, made if needed. A node without membership and children must be filled by the caller.
    pub fn entry(&mut self, element: Element) -> &mut Node {
        self.nodes.entry(element).or_default()
    }

    /// Adds one path.
    pub fn insert(&mut self, path: &[Element]) {
        if let Some((first, rest)) = path.split_first() {
            let node = self.entry(first.clone());
            if rest.is_empty() {
                node.member = true;
            } else {
                node.children.insert(rest);
            }
        }
    }

    /// Whether exactly this path is a member.
    pub fn contains(&self, path: &[Element]) -> bool {
        match path.split_first() {
            None => false,
            Some((first, rest)) => self.nodes.get(first).is_some_and(|node| {
                if rest.is_empty() {
                    node.member
                } else {
                    node.children.contains(rest)
                }
            }),
        }
    }

    /// Whether the path, or something below it, is in the set.
    pub fn holds(&self, path: &[Element]) -> bool {
        match path.split_first() {
            None => !self.is_empty(),
            Some((first, rest)) => self
                .nodes
                .get(first)
                .is_some_and(|node| (rest.is_empty() && node.member) || node.children.holds(rest)),
        }
    }

    /// Takes out exactly this path, not what is below it.
    pub fn remove_member(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let Some(node) = self.nodes.get_mut(first) else {
            return;
        };
        if rest.is_empty() {
            node.member = false;
        } else {
            node.children.remove_member(rest);
        }
        if !node.member && node.children.is_empty() {
            self.nodes.remove(first);
        }
    }

    /// Removes a path and everything below it.
    pub fn remove_subtree(&mut self, path: &[Element]) {
        if let Some((first, rest)) = path.split_first() {
            if rest.is_empty() {
                self.nodes.remove(first);
            } else if let Some(node) = self.nodes.get_mut(first) {
                node.children.remove_subtree(rest);
                if !node.member && node.children.is_empty() {
                    self.nodes.remove(first);
                }
            }
        }
    }

    /// Keeps only what lies under the top-level field `name`.
    pub fn retain_field(&mut self, name: &str) {
        self.nodes
            .retain(|element, _| matches!(element, Element::Field(field) if field == name));
    }

    /// Paths in either.
    pub fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.merge(other);
        result
    }

    /// Adds all paths of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (element, theirs) in &other.nodes {
            let mine = self.entry(element.clone());
            mine.member |= theirs.member;
            mine.children.merge(&theirs.children);
        }
    }

    /// Paths of `self` that aren't in `other` (path by path: a member above doesn't remove what is below).
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && !theirs)
    }

    /// Paths in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| mine && theirs)
    }

    fn combine(&self, other: &Self, keep: fn(bool, bool) -> bool) -> Self {
        let nothing = Node::default();
        let mut nodes = BTreeMap::new();
        for (element, mine) in &self.nodes {
            let theirs = other.nodes.get(element).unwrap_or(&nothing);
            let node = Node {
                member: keep(mine.member, theirs.member),
                children: mine.children.combine(&theirs.children, keep),
            };
            if node.member || !node.children.is_empty() {
                nodes.insert(element.clone(), node);
            }
        }
        Self { nodes }
    }

    /// Every path of the set, in order.
    pub fn paths(&self) -> Vec<Path> {
        fn walk(set: &FieldSet, prefix: &mut Path, out: &mut Vec<Path>) {
            for (element, node) in &set.nodes {
                prefix.push(element.clone());
                if node.member {
                    out.push(prefix.clone());
                }
                walk(&node.children, prefix, out);
                prefix.pop();
            }
        }
        let mut out = Vec::new();
        walk(self, &mut Vec::new(), &mut out);
        out
    }

    /// Reads `fieldsV1`. Unknown keys make the whole set unreadable.
    pub fn from_json(value: &Value) -> Option<Self> {
        let mut nodes = BTreeMap::new();
        for (key, child) in value.as_object()? {
            if key == "." {
                continue;
            }
            let children = Self::from_json(child)?;
            let explicit = child.get(".").is_some();
            let node = Node {
                member: explicit || children.is_empty(),
                children,
            };
            nodes.insert(Element::parse(key)?, node);
        }
        Some(Self { nodes })
    }

    /// Writes `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (element, node) in &self.nodes {
            let mut child = node.children.to_json();
            if node.member
                && !node.children.is_empty()
                && let Value::Object(entries) = &mut child
            {
                entries.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.to_key(), child);
        }
        Value::Object(map)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_v1_survives_a_round_trip() {
        let text = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}}}, "f:tags": {"v:\"a\"": {}}},
        });
        let set = FieldSet::from_json(&text).expect("a valid set");
        assert_eq!(set.to_json(), text);
        assert_eq!(
            set.paths()
                .iter()
                .map(|path| display_path(path))
                .collect::<Vec<_>>(),
            [
                ".metadata.labels",
                ".metadata.labels.app",
                ".spec.containers[name=\"app\"]",
                ".spec.containers[name=\"app\"].image",
                ".spec.tags[=\"a\"]",
            ]
        );
    }

    #[test]
    fn set_algebra_works_path_by_path() {
        let one =
            FieldSet::from_json(&json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}})).expect("valid");
        let two = FieldSet::from_json(&json!({"f:a": {"f:b": {}}})).expect("valid");
        assert_eq!(
            one.difference(&two).to_json(),
            json!({"f:a": {".": {}, "f:c": {}}})
        );
        assert_eq!(
            one.intersection(&two).to_json(),
            json!({"f:a": {"f:b": {}}})
        );
        assert_eq!(two.difference(&one).to_json(), json!({}));
        assert_eq!(two.union(&one), one);
    }

    #[test]
    fn junk_is_refused() {
        assert!(FieldSet::from_json(&json!({"x:a": {}})).is_none());
        assert!(FieldSet::from_json(&json!({"k:[1]": {}})).is_none());
        assert!(FieldSet::from_json(&json!("f:a")).is_none());
    }
}
