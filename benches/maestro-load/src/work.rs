//! What is published: names, sizes, documents.

use std::sync::LazyLock;

use serde_json::{Value, json};
use uuid::Uuid;

/// Bytes of a small and of a large spec.
const SPEC_BYTES: [usize; 2] = [742, 30_800];
/// Bytes of their statuses.
const STATUS_BYTES: [usize; 2] = [2_000, 18_800];

/// One work.
#[derive(Clone, Debug)]
pub struct Shape {
    pub id: String,
    pub name: String,
    pub cluster: String,
    large: bool,
}

/// The name of a cluster.
pub fn cluster(prefix: &str, number: usize) -> String {
    format!("{prefix}-cluster-{number}")
}

/// All works, clusters in turn, small and large in turn.
pub fn shapes(prefix: &str, consumers: usize, works: usize) -> Vec<Shape> {
    let mut shapes = Vec::with_capacity(consumers * works);
    for work in 0..works {
        for number in 0..consumers {
            let name = format!("{prefix}-work-{number}-{work}");
            shapes.push(Shape {
                id: Uuid::new_v4().to_string(),
                name,
                cluster: cluster(prefix, number),
                large: work % 2 == 1,
            });
        }
    }
    shapes
}

impl Shape {
    /// The manifests of the work.
    pub fn spec(&self) -> Value {
        let bytes = SPEC_BYTES
            .get(usize::from(self.large))
            .copied()
            .unwrap_or_default();
        let data = |filler: &str| {
            json!({
                "manifests": [{
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": self.name, "namespace": "default"},
                    "data": {"filler": filler},
                }],
                "manifestConfigs": [{
                    "resourceIdentifier": {"group": "", "resource": "configmaps", "name": self.name, "namespace": "default"},
                    "feedbackRules": [{"type": "JSONPaths", "jsonPaths": [{"name": "status", "path": ".status"}]}],
                    "updateStrategy": {"type": "ServerSideApply"},
                }],
            })
        };
        let frame = data("").to_string().len();
        data(filler(bytes.saturating_sub(frame)))
    }
}

/// The status that answers a spec of so many bytes.
pub fn status(spec_bytes: usize, version: i32, deleted: bool) -> Value {
    let large = spec_bytes > 8 * 1024;
    let bytes = STATUS_BYTES
        .get(usize::from(large))
        .copied()
        .unwrap_or_default();
    let kind = if deleted { "Deleted" } else { "Applied" };
    let condition = json!({"type": kind, "status": "True", "observedGeneration": version, "reason": "Load", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    if deleted {
        return json!({"conditions": [condition]});
    }
    let raw = json!({"text": filler(bytes.saturating_sub(400))}).to_string();
    json!({"conditions": [condition], "resourceStatus": [{
        "resourceMeta": {"ordinal": 0, "group": "", "version": "v1", "kind": "ConfigMap", "resource": "configmaps",
            "name": "load", "namespace": "default"},
        "statusFeedback": {"values": [{"name": "status", "fieldValue": {"type": "JsonRaw", "jsonRaw": raw}}]},
        "conditions": [],
    }]})
}

/// Text that compresses about as well as manifests do: words, not one repeated letter.
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
