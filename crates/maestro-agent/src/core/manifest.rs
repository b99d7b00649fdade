//! One manifest of a live work: what came of its application, what is known of its object, when to apply it again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use kube_access::object;
use manifestwork::conditions::{self, Condition};
use manifestwork::constants::condition::COMPLETE;
use manifestwork::{ConditionRule, Manifest as Text, ResourceMeta, configs};
use serde_json::Value;
use tokio::time::Instant;

use super::feedback::{Evaluated, Rules};
use super::pace::{CONFLICT, DISTURBED, RETRY};
use super::rules;
use super::seen::Seen;
use super::status::ManifestFacts;
use crate::apply::drift::{Mark, covers};
use crate::apply::merge::{self, Compare, Ownership, Plan};
use crate::apply::owner::Owner;
use crate::apply::{Strategy, ignore};
use crate::bundle::Bundle;
use crate::failure::{Failure, FailureKind};
use crate::job::Attempt;
use crate::target::Target;

/// An object that was left alone for so long starts with the shortest wait again.
const CALM: Duration = Duration::from_secs(600);
/// The shortest time between two tries of a manifest whose object changes.
const EVENT_GAP: Duration = Duration::from_secs(1);

/// The state of one manifest.
#[derive(Debug)]
pub struct Manifest {
    meta: ResourceMeta,
    text: Text,
    generation: i64,
    target: Option<Target>,
    strategy: Option<Strategy>,
    owned: bool,
    outcome: Result<(), Failure>,
    seen: Seen,
    rules: Arc<Rules>,
    evaluated: Option<Evaluated>,
    condition_rules: Vec<ConditionRule>,
    rule_conditions: Vec<Condition>,
    mark: Option<Mark>,
    /// What was last compared with the manifest, so that a change of status alone costs nothing.
    compared: Option<u64>,
    /// Who held which field when a conflict was last seen.
    managers: Option<u64>,
    due: Option<Due>,
    failures: u32,
    disturbances: u32,
    tried: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    at: Instant,
    /// Somebody changed the object, rather than that the application failed.
    disturbed: bool,
}

impl Manifest {
    /// The state after an attempt; `before` is that of the same object at an earlier version.
    pub fn new(
        attempt: Attempt,
        before: Option<Self>,
        bundle: &Bundle,
        max_raw_length: usize,
        id: &str,
        now: Instant,
    ) -> Option<Self> {
        let item = bundle.items.get(attempt.ordinal)?;
        let identifier = attempt.target.as_ref().map(Target::identifier);
        let matched = identifier
            .as_ref()
            .map(|identifier| configs::find(&bundle.configs, identifier))
            .unwrap_or_default();
        let strategy = Strategy::of(matched.update_strategy).ok();
        let owned = strategy.as_ref().is_some_and(Strategy::writes)
            && identifier.is_some_and(|identifier| bundle.owns(&identifier));
        let (seen, evaluated, disturbances) = match before {
            Some(before) => (before.seen, before.evaluated, before.disturbances),
            None => (Seen::NotYet, None, 0),
        };
        let mut manifest = Self {
            meta: attempt.meta.clone(),
            text: item.manifest.clone(),
            generation: bundle.version,
            seen: if attempt.target.is_none() {
                Seen::Incomplete
            } else {
                seen
            },
            target: attempt.target.clone(),
            strategy,
            owned,
            outcome: Ok(()),
            rules: Arc::new(Rules::new(matched.feedback_rules, max_raw_length)),
            evaluated,
            condition_rules: matched.condition_rules.to_vec(),
            rule_conditions: Vec::new(),
            mark: None,
            compared: None,
            managers: None,
            due: None,
            failures: 0,
            disturbances,
            tried: now,
        };
        if manifest.rules.is_empty() {
            manifest.evaluated = None;
        }
        manifest.tried_again(attempt, id, now);
        Some(manifest)
    }

    /// Takes in what came of another attempt at the same version.
    pub fn tried_again(&mut self, attempt: Attempt, id: &str, now: Instant) {
        if self.due.is_some_and(|due| due.disturbed) {
            self.disturbances = if now.saturating_duration_since(self.tried) > CALM {
                1
            } else {
                self.disturbances.saturating_add(1)
            };
        }
        self.tried = now;
        self.due = None;
        self.managers = None;
        if attempt.target.is_some() && self.target.is_none() {
            self.seen = Seen::NotYet;
        }
        if attempt.target.is_some() {
            self.target = attempt.target;
            self.meta = attempt.meta;
        }
        match attempt.result {
            Ok(live) => {
                self.outcome = Ok(());
                self.failures = 0;
                if let Some(live) = live {
                    self.mark = match &self.strategy {
                        Some(Strategy::ServerSide {
                            field_manager,
                            ignore,
                            ..
                        }) if ignore.is_empty() => Mark::read(&live, field_manager),
                        _ => None,
                    };
                    self.compared = Some(content_hash(&live));
                    self.look_at(&live);
                }
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                let pace = match failure.kind {
                    FailureKind::Conflict => CONFLICT,
                    FailureKind::Retry => RETRY,
                };
                self.due = Some(Due {
                    at: now + pace.wait(self.failures, id),
                    disturbed: false,
                });
                // The text stays while the cause does: it may hold times and ids that change every time.
                let same = matches!(&self.outcome, Err(old) if old.cause == failure.cause);
                if !same {
                    self.outcome = Err(failure);
                }
            }
        }
    }

