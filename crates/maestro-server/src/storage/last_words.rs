//! The final status of resources whose cluster was removed by an operator: nobody else will ever report their end.

use std::collections::BTreeMap;

use event_wire::attribute::name;
use event_wire::{
    Action, Event, EventType, SERVER_SOURCE, SequenceGenerator, Stamp, Subresource, stored,
};
use jiff::Timestamp;
use manifestwork::constants::{condition, reason};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use uuid::Uuid;

use super::metadata::with_times;
use super::{Error, Forced};
use crate::model::{ResourceId, SourceId};

/// What last words are made of: the row without its spec, which nobody has to read for them.
pub(super) struct Row {
    pub(super) id: ResourceId,
    pub(super) source: SourceId,
    pub(super) version: i64,
    pub(super) created_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
    /// The metadata of the spec, a JSON object.
    pub(super) metadata: Option<String>,
    /// The last status, in the stored form.
    pub(super) status: Option<String>,
}

/// The last status of the row, with the condition that says who ended it; made by the server, later than all others.
pub(super) fn of(row: &Row, forced: &Forced, now: Timestamp) -> Result<String, Error> {
    let unreadable = |error: event_wire::Error| Error::other(error.to_string());
    let last = row
        .status
        .as_deref()
        .map(stored::from_str)
        .transpose()
        .map_err(unreadable)?;
    let sequence = SequenceGenerator::new();
    if let Some(Ok(stored)) = last.as_ref().map(Event::sequence_id) {
        sequence.advance_past(stored);
    }
    // What isn't touched stays as the agent wrote it.
    let mut data = last.as_ref().and_then(object).unwrap_or_default();
    let mut conditions: Vec<Value> = data
        .remove("conditions")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    conditions.retain(|known| known["type"] != condition::DELETED);
    conditions.push(json!({
        "type": condition::DELETED,
        "status": "True",
        "observedGeneration": row.version,
        "lastTransitionTime": go_compat::time::rfc3339_seconds(now),
        "reason": reason::CONSUMER_REMOVED,
        "message": format!("The consumer {} was removed: {}", forced.cluster, forced.reason),
    }));
    let conditions = to_raw_value(&conditions).map_err(|error| Error::other(error.to_string()))?;
    data.insert("conditions".into(), conditions);

    let metadata = row.metadata.as_deref().unwrap_or_default();
    let kind = EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest);
    let mut event = Event::new(
        kind,
        SERVER_SOURCE,
        Stamp {
            id: Uuid::new_v4(),
            time: now,
        },
    );
    event
        .set(name::RESOURCE_ID, row.id.as_str())
        .set(
            name::RESOURCE_VERSION,
            i32::try_from(row.version).unwrap_or(i32::MAX),
        )
        .set(name::CLUSTER_NAME, forced.cluster.as_str())
        .set(name::ORIGINAL_SOURCE, SERVER_SOURCE)
        .set(name::SEQUENCE_ID, sequence.next(now).to_string())
        .set(
            name::METADATA,
            with_times(metadata, row.created_at, row.deleted_at),
        )
        .set_json(&data);
    stored::to_string(&event).map_err(unreadable)
}

fn object(event: &Event) -> Option<BTreeMap<String, Box<RawValue>>> {
    event.json().ok()
}
