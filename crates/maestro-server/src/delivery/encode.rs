//! Stored rows as the events that leave the server.

use std::borrow::Cow;

use event_wire::attribute::name;
use event_wire::codec::server::{self, Row};
use event_wire::{Action, Error, Event, Stamp, proto, stored};
use jiff::Timestamp;

use super::agenda::Why;
use super::recent::Found;
use crate::storage::{Removal, metadata};

/// The event that tells an agent about a resource.
pub(super) fn spec(found: &Found, why: Why) -> Result<proto::CloudEvent, Error> {
    let row = &found.row;
    let mut event = spec_of(found)?;
    set_times(&mut event, row.created_at, row.deleted_at)?;
    let action = match (why, row.deleted_at) {
        (Why::Resync, _) => Action::ResyncResponse,
        (_, Some(_)) => Action::DeleteRequest,
        (Why::Created, None) => Action::CreateRequest,
        (Why::Updated | Why::Deleted, None) => Action::UpdateRequest,
    };
    let version = i32::try_from(row.version)
        .map_err(|_| Error::Work(format!("the version {} is beyond 32 bits", row.version)))?;
    let wire_row = Row {
        id: row.id.as_str(),
        version,
        consumer: row.cluster.as_str(),
        deleted_at: row.deleted_at,
    };
    let stamp = Stamp::now();
    Ok(server::spec_for_agent(&event, wire_row, action, stamp)?.into())
}

/// The action in an event type that was made by [`spec`].
pub(super) fn action_of(event_type: &str) -> Cow<'static, str> {
    const KNOWN: [&str; 4] = [
        "create_request",
        "update_request",
        "delete_request",
        "resync_response",
    ];
    let action = event_type.rsplit('.').next().unwrap_or_default();
    match KNOWN.into_iter().find(|known| *known == action) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(action.to_owned()),
    }
}

/// The event that tells a source about a resource's status; `None` while there is none.
pub(super) fn status(found: &Found) -> Result<Option<proto::CloudEvent>, Error> {
    let row = &found.row;
    let status = match (&found.status, row.status.as_deref()) {
        (Some(kept), _) => Event::clone(kept),
        (None, Some(text)) => stored::from_str(text)?,
        (None, None) => return Ok(None),
    };
    let mut spec = spec_of(found)?;
    set_times(&mut spec, row.created_at, row.deleted_at)?;
    for_source(&status, &spec).map(Some)
}

/// The event that tells a source about the end of a resource.
pub(super) fn removal(removal: &Removal) -> Result<proto::CloudEvent, Error> {
    let status = stored::from_str(&removal.status)?;
    let mut spec = stored::from_str(&removal.payload)?;
    // The final status was stored with the metadata of its spec, times included.
    if let Some(text) = status.metadata_text()? {
        spec.set(name::METADATA, text);
    }
    for_source(&status, &spec)
}

fn spec_of(found: &Found) -> Result<Event, Error> {
    match &found.spec {
        Some(kept) => Ok(Event::clone(kept)),
        None => stored::from_str(&found.row.payload),
    }
}

fn set_times(
    event: &mut Event,
    created_at: Timestamp,
    deleted_at: Option<Timestamp>,
) -> Result<(), Error> {
    if let Some(text) = event.metadata_text()? {
        let text = metadata::with_times(text, created_at, deleted_at);
        event.set(name::METADATA, text);
    }
    Ok(())
}

fn for_source(status: &Event, spec: &Event) -> Result<proto::CloudEvent, Error> {
    Ok(server::status_for_source(status, spec)?.into())
}
