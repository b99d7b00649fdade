//! Server-side apply.

use serde_json::Value;

use super::{Entry, Managed, Manager, Operation, Scope, restrict};
use crate::failure::{Cause, Failure};
use crate::fields::{Element, FieldSet, Path, display_path};
use crate::shape::{Shape, compare, extract, merge, remove};

/// Fields that one manager would take from another: how the other is shown, and which.
type Conflicts = Vec<(String, FieldSet)>;

/// How a configuration is applied.
#[derive(Clone, Debug)]
pub struct Apply<'a> {
    /// Who applies.
    pub manager: &'a Manager,
    /// To which endpoint.
    pub scope: Scope,
    /// Merge rules of the object.
    pub shape: &'a Shape,
    /// Take fields from other managers.
    pub force: bool,
    /// Fields that may be taken without force.
    pub allowed: FieldSet,
    /// The time, RFC 3339.
    pub now: &'a str,
}

impl Apply<'_> {
    /// The object and its owners after `config` was applied to `live`.
    ///
    /// # Errors
    /// 409 with one cause per field, if the configuration changes fields of other managers and may not.
    pub fn run(
        &self,
        managed: &Managed,
        live: &Value,
        config: &Value,
    ) -> Result<(Value, Managed), Failure> {
        let mut result = managed.clone();
        if result.is_empty() {
            self.record_existing(&mut result, live);
        }
        let own = restrict(extract(config, self.shape), self.scope);
        let merged = self.without_abandoned(&result, &own, merge(live, config, self.shape));

        let comparison = compare(live, &merged, self.shape);
        let touched = restrict(comparison.touched(), self.scope);
        let removed = restrict(comparison.removed, self.scope);
        let conflicts = self.conflicts(&result, &touched);
        if !self.force && !conflicts.is_empty() {
            return Err(conflict_failure(&conflicts));
        }
        result.take_from_others(self.manager, &touched);
        result.drop_paths(&removed);
        match result.entry_mut(self.manager) {
            Some(entry) => {
                if entry.set != own {
                    entry.time = Some(self.now.to_owned());
                }
                entry.set = own;
            }
            None => result.push(self.manager.clone(), own, self.now),
        }
        result.drop_empty();
        result.cap(self.now);
        Ok((merged, result))
    }

    /// An object that nobody is recorded for belongs to an updater before the first applier.
    fn record_existing(&self, managed: &mut Managed, live: &Value) {
        let existing = restrict(extract(live, self.shape), self.scope);
        if !existing.is_empty() {
            let first = Manager {
                operation: Operation::Update,
                name: "before-first-apply".to_owned(),
                api_version: self.manager.api_version.clone(),
                subresource: String::new(),
            };
            managed.push(first, existing, self.now);
        }
    }

    /// `merged` without the fields that this manager applied before and doesn't any more, unless another applier wants
    /// them.
    fn without_abandoned(&self, managed: &Managed, own: &FieldSet, merged: Value) -> Value {
        let Some(previous) = managed
            .entries
            .iter()
            .find(|entry| entry.manager == *self.manager)
        else {
            return merged;
        };
        let mut wanted = own.clone();
        for Entry { manager, set, .. } in &managed.entries {
            if manager.operation == Operation::Apply && manager != self.manager {
                wanted.merge(set);
            }
        }
        remove(
            &merged,
            &abandoned(&previous.set, &wanted),
            &wanted,
            self.shape,
        )
    }

    fn conflicts(&self, managed: &Managed, touched: &FieldSet) -> Conflicts {
        let contested = touched.difference(&self.allowed);
        managed
            .entries
            .iter()
            .filter(|entry| entry.manager != *self.manager)
            .map(|entry| (entry.shown(), entry.set.intersection(&contested)))
            .filter(|(_, fields)| !fields.is_empty())
            .collect()
    }
}

/// Members of `previous` that aren't wanted any more. A member that still holds something wanted stays.
fn abandoned(previous: &FieldSet, wanted: &FieldSet) -> FieldSet {
    let mut gone = previous.difference(wanted);
    for path in gone.paths() {
        if wanted.holds(&path) {
            gone.remove_member(&path);
        }
    }
    gone
}

fn conflict_failure(conflicts: &Conflicts) -> Failure {
    let paths = |fields: &FieldSet| -> Vec<Path> { fields.paths() };
    let shown = |path: &[Element]| display_path(path);
    let causes: Vec<Cause> = conflicts
        .iter()
        .flat_map(|(manager, fields)| {
            paths(fields).into_iter().map(move |path| {
                Cause::new(
                    shown(&path),
                    "FieldManagerConflict",
                    format!("conflict with {manager}"),
                )
            })
        })
        .collect();
    let message = match (conflicts.as_slice(), causes.as_slice()) {
        ([(manager, _)], [only]) => format!(
            "Apply failed with 1 conflict: conflict with {manager}: {}",
            only.field
        ),
        _ => {
            let mut lines = Vec::new();
            for (manager, fields) in conflicts {
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(
                    paths(fields)
                        .iter()
                        .map(|path| format!("- {}", shown(path))),
                );
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
