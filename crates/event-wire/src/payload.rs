//! The JSON in the data of events.

use manifestwork::{
    Condition, DeleteOption, Executor, Manifest, ManifestCondition, ManifestConfig, Spec, Status,
    Workload, serde_util::null_default, status::ResourceStatus,
};
use serde::{Deserialize, Serialize};

/// Data of spec events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestBundle {
    /// The manifests, as the JSON they came in. Always written.
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Manifest>,
    /// What happens to the objects at deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_option: Option<DeleteOption>,
    /// Rules for single manifests.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub manifest_configs: Vec<ManifestConfig>,
    /// Whose rights are used; the key on the wire is spelled `executer`.
    #[serde(rename = "executer", default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Executor>,
}

/// Data of status events. `resourceStatus` is the array itself, without the `manifests` of a work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestBundleStatus {
    /// Conditions of the whole work. Always written.
    #[serde(default, deserialize_with = "null_default")]
    pub conditions: Vec<Condition>,
    /// Status of each manifest.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resource_status: Vec<ManifestCondition>,
    /// The spec, added by the server on the way to sources so that they need no memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_bundle: Option<ManifestBundle>,
}

/// Data of spec resync requests: what an agent has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceVersionList {
    /// All works of the agent.
    #[serde(default, deserialize_with = "null_default")]
    pub resource_versions: Vec<ResourceVersion>,
}

/// A work and the version that an agent has of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceVersion {
    /// Id of the resource.
    #[serde(rename = "resourceID", default, deserialize_with = "null_default")]
    pub resource_id: String,
    /// Version.
    #[serde(rename = "resourceVersion", default, deserialize_with = "null_default")]
    pub resource_version: i64,
}

/// Data of status resync requests: what a source or server has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusHashList {
    /// Known works and the hash of their status; empty means "send everything".
    #[serde(default, deserialize_with = "null_default")]
    pub status_hashes: Vec<StatusHash>,
}

/// A work and the hash of its status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusHash {
    /// Id of the resource.
    #[serde(rename = "resourceID", default, deserialize_with = "null_default")]
    pub resource_id: String,
    /// Hash of its status.
    #[serde(rename = "statusHash", default, deserialize_with = "null_default")]
    pub status_hash: String,
}

impl From<&Spec> for ManifestBundle {
    fn from(spec: &Spec) -> Self {
        Self {
            manifests: spec.workload.manifests.clone(),
            delete_option: spec.delete_option.clone(),
            manifest_configs: spec.manifest_configs.clone(),
            executor: spec.executor.clone(),
        }
    }
}

impl From<ManifestBundle> for Spec {
    fn from(bundle: ManifestBundle) -> Self {
        Self {
            workload: Workload {
                manifests: bundle.manifests,
            },
            delete_option: bundle.delete_option,
            manifest_configs: bundle.manifest_configs,
            executor: bundle.executor,
        }
    }
}

impl From<&Status> for ManifestBundleStatus {
    fn from(status: &Status) -> Self {
        Self {
            conditions: status.conditions.clone(),
            resource_status: status.resource_status.manifests.clone(),
            manifest_bundle: None,
        }
    }
}

impl From<ManifestBundleStatus> for Status {
    fn from(status: ManifestBundleStatus) -> Self {
        Self {
            conditions: status.conditions,
            resource_status: ResourceStatus {
                manifests: status.resource_status,
            },
        }
    }
}
