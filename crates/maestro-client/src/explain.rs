//! Where a work is and what it waits for; how it stands with the agent of a consumer.
//!
//! Servers of upstream don't know these questions: there, the calls end with [`Error::Protocol`].

use jiff::Timestamp;
use manifestwork::serde_util::null_default;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{Client, Error, bundle::segment, rest::Call};

/// Where a work is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Its agent isn't connected.
    WaitingForAgent,
    /// Its agent is connected; it will be sent.
    Queued,
    /// It was sent; the agent hasn't answered for this version.
    Sent,
    /// The agent has this version, and could not apply all of it.
    Failed,
    /// The agent has applied this version.
    Settled,
    /// The agent knows that it is to go, and is at it.
    Deleting,
    /// A newer server says something else.
    #[default]
    #[serde(other)]
    Other,
}

/// Where a work is, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Explanation {
    /// Id of the resource: the work's uid.
    pub id: String,
    /// For which consumer.
    pub consumer_name: String,
    /// Id of the consumer; empty if it is gone.
    pub consumer_id: String,
    /// Where it is.
    pub state: State,
    /// The same in one sentence, and what to do next.
    pub summary: String,
    /// What is stored.
    pub stored: Stored,
    /// The agent.
    pub agent: Agent,
    /// What was sent.
    pub delivery: Sending,
    /// What the agent said last.
    pub acknowledged: Option<Acknowledged>,
    /// What its end waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion: Option<DeletionProgress>,
}

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Stored {
    /// Counts spec changes.
    pub version: i64,
    /// Who published it.
    pub source: String,
    /// Id of the event that it came with.
    pub event_id: String,
    /// The trace that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When its spec or status was last written.
    pub updated_at: Option<Timestamp>,
    /// When its deletion was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleting_since: Option<Timestamp>,
}

/// The agent of a work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Agent {
    /// Whether it is connected.
    pub connected: bool,
    /// To which server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was last connected; none = never.
    pub last_seen: Option<Timestamp>,
    /// When it last said what it has.
    pub last_resync: Option<Timestamp>,
    /// Why its last stream ended, if it wasn't the agent's wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Fault>,
}

/// What was sent to the agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Sending {
    /// Whether it will be sent without anybody doing anything.
    pub queued: bool,
    /// What was sent last.
    pub sent: Option<SentOnce>,
    /// How often it was sent again because the agent didn't settle it.
    #[serde(deserialize_with = "null_default")]
    pub reminders: u32,
    /// When that happens next, if nothing is heard until then.
    pub next_retry: Option<Timestamp>,
    /// Why it could not be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Fault>,
}

/// An event that went out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SentOnce {
    /// Version of the work.
    pub version: i64,
    /// Id of the event.
    pub event_id: String,
    /// Its action, such as `create_request`.
    pub action: String,
    /// When.
    pub at: Option<Timestamp>,
    /// How often this version was sent.
    pub times: u32,
    /// By which server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// What went wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Fault {
    /// When.
    pub at: Option<Timestamp>,
    /// What.
    pub message: String,
}

/// What the agent said last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Acknowledged {
    /// The version that it is about.
    pub observed_version: i64,
    /// Its place among the statuses.
    pub sequence_id: String,
    /// When it was made, by the agent's clock.
    pub at: Option<Timestamp>,
    /// Status of the condition `Applied`.
    pub applied: String,
    /// Status of the condition `Available`.
    pub available: String,
    /// What could not be applied, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Trouble>,
}

/// A condition that doesn't hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Trouble {
    /// Which object: `kind namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
}

/// What the end of a work waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DeletionProgress {
    /// When it was asked for.
    pub since: Option<Timestamp>,
    /// The objects that are still there.
    pub waits_for: WaitsFor,
    /// What the agent says about the work as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The objects that are still there: a list, or text (`unknown`) when the agent doesn't say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WaitsFor {
    /// These, as of the last status.
    Objects(Vec<Remaining>),
    /// The agent hasn't said.
    Unknown(String),
}

/// An object on its way out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Remaining {
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Since when it is on its way out, as the cluster says.
    pub since: String,
    /// Who holds it.
    pub finalizers: Vec<String>,
}

