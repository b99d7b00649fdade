//! Older generations of both config files, rewritten into the current schema before anything is decoded.
//!
//! A document is *older* if it uses older spellings and none that only the current schema has. Each older construct
//! is then warned about once, with the modern spelling. A document that has both is of the current generation, and
//! there every older construct is an error with the same hint. A document without older constructs passes through
//! unchanged. `docs/protocol/adapter-config.md`, "Older generations", has the table.
//!
//! Reading order: [`mod@deployment`], [`task`] (keys), [`resources`] (inline objects), [`work`] (the
//! ManifestWork around them),
//! [`report`] (payloads and actions), [`implied`] (names that older documents never define). Older CEL is translated
//! where it is compiled, see [`crate::lang`].

pub(crate) mod deployment;
mod implied;
mod report;
mod resources;
mod task;
mod work;

use std::cell::RefCell;

use super::problem::{Problem, Problems, Stage};
use super::tree::{Node, Position};

pub(crate) use implied::Implied;
pub(crate) use task::rewrite as rewrite_task;

/// Which schema a document was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// What upstream loads today.
    Current,
    /// Anything before; rewritten.
    Older,
}

/// An older construct that was found, and what to write instead.
struct Found {
    construct: String,
    modern: String,
    key: String,
    at: Position,
}

/// Takes note of constructs while a tree is rewritten.
#[derive(Default)]
pub(crate) struct Notes {
    older: RefCell<Vec<Found>>,
    /// Where something stands that only the current schema has.
    current: RefCell<Option<(String, Position)>>,
}

impl Notes {
    /// `construct` was found at `key`; `modern` replaces it.
    pub(crate) fn older(&self, at: &Position, key: &str, construct: &str, modern: &str) {
        self.older.borrow_mut().push(Found {
            construct: construct.to_owned(),
            modern: modern.to_owned(),
            key: key.to_owned(),
            at: at.clone(),
        });
    }

    /// `key` exists only in the current schema.
    pub(crate) fn current(&self, at: &Position, key: &str) {
        self.current
            .borrow_mut()
            .get_or_insert_with(|| (key.to_owned(), at.clone()));
    }

    pub(crate) fn generation(&self) -> Generation {
        if self.current.borrow().is_none() && !self.older.borrow().is_empty() {
            Generation::Older
        } else {
            Generation::Current
        }
    }

    /// Warnings or errors, depending on the generation.
    pub(crate) fn report(self, problems: &Problems) -> Generation {
        let generation = self.generation();
        let current = self.current.into_inner();
        let mut warned: Vec<String> = Vec::new();
        for found in self.older.into_inner() {
            let hint = format!(
                "{} is an older spelling: write {}",
                found.construct, found.modern
            );
            if generation == Generation::Current {
                let because = current
                    .as_ref()
                    .map(|(key, at)| {
                        format!(
                            " (this document is of the current generation: {key} in line {})",
                            at.line
                        )
                    })
                    .unwrap_or_default();
                problems.error(
                    Stage::Parse,
                    Problem::new(&found.at, found.key, format!("{hint}{because}")),
                );
            } else if !warned.contains(&found.construct) {
                problems.warn(Problem::new(&found.at, found.key, hint));
                warned.push(found.construct);
            }
        }
        generation
    }
}

/// Renames `old` to `new` in a map. Both in one map is an error.
///
/// `only_current` says that `new` never existed in older generations, so that it marks a current document.
pub(crate) fn rename(
    node: &mut Node,
    path: &str,
    old: &str,
    new: &str,
    only_current: bool,
    notes: &Notes,
    problems: &Problems,
) {
    let key = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    if only_current && let Some(entry) = node.entry(new) {
        notes.current(&entry.key_at, &key(new));
    }
    let Some(entry) = node.entry(old) else { return };
    let at = entry.key_at.clone();
    notes.older(&at, &key(old), old, new);
    if node.has(new) {
        problems.error(
            Stage::Parse,
            Problem::new(
                &at,
                key(old),
                format!("{old} and {new} are two spellings of one key; use only {new}"),
            ),
        );
        node.take(old);
        return;
    }
    if let Some(entry) = node
        .entries_mut()
        .and_then(|entries| entries.iter_mut().find(|entry| entry.key == old))
    {
        entry.key = new.to_owned();
    }
}

/// `HostedCluster` → `hostedCluster`.
fn lower_camel(kind: &str) -> String {
    let mut chars = kind.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
