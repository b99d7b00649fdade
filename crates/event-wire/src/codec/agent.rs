//! An agent's side: specs in, status and resync requests out.

use jiff::Timestamp;
use manifestwork::{
    ManifestWork, ObjectMeta,
    constants::{DATA_TYPE_ANNOTATION, ORIGINAL_SOURCE_LABEL, WORK_FINALIZER},
    hash::status_hash,
    validate,
};

use super::{expect_bundles, json_text, log_tracing};
use crate::{
    Action, Error, Event, EventType, MANIFEST_BUNDLES, SequenceId, Stamp, Subresource,
    attribute::name,
    payload::{
        ManifestBundle, ManifestBundleStatus, ResourceVersion, ResourceVersionList, StatusHashList,
    },
};

/// What a spec event tells an agent.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives from a decoder to the next match; most are the large one"
)]
pub enum SpecMessage {
    /// Bring the cluster to this state.
    Apply(ManifestWork),
    /// Remove what was applied.
    Delete(Deletion),
    /// The spec can't be applied. The work is known by its metadata, so that the source can be told.
    Invalid {
        /// Metadata as of a good work.
        metadata: ObjectMeta,
        /// What is wrong with it.
        reason: String,
    },
}

/// A work that is to go. Its spec is not needed and the version isn't compared: deletion always wins.
#[derive(Debug, Clone, PartialEq)]
pub struct Deletion {
    /// Metadata with deletion time and the one finalizer that an agent holds.
    pub metadata: ObjectMeta,
    /// When deletion was asked for.
    pub deletion_timestamp: Timestamp,
}

/// Reads a spec event. The action word isn't looked at: a deletion timestamp makes a deletion.
///
/// # Errors
/// Not a spec event about bundles; `resourceid` or `clustername` missing; `resourceversion` missing on anything but a deletion;
/// metadata or deletion time that can't be read. A spec that is wrong in itself is [`SpecMessage::Invalid`], not an error.
pub fn decode_spec(event: &Event) -> Result<SpecMessage, Error> {
    expect_bundles(event)?;
    if event.event_type.subresource != Subresource::Spec {
        return Err(Error::Work(format!(
            "unsupported event type {}",
            event.event_type
        )));
    }
    let resource_id = event.resource_id()?;
    let cluster = event.cluster_name()?;
    let deletion = event.deletion_timestamp()?;
    let version = match (event.resource_version(), deletion) {
        (Ok(version), _) => version,
        // Servers announce works that they don't know as deleted without a version.
        (Err(_), Some(_)) => 0,
        (Err(error), None) => return Err(error),
    };

    let mut metadata = event.metadata()?.unwrap_or_default();
    resource_id.clone_into(&mut metadata.uid);
    cluster.clone_into(&mut metadata.namespace);
    metadata.resource_version.clear();
    metadata.generation = i64::from(version);
    metadata
        .annotations
        .insert(DATA_TYPE_ANNOTATION.to_owned(), MANIFEST_BUNDLES.to_owned());
    metadata.annotations.extend(event.log_tracing());
    metadata
        .labels
        .insert(ORIGINAL_SOURCE_LABEL.to_owned(), event.source.clone());
    if metadata.name.is_empty() {
        resource_id.clone_into(&mut metadata.name);
    }
    if let Some(deletion_timestamp) = deletion {
        metadata.deletion_timestamp = Some(deletion_timestamp);
        metadata.finalizers = vec![WORK_FINALIZER.to_owned()];
        return Ok(SpecMessage::Delete(Deletion {
            metadata,
            deletion_timestamp,
        }));
    }
    metadata.deletion_timestamp = None;
    let bundle: ManifestBundle = match event.json() {
        Ok(bundle) => bundle,
        Err(error) => {
            return Ok(SpecMessage::Invalid {
                metadata,
                reason: error.to_string(),
            });
        }
    };
    let errors = validate::for_workload(&bundle.manifests);
    if !errors.is_empty() {
        let errors: Vec<_> = errors
            .into_iter()
            .map(|error| error.under("manifests"))
            .collect();
        return Ok(SpecMessage::Invalid {
            metadata,
            reason: validate::list(&errors),
        });
    }
    Ok(SpecMessage::Apply(ManifestWork {
        metadata,
        spec: bundle.into(),
        ..ManifestWork::default()
    }))
}

/// A status event. The work's uid is the resource id, its generation the version that the status speaks about.
///
/// # Errors
/// The work doesn't say whose it is (label [`ORIGINAL_SOURCE_LABEL`]), or its generation is beyond 32 bits.
pub fn encode_status(
    work: &ManifestWork,
    action: Action,
    agent: &str,
    sequence: SequenceId,
    stamp: Stamp,
) -> Result<Event, Error> {
    let metadata = &work.metadata;
    let original_source = metadata
        .labels
        .get(ORIGINAL_SOURCE_LABEL)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            Error::Work(format!(
                "failed to find originalsource from resource {}",
                metadata.uid
            ))
        })?;
    let version = i32::try_from(metadata.generation).map_err(|_| {
        Error::Work(format!(
            "the generation {} is beyond 32 bits",
            metadata.generation
        ))
    })?;
    let mut event = Event::new(
        EventType::manifest_bundles(Subresource::Status, action),
        agent,
        stamp,
    );
    event
        .set(name::RESOURCE_ID, metadata.uid.as_str())
        .set(name::RESOURCE_VERSION, version)
        .set(name::SEQUENCE_ID, sequence.to_string())
        .set(name::CLUSTER_NAME, metadata.namespace.as_str())
        .set(name::ORIGINAL_SOURCE, original_source.as_str())
        .set(name::STATUS_HASH, status_hash(&work.status))
        .set(name::LOG_TRACING, log_tracing(metadata))
        .set(
            name::METADATA,
            json_text(&ObjectMeta {
                resource_version: String::new(),
                ..metadata.clone()
            }),
        )
        .set_json(&ManifestBundleStatus::from(&work.status));
    Ok(event)
}

/// Tells the server what the agent has and asks for the rest; sent after every subscription.
#[must_use]
pub fn spec_resync_request(
    agent: &str,
    cluster: &str,
    versions: Vec<ResourceVersion>,
    stamp: Stamp,
) -> Event {
    let kind = EventType::manifest_bundles(Subresource::Spec, Action::ResyncRequest);
    let mut event = Event::new(kind, agent, stamp);
    event
        .set(name::CLUSTER_NAME, cluster)
        .set(name::ORIGINAL_SOURCE, "")
        .set_json(&ResourceVersionList {
            resource_versions: versions,
        });
    event
}

/// Reads a status resync request (only servers on MQTT and Pub/Sub send it).
///
/// # Errors
/// No data, or data that can't be read.
pub fn decode_status_resync(event: &Event) -> Result<StatusHashList, Error> {
    event.json()
}
