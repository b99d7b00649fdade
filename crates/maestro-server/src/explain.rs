//! Where a resource is, what it waits for, and what to do next: pure conclusions from facts.
//! Page: `docs/protocol/maestro-explain.md`.

mod deletion;
mod words;

use event_wire::attribute::name;
use event_wire::payload::ManifestBundleStatus;
use event_wire::{Event, stored};
use jiff::{SignedDuration, Timestamp};
use manifestwork::constants::condition;
use manifestwork::{ConditionStatus, conditions};
use serde::Serialize;

use crate::model::Resource;
use crate::storage::facts::{Dispatch, LastPresence};

pub use deletion::{Deletion, Remaining, WaitsFor};

/// A note about a send that is older than the resource by more than this is about a former resource with the same id; less
/// is the difference of two clocks.
const CLOCKS: SignedDuration = SignedDuration::from_secs(2);

/// What is known when a resource is explained.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The row.
    pub row: &'a Resource,
    /// Id of its consumer, for links; empty if it has none.
    pub consumer_id: &'a str,
    /// How often and when it was sent.
    pub dispatch: &'a Dispatch,
    /// Its agent, as far as any server knows.
    pub presence: Option<&'a LastPresence>,
    /// Whether it waits for a place on a stream of this server.
    pub queued_here: bool,
    /// How long an agent may take before it is reminded.
    pub grace: SignedDuration,
    /// Now.
    pub now: Timestamp,
}

/// Where a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Where it is.
    pub state: State,
    /// The same in one sentence, and what to do next.
    pub summary: String,
    /// What is stored.
    pub stored: Stored,
    /// Its agent.
    pub agent: Agent,
    /// What was sent.
    pub delivery: Delivery,
    /// What the agent said last; `None` = nothing yet.
    pub acknowledged: Option<Acknowledged>,
    /// What its end waits for; `None` = it isn't to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
}

/// What is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stored {
    /// Counts spec changes.
    pub version: i64,
    /// Who published it.
    pub source: String,
    /// Id of the event that it came with.
    pub event_id: String,
    /// The trace that it belongs to, if its source said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its spec or status was last written.
    pub updated_at: Timestamp,
    /// When its deletion was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleting_since: Option<Timestamp>,
}

/// The agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Agent {
    /// Whether it is connected to a server like this one.
    pub connected: bool,
    /// To which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was last connected; `None` = never.
    pub last_seen: Option<Timestamp>,
    /// When it last said what it has.
    pub last_resync: Option<Timestamp>,
    /// Why its last stream ended, if it wasn't the agent's wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Fault>,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Delivery {
    /// Whether it will be sent without anybody doing anything.
    pub queued: bool,
    /// What was sent last; `None` = nothing that is known of.
    pub sent: Option<SentOnce>,
    /// How often it was sent again because the agent didn't settle it.
    pub reminders: u32,
    /// When that happens next, if nothing is heard until then.
    pub next_retry: Option<Timestamp>,
    /// Why it could not be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Fault>,
}

/// An event that went out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SentOnce {
    /// Version of the resource.
    pub version: i64,
    /// Id of the event.
    pub event_id: String,
    /// Its action, such as `create_request`.
    pub action: String,
    /// When.
    pub at: Timestamp,
    /// How often this version was sent.
    pub times: u32,
    /// By which server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// When.
    pub at: Timestamp,
    /// What.
    pub message: String,
}

/// What the agent said last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Acknowledged {
    /// The version that it is about.
    pub observed_version: i64,
    /// Its place among the statuses.
    pub sequence_id: String,
    /// When it was made, by the agent's clock.
    pub at: Option<Timestamp>,
    /// Status of the condition `Applied`: `True`, `False` or `Unknown`.
    pub applied: String,
    /// Status of the condition `Available`.
    pub available: String,
    /// What the first manifest says that could not be applied, or the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Trouble>,
}

/// A condition that doesn't hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trouble {
    /// Which object, if it is about one: `kind namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
}

