//! One manifest, carried as the JSON text it came in.
//!
//! Works pass through four programs; only the first and the last look inside the manifests. So a [`Manifest`] is the text
//! itself (shared, cheap to clone): key order, number digits and unknown fields survive every hop.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::serde_util::null_default;

/// A Kubernetes object as JSON text.
///
/// Equality is that of the JSON values: key order and white space don't matter.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest(Arc<RawValue>);

/// The few fields of a manifest that routing and validation look at. Absent ones are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestMeta {
    /// `apiVersion`.
    #[serde(default, deserialize_with = "null_default")]
    pub api_version: String,
    /// `kind`.
    #[serde(default, deserialize_with = "null_default")]
    pub kind: String,
    /// `metadata`, identity only.
    #[serde(default, deserialize_with = "null_default")]
    pub metadata: Identity,
}

/// The part of a manifest's metadata that names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// `metadata.name`.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// `metadata.generateName`.
    #[serde(default, deserialize_with = "null_default")]
    pub generate_name: String,
    /// `metadata.namespace`.
    #[serde(default, deserialize_with = "null_default")]
    pub namespace: String,
}

// === impl Manifest ===

impl Manifest {
    /// A manifest from JSON text, kept as it is.
    ///
    /// # Errors
    /// Text that is not one JSON value.
    pub fn from_json(text: impl Into<String>) -> serde_json::Result<Self> {
        Ok(Self(RawValue::from_string(text.into())?.into()))
    }

    /// A manifest from a JSON value (keys are written in sorted order).
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let text = value.to_string();
        Self(
            RawValue::from_string(text)
                .expect("a JSON value prints as JSON")
                .into(),
        )
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Parses the whole manifest.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // The text was checked to be JSON; what remains is a depth beyond the parser's limit (128).
        serde_json::from_str(self.0.get()).unwrap_or(Value::Null)
    }

    /// The fields that name the manifest, without building a tree.
    ///
    /// # Errors
    /// The manifest is not an object, or one of the fields has another type than string.
    pub fn meta(&self) -> serde_json::Result<ManifestMeta> {
        serde_json::from_str(self.0.get())
    }

    /// Bytes of the text without white space between tokens: what the size rule counts.
    #[must_use]
    pub fn compact_len(&self) -> usize {
        compact_len(self.0.get())
    }
}

impl From<Box<RawValue>> for Manifest {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw.into())
    }
}

impl From<&Value> for Manifest {
    fn from(value: &Value) -> Self {
        Self::from_value(value)
    }
}

impl From<Value> for Manifest {
    fn from(value: Value) -> Self {
        Self::from_value(&value)
    }
}

impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() || self.to_value() == other.to_value()
    }
}

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A manifest may be a Secret: its name is enough for a log.
        let meta = self.meta().unwrap_or_default();
        write!(
            f,
            "Manifest({} {} {}/{}, {} bytes)",
            meta.api_version,
            meta.kind,
            meta.metadata.namespace,
            meta.metadata.name,
            self.as_str().len()
        )
    }
}

/// Levels of objects and arrays in JSON text. Nothing is allocated.
#[must_use]
pub fn depth(json: &str) -> usize {
    let (mut in_string, mut escaped, mut level, mut deepest) = (false, false, 0_usize, 0);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Length of JSON text without the white space between its tokens. Nothing is allocated.
#[must_use]
pub fn compact_len(json: &str) -> usize {
    let (mut in_string, mut escaped, mut length) = (false, false, 0);
    for byte in json.bytes() {
        if in_string {
            length += 1;
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            length += 1;
            in_string = byte == b'"';
        }
    }
    length
}

/// JSON text without the white space between its tokens; one copy, no tree.
#[must_use]
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    push_compact(&mut out, json);
    out
}

/// Appends what [`compact`] returns.
pub fn push_compact(out: &mut String, json: &str) {
    let mut rest = json;
    // Whole strings are copied at once; searching for a character is much faster than looking at each.
    while let Some(opening) = rest.find('"') {
        let (between, from_opening) = rest.split_at(opening);
        push_tokens(out, between);
        let string = from_opening.get(..string_len(from_opening));
        let (string, after) = match string {
            Some(string) => (string, from_opening.get(string.len()..)),
            None => (from_opening, None),
        };
        out.push_str(string);
        rest = after.unwrap_or_default();
    }
    push_tokens(out, rest);
}

/// What is between strings, without its white space.
fn push_tokens(out: &mut String, text: &str) {
    for token in text.split([' ', '\t', '\n', '\r']) {
        out.push_str(token);
    }
}

/// Bytes of the string that `text` starts with, both quotes included.
fn string_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = 1;
    while let Some(found) = text.get(end..).and_then(|rest| rest.find('"')) {
        let quote = end + found;
        let before = bytes.get(1..quote).unwrap_or_default();
        let escapes = before
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        end = quote + 1;
        if escapes % 2 == 0 {
            return end;
        }
    }
    text.len()
}
