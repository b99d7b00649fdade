//! The objects that commands print. Keys are upstream's, in upstream's order.

use jiff::Timestamp;
use maestro_client::{Bundle, bundle::BundleStatus};
use manifestwork::{
    Condition, DeleteOption, Manifest, ManifestCondition, ManifestWork, serde_util::seconds,
};
use serde::Serialize;
use serde_json::{Map, Value};

/// Output of `get`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Get {
    id: String,
    name: String,
    consumer_name: String,
    version: i64,
    #[serde(with = "seconds")]
    created_at: Option<Timestamp>,
    #[serde(with = "seconds")]
    updated_at: Option<Timestamp>,
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_option: Option<DeleteOption>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    manifests: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<BundleStatus>,
}

/// An item of `list`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListItem {
    id: String,
    name: String,
    consumer_name: String,
    version: i64,
    #[serde(with = "seconds")]
    created_at: Option<Timestamp>,
    #[serde(with = "seconds")]
    updated_at: Option<Timestamp>,
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    manifest_count: usize,
    manifests: Vec<ManifestName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<ShortCondition>,
}

/// Kind and name of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestName {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// A condition without its time.
#[derive(Debug, Serialize)]
struct ShortCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// Output of `describe`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Describe {
    id: String,
    name: String,
    consumer_name: String,
    version: i64,
    #[serde(with = "seconds")]
    created_at: Option<Timestamp>,
    #[serde(with = "seconds")]
    updated_at: Option<Timestamp>,
    #[serde(with = "seconds", skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    manifests: Vec<ManifestName>,
    conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_status: Vec<Resource>,
    #[serde(skip_serializing_if = "String::is_empty")]
    delete_option: String,
}

/// State of a resource, feedback as plain values.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    kind: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    resource: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    status_feedback: Map<String, Value>,
}

impl From<&Bundle> for Get {
    fn from(bundle: &Bundle) -> Self {
        // An empty option is shown as `{}` by the API and means nothing.
        let work = ManifestWork::from(bundle.clone());
        Self {
            id: bundle.id.clone(),
            name: bundle.work_name().to_owned(),
            consumer_name: bundle.consumer_name.clone(),
            version: bundle.version,
            created_at: bundle.created_at,
            updated_at: bundle.updated_at,
            deleted_at: bundle.deleted_at,
            delete_option: work.spec.delete_option,
            manifests: bundle.manifests.iter().map(Manifest::to_value).collect(),
            status: bundle.status.clone(),
        }
    }
}

impl From<&Bundle> for ListItem {
    fn from(bundle: &Bundle) -> Self {
        let conditions = bundle
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        Self {
            id: bundle.id.clone(),
            name: bundle.work_name().to_owned(),
            consumer_name: bundle.consumer_name.clone(),
            version: bundle.version,
            created_at: bundle.created_at,
            updated_at: bundle.updated_at,
            deleted_at: bundle.deleted_at,
            manifest_count: bundle.manifests.len(),
            manifests: names(&bundle.manifests),
            conditions: conditions
                .iter()
                .map(|condition| ShortCondition {
                    type_: condition.type_.clone(),
                    status: condition.status.to_string(),
                    reason: condition.reason.clone(),
                    message: condition.message.clone(),
                })
                .collect(),
        }
    }
}

impl From<&Bundle> for Describe {
    fn from(bundle: &Bundle) -> Self {
        let status = bundle.status.clone().unwrap_or_default();
        Self {
            id: bundle.id.clone(),
            name: bundle.work_name().to_owned(),
            consumer_name: bundle.consumer_name.clone(),
            version: bundle.version,
            created_at: bundle.created_at,
            updated_at: bundle.updated_at,
            deleted_at: bundle.deleted_at,
            manifests: names(&bundle.manifests),
            conditions: status.conditions,
            resource_status: status.resource_status.iter().map(Resource::from).collect(),
            delete_option: bundle
                .delete_option
                .as_ref()
                .map(|option| option.propagation_policy.as_str().to_owned())
                .unwrap_or_default(),
        }
    }
}

impl From<&ManifestCondition> for Resource {
    fn from(resource: &ManifestCondition) -> Self {
        let meta = &resource.resource_meta;
        Self {
            kind: meta.kind.clone(),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            group: meta.group.clone(),
            version: meta.version.clone(),
            resource: meta.resource.clone(),
            conditions: resource.conditions.clone(),
            status_feedback: feedback(resource),
        }
    }
}

impl std::fmt::Display for ManifestName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Kinds and names of manifests.
#[must_use]
pub fn names(manifests: &[Manifest]) -> Vec<ManifestName> {
    manifests
        .iter()
        .map(|manifest| {
            let meta = manifest.meta().unwrap_or_default();
            ManifestName {
                kind: meta.kind,
                name: meta.metadata.name,
                namespace: meta.metadata.namespace,
            }
        })
        .collect()
}

/// Feedback values by name, as plain values.
#[must_use]
pub fn feedback(resource: &ManifestCondition) -> Map<String, Value> {
    resource
        .status_feedback
        .values
        .iter()
        .map(|value| (value.name.clone(), value.field_value.to_json()))
        .collect()
}

/// A work that can be applied again: without what only the server knows.
#[must_use]
pub fn reapplicable(bundle: &Bundle) -> Value {
    let mut work = ManifestWork::from(bundle.clone());
    work.metadata = manifestwork::ObjectMeta {
        name: work.metadata.name,
        namespace: work.metadata.namespace,
        labels: work.metadata.labels,
        annotations: work
            .metadata
            .annotations
            .into_iter()
            .filter(|(key, _)| !key.starts_with("cloudevents.open-cluster-management.io/"))
            .collect(),
        ..manifestwork::ObjectMeta::default()
    };
    let mut tree = serde_json::to_value(&work).unwrap_or_default();
    if let Some(object) = tree.as_object_mut() {
        object.remove("status");
    }
    tree
}
