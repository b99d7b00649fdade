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

/// Writes a row. One that can't be decoded is written with what is known of it, so that it doesn't spoil a list.
pub(super) fn write(row: &Resource, parameters: &Parameters, out: &mut String) {
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
    let mut key = |name: &str, value: &dyn Fn(&mut String)| {
        if parameters.wants(name) {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            push_json(out, name);
            out.push(':');
            value(out);
        }
    };
    key("id", &|out| push_json(out, row.id.as_str()));
    key("kind", &|out| push_json(out, "ResourceBundle"));
    key("href", &|out| {
        push_json(out, &format!("{BASE}/resource-bundles/{}", row.id))
    });
    key("name", &|out| push_json(out, row.id.as_str()));
    key("consumer_name", &|out| push_json(out, row.cluster.as_str()));
    key("version", &|out| out.push_str(&row.version.to_string()));
    key("created_at", &|out| {
        push_json(out, &row.created_at.to_string())
    });
    key("updated_at", &|out| {
        push_json(out, &row.updated_at.to_string())
    });
    if let Some(deleted_at) = row.deleted_at {
        key("deleted_at", &|out| push_json(out, &deleted_at.to_string()));
    }
    key("metadata", &|out| match spec.metadata {
        Some(metadata) => {
            let metadata = with_times(metadata.get(), row.created_at, row.deleted_at);
            push_compact(out, &metadata);
        }
        None => out.push_str("{}"),
    });
    key("manifests", &|out| push_raw(out, bundle.manifests, "[]"));
    key("manifest_configs", &|out| {
        push_raw(out, bundle.manifest_configs, "[]")
    });
    key("delete_option", &|out| {
        push_raw(out, bundle.delete_option, "{}")
    });
    if let Some(status) = row.status.as_deref() {
        match serde_json::from_str::<Status<'_>>(status) {
            Ok(status) => key("status", &|out| push_status(out, &status)),
            Err(_) => {
                if let Some(event) = decoded(status, row) {
                    key("status", &|out| push_status(out, &of_status_event(&event)));
                }
            }
        }
    }
    if parameters.full {
        key("source", &|out| push_json(out, row.source.as_str()));
        if bundle.executer.is_some() {
            key("executer", &|out| push_raw(out, bundle.executer, "{}"));
        }
    }
    out.push('}');
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
