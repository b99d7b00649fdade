//! What is published: names, sizes, documents.

use std::sync::LazyLock;

use event_wire::attribute::name;
use event_wire::event::JSON;
use event_wire::{Action, Event, EventType, Stamp, Subresource, stored};
use serde_json::json;
use uuid::Uuid;

/// Bytes of a small and of a large spec.
const SPEC_BYTES: [usize; 2] = [742, 30_800];
/// Bytes of their statuses.
const STATUS_BYTES: [usize; 2] = [2_000, 18_800];
/// Specs above this size are answered with a large status.
const LARGE: usize = 8 * 1024;

/// One work.
#[derive(Clone, Debug)]
pub struct Shape {
    pub id: String,
    pub name: String,
    pub cluster: String,
    large: bool,
}

/// Works of these clusters, clusters in turn, small and large in turn.
pub fn mix(clusters: &[String], works: usize) -> Vec<Shape> {
    shapes(clusters, works, |work| work % 2 == 1)
}

/// Small works of these clusters, clusters in turn.
pub fn small(clusters: &[String], works: usize) -> Vec<Shape> {
    shapes(clusters, works, |_| false)
}

fn shapes(clusters: &[String], works: usize, large: impl Fn(usize) -> bool) -> Vec<Shape> {
    let mut shapes = Vec::with_capacity(clusters.len() * works);
    for work in 0..works {
        for cluster in clusters {
            let id = Uuid::new_v4().to_string();
            shapes.push(Shape {
                name: format!("work-{id}"),
                id,
                cluster: cluster.clone(),
                large: large(work),
            });
        }
    }
    shapes
}

impl Shape {
    /// The event with which `source` creates or deletes the work.
    pub fn event(&self, source: &str, action: Action) -> Event {
        let deleting = action == Action::DeleteRequest;
        let stamp = Stamp::now();
        let kind = EventType::manifest_bundles(Subresource::Spec, action);
        let mut event = Event::new(kind, source, stamp);
        let metadata = json!({
            "name": self.name, "namespace": self.cluster, "uid": self.id, "resourceVersion": "0",
            "labels": {"load": "true"},
        });
        event
            .set(name::CLUSTER_NAME, self.cluster.as_str())
            .set(name::ORIGINAL_SOURCE, "")
            .set(name::RESOURCE_ID, self.id.as_str())
            .set(name::RESOURCE_VERSION, 0)
            .set(name::LOG_TRACING, "{}")
            .set(name::METADATA, metadata.to_string());
        if deleting {
            event.set(name::DELETION_TIMESTAMP, stamp.time);
        } else {
            set_text(&mut event, self.spec());
        }
        event
    }

    /// The row's payload as servers store it.
    pub fn stored(&self, source: &str) -> anyhow::Result<String> {
        Ok(stored::to_string(
            &self.event(source, Action::CreateRequest),
        )?)
    }

    /// The row's status as servers store it: small, and of the first version.
    pub fn stored_status(&self) -> anyhow::Result<String> {
        let stamp = Stamp::now();
        let kind = EventType::manifest_bundles(Subresource::Status, Action::UpdateRequest);
        let mut event = Event::new(kind, format!("{}-work-agent", self.cluster), stamp);
        event
            .set(name::RESOURCE_ID, self.id.as_str())
            .set(name::RESOURCE_VERSION, 1)
            .set(name::CLUSTER_NAME, self.cluster.as_str())
            .set(name::ORIGINAL_SOURCE, event_wire::SERVER_SOURCE)
            .set(name::SEQUENCE_ID, "0");
        set_text(
            &mut event,
            format!(r#"{{"conditions":[{}]}}"#, condition("Applied", 1)),
        );
        Ok(stored::to_string(&event)?)
    }

    /// The manifests of the work.
    fn spec(&self) -> String {
        let name = &self.name;
        let bytes = SPEC_BYTES[usize::from(self.large)];
        let head = format!(
            r#"{{"manifests":[{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","namespace":"default"}},"data":{{"filler":""#
        );
        let tail = format!(
            r#""}}}}],"manifestConfigs":[{{"resourceIdentifier":{{"group":"","resource":"configmaps","name":"{name}","namespace":"default"}},"feedbackRules":[{{"type":"JSONPaths","jsonPaths":[{{"name":"status","path":".status"}}]}}],"updateStrategy":{{"type":"ServerSideApply"}}}}]}}"#
        );
        let filler = filler(bytes.saturating_sub(head.len() + tail.len()));
        head + filler + &tail
    }
}

/// The status that answers a spec of so many bytes.
pub fn status(spec_bytes: usize, version: i32, deleted: bool) -> String {
    if deleted {
        return format!(r#"{{"conditions":[{}]}}"#, condition("Deleted", version));
    }
    let bytes = STATUS_BYTES[usize::from(spec_bytes > LARGE)];
    let head = format!(
        r#"{{"conditions":[{}],"resourceStatus":[{{"resourceMeta":{{"ordinal":0,"group":"","version":"v1","kind":"ConfigMap","resource":"configmaps","name":"load","namespace":"default"}},"statusFeedback":{{"values":[{{"name":"status","fieldValue":{{"type":"JsonRaw","jsonRaw":"{{\"text\":\""#,
        condition("Applied", version)
    );
    const TAIL: &str = r#"\"}"}}]},"conditions":[]}]}"#;
    let filler = filler(bytes.saturating_sub(head.len() + TAIL.len()));
    head + filler + TAIL
}

fn condition(kind: &str, version: i32) -> String {
    format!(
        r#"{{"type":"{kind}","status":"True","observedGeneration":{version},"reason":"Load","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}}"#
    )
}

/// Sets JSON data that is already text: building trees would be a good part of this program's work.
pub fn set_text(event: &mut Event, json: String) {
    event.data = Some(json.into());
    event.content_type = Some(JSON.to_owned());
}

/// Text that compresses about as well as manifests do: words, not one repeated letter. Nothing in it needs an escape.
fn filler(bytes: usize) -> &'static str {
    const WORDS: [&str; 8] = [
        "spec", "template", "replicas", "hosted", "cluster", "region", "network", "release",
    ];
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = String::new();
        let mut state = 0x9e37_79b9_u32;
        while text.len() < 64 * 1024 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let index = usize::try_from(state >> 29).unwrap_or(0);
            text.push_str(WORDS.get(index).copied().unwrap_or_default());
            text.push_str(&format!("-{:x} ", state & 0xfff));
        }
        text
    });
    TEXT.get(..bytes).unwrap_or(&TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_json_of_the_stated_size() {
        for (shape, size) in mix(&["c".into()], 2).iter().zip(SPEC_BYTES) {
            let spec = shape.spec();
            assert_eq!(spec.len(), size);
            serde_json::from_str::<serde_json::Value>(&spec).unwrap();
            shape.stored("s").unwrap();
            shape.stored_status().unwrap();
        }
        for (bytes, size) in SPEC_BYTES.into_iter().zip(STATUS_BYTES) {
            let text = status(bytes, 1, false);
            assert_eq!(text.len(), size);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        serde_json::from_str::<serde_json::Value>(&status(1, 1, true)).unwrap();
    }
}
