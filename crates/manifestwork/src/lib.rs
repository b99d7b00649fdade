//! ManifestWork, the parcel of Open Cluster Management: Kubernetes objects on their way to one cluster, and what
//! became of them. Pure types and rules of group `work.open-cluster-management.io`, version `v1`; no I/O.
//!
//! Reading order:
//! - [`work`]: [`ManifestWork`] and [`AppliedManifestWork`], the whole objects
//! - [`meta`] and [`manifest`]: object metadata, and one manifest carried as the bytes it came in
//! - [`spec`], [`configs`]: what to apply and how, and which rule belongs to which manifest
//! - [`status`], [`conditions`]: what was applied, feedback values, standard conditions
//! - [`validate`]: what a source and the server refuse, with Kubernetes-style field errors
//! - [`ids`], [`hash`]: resource ids, names of applied works, status hashes
//! - [`constants`]: names that are part of the protocol
//!
//! The rules are explained in `docs/protocol/manifestwork.md`.

pub mod conditions;
pub mod configs;
pub mod constants;
pub mod hash;
pub mod ids;
pub mod manifest;
pub mod meta;
mod open_enum;
pub mod serde_util;
pub mod spec;
pub mod status;
pub mod validate;
pub mod work;

pub use conditions::{Condition, ConditionStatus};
pub use manifest::{Manifest, ManifestMeta};
pub use meta::{ObjectMeta, OwnerReference};
pub use spec::{
    ConditionRule, ConditionRuleType, DeleteOption, Executor, ExecutorServiceAccount,
    ExecutorSubject, ExecutorSubjectType, FeedbackRule, FeedbackRuleType, FeedbackScrapeType,
    IgnoreField, IgnoreFieldsCondition, JsonPathRule, ManifestConfig, PropagationPolicy,
    ResourceIdentifier, SelectivelyOrphan, ServerSideApply, Spec, UpdateStrategy,
    UpdateStrategyType, Workload,
};
pub use status::{
    FeedbackValue, FieldValue, ManifestCondition, ResourceMeta, ResourceStatus, Status,
    StatusFeedback,
};
pub use work::{
    AppliedManifestWork, AppliedManifestWorkSpec, AppliedManifestWorkStatus, AppliedResourceMeta,
    ManifestWork,
};
