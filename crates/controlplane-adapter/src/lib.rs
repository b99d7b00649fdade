//! The control-plane adapter: what the config-driven adapter doesn't know about HostedClusters on GCP, and the YAML that
//! drives it.
//!
//! ```text
//!  adapters/controlplane/task.yaml ─► hyperfleet-adapter ─► ManifestWork ─► Maestro
//!                                        │          ▲
//!                            before apply│          │after discovery
//!                                        ▼          │
//!                          review: rules, immutable fields,   map: conditions, endpoint, version,
//!                          ownership ─► allow / warn / refuse  timers, generation ─► corrections of the report
//! ```
//!
//! In reading order: [`configs`] (the embedded YAML), [`settings`] (what the deployment config may say), and the
//! [`policy`], whose two halves are pure functions in `review.rs` and `map.rs`. Every row of the table in
//! `docs/protocol/controlplane-adapter.md` has a test.

pub mod configs;
pub mod settings;

mod feedback;
mod map;
mod report;
mod review;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use hyperfleet_adapter::ResourcePolicy;
use hyperfleet_adapter::policy::{Gvk, Observed, Overrides, Review, Verdict};
use hypershift::names;

pub use configs::{DEPLOYMENT_CONFIG, TASK_CONFIG};

/// The rules about HostedClusters, for [`hyperfleet_adapter`].
pub fn policy() -> Arc<dyn ResourcePolicy> {
    Arc::new(HostedClusterPolicy)
}

/// Speaks for `hypershift.openshift.io` HostedClusters.
#[derive(Debug)]
struct HostedClusterPolicy;

impl ResourcePolicy for HostedClusterPolicy {
    fn handles(&self, gvk: &Gvk) -> bool {
        gvk.group == names::GROUP && gvk.kind == names::HOSTED_CLUSTER
    }

    fn review(&self, review: &Review<'_>) -> Verdict {
        review::review(review)
    }

    fn map(&self, observed: &Observed<'_>) -> Option<Overrides> {
        map::map(observed)
    }
}
