//! What a source publishes.

use event_wire::attribute::name;
use event_wire::{Action, Event, EventType, Stamp, Subresource};
use serde_json::{Value, json};

/// A work as a source holds it. Everything may be wrong: it is for the server to say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Id of the resource.
    pub id: String,
    /// Consumer that it is for.
    pub cluster: String,
    /// Data of the spec event.
    pub data: Value,
    /// Object metadata; `None` publishes without that extension.
    pub metadata: Option<Value>,
}

// === impl Work ===

impl Work {
    /// A work with one small ConfigMap, whose id is the one that the Go SDK gives it.
    #[must_use]
    pub fn new(source: &str, cluster: &str, work_name: &str) -> Self {
        let id = manifestwork::ids::resource_id(source, cluster, work_name).to_string();
        let metadata = json!({
            "name": work_name, "namespace": cluster, "uid": id, "resourceVersion": "0", "creationTimestamp": null,
        });
        Self {
            data: json!({"manifests": [config_map("content")]}),
            metadata: Some(metadata),
            cluster: cluster.to_owned(),
            id,
        }
    }

    /// The same with other manifests.
    #[must_use]
    pub fn with_manifests(mut self, manifests: &[Value]) -> Self {
        self.data = json!({"manifests": manifests});
        self
    }

    /// The same with a ConfigMap of that name: another spec.
    #[must_use]
    pub fn with_map(self, map: &str) -> Self {
        self.with_manifests(&[config_map(map)])
    }

    /// The same with a ConfigMap that holds so many bytes.
    #[must_use]
    pub fn with_bytes(self, bytes: usize) -> Self {
        let mut map = config_map("content");
        if let Some(map) = map.as_object_mut() {
            map.insert("data".to_owned(), json!({"k": "x".repeat(bytes)}));
        }
        self.with_manifests(&[map])
    }

    /// The same with a label.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        let metadata = self.metadata.get_or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            let labels = metadata
                .entry("labels")
                .or_insert_with(|| json!({}))
                .as_object_mut();
            if let Some(labels) = labels {
                labels.insert(key.to_owned(), json!(value));
            }
        }
        self
    }

    /// The spec event that a source makes of it.
    #[must_use]
    pub fn event(&self, source: &str, action: Action, version: i32) -> Event {
        let deleting = action == Action::DeleteRequest;
        let kind = EventType::manifest_bundles(Subresource::Spec, action);
        let stamp = Stamp::now();
        let mut event = Event::new(kind, source, stamp);
        event
            .set(name::RESOURCE_ID, self.id.as_str())
            .set(name::RESOURCE_VERSION, version)
            .set(name::CLUSTER_NAME, self.cluster.as_str())
            .set(name::ORIGINAL_SOURCE, "")
            .set(name::LOG_TRACING, "{}");
        if let Some(metadata) = &self.metadata {
            event.set(name::METADATA, metadata.to_string());
        }
        if deleting {
            event.set(name::DELETION_TIMESTAMP, stamp.time);
        } else {
            event.set_json(&self.data);
        }
        event
    }
}

/// A ConfigMap in namespace `default`.
#[must_use]
pub fn config_map(map: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": map, "namespace": "default"}})
}
