//! Status events that Go sources can still receive.
//!
//! Their gRPC library takes messages of at most 4 MiB and ends the stream at a larger one. A status event carries feedback
//! values (up to 1 MiB each) and the whole bundle, so it can grow beyond that. Then raw JSON values are left out, the largest first,
//! and a condition says so.

use jiff::Timestamp;
use manifestwork::{
    Condition, FieldValue, ManifestCondition, conditions,
    constants::{condition::STATUS_FEEDBACK_SYNCED, reason::TOO_LARGE},
};

use crate::{Attribute, Error, Event, payload::ManifestBundleStatus};

/// Most bytes of a status event on its way to a source: 4 MiB less 64 KiB for framing and small attributes.
pub const MAX_STATUS_EVENT: usize = 4 * 1024 * 1024 - 64 * 1024;

/// Leaves out raw feedback values until the event takes at most `limit` bytes. Tells whether anything was left out.
///
/// # Errors
/// Data that isn't the JSON of a status.
pub fn fit(event: &mut Event, limit: usize) -> Result<bool, Error> {
    let size = size(event);
    if size <= limit {
        return Ok(false);
    }
    let mut status: ManifestBundleStatus = event.json()?;
    let mut excess = size - limit;
    let mut values: Vec<(usize, usize, usize)> = Vec::new();
    for (manifest_index, manifest) in status.resource_status.iter().enumerate() {
        for (value_index, value) in manifest.status_feedback.values.iter().enumerate() {
            if let FieldValue::JsonRaw(text) = &value.field_value {
                values.push((text.len(), manifest_index, value_index));
            }
        }
    }
    values.sort_unstable_by_key(|value| std::cmp::Reverse(*value));
    let mut dropped: Vec<(usize, usize)> = Vec::new();
    for (length, manifest_index, value_index) in values {
        if excess == 0 {
            break;
        }
        // Inside a JSON string the text takes at least its own length.
        excess = excess.saturating_sub(length);
        dropped.push((manifest_index, value_index));
    }
    if dropped.is_empty() {
        return Ok(false);
    }
    let now = event.time.unwrap_or_default();
    // From the back, so that the remaining indexes stay right.
    dropped.sort_unstable_by(|one, other| other.cmp(one));
    for (manifest_index, value_index) in dropped {
        if let Some(manifest) = status.resource_status.get_mut(manifest_index) {
            leave_out(manifest, value_index, now);
        }
    }
    event.set_json(&status);
    Ok(true)
}

fn leave_out(manifest: &mut ManifestCondition, index: usize, now: Timestamp) {
    let value = manifest.status_feedback.values.remove(index);
    let earlier = conditions::find(&manifest.conditions, STATUS_FEEDBACK_SYNCED)
        .filter(|condition| condition.reason == TOO_LARGE)
        .map(|condition| format!("{}; ", condition.message))
        .unwrap_or_default();
    let length = match &value.field_value {
        FieldValue::JsonRaw(text) => text.len(),
        _ => 0,
    };
    let message = format!(
        "{earlier}{} left out, {length} bytes: the status would be too large to deliver",
        value.name
    );
    conditions::set(
        &mut manifest.conditions,
        Condition::new(STATUS_FEEDBACK_SYNCED, false, TOO_LARGE, message),
        now,
    );
}

/// Bytes that the event takes, without the few of its framing.
fn size(event: &Event) -> usize {
    let text = |attribute: &Attribute| match attribute {
        Attribute::String(text) | Attribute::Uri(text) | Attribute::UriRef(text) => text.len(),
        Attribute::Bytes(bytes) => bytes.len(),
        _ => 16,
    };
    let attributes: usize = event
        .extensions
        .iter()
        .map(|(name, value)| name.len() + text(value))
        .sum();
    attributes + event.data.as_ref().map_or(0, bytes::Bytes::len)
}
