//! The CustomResourceDefinitions of HostedCluster and NodePool, for API servers that have no operator's own: sandboxes
//! and tests.
//!
//! Written for this project: structure, lengths, enumerations and defaults follow `docs/protocol/hostedcluster-gcp.md`;
//! sections that nothing here reads are kept as they are. The CRD's CEL rules are not part of the schema: an API server
//! that needs them asks [`crate::validate`] and [`crate::immutable`].

use std::sync::LazyLock;

use serde_json::Value;

static HOSTED_CLUSTER: LazyLock<Value> =
    LazyLock::new(|| read(include_str!("crd/hostedcluster.yaml")));
static NODE_POOL: LazyLock<Value> = LazyLock::new(|| read(include_str!("crd/nodepool.yaml")));

/// The CustomResourceDefinition `hostedclusters.hypershift.openshift.io`.
pub fn hosted_cluster() -> Value {
    HOSTED_CLUSTER.clone()
}

/// The CustomResourceDefinition `nodepools.hypershift.openshift.io`.
pub fn node_pool() -> Value {
    NODE_POOL.clone()
}

fn read(text: &str) -> Value {
    #[expect(
        clippy::expect_used,
        reason = "the files are part of this crate and its tests read them all"
    )]
    go_compat::yaml::from_str_k8s(text).expect("an embedded CRD is well formed")
}

#[cfg(test)]
mod tests;