/// Explains a resource.
#[must_use]
pub fn explain(facts: &Facts<'_>) -> Explanation {
    let row = facts.row;
    let spec = stored::from_str(&row.payload).ok();
    let status = row
        .status
        .as_deref()
        .and_then(|json| stored::from_str(json).ok());
    let report: Option<ManifestBundleStatus> = status.as_ref().and_then(|event| event.json().ok());
    let agent = agent(facts.presence);
    let acknowledged = status
        .as_ref()
        .map(|event| acknowledged(event, report.as_ref()));
    let sent = facts
        .dispatch
        .sent
        .as_ref()
        .filter(|sent| sent.at.duration_since(row.created_at) >= -CLOCKS);
    let was_sent = sent.is_some_and(|sent| {
        sent.times > 0 && (sent.version, sent.deleting) == (row.version, row.deleted_at.is_some())
    });
    let settled = row.deleted_at.is_none()
        && acknowledged
            .as_ref()
            .is_some_and(|said| said.observed_version == row.version);
    let deletion = row
        .deleted_at
        .map(|since| deletion::of(since, report.as_ref()));
    let state = if settled {
        match &acknowledged {
            Some(said) if said.applied == "False" => State::Failed,
            _ => State::Settled,
        }
    } else if !agent.connected {
        State::WaitingForAgent
    } else if facts.queued_here || !was_sent {
        State::Queued
    } else if deletion.is_some() {
        State::Deleting
    } else {
        State::Sent
    };
    let unsettled_since = row.deleted_at.unwrap_or(row.updated_at);
    let next_retry = (!settled && agent.connected).then(|| {
        let due = facts.dispatch.next_reminder.unwrap_or(
            unsettled_since
                .saturating_add(facts.grace)
                .unwrap_or(facts.now),
        );
        due.max(facts.now)
    });
    let delivery = Delivery {
        queued: state == State::Queued,
        sent: sent.filter(|sent| sent.times > 0).map(|sent| SentOnce {
            version: sent.version,
            event_id: sent.event.clone(),
            action: sent.action.to_string(),
            at: sent.at,
            times: sent.times,
            instance: facts.dispatch.instance.clone(),
        }),
        reminders: facts.dispatch.reminders,
        next_retry,
        last_error: sent.and_then(|sent| sent.error.as_ref()).map(fault),
    };
    let mut explanation = Explanation {
        state,
        summary: String::new(),
        stored: Stored {
            version: row.version,
            source: row.source.to_string(),
            event_id: spec
                .as_ref()
                .map(|event| event.id.clone())
                .unwrap_or_default(),
            traceparent: spec
                .as_ref()
                .and_then(|event| text(event, name::TRACE_PARENT)),
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleting_since: row.deleted_at,
        },
        agent,
        delivery,
        acknowledged,
        deletion,
    };
    explanation.summary = words::summary(&explanation, facts);
    explanation
}

fn agent(presence: Option<&LastPresence>) -> Agent {
    let Some(presence) = presence else {
        return Agent::default();
    };
    Agent {
        connected: presence.instance.is_some(),
        instance: presence.instance.clone(),
        since: presence.since,
        last_seen: Some(presence.last_seen),
        last_resync: presence.last_resync,
        last_error: presence.last_error.as_ref().map(fault),
    }
}

fn fault((at, message): &(Timestamp, String)) -> Fault {
    Fault {
        at: *at,
        message: message.clone(),
    }
}

fn acknowledged(event: &Event, report: Option<&ManifestBundleStatus>) -> Acknowledged {
    let no_conditions = Vec::new();
    let work = report.map_or(&no_conditions, |report| &report.conditions);
    let status = |kind: &str| conditions::status_of(work, kind).to_string();
    Acknowledged {
        observed_version: event.resource_version().unwrap_or_default().into(),
        sequence_id: text(event, name::SEQUENCE_ID).unwrap_or_default(),
        at: event.time,
        applied: status(condition::APPLIED),
        available: status(condition::AVAILABLE),
        problem: report.and_then(trouble),
    }
}

/// The first manifest that could not be applied; if there is none, what the work says about itself.
fn trouble(report: &ManifestBundleStatus) -> Option<Trouble> {
    for manifest in &report.resource_status {
        let Some(failed) = failed(&manifest.conditions) else {
            continue;
        };
        return Some(Trouble {
            object: Some(words::object(&manifest.resource_meta)),
            ..failed
        });
    }
    failed(&report.conditions)
}

fn failed(list: &[manifestwork::Condition]) -> Option<Trouble> {
    let applied = conditions::find(list, condition::APPLIED)?;
    (applied.status == ConditionStatus::False).then(|| Trouble {
        object: None,
        reason: applied.reason.clone(),
        message: applied.message.clone(),
    })
}

fn text(event: &Event, name: &str) -> Option<String> {
    let value = event.extensions.get(name)?;
    value.as_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests;
