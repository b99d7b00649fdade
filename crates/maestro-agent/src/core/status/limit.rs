//! Statuses that would be too large for their receivers lose raw values, largest first, and say so.

use std::collections::{BTreeMap, BTreeSet};

use manifestwork::FieldValue;

use super::ManifestFacts;

/// Most bytes of a status event. Receivers take 4 MiB; 64 KiB are left for what surrounds the status.
pub const MAX_STATUS_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// Room for conditions and names of one manifest, in bytes; they are much smaller in practice.
const MANIFEST_OVERHEAD: usize = 2 * 1024;

/// What one manifest loses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Names of the values.
    pub names: BTreeSet<String>,
    /// Their length together.
    bytes: usize,
}

impl LeftOut {
    pub(super) fn message(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        format!(
            "{} ({} bytes) left out: a status may take at most {MAX_STATUS_BYTES} bytes",
            names.join(", "),
            self.bytes
        )
    }
}

/// By index of the manifest, the values that don't fit.
pub(super) fn left_out(manifests: &[ManifestFacts<'_>]) -> BTreeMap<usize, LeftOut> {
    let mut total = manifests.len() * MANIFEST_OVERHEAD;
    let mut values: Vec<(usize, usize, &str)> = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        for value in manifest
            .feedback
            .iter()
            .flat_map(|evaluated| &evaluated.values)
        {
            let bytes = match &value.field_value {
                FieldValue::JsonRaw(text) | FieldValue::String(text) => escaped_len(text),
                _ => 0,
            };
            total += bytes;
            if matches!(value.field_value, FieldValue::JsonRaw(_)) {
                values.push((bytes, index, &value.name));
            }
        }
    }
    let mut lost: BTreeMap<usize, LeftOut> = BTreeMap::new();
    if total <= MAX_STATUS_BYTES {
        return lost;
    }
    values.sort();
    while total > MAX_STATUS_BYTES
        && let Some((bytes, index, name)) = values.pop()
    {
        total -= bytes;
        let entry = lost.entry(index).or_default();
        entry.names.insert(name.to_owned());
        entry.bytes += bytes;
    }
    lost
}

/// Bytes of a text inside of a JSON string.
fn escaped_len(text: &str) -> usize {
    let escapes: usize = text
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' => 1,
            0..=0x1f => 5,
            _ => 0,
        })
        .sum();
    text.len() + escapes
}
