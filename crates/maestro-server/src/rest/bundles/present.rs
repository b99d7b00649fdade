//! A row as the JSON that clients see. Manifests are copied as text; no tree is built of them.

use std::borrow::Cow;

use event_wire::attribute::name;
use event_wire::{Event, stored};
use manifestwork::manifest::push_compact;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::list::Parameters;
use super::super::response::BASE;
use crate::model::Resource;
use crate::seldom::seldom;
use crate::storage::metadata::with_times;

/// The keys of an item.
pub(super) const KEYS: &[&str] = &[
    "id",
    "kind",
    "href",
    "name",
    "consumer_name",
    "version",
    "created_at",
    "updated_at",
    "deleted_at",
    "metadata",
    "manifests",
    "manifest_configs",
    "delete_option",
    "status",
    "source",
    "executer",
];

/// What is shown of a stored spec; parts of its text.
#[derive(Default, Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<Bundle<'a>>,
}

#[derive(Default, Deserialize)]
struct Bundle<'a> {
    #[serde(borrow)]
    manifests: Option<&'a RawValue>,
    #[serde(borrow, rename = "manifestConfigs")]
    manifest_configs: Option<&'a RawValue>,
    #[serde(borrow, rename = "deleteOption")]
    delete_option: Option<&'a RawValue>,
    #[serde(borrow)]
    executer: Option<&'a RawValue>,
}

/// What is shown of a stored status.
#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(default)]
    resourceversion: i64,
    #[serde(borrow, default)]
    sequenceid: Cow<'a, str>,
    #[serde(borrow, default)]
    data: StatusData<'a>,
}

#[derive(Default, Deserialize)]
struct StatusData<'a> {
    #[serde(borrow)]
    conditions: Option<&'a RawValue>,
    #[serde(borrow, rename = "resourceStatus")]
    resource_status: Option<&'a RawValue>,
}

/// A row with all its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) text: String,
    /// Bytes before the keys that only full views have.
    pub(super) brief: usize,
}

impl Item {
    /// Appends the item as a list shows it.
    pub(super) fn push(&self, full: bool, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.text.as_bytes());
        if !full {
            cut(out, start + self.brief);
        }
    }
}

/// Ends an item that was written to the end of `out` before the keys that only full views have.
pub(super) fn cut(out: &mut Vec<u8>, at: usize) {
    out.truncate(at);
    out.push(b'}');
}

/// Writes a row with all its keys.
pub(super) fn item(row: &Resource) -> Item {
    let mut text = String::new();
    let brief = write(row, &Parameters::everything(), &mut text);
    Item { text, brief }
}

