//! `metadata.managedFields`: who owns which fields, and the two algorithms that keep it true.
//!
//! [`update`] is for writes of whole objects and for patches: the writer takes what it changed. [`apply`] is
//! server-side apply: the writer owns what it sends, fields it stops sending go away unless another applier owns them,
//! and a change to somebody else's field is a conflict unless forced. Follows `docs/protocol/kubernetes-api.md`,
//! "Field managers".

use serde_json::{Map, Value, json};

use crate::failure::{Cause, Failure};
use crate::fields::{Element, FieldSet, Path, display_path};
use crate::shape::{Shape, compare, extract, merge, remove};

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
            .and_then(Value::as_array)
            .map(|entries| entries.iter().filter_map(Entry::from_json).collect())
            .unwrap_or_default();
        Self { entries }
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

    fn position(&self, manager: &Manager) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.manager == *manager)
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
                    .position(&entry.manager)
                    .and_then(|index| other.entries.get(index))
                    .is_some_and(|theirs| theirs.set == entry.set)
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
        match result
            .position(manager)
            .and_then(|index| result.entries.get_mut(index))
        {
            Some(entry) => {
                entry.set.merge(&touched);
                entry.time = Some(now.to_owned());
            }
            None => {
                let entry = Entry {
                    manager: manager.clone(),
                    time: Some(now.to_owned()),
                    set: touched,
                };
                result.entries.push(entry);
            }
        }
    }
    result.drop_empty();
    result.cap(now);
    result
}

/// The object and ownership after `manager` applied `config` to `live`.
///
/// # Errors
/// 409 with one cause per field, if the configuration changes fields of other managers and `force` is false.
#[expect(
    clippy::too_many_arguments,
    reason = "plain data of one algorithm, called from one place"
)]
pub fn apply(
    managed: &Managed,
    live: &Value,
    config: &Value,
    manager: &Manager,
    scope: Scope,
    shape: &Shape,
    force: bool,
    now: &str,
) -> Result<(Value, Managed), Failure> {
    let mut result = managed.clone();
    if result.is_empty() {
        let existing = restrict(extract(live, shape), scope);
        if !existing.is_empty() {
            let first = Manager {
                operation: Operation::Update,
                name: "before-first-apply".to_owned(),
                api_version: manager.api_version.clone(),
                subresource: String::new(),
            };
            result.entries.push(Entry {
                manager: first,
                time: Some(now.to_owned()),
                set: existing,
            });
        }
    }

    let own = restrict(extract(config, shape), scope);
    let previous = result
        .position(manager)
        .and_then(|index| result.entries.get(index))
        .map(|entry| entry.set.clone());
    let merged = merge(live, config, shape);

    // Fields that this manager applied before and doesn't any more go, unless another applier wants them.
    let merged = match &previous {
        None => merged,
        Some(previous) => {
            let mut wanted = own.clone();
            for entry in &result.entries {
                if entry.manager.operation == Operation::Apply && entry.manager != *manager {
                    wanted.merge(&entry.set);
                }
            }
            remove(&merged, &abandoned(previous, &wanted), shape)
        }
    };

    let comparison = compare(live, &merged, shape);
    let touched = restrict(comparison.touched(), scope);
    let removed = restrict(comparison.removed, scope);
    let conflicts: Vec<(String, Vec<Path>)> = result
        .entries
        .iter()
        .filter(|entry| entry.manager != *manager)
        .map(|entry| (entry.shown(), entry.set.intersection(&touched).paths()))
        .filter(|(_, paths)| !paths.is_empty())
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(conflict_failure(&conflicts));
    }
    result.take_from_others(manager, &touched);
    result.drop_paths(&removed);
    match result
        .position(manager)
        .and_then(|index| result.entries.get_mut(index))
    {
        Some(entry) => {
            if entry.set != own {
                entry.time = Some(now.to_owned());
            }
            entry.set = own;
        }
        None => result.entries.push(Entry {
            manager: manager.clone(),
            time: Some(now.to_owned()),
            set: own,
        }),
    }
    result.drop_empty();
    result.cap(now);
    Ok((merged, result))
}

/// Members of `previous` that aren't wanted any more. A member that still holds something wanted stays.
fn abandoned(previous: &FieldSet, wanted: &FieldSet) -> FieldSet {
    let mut gone = previous.difference(wanted);
    for path in gone.paths() {
        let mut inside = Some(wanted);
        let mut holds = false;
        for (depth, element) in path.iter().enumerate() {
            match inside.and_then(|set| set.get(element)) {
                Some(node) => {
                    inside = Some(&node.children);
                    holds = depth + 1 == path.len();
                }
                None => {
                    holds = false;
                    break;
                }
            }
        }
        if holds {
            gone = gone.difference(&single(&path));
        }
    }
    gone
}

fn single(path: &[Element]) -> FieldSet {
    let mut set = FieldSet::new();
    set.insert(path);
    set
}

fn conflict_failure(conflicts: &[(String, Vec<Path>)]) -> Failure {
    let causes: Vec<Cause> = conflicts
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| {
                Cause::new(
                    display_path(path),
                    "FieldManagerConflict",
                    format!("conflict with {manager}"),
                )
            })
        })
        .collect();
    let message = match (conflicts, causes.as_slice()) {
        ([(manager, _)], [only]) => format!(
            "Apply failed with 1 conflict: conflict with {manager}: {}",
            only.field
        ),
        _ => {
            let mut lines = Vec::new();
            for (manager, paths) in conflicts {
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(paths.iter().map(|path| format!("- {}", display_path(path))));
            }
            format!(
                "Apply failed with {} conflicts: {}",
                causes.len(),
                lines.join("\n")
            )
        }
    };
    Failure::apply_conflict(message, &causes)
}

/// Whether two objects differ in nothing but the times of their `managedFields` entries and their resourceVersion.
pub fn unchanged(old: &Value, new: &Value) -> bool {
    if !Managed::of(old).same_ownership(&Managed::of(new)) {
        return false;
    }
    let mut old = old.clone();
    let mut new = new.clone();
    for object in [&mut old, &mut new] {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            metadata.remove("resourceVersion");
        }
    }
    old == new
}

/// An object as large as `json!({})` for comparisons with nothing.
pub fn nothing() -> Value {
    json!({})
}
