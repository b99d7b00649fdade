//! What a work asks for: manifests, how to apply, what to report, how to delete.
//!
//! No API server fills in defaults on the way; fields arrive as the source sent them. Accessors named `effective_…` give
//! the value that the agent acts on.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{manifest::Manifest, open_enum::open_enum, serde_util::null_default};

/// Spec of a work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The manifests.
    #[serde(default, deserialize_with = "null_default")]
    pub workload: Workload,
    /// What happens to the objects when the work is deleted; absent means that they are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_option: Option<DeleteOption>,
    /// Rules for single manifests.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub manifest_configs: Vec<ManifestConfig>,
    /// Whose rights are used to apply; absent means the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Executor>,
}

/// The manifests of a work, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Complete Kubernetes objects.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub manifests: Vec<Manifest>,
}

open_enum! {
    /// What happens to applied objects when their work is deleted. An empty value acts like `SelectivelyOrphan`
    /// without rules: everything is deleted.
    PropagationPolicy {
        /// Delete the objects and wait for them. The default.
        Foreground => "Foreground",
        /// Keep all objects.
        Orphan => "Orphan",
        /// Keep the listed objects.
        SelectivelyOrphan => "SelectivelyOrphan",
    }
}

/// What happens to the objects when the work is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteOption {
    /// Delete, keep, or keep some.
    #[serde(default = "unset_policy")]
    pub propagation_policy: PropagationPolicy,
    /// Which objects to keep with `SelectivelyOrphan`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        alias = "selectivelyOrphan"
    )]
    pub selectively_orphans: Option<SelectivelyOrphan>,
    /// Seconds after completion; only Open Cluster Management's hub acts on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i64>,
}

/// Objects that stay when the work goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectivelyOrphan {
    /// Exact matches on all four fields, no wildcards.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub orphaning_rules: Vec<ResourceIdentifier>,
}

/// Names an object by its plural resource name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceIdentifier {
    /// API group; empty for core.
    #[serde(default, deserialize_with = "null_default")]
    pub group: String,
    /// Plural resource name (`configmaps`, not `ConfigMap`).
    #[serde(default, deserialize_with = "null_default")]
    pub resource: String,
    /// Name; `*` is a wildcard in manifest configs.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// Namespace, empty for cluster-scoped objects; `*` is a wildcard in manifest configs.
    #[serde(default, deserialize_with = "null_default")]
    pub namespace: String,
}

/// Rules for the manifests that an identifier matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestConfig {
    /// Which manifests.
    #[serde(default, deserialize_with = "null_default")]
    pub resource_identifier: ResourceIdentifier,
    /// Which values to report.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub feedback_rules: Vec<FeedbackRule>,
    /// How to apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
    /// Which conditions to derive.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub condition_rules: Vec<ConditionRule>,
    /// How values are read.
    #[serde(
        default,
        deserialize_with = "empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub feedback_scrape_type: Option<FeedbackScrapeType>,
}

open_enum! {
    /// Kind of a feedback rule. An unknown kind reports nothing.
    FeedbackRuleType {
        /// Fixed values of well-known kinds (Deployment, Job, ...).
        WellKnownStatus => "WellKnownStatus",
        /// Values by JSONPath.
        JsonPaths => "JSONPaths",
    }
}

/// Which values of an object to report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedbackRule {
    /// Well-known values or paths.
    #[serde(rename = "type", default = "unset_feedback")]
    pub type_: FeedbackRuleType,
    /// The paths of a `JSONPaths` rule.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub json_paths: Vec<JsonPathRule>,
}

/// One value to report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonPathRule {
    /// Name of the value in the report; unique in its rule.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
    /// API version that the path was written for; other versions are an error for this value.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub version: String,
    /// JSONPath without braces, such as `.status.phase`.
    #[serde(default, deserialize_with = "null_default")]
    pub path: String,
}

open_enum! {
    /// How manifests are applied.
    UpdateStrategyType {
        /// Read, merge, update. The default.
        Update => "Update",
        /// Create if it is missing, never touch it again.
        CreateOnly => "CreateOnly",
        /// Server-side apply.
        ServerSideApply => "ServerSideApply",
        /// Never write, only report.
        ReadOnly => "ReadOnly",
    }
}

/// How matching manifests are applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// The strategy; none means `Update`.
    #[serde(
        rename = "type",
        default,
        deserialize_with = "empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<UpdateStrategyType>,
    /// Options of `ServerSideApply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ServerSideApply>,
}