/// Writes a row; returns how many bytes of it come before the keys that only full views have. A row that can't be decoded is
/// written with what is known of it, so that it doesn't spoil a list.
pub(super) fn write(row: &Resource, parameters: &Parameters, out: &mut String) -> usize {
    let start = out.len();
    // Documents are scanned once and copied once. What isn't of the usual form is decoded thoroughly.
    let thorough;
    let spec: Spec<'_> = match serde_json::from_str(&row.payload) {
        Ok(spec) => spec,
        Err(_) => {
            thorough = decoded(&row.payload, row);
            thorough.as_ref().map(of_event).unwrap_or_default()
        }
    };
    let bundle = spec.data.unwrap_or_default();
    out.reserve(row.payload.len() + row.status.as_ref().map_or(0, String::len) + FRAME);
    out.push('{');
    let mut first = true;
    let mut key = |out: &mut String, name: &str, value: &dyn Fn(&mut String)| {
        if parameters.wants(name) {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            push_json(out, name);
            out.push(':');
            value(out);
        }
    };
    key(out, "id", &|out| push_json(out, row.id.as_str()));
    key(out, "kind", &|out| push_json(out, "ResourceBundle"));
    key(out, "href", &|out| {
        push_json(out, &format!("{BASE}/resource-bundles/{}", row.id))
    });
    key(out, "name", &|out| push_json(out, row.id.as_str()));
    key(out, "consumer_name", &|out| {
        push_json(out, row.cluster.as_str())
    });
    key(out, "version", &|out| {
        out.push_str(&row.version.to_string())
    });
    key(out, "created_at", &|out| {
        push_json(out, &row.created_at.to_string())
    });
    key(out, "updated_at", &|out| {
        push_json(out, &row.updated_at.to_string())
    });
    if let Some(deleted_at) = row.deleted_at {
        key(out, "deleted_at", &|out| {
            push_json(out, &deleted_at.to_string())
        });
    }
    key(out, "metadata", &|out| match spec.metadata {
        Some(metadata) => {
            let metadata = with_times(metadata.get(), row.created_at, row.deleted_at);
            push_compact(out, &metadata);
        }
        None => out.push_str("{}"),
    });
    key(out, "manifests", &|out| {
        push_raw(out, bundle.manifests, "[]")
    });
    key(out, "manifest_configs", &|out| {
        push_raw(out, bundle.manifest_configs, "[]")
    });
    key(out, "delete_option", &|out| {
        push_raw(out, bundle.delete_option, "{}")
    });
    if let Some(status) = row.status.as_deref() {
        match serde_json::from_str::<Status<'_>>(status) {
            Ok(status) => key(out, "status", &|out| push_status(out, &status)),
            Err(_) => {
                if let Some(event) = decoded(status, row) {
                    key(out, "status", &|out| {
                        push_status(out, &of_status_event(&event))
                    });
                }
            }
        }
    }
    let brief = out.len() - start;
    if parameters.full {
        key(out, "source", &|out| push_json(out, row.source.as_str()));
        if bundle.executer.is_some() {
            key(out, "executer", &|out| push_raw(out, bundle.executer, "{}"));
        }
    }
    out.push('}');
    brief
}

/// Room for the keys that aren't documents.
const FRAME: usize = 512;

fn of_event(event: &Event) -> Spec<'_> {
    let metadata = event.metadata_text().ok().flatten();
    Spec {
        metadata: metadata.and_then(|text| serde_json::from_str(text).ok()),
        data: event
            .data
            .as_deref()
            .and_then(|data| serde_json::from_slice(data).ok()),
    }
}

fn of_status_event(event: &Event) -> Status<'_> {
    let sequence = event.extensions.get(name::SEQUENCE_ID);
    Status {
        resourceversion: event.resource_version().unwrap_or_default().into(),
        sequenceid: sequence
            .and_then(|value| value.as_str().ok())
            .unwrap_or_default()
            .into(),
        data: event
            .data
            .as_deref()
            .and_then(|data| serde_json::from_slice(data).ok())
            .unwrap_or_default(),
    }
}

fn decoded(json: &str, row: &Resource) -> Option<Event> {
    stored::from_str(json)
        .inspect_err(|error| seldom!(error, id = %row.id, %error, "A stored event can't be read."))
        .ok()
}

fn push_status(out: &mut String, status: &Status<'_>) {
    let Status {
        resourceversion: version,
        sequenceid: sequence,
        data,
    } = status;
    out.push_str(&format!(r#"{{"ObservedVersion":{version},"SequenceID":"#));
    push_json(out, sequence);
    out.push_str(r#","conditions":"#);
    push_raw(out, data.conditions, "[]");
    if data.resource_status.is_some() {
        out.push_str(r#","resourceStatus":"#);
        push_raw(out, data.resource_status, "[]");
    }
    out.push('}');
}

fn push_raw(out: &mut String, raw: Option<&RawValue>, default: &str) {
    let text = raw.map(RawValue::get).filter(|text| *text != "null");
    // PostgreSQL puts spaces between tokens; scripts search answers for texts without.
    push_compact(out, text.unwrap_or(default));
}

fn push_json(out: &mut String, text: &(impl Serialize + ?Sized)) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
