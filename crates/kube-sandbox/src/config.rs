//! What a sandbox is started with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admission::Admission;

/// Largest request body, bytes (the API server's own limit).
pub const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;
/// Most watches open at a time.
pub const MAX_WATCHES: usize = 4096;
/// Most changes kept for watches that continue at an older resourceVersion.
pub const HISTORY_CHANGES: usize = 20_000;
/// Most bytes of objects kept for the same purpose.
pub const HISTORY_BYTES: usize = 64 * 1024 * 1024;
/// Most writes that wait for the store; more wait at their connection.
pub const QUEUED_WRITES: usize = 256;
/// Most writes stored in one transaction.
pub const BATCHED_WRITES: usize = 64;

/// Where objects are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Data {
    /// In memory, gone with the process.
    #[default]
    Memory,
    /// In an SQLite file, made if it doesn't exist. Every reply means: it is on disk.
    File(PathBuf),
}

/// A sandbox cluster.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the cluster in the kubeconfig. Default `sandbox`.
    pub name: String,
    /// `host:port`; port 0 takes a free one. Default `127.0.0.1:0`.
    pub listen: String,
    /// Where objects are kept. Default memory.
    pub data: Data,
    /// CustomResourceDefinitions that are there from the start; an existing definition is updated to these.
    pub crds: Vec<Value>,
    /// Rules from outside. Default none.
    #[serde(skip)]
    pub admission: Vec<Arc<dyn Admission>>,
    /// Prune, default and validate custom resources by the schemas of their definitions. Default true.
    pub validate_schemas: bool,
    /// Delete objects whose owners are gone. Default true.
    pub garbage_collection: bool,
    /// Check what impersonated users (`kubectl --as`) do against the Role and ClusterRole objects. Default false:
    /// everybody may do everything.
    pub rbac: bool,
    /// Requests must carry this token. Default none: everyone who reaches the address may do everything.
    pub bearer_token: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "sandbox".to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            data: Data::Memory,
            crds: Vec::new(),
            admission: Vec::new(),
            validate_schemas: true,
            garbage_collection: true,
            rbac: false,
            bearer_token: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("name", &self.name)
            .field("listen", &self.listen)
            .field("data", &self.data)
            .field("crds", &self.crds.len())
            .field("admission", &self.admission.len())
            .field("validate_schemas", &self.validate_schemas)
            .field("garbage_collection", &self.garbage_collection)
            .field("rbac", &self.rbac)
            .field(
                "bearer_token",
                &self.bearer_token.as_ref().map(|_| "<redacted>"),
            )
            .finish()
    }
}
