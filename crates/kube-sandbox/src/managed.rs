//! `metadata.managedFields`: who owns which fields, and the two algorithms that keep it true.
//!
//! [`update`] is for writes of whole objects and for patches: the writer takes what it changed. [`Apply`] is
//! server-side apply: the writer owns what it sends, fields it stops sending go away unless another applier owns them,
//! and a change to somebody else's field is a conflict unless forced. Follows `docs/protocol/kubernetes-api.md`,
//! "Field managers".

mod apply;

use serde_json::{Map, Value, json};

pub use apply::Apply;

use crate::fields::{Element, FieldSet};
use crate::shape::{Shape, compare};

/// Entries with operation `Update` are merged into `ancient-changes` beyond this many.
const MAX_UPDATE_MANAGERS: usize = 10;

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Everything else.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// The identity of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// How it writes.
    pub operation: Operation,
    /// Name of the writer.
    pub name: String,
    /// The version whose paths the set speaks of.
    pub api_version: String,
    /// `status`, or empty.
    pub subresource: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: Manager,
    /// RFC 3339 with seconds.
    time: Option<String>,
    set: FieldSet,
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managed {
    entries: Vec<Entry>,
}

/// What a writer may own, seen from the endpoint it wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole object.
    Whole,
    /// The object without `status` (kinds whose status is a subresource).
    WithoutStatus,
    /// `status` only.
    StatusOnly,
}

/// Members of `metadata` that nobody owns.
const UNOWNED_METADATA: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
];

/// The part of a set that a writer to this endpoint may own.
fn restrict(mut set: FieldSet, scope: Scope) -> FieldSet {
    let metadata = Element::field("metadata");
    set.remove_subtree(&[Element::field("apiVersion")]);
    set.remove_subtree(&[Element::field("kind")]);
    for name in UNOWNED_METADATA {
        set.remove_subtree(&[metadata.clone(), Element::field(name)]);
    }
    set.remove_subtree(&[
        metadata.clone(),
        Element::field("deletionGracePeriodSeconds"),
    ]);
    if set.contains(std::slice::from_ref(&metadata)) {
        // Owning `metadata` as such would mean owning its existence.
        let node = set.entry(metadata.clone());
        node.member = false;
        if node.children.is_empty() {
            set.remove_subtree(&[metadata]);
        }
    }
    match scope {
        Scope::Whole => {}
        Scope::WithoutStatus => set.remove_subtree(&[Element::field("status")]),
        Scope::StatusOnly => set.retain_field("status"),
    }
    set
}

