//! Works to events and back, one module per role.
//!
//! - [`source`]: encodes specs, decodes status
//! - [`agent`]: decodes specs, encodes status and resync requests
//! - [`server`]: what the server changes on events that pass through it

pub mod agent;
pub mod server;
pub mod source;

use std::collections::BTreeMap;

use manifestwork::{ObjectMeta, constants::LOG_TRACING_PREFIX};

use crate::{Error, Event};

/// Refuses events about anything else than bundles of manifests.
fn expect_bundles(event: &Event) -> Result<(), Error> {
    if event.event_type.data_type.is_manifest_bundles() {
        Ok(())
    } else {
        Err(Error::DataType {
            found: event.event_type.data_type.to_string(),
        })
    }
}

/// Log tracing annotations as the JSON object of the extension; `{}` if there are none.
fn log_tracing(metadata: &ObjectMeta) -> String {
    let found: BTreeMap<&str, &str> = metadata
        .annotations
        .iter()
        .filter(|(key, _)| key.starts_with(LOG_TRACING_PREFIX))
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    json_text(&found)
}

fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys prints as JSON")
}
