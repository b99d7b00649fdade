//! What is known about an object on the cluster.

use kube_access::object;
use manifestwork::conditions::Condition;
use manifestwork::constants::condition;
use serde_json::{Value, json};

/// What is known about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nobody looked yet.
    NotYet,
    /// It is there.
    Present {
        /// Its life.
        uid: String,
        /// Set while it is on its way out.
        terminating: Option<Terminating>,
    },
    /// It isn't there.
    Absent,
    /// It can't be read.
    Unreadable {
        /// For the condition.
        message: String,
        /// What identifies the cause; see [`crate::failure::Failure::cause`].
        cause: String,
    },
    /// There is no resource, version or name to look for.
    Incomplete,
}

/// An object on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminating {
    /// Since when, as the object says it.
    pub since: String,
    /// Who holds it.
    pub finalizers: Vec<String>,
}

/// Reason of the condition while finalizers hold an object.
pub const WAITING_FOR_FINALIZERS: &str = "WaitingForFinalizers";
/// Reason of the condition while an object ends without finalizers, as a pod in its grace period.
pub const TERMINATING: &str = "Terminating";

// === impl Seen ===

impl Seen {
    /// Reads an object that is there.
    pub fn present(live: &Value) -> Self {
        Self::Present {
            uid: object::uid(live).unwrap_or_default().to_owned(),
            terminating: Terminating::read(live),
        }
    }

    /// What holds the object, if it is on its way out.
    pub fn terminating(&self) -> Option<&Terminating> {
        match self {
            Self::Present { terminating, .. } => terminating.as_ref(),
            _ => None,
        }
    }
}

// === impl Terminating ===

impl Terminating {
    /// `None` for an object that isn't on its way out (or isn't an object but a `Status`).
    pub fn read(live: &Value) -> Option<Self> {
        Some(Self {
            since: object::deletion_timestamp(live)?.to_owned(),
            finalizers: object::finalizers(live)
                .into_iter()
                .map(str::to_owned)
                .collect(),
        })
    }

    /// The condition `Deleting` of a manifest. Its message is JSON for programs: `{"since":…,"finalizers":[…]}`.
    pub fn condition(&self) -> Condition {
        let reason = if self.finalizers.is_empty() {
            TERMINATING
        } else {
            WAITING_FOR_FINALIZERS
        };
        let message = json!({"since": self.since, "finalizers": self.finalizers}).to_string();
        Condition::new(condition::DELETING, true, reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_tells_programs_who_holds_an_object() {
        let live = json!({"metadata": {"uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}});
        let seen = Seen::present(&live);
        let condition = seen.terminating().unwrap().condition();
        assert_eq!(condition.type_, "Deleting");
        assert_eq!(condition.reason, WAITING_FOR_FINALIZERS);
        let message: Value = serde_json::from_str(&condition.message).unwrap();
        assert_eq!(
            message,
            json!({"since": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]})
        );
        assert_eq!(Terminating::read(&json!({"metadata": {}})), None);
    }
}