impl Managed {
    /// Reads the `managedFields` of an object. Unreadable entries are dropped.
    pub fn of(object: &Value) -> Self {
        let entries = object
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array);
        Self::from_entries(entries.map(Vec::as_slice).unwrap_or_default())
    }

    /// Reads a list of entries. Unreadable ones are dropped.
    pub fn from_entries(entries: &[Value]) -> Self {
        Self {
            entries: entries.iter().filter_map(Entry::from_json).collect(),
        }
    }

    /// Nobody is recorded.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes the entries into `metadata.managedFields` of an object.
    pub fn store(&self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        if self.entries.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by(|a, b| {
            (a.manager.operation, &a.time, &a.manager).cmp(&(
                b.manager.operation,
                &b.time,
                &b.manager,
            ))
        });
        metadata.insert(
            "managedFields".to_owned(),
            entries.into_iter().map(Entry::to_json).collect(),
        );
    }

    fn entry_mut(&mut self, manager: &Manager) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| entry.manager == *manager)
    }

    fn push(&mut self, manager: Manager, set: FieldSet, now: &str) {
        self.entries.push(Entry {
            manager,
            time: Some(now.to_owned()),
            set,
        });
    }

    fn take_from_others(&mut self, manager: &Manager, paths: &FieldSet) {
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.manager != *manager)
        {
            entry.set = entry.set.difference(paths);
        }
    }

    fn drop_paths(&mut self, paths: &FieldSet) {
        for entry in &mut self.entries {
            entry.set = entry.set.difference(paths);
        }
    }

    fn drop_empty(&mut self) {
        self.entries.retain(|entry| !entry.set.is_empty());
    }

    /// Merges the oldest `Update` entries when there are more than [`MAX_UPDATE_MANAGERS`].
    fn cap(&mut self, now: &str) {
        let updates = self
            .entries
            .iter()
            .filter(|entry| entry.manager.operation == Operation::Update)
            .count();
        if updates <= MAX_UPDATE_MANAGERS {
            return;
        }
        let mut order: Vec<usize> = (0..self.entries.len())
            .filter(|index| {
                self.entries
                    .get(*index)
                    .is_some_and(|entry| entry.manager.operation == Operation::Update)
            })
            .collect();
        order.sort_by_key(|index| {
            self.entries
                .get(*index)
                .map(|entry| (entry.time.clone(), entry.manager.clone()))
        });
        let oldest: std::collections::BTreeSet<usize> = order
            .into_iter()
            .take(updates - MAX_UPDATE_MANAGERS + 1)
            .collect();
        let mut merged: Option<Entry> = None;
        let mut kept = Vec::with_capacity(self.entries.len());
        for (index, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            if !oldest.contains(&index) {
                kept.push(entry);
                continue;
            }
            match &mut merged {
                None => {
                    let manager = Manager {
                        operation: Operation::Update,
                        name: "ancient-changes".to_owned(),
                        api_version: entry.manager.api_version.clone(),
                        subresource: String::new(),
                    };
                    let time = entry.time.clone().or_else(|| Some(now.to_owned()));
                    merged = Some(Entry {
                        manager,
                        time,
                        set: entry.set,
                    });
                }
                Some(merged) => {
                    merged.set.merge(&entry.set);
                    merged.time = merged.time.clone().max(entry.time);
                }
            }
        }
        kept.extend(merged);
        self.entries = kept;
    }

    /// The entries without their times, to tell whether ownership changed.
    pub fn same_ownership(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self.entries.iter().all(|entry| {
                other
                    .entries
                    .iter()
                    .any(|theirs| theirs.manager == entry.manager && theirs.set == entry.set)
            })
    }
}

impl Entry {
    fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let operation = match value.get("operation").and_then(Value::as_str)? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let set = FieldSet::from_json(value.get("fieldsV1")?)?;
        let manager = Manager {
            operation,
            name: text("manager"),
            api_version: text("apiVersion"),
            subresource: text("subresource"),
        };
        Some(Self {
            manager,
            time: value.get("time").and_then(Value::as_str).map(str::to_owned),
            set,
        })
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("manager".into(), self.manager.name.clone().into());
        map.insert("operation".into(), self.manager.operation.as_str().into());
        map.insert("apiVersion".into(), self.manager.api_version.clone().into());
        if let Some(time) = &self.time {
            map.insert("time".into(), time.clone().into());
        }
        map.insert("fieldsType".into(), "FieldsV1".into());
        map.insert("fieldsV1".into(), self.set.to_json());
        if !self.manager.subresource.is_empty() {
            map.insert(
                "subresource".into(),
                self.manager.subresource.clone().into(),
            );
        }
        Value::Object(map)
    }

    /// How conflict texts name the entry.
    fn shown(&self) -> String {
        let mut text = format!("{:?}", self.manager.name);
        if !self.manager.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.manager.subresource));
        }
        if self.manager.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.manager.api_version));
            if let Some(time) = &self.time {
                text.push_str(&format!(" at {time}"));
            }
        }
        text
    }
}

/// Ownership after `manager` replaced `old` by `new`: what it changed is its own and nobody else's, what vanished is
/// owned by nobody. `now` is RFC 3339.
pub fn update(
    managed: &Managed,
    old: &Value,
    new: &Value,
    manager: &Manager,
    scope: Scope,
    shape: &Shape,
    now: &str,
) -> Managed {
    let comparison = compare(old, new, shape);
    let touched = restrict(comparison.touched(), scope);
    let removed = restrict(comparison.removed, scope);
    let mut result = managed.clone();
    result.take_from_others(manager, &touched);
    result.drop_paths(&removed);
    if !touched.is_empty() {
        match result.entry_mut(manager) {
            Some(entry) => {
                entry.set.merge(&touched);
                entry.time = Some(now.to_owned());
            }
            None => result.push(manager.clone(), touched, now),
        }
    }
    result.drop_empty();
    result.cap(now);
    result
}

/// What an object is compared with before it exists.
pub fn nothing() -> Value {
    json!({})
}

#[cfg(test)]
mod tests;
