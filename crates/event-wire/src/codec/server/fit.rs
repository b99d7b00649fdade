//! Status events that Go sources can still receive.
//!
//! Their gRPC library takes messages of at most 4 MiB and ends the stream at a larger one. A status event carries feedback
//! values (up to 1 MiB each) and the whole bundle, so it can grow beyond that. Then things are left out until it fits, and a
//! condition says so: raw JSON values, the largest first; the bundle; all other values. The last words of a resource are
//! cut down to the fact. What is still too large then, by its attributes or by one condition, can't be sent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use manifestwork::{
    Condition, FieldValue, ManifestCondition, conditions,
    constants::{
        condition::{DELETED, STATUS_FEEDBACK_SYNCED},
        reason::TOO_LARGE,
    },
};
use prost::Message as _;

use crate::{Error, Event, payload::ManifestBundleStatus, proto};

/// Most bytes of a status event on its way to a source: 4 MiB less 64 KiB for framing.
pub const MAX_STATUS_EVENT: usize = 4 * 1024 * 1024 - 64 * 1024;

/// Values that a condition names, at most; the others are counted.
const NAMED: usize = 8;
/// Characters of a name that are shown.
const NAME_SHOWN: usize = 64;
/// Bytes that the condition of a manifest takes, roughly: what is left out must make up for it.
const CONDITION: usize = 300;

/// Leaves things out until the event takes at most `limit` bytes on the wire. Tells whether anything was left out.
///
/// # Errors
/// Data that isn't the JSON of a status; [`Error::TooLarge`] when nothing more can be left out.
pub fn fit(event: &mut Event, limit: usize) -> Result<bool, Error> {
    let Some(excess) = excess(event, limit) else {
        return Ok(false);
    };
    let mut status: ManifestBundleStatus = event.json()?;
    let now = event.time.unwrap_or_default();
    let is_raw = |value: &FieldValue| matches!(value, FieldValue::JsonRaw(_));
    leave_out_values(&mut status, excess, is_raw, now);
    if try_with(event, &status, limit).is_none() {
        return Ok(true);
    }
    if let Some(bundle) = status.manifest_bundle.take() {
        let bytes = serde_json::to_vec(&bundle).map_or(0, |text| text.len());
        note(
            &mut status.conditions,
            &left_out("manifestBundle", bytes),
            now,
        );
    }
    let Some(excess) = try_with(event, &status, limit) else {
        return Ok(true);
    };
    leave_out_values(&mut status, excess, |_| true, now);
    let Some(mut excess) = try_with(event, &status, limit) else {
        return Ok(true);
    };
    if conditions::is_true(&status.conditions, DELETED) {
        status.resource_status.clear();
        status.conditions.retain(|one| one.type_ == DELETED);
        match try_with(event, &status, limit) {
            None => return Ok(true),
            Some(still) => excess = still,
        }
    }
    Err(Error::TooLarge {
        size: limit + excess,
        limit,
    })
}

/// How far an event is beyond the limit.
fn excess(event: &Event, limit: usize) -> Option<usize> {
    let size = proto::CloudEvent::from(event).encoded_len();
    size.checked_sub(limit).filter(|excess| *excess > 0)
}

fn try_with(event: &mut Event, status: &ManifestBundleStatus, limit: usize) -> Option<usize> {
    event.set_json(status);
    excess(event, limit)
}

/// Takes the largest of such values out, until they make up for `excess` bytes.
fn leave_out_values(
    status: &mut ManifestBundleStatus,
    excess: usize,
    wanted: impl Fn(&FieldValue) -> bool,
    now: Timestamp,
) {
    let mut values: Vec<(usize, usize, usize)> = Vec::new();
    for (manifest_index, manifest) in status.resource_status.iter().enumerate() {
        for (value_index, value) in manifest.status_feedback.values.iter().enumerate() {
            if wanted(&value.field_value) {
                values.push((size(&value.field_value), manifest_index, value_index));
            }
        }
    }
    values.sort_unstable_by_key(|value| std::cmp::Reverse(*value));
    let mut saved = 0;
    let mut costs = 0;
    let mut dropped: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (bytes, manifest, value) in values {
        if saved >= excess + costs {
            break;
        }
        let of_manifest = dropped.entry(manifest).or_default();
        if of_manifest.is_empty() {
            costs += CONDITION;
        }
        of_manifest.insert(value);
        // Inside a JSON string the text takes at least its own length.
        saved += bytes;
    }
    for (index, values) in dropped {
        if let Some(manifest) = status.resource_status.get_mut(index) {
            leave_out(manifest, &values, now);
        }
    }
}

fn leave_out(manifest: &mut ManifestCondition, indexes: &BTreeSet<usize>, now: Timestamp) {
    let all = std::mem::take(&mut manifest.status_feedback.values);
    let mut words = Vec::new();
    let (mut more, mut more_bytes) = (0, 0);
    for (index, value) in all.into_iter().enumerate() {
        if !indexes.contains(&index) {
            manifest.status_feedback.values.push(value);
            continue;
        }
        let bytes = size(&value.field_value);
        if words.len() < NAMED {
            let name: String = value.name.chars().take(NAME_SHOWN).collect();
            words.push(left_out(&name, bytes));
        } else {
            more += 1;
            more_bytes += bytes;
        }
    }
    if more > 0 {
        words.push(left_out(&format!("{more} more values"), more_bytes));
    }
    note(&mut manifest.conditions, &words.join("; "), now);
}

fn left_out(what: &str, bytes: usize) -> String {
    format!("{what} left out, {bytes} bytes: the status would be too large to deliver")
}

fn note(to: &mut Vec<Condition>, words: &str, now: Timestamp) {
    let earlier = conditions::find(to, STATUS_FEEDBACK_SYNCED)
        .filter(|condition| condition.reason == TOO_LARGE)
        .map(|condition| format!("{}; ", condition.message))
        .unwrap_or_default();
    let message = format!("{earlier}{words}");
    let condition = Condition::new(STATUS_FEEDBACK_SYNCED, false, TOO_LARGE, message);
    conditions::set(to, condition, now);
}

fn size(value: &FieldValue) -> usize {
    match value {
        FieldValue::JsonRaw(text) | FieldValue::String(text) => text.len(),
        FieldValue::Other(value) => value.to_string().len(),
        FieldValue::Integer(_) | FieldValue::Boolean(_) => 0,
    }
}
