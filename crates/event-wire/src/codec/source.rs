//! A source's side: specs down, status up.

use jiff::Timestamp;
use manifestwork::{
    ManifestWork, ObjectMeta, Status,
    constants::{RESOURCE_VERSION_ANNOTATION, SEQUENCE_ID_ANNOTATION},
};

use super::{expect_bundles, json_text, log_tracing};
use crate::{
    Action, Error, Event, EventType, Stamp, Subresource,
    attribute::name,
    payload::{ManifestBundle, ManifestBundleStatus, StatusHash, StatusHashList},
};

/// A spec event. The work's uid is its resource id, its namespace the consumer.
///
/// The version sent is that of the annotation [`RESOURCE_VERSION_ANNOTATION`] if it is there and not 0, otherwise the generation; 0 asks
/// the server not to check. A deletion has no data, and its time is the work's deletion time or the stamp's.
///
/// # Errors
/// No uid, a version that is no number or beyond 32 bits.
pub fn encode_spec(
    work: &ManifestWork,
    action: Action,
    source: &str,
    stamp: Stamp,
) -> Result<Event, Error> {
    let metadata = &work.metadata;
    if metadata.uid.is_empty() {
        return Err(Error::Work("the work has no uid".to_owned()));
    }
    let deletion = metadata
        .deletion_timestamp
        .or((action == Action::DeleteRequest).then_some(stamp.time));
    let mut event = Event::new(
        EventType::manifest_bundles(Subresource::Spec, action),
        source,
        stamp,
    );
    event
        .set(name::CLUSTER_NAME, metadata.namespace.as_str())
        .set(name::ORIGINAL_SOURCE, "")
        .set(name::RESOURCE_ID, metadata.uid.as_str())
        .set(name::RESOURCE_VERSION, version(metadata)?)
        .set(name::LOG_TRACING, log_tracing(metadata))
        .set(name::METADATA, metadata_text(metadata, deletion));
    match deletion {
        Some(time) => event.set(name::DELETION_TIMESTAMP, time),
        None => event.set_json(&ManifestBundle::from(&work.spec)),
    };
    Ok(event)
}

/// Asks for the status of works whose hash differs; of all works if there are no hashes.
#[must_use]
pub fn status_resync_request(source: &str, hashes: Vec<StatusHash>, stamp: Stamp) -> Event {
    let kind = EventType::manifest_bundles(Subresource::Status, Action::ResyncRequest);
    let mut event = Event::new(kind, source, stamp);
    event
        .set(name::CLUSTER_NAME, "")
        .set(name::ORIGINAL_SOURCE, "")
        .set_json(&StatusHashList {
            status_hashes: hashes,
        });
    event
}

/// The work that a status event on a source's stream speaks about. With the server's `manifestBundle` it is complete.
///
/// # Errors
/// Another data type; `resourceid`, `resourceversion` or `sequenceid` missing; data or metadata that can't be read.
pub fn decode_status(event: &Event) -> Result<ManifestWork, Error> {
    expect_bundles(event)?;
    let resource_id = event.resource_id()?;
    let version = event.resource_version()?;
    let sequence = event.sequence_id()?;
    let mut metadata = event.metadata()?.unwrap_or_default();
    resource_id.clone_into(&mut metadata.uid);
    metadata.generation = i64::from(version);
    metadata
        .annotations
        .insert(SEQUENCE_ID_ANNOTATION.to_owned(), sequence.to_string());
    if metadata.name.is_empty() {
        resource_id.clone_into(&mut metadata.name);
    }
    if metadata.namespace.is_empty() {
        event
            .cluster_name()
            .unwrap_or_default()
            .clone_into(&mut metadata.namespace);
    }
    let mut payload: ManifestBundleStatus = event.json()?;
    let spec = payload
        .manifest_bundle
        .take()
        .map(Into::into)
        .unwrap_or_default();
    Ok(ManifestWork {
        metadata,
        spec,
        status: Status::from(payload),
        ..ManifestWork::default()
    })
}

/// The version to send: annotation, else generation.
fn version(metadata: &ObjectMeta) -> Result<i32, Error> {
    let range = |number: i64| {
        i32::try_from(number)
            .map_err(|_| Error::Work(format!("the version {number} is beyond 32 bits")))
    };
    if let Some(text) = metadata.annotations.get(RESOURCE_VERSION_ANNOTATION) {
        let number: i64 = text.parse().map_err(|_| {
            Error::Work(format!(
                "annotation {RESOURCE_VERSION_ANNOTATION}: {text:?} is not an integer"
            ))
        })?;
        if number != 0 {
            return range(number);
        }
    }
    range(metadata.generation)
}

fn metadata_text(metadata: &ObjectMeta, deletion: Option<Timestamp>) -> String {
    let mut metadata = metadata.clone();
    if let Some(version) = metadata.annotations.get(RESOURCE_VERSION_ANNOTATION) {
        metadata.resource_version = version.clone();
    } else if metadata.resource_version.is_empty() {
        "0".clone_into(&mut metadata.resource_version);
    }
    metadata.deletion_timestamp = deletion;
    json_text(&metadata)
}
