//! A change of `.status`, and how the operator applies it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Type prefixes of conditions that the operator writes without `observedGeneration`.
const WITHOUT_GENERATION: [&str; 2] = ["ValidGCP", "GCP"];

/// What a step changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusPatch {
    /// Members of `.status` to replace whole.
    pub set: Map<String, Value>,
    /// Conditions to insert or update.
    pub conditions: Vec<ConditionPatch>,
    /// `Some`: the operator's finalizers from now on (a full list of its own; others' are not its business).
    pub finalizers: Option<Vec<String>>,
}

/// One condition of a [`StatusPatch`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConditionPatch {
    /// For example `Available`.
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A CamelCase word.
    pub reason: String,
    /// A sentence; may be empty.
    pub message: String,
}

impl StatusPatch {
    /// Whether applying this changes nothing in `.status`.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.conditions.is_empty()
    }

    /// Whether the patch has a condition of this type.
    pub fn has(&self, type_: &str) -> bool {
        self.conditions
            .iter()
            .any(|condition| condition.type_ == type_)
    }

    /// Sets a condition of the patch.
    pub fn put(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        let new = ConditionPatch {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        match self
            .conditions
            .iter_mut()
            .find(|known| known.type_ == type_)
        {
            Some(known) => *known = new,
            None => self.conditions.push(new),
        }
    }

    /// Applies the patch to `.status` (anything but an object is replaced by one).
    ///
    /// `lastTransitionTime` moves to `now` only when a condition's status changes; `observedGeneration` of every
    /// condition follows `generation` unless the object is being deleted, whose status is frozen but for what the
    /// deletion itself reports.
    pub fn apply(&self, status: &mut Value, now: Timestamp, generation: i64, deleting: bool) {
        if self.is_empty() {
            return;
        }
        if !status.is_object() {
            *status = json!({});
        }
        let Some(members) = status.as_object_mut() else {
            return;
        };
        for (name, value) in &self.set {
            members.insert(name.clone(), value.clone());
        }
        let conditions = members.entry("conditions").or_insert_with(|| json!([]));
        if !conditions.is_array() {
            *conditions = json!([]);
        }
        let Some(conditions) = conditions.as_array_mut() else {
            return;
        };
        for patch in &self.conditions {
            patch.apply(conditions, now, generation);
        }
        if !deleting {
            for condition in conditions {
                let counted = condition
                    .get("type")
                    .and_then(Value::as_str)
                    .is_some_and(has_generation);
                if let (true, Some(condition)) = (counted, condition.as_object_mut()) {
                    condition.insert("observedGeneration".into(), generation.into());
                }
            }
        }
    }
}

impl ConditionPatch {
    fn apply(&self, conditions: &mut Vec<Value>, now: Timestamp, generation: i64) {
        let known = conditions
            .iter_mut()
            .find(|known| known["type"] == self.type_.as_str());
        let since = known
            .as_ref()
            .filter(|known| known["status"] == self.status.as_str())
            .and_then(|known| known["lastTransitionTime"].as_str().map(str::to_owned))
            .unwrap_or_else(|| go_compat::time::rfc3339_seconds(now));
        let mut new = json!({
            "type": self.type_,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastTransitionTime": since,
        });
        if has_generation(&self.type_) {
            new["observedGeneration"] = generation.into();
        }
        match known {
            Some(known) => *known = new,
            None => conditions.push(new),
        }
    }
}

fn has_generation(type_: &str) -> bool {
    !WITHOUT_GENERATION
        .iter()
        .any(|prefix| type_.starts_with(prefix))
}