/// Options of server-side apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerSideApply {
    /// Take fields over from other managers.
    #[serde(default, deserialize_with = "null_default")]
    pub force: bool,
    /// Field manager; empty means `work-agent`.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub field_manager: String,
    /// Fields that others may change.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ignore_fields: Vec<IgnoreField>,
}

open_enum! {
    /// When ignored fields are left alone.
    IgnoreFieldsCondition {
        /// Whenever the object exists. The default.
        OnSpokePresent => "OnSpokePresent",
        /// Until the work's spec changes.
        OnSpokeChange => "OnSpokeChange",
    }
}

/// Fields that are not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreField {
    /// When they are left alone.
    #[serde(default = "unset_ignore")]
    pub condition: IgnoreFieldsCondition,
    /// Kubernetes JSONPaths.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub json_paths: Vec<String>,
    /// JSON Pointers (RFC 6901).
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub json_pointers: Vec<String>,
    /// jq path expressions; carried, not evaluated by this version.
    #[serde(
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub jq_path_expressions: Vec<String>,
}

open_enum! {
    /// Kind of a condition rule.
    ConditionRuleType {
        /// Fixed rules of well-known kinds (Job, Pod).
        WellKnownConditions => "WellKnownConditions",
        /// CEL expressions.
        Cel => "CEL",
    }
}

/// A condition derived from an object. Go writes all five keys always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionRule {
    /// Type of the condition that is set.
    #[serde(default, deserialize_with = "null_default")]
    pub condition: String,
    /// Well-known or CEL.
    #[serde(rename = "type", default = "unset_condition")]
    pub type_: ConditionRuleType,
    /// CEL expressions, all of which must hold.
    #[serde(default, deserialize_with = "null_default")]
    pub cel_expressions: Vec<String>,
    /// Fixed message.
    #[serde(default, deserialize_with = "null_default")]
    pub message: String,
    /// Message as a CEL expression.
    #[serde(default, deserialize_with = "null_default")]
    pub message_expression: String,
}

open_enum! {
    /// How feedback values are read.
    FeedbackScrapeType {
        /// From time to time. The default.
        Poll => "Poll",
        /// When the object changes.
        Watch => "Watch",
    }
}

open_enum! {
    /// Kind of an executor's subject.
    ExecutorSubjectType {
        /// A service account of the managed cluster; the only kind.
        ServiceAccount => "ServiceAccount",
    }
}

/// Whose rights are used to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Executor {
    /// The subject.
    pub subject: ExecutorSubject,
}

/// Subject of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorSubject {
    /// Kind of subject.
    #[serde(rename = "type", default = "unset_subject")]
    pub type_: ExecutorSubjectType,
    /// The service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ExecutorServiceAccount>,
}

/// A service account of the managed cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorServiceAccount {
    /// Its namespace.
    #[serde(default, deserialize_with = "null_default")]
    pub namespace: String,
    /// Its name.
    #[serde(default, deserialize_with = "null_default")]
    pub name: String,
}

// === impl UpdateStrategy ===

impl UpdateStrategy {
    /// The strategy that the agent uses: `Update` unless another is named.
    #[must_use]
    pub fn effective_type(&self) -> UpdateStrategyType {
        self.type_.clone().unwrap_or(UpdateStrategyType::Update)
    }
}

// === impl ServerSideApply ===

impl ServerSideApply {
    /// The field manager that the agent uses.
    #[must_use]
    pub fn effective_field_manager(&self) -> &str {
        if self.field_manager.is_empty() {
            crate::constants::FIELD_MANAGER
        } else {
            &self.field_manager
        }
    }
}

// === impl DeleteOption ===

impl DeleteOption {
    /// Deletes with the given policy and no rules.
    #[must_use]
    pub fn new(propagation_policy: PropagationPolicy) -> Self {
        Self {
            propagation_policy,
            selectively_orphans: None,
            ttl_seconds_after_finished: None,
        }
    }
}

fn unset_policy() -> PropagationPolicy {
    PropagationPolicy::Other(String::new())
}

fn unset_feedback() -> FeedbackRuleType {
    FeedbackRuleType::Other(String::new())
}

fn unset_ignore() -> IgnoreFieldsCondition {
    IgnoreFieldsCondition::Other(String::new())
}

fn unset_condition() -> ConditionRuleType {
    ConditionRuleType::Other(String::new())
}

fn unset_subject() -> ExecutorSubjectType {
    ExecutorSubjectType::Other(String::new())
}

/// Reads `""` and `null` as none, as Go's `omitempty` writes them.
fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: for<'a> From<&'a str>,
{
    Ok(Option::<String>::deserialize(deserializer)?
        .filter(|text| !text.is_empty())
        .map(|text| T::from(&text)))
}
