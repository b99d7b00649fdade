//! The whole objects: a work as sources and agents see it, and the record of it on the managed cluster.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    constants::{API_VERSION, APPLIED_KIND, KIND},
    meta::ObjectMeta,
    serde_util::{null_default, seconds},
    spec::Spec,
    status::Status,
};

/// A parcel of Kubernetes objects for one cluster. Serialized exactly as the Kubernetes object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestWork {
    /// `work.open-cluster-management.io/v1`.
    #[serde(default = "api_version")]
    pub api_version: String,
    /// `ManifestWork`.
    #[serde(default = "kind")]
    pub kind: String,
    /// Metadata. The namespace is the consumer's name, the uid the resource id, the generation the server's version.
    #[serde(default, deserialize_with = "null_default")]
    pub metadata: ObjectMeta,
    /// What to apply.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: Spec,
    /// What became of it.
    #[serde(default, deserialize_with = "null_default")]
    pub status: Status,
}

/// The record that an agent keeps on the managed cluster; owner of everything that the work applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedManifestWork {
    /// `work.open-cluster-management.io/v1`.
    #[serde(default = "api_version")]
    pub api_version: String,
    /// `AppliedManifestWork`.
    #[serde(default = "applied_kind")]
    pub kind: String,
    /// Metadata; the name is `<hub hash>-<work name>`.
    #[serde(default, deserialize_with = "null_default")]
    pub metadata: ObjectMeta,
    /// Whose record it is.
    #[serde(default, deserialize_with = "null_default")]
    pub spec: AppliedManifestWorkSpec,
    /// What was applied.
    #[serde(default, deserialize_with = "null_default")]
    pub status: AppliedManifestWorkStatus,
}

/// Whose record an applied work is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedManifestWorkSpec {
    /// Hash of the server's address.
    #[serde(rename = "hubHash", default, deserialize_with = "null_default")]
    pub hub_hash: String,
    /// Id of the agent.
    #[serde(rename = "agentID", default, deserialize_with = "null_default")]
    pub agent_id: String,
    /// Name of the work.
    #[serde(
        rename = "manifestWorkName",
        default,
        deserialize_with = "null_default"
    )]
    pub manifest_work_name: String,
}

/// What an applied work has applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedManifestWorkStatus {
    /// The objects, sorted by group, version, resource, namespace, name.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub applied_resources: Vec<AppliedResourceMeta>,
    /// Since when nobody manages this record; none while somebody does.
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub eviction_start_time: Option<Timestamp>,
}

/// An object that was applied. The order of values is the order of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AppliedResourceMeta {
    /// API group; empty for core.
    #[serde(default, deserialize_with = "null_default")]
    pub group: String,
    /// API version.
    #[serde(default, deserialize_with = "null_default")]
    pub version: String,
    /// Plural resource name.
    #[serde(default, deserialize_with = "null_default")]
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(default, deserialize_with = "null_default")]
    pub namespace: String,
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// Unique id of the object that was applied; deletions name it as a precondition.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub uid: String,
}

// === impl ManifestWork ===

impl Default for ManifestWork {
    fn default() -> Self {
        Self {
            api_version: api_version(),
            kind: kind(),
            metadata: ObjectMeta::default(),
            spec: Spec::default(),
            status: Status::default(),
        }
    }
}

impl ManifestWork {
    /// An empty work for a consumer.
    #[must_use]
    pub fn new(consumer: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            metadata: ObjectMeta::named(consumer, name),
            ..Self::default()
        }
    }

    /// True if the last status says that everything is gone.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        crate::conditions::is_true(
            &self.status.conditions,
            crate::constants::condition::DELETED,
        )
    }
}

// === impl AppliedManifestWork ===

impl Default for AppliedManifestWork {
    fn default() -> Self {
        Self {
            api_version: api_version(),
            kind: applied_kind(),
            metadata: ObjectMeta::default(),
            spec: AppliedManifestWorkSpec::default(),
            status: AppliedManifestWorkStatus::default(),
        }
    }
}

fn api_version() -> String {
    API_VERSION.to_owned()
}

fn kind() -> String {
    KIND.to_owned()
}

fn applied_kind() -> String {
    APPLIED_KIND.to_owned()
}