/// A work that is sent again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Resend {
    /// Id of the resource.
    pub id: String,
    /// To whom.
    pub consumer_name: String,
    /// Its version.
    pub version: i64,
    /// Whether it is to go.
    pub deleting: bool,
    /// Whether the agent is connected; if not, it gets the work when it comes back.
    pub connected: bool,
}

/// How it stands with the deliveries to a consumer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumerDelivery {
    /// Id of the consumer.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its agent is connected.
    pub connected: bool,
    /// To which server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was last connected; none = never.
    pub last_seen: Option<Timestamp>,
    /// When it last said what it has.
    pub last_resync: Option<Timestamp>,
    /// Works that wait for a place on its stream.
    pub queued: u64,
    /// Works that it hasn't settled.
    pub pending: u64,
    /// Whether there are more than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pending_is_more: bool,
    /// Those among them that are to go.
    pub pending_deletions: u64,
    /// The one that waits longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_pending: Option<OldestPending>,
    /// Works of the agent that the server doesn't know and doesn't dare to delete.
    pub held_orphans: u64,
    /// Why its last stream ended, if it wasn't the agent's wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Fault>,
}

/// The work that waits longest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct OldestPending {
    /// Id of the resource.
    pub id: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Default for WaitsFor {
    fn default() -> Self {
        Self::Unknown("unknown".to_owned())
    }
}

impl WaitsFor {
    /// The objects; none when the agent doesn't say.
    #[must_use]
    pub fn objects(&self) -> Option<&[Remaining]> {
        match self {
            Self::Objects(objects) => Some(objects),
            Self::Unknown(_) => None,
        }
    }
}

// === impl Client ===

impl Client {
    /// Explains where a work is and what it waits for; `id` is its uid.
    ///
    /// # Errors
    /// Not found, a server that can't explain, or the call failed.
    pub async fn explain(&self, id: &str) -> Result<Explanation, Error> {
        let path = format!("/resource-bundles/{}/explain", segment(id)?);
        self.shared
            .rest
            .json(self.question(Method::GET, path, "resource bundle", id))
            .await
    }

    /// Asks for one more delivery of a work, wherever its agent is connected; `id` is its uid.
    ///
    /// # Errors
    /// Not found, a server that can't do it, or the call failed.
    pub async fn resend(&self, id: &str) -> Result<Resend, Error> {
        let path = format!("/resource-bundles/{}/resend", segment(id)?);
        self.shared
            .rest
            .json(self.question(Method::POST, path, "resource bundle", id))
            .await
    }

    /// How it stands with the deliveries to a consumer, by its id.
    ///
    /// # Errors
    /// Not found, a server that can't tell, or the call failed.
    pub async fn delivery(&self, consumer_id: &str) -> Result<ConsumerDelivery, Error> {
        let path = format!("/consumers/{}/delivery", segment(consumer_id)?);
        self.shared
            .rest
            .json(self.question(Method::GET, path, "consumer", consumer_id))
            .await
    }

    fn question<'a>(
        &'a self,
        method: Method,
        path: String,
        resource: &'static str,
        name: &'a str,
    ) -> Call<'a> {
        Call {
            method,
            path,
            query: Vec::new(),
            body: None,
            resource,
            name,
            operation_id: self.operation_id(),
            trace: self.trace(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_leniently() {
        let text = r#"{"kind":"ResourceBundleExplanation","id":"r1","state":"deleting","summary":"s","new":1,
            "deletion":{"since":"2026-01-01T00:00:00Z","waits_for":[{"kind":"ConfigMap","finalizers":["a/b"]}]}}"#;
        let found: Explanation = serde_json::from_str(text).unwrap();
        assert_eq!(found.state, State::Deleting);
        let deletion = found.deletion.unwrap();
        assert_eq!(deletion.waits_for.objects().unwrap()[0].finalizers, ["a/b"]);
        let text = r#"{"state":"asleep","deletion":{"waits_for":"unknown"}}"#;
        let found: Explanation = serde_json::from_str(text).unwrap();
        assert_eq!(found.state, State::Other);
        assert_eq!(found.deletion.unwrap().waits_for, WaitsFor::default());
    }
}