    /// Takes in the object as it is now.
    pub fn present(&mut self, live: &Value, owner: Option<&Owner>, id: &str, now: Instant) {
        self.look_at(live);
        if self.is_complete() || object::is_deleting(live) {
            self.calm();
            return;
        }
        match &self.outcome {
            Ok(()) => {
                let content = content_hash(live);
                let unowned = self.owned && owner.is_some_and(|owner| !owner.owns(live));
                let changed = if self.mark.is_none() && self.compared == Some(content) {
                    false
                } else {
                    self.compared = Some(content);
                    self.is_changed(live, owner)
                };
                if unowned || changed {
                    // What differs now must be looked at again, even if it comes in the same shape.
                    self.compared = None;
                    self.disturb(id, now);
                } else {
                    self.calm();
                }
            }
            Err(failure) if failure.kind == FailureKind::Conflict => {
                let managers = managers_hash(live);
                let moved = self.managers.is_some_and(|before| before != managers);
                self.managers = Some(managers);
                if moved {
                    self.soon(now);
                }
            }
            Err(_) => {}
        }
    }

    /// Takes in that the object isn't there.
    pub fn absent(&mut self, id: &str, now: Instant) {
        self.seen = Seen::Absent;
        self.compared = None;
        let written = self.strategy.as_ref().is_some_and(Strategy::writes);
        if !written || self.is_complete() {
            return;
        }
        match &self.outcome {
            Ok(()) => self.disturb(id, now),
            Err(failure) if failure.kind == FailureKind::Conflict => self.soon(now),
            Err(_) => {}
        }
    }

    /// Takes in that the object can't be read.
    pub fn unreadable(&mut self, message: String, cause: String) {
        let same = matches!(&self.seen, Seen::Unreadable { cause: old, .. } if *old == cause);
        if !same {
            self.seen = Seen::Unreadable { message, cause };
        }
    }

    /// When to apply it again, if ever.
    pub fn due(&self) -> Option<Instant> {
        self.due.map(|due| due.at)
    }

    /// Whether the next application answers a change by somebody else.
    pub fn is_disturbed(&self) -> bool {
        self.due.is_some_and(|due| due.disturbed)
    }

    /// Whether it has done what it was for and is not applied again.
    pub fn is_complete(&self) -> bool {
        conditions::is_true(&self.rule_conditions, COMPLETE)
    }

    /// Its object, if its kind is known.
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// Whether nothing is known of its object yet.
    pub fn is_unseen(&self) -> bool {
        self.seen == Seen::NotYet
    }

    /// What its status is built from.
    pub fn facts(&self) -> ManifestFacts<'_> {
        ManifestFacts {
            meta: self.meta.clone(),
            applied: Some(match &self.outcome {
                Ok(()) => Ok(()),
                Err(failure) => Err(failure),
            }),
            generation: self.generation,
            seen: &self.seen,
            feedback: self.evaluated.as_ref(),
            rules: &self.rule_conditions,
        }
    }

    /// The name under which it is reported.
    pub fn meta(&self) -> &ResourceMeta {
        &self.meta
    }

    fn look_at(&mut self, live: &Value) {
        self.seen = Seen::present(live);
        self.evaluated = (!self.rules.is_empty()).then(|| self.rules.evaluate(live));
        self.rule_conditions = rules::evaluate(&self.condition_rules, live, self.generation);
    }

    fn is_changed(&self, live: &Value, owner: Option<&Owner>) -> bool {
        match &self.strategy {
            Some(Strategy::ServerSide {
                field_manager,
                ignore,
                ..
            }) if ignore.is_empty() => match (&self.mark, Mark::read(live, field_manager)) {
                (Some(mine), Some(now)) => *mine != now,
                _ => !covers(live, &self.text.to_value()),
            },
            // With ignored fields only a new life of the object is of interest: it lost its annotation.
            Some(Strategy::ServerSide { .. }) => ignore::live_hash(live).is_none(),
            Some(Strategy::Update) => {
                let Some(owner) = owner else {
                    return false;
                };
                let ownership = if self.owned {
                    Ownership::Own(owner)
                } else {
                    Ownership::Disown(owner)
                };
                let plan = merge::plan(&self.text.to_value(), live, ownership, Compare::Required);
                matches!(plan, Ok(Plan::Replace(_) | Plan::Recreate(_)))
            }
            Some(Strategy::CreateOnly | Strategy::ReadOnly) | None => false,
        }
    }

    fn disturb(&mut self, id: &str, now: Instant) {
        if self.due.is_none() {
            let before = if now.saturating_duration_since(self.tried) > CALM {
                0
            } else {
                self.disturbances
            };
            self.due = Some(Due {
                at: now + DISTURBED.wait(before + 1, id),
                disturbed: true,
            });
        }
    }

    /// The object is as it should be (again).
    fn calm(&mut self) {
        if self.is_disturbed() {
            self.due = None;
        }
    }

    fn soon(&mut self, now: Instant) {
        let at = now.max(self.tried + EVENT_GAP);
        if let Some(due) = &mut self.due {
            due.at = due.at.min(at);
        }
    }
}

/// Everything of an object that a manifest can ask for.
fn content_hash(live: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    object::uid(live).hash(&mut hasher);
    for (key, value) in live.as_object().into_iter().flatten() {
        match key.as_str() {
            "status" => {}
            "metadata" => {
                for part in ["labels", "annotations", "ownerReferences", "finalizers"] {
                    value.get(part).hash(&mut hasher);
                }
            }
            _ => (key, value).hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Who manages which fields, without the times.
fn managers_hash(live: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in live["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
    {
        if entry.get("subresource").is_none() {
            (&entry["manager"], &entry["operation"], &entry["fieldsV1"]).hash(&mut hasher);
        }
    }
    hasher.finish()
}
