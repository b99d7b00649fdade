//! The server's side: what it reads from events that pass through, and what it changes on them.

pub mod fit;

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use manifestwork::{
    Condition, conditions, constants::condition::DELETED, serde_util::null_default,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::expect_bundles;
use crate::{
    Action, Error, Event, EventType, SERVER_SOURCE, SequenceId, Stamp, Subresource,
    attribute::name, payload::ResourceVersionList, trace::TraceContext,
};

/// What a stored resource says about its next spec event.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Id of the resource.
    pub id: &'a str,
    /// Current version.
    pub version: i32,
    /// Consumer that it belongs to.
    pub consumer: &'a str,
    /// When its deletion was asked for.
    pub deleted_at: Option<Timestamp>,
}

/// What a status event tells the server, without its feedback values.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusReport {
    /// Id of the resource.
    pub resource_id: String,
    /// Version that the status speaks about.
    pub resource_version: i32,
    /// Consumer that it comes from.
    pub cluster_name: String,
    /// Its place among the status events of the resource; absent only on deletions.
    pub sequence_id: Option<SequenceId>,
    /// When the agent's work was created, in whole seconds, if it says so: tells one life of an id from another.
    pub creation_timestamp: Option<Timestamp>,
    /// True if everything is gone from the cluster.
    pub deleted: bool,
}

/// The event that brings a stored spec to its agent: the stored event with the server's own identity on it.
///
/// Id and time are those of the source's publish, except for a deletion, which takes the stamp's.
///
/// # Errors
/// Stored metadata that can't be read.
pub fn spec_for_agent(
    stored: &Event,
    row: Row<'_>,
    action: Action,
    stamp: Stamp,
) -> Result<Event, Error> {
    let mut event = stored.clone();
    event.event_type = EventType::manifest_bundles(Subresource::Spec, action);
    SERVER_SOURCE.clone_into(&mut event.source);
    if let Some(text) = stored.metadata_text()? {
        let text = with_key(text, "name", row.id).map_err(|why| Error::Metadata { why })?;
        event.set(name::METADATA, text);
    }
    event
        .set(name::RESOURCE_ID, row.id)
        .set(name::RESOURCE_VERSION, row.version)
        .set(name::CLUSTER_NAME, row.consumer);
    if let Some(time) = row.deleted_at {
        event.id = stamp.id.to_string();
        event.time = Some(stamp.time);
        event.set(name::DELETION_TIMESTAMP, time);
    }
    Ok(event)
}

/// The event that tells an agent to remove a work that the server doesn't have. Carries the agent's version:
/// upstream's agent can't read it without one.
#[must_use]
pub fn orphan_deletion(id: &str, version: i32, consumer: &str, stamp: Stamp) -> Event {
    let kind = EventType::manifest_bundles(Subresource::Spec, Action::ResyncResponse);
    let mut event = Event::new(kind, SERVER_SOURCE, stamp);
    event
        .set(name::RESOURCE_ID, id)
        .set(name::RESOURCE_VERSION, version)
        .set(name::CLUSTER_NAME, consumer)
        .set(name::ORIGINAL_SOURCE, "")
        .set(name::DELETION_TIMESTAMP, stamp.time);
    event
}

/// Reads an agent's list of what it has: consumer and versions.
///
/// # Errors
/// No consumer, no data, or data that can't be read.
pub fn decode_spec_resync(event: &Event) -> Result<(&str, ResourceVersionList), Error> {
    Ok((event.cluster_name()?, event.json()?))
}

/// Reads an agent's status event.
///
/// # Errors
/// Another data type; `resourceid`, `resourceversion`, `clustername` or `originalsource` missing; another original source than
/// this server; a missing or bad `sequenceid` on anything but a deletion; data or metadata that can't be read.
pub fn decode_status(event: &Event) -> Result<StatusReport, Error> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default, deserialize_with = "null_default")]
        conditions: Vec<Condition>,
    }
    expect_bundles(event)?;
    let resource_id = event.resource_id()?.to_owned();
    let resource_version = event.resource_version()?;
    let cluster_name = event.cluster_name()?.to_owned();
    let original_source = event.original_source()?;
    if original_source != SERVER_SOURCE {
        return Err(Error::OriginalSource {
            found: original_source.to_owned(),
            resource_id,
        });
    }
    let head: Head = event.json()?;
    let deleted = conditions::is_true(&head.conditions, DELETED);
    let sequence_id = match event.sequence_id() {
        Ok(id) => Some(id),
        Err(_) if deleted => None,
        Err(error) => return Err(error),
    };
    let creation_timestamp = event
        .metadata()?
        .and_then(|metadata| metadata.creation_timestamp);
    Ok(StatusReport {
        resource_id,
        resource_version,
        cluster_name,
        sequence_id,
        creation_timestamp,
        deleted,
    })
}

/// The event that brings a status to sources: the agent's event with the metadata and the bundle of the stored spec, so that
/// a source without memory can rebuild the whole work. It belongs to the trace of the spec, unless the agent says otherwise.
///
/// # Errors
/// Stored status data that isn't a JSON object, or metadata that isn't text. [`Error::TooLarge`] when Go sources couldn't
/// receive it, although it was cut as [`fit`] describes.
pub fn status_for_source(status: &Event, spec: &Event) -> Result<Event, Error> {
    let mut event = status.clone();
    if let Some(text) = spec.metadata_text()? {
        event.set(name::METADATA, text);
    }
    // Agents that don't trace answer for the spec that they were given.
    if let Some(trace) = TraceContext::of(spec) {
        trace.lend_to(&mut event);
    }
    let status_data = status.data.as_deref().unwrap_or(b"{}");
    let mut object: BTreeMap<&str, &RawValue> =
        serde_json::from_slice(status_data).map_err(|error| Error::Data {
            why: error.to_string(),
        })?;
    let bundle = spec.data.as_deref().unwrap_or_default();
    if !bundle.is_empty() {
        let bundle = serde_json::from_slice(bundle).map_err(|error| Error::Data {
            why: error.to_string(),
        })?;
        object.insert("manifestBundle", bundle);
    }
    let mut data = Vec::with_capacity(status_data.len() + bundle.len() + BUNDLE_FRAME);
    serde_json::to_writer(&mut data, &object).expect("a map of JSON values prints as JSON");
    event.data = Some(Bytes::from(data));
    event.content_type = Some(crate::event::JSON.to_owned());
    fit::fit(&mut event, fit::MAX_STATUS_EVENT)?;
    Ok(event)
}

/// Bytes of the key of a bundle, and a few to spare.
const BUNDLE_FRAME: usize = 64;

/// The JSON object with one key set to text; everything else stays as it is.
fn with_key(object: &str, key: &str, value: &str) -> Result<String, String> {
    let value = serde_json::value::to_raw_value(value).expect("text prints as JSON");
    let mut object: BTreeMap<String, &RawValue> =
        serde_json::from_str(object).map_err(|error| error.to_string())?;
    object.insert(key.to_owned(), &value);
    Ok(serde_json::to_string(&object).expect("a map of JSON values prints as JSON"))
}
