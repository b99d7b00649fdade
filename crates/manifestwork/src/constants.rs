//! Names that both ends of the wire agree on. See `docs/protocol/manifestwork.md`.

/// API version of works.
pub const API_VERSION: &str = "work.open-cluster-management.io/v1";
/// API group of works.
pub const GROUP: &str = "work.open-cluster-management.io";
/// Kind of a work.
pub const KIND: &str = "ManifestWork";
/// Plural of a work, as Kubernetes errors name it.
pub const RESOURCE: &str = "manifestworks";
/// Kind of the record on the managed cluster.
pub const APPLIED_KIND: &str = "AppliedManifestWork";
/// Plural of the record on the managed cluster.
pub const APPLIED_RESOURCE: &str = "appliedmanifestworks";

/// Finalizer that the agent keeps on a work until what it applied is gone.
pub const WORK_FINALIZER: &str = "cluster.open-cluster-management.io/manifest-work-cleanup";
/// Finalizer on an applied work.
pub const APPLIED_WORK_FINALIZER: &str =
    "cluster.open-cluster-management.io/applied-manifest-work-cleanup";
/// Annotation on objects applied server-side with ignored fields: hash of what was last applied.
pub const CONFIG_SPEC_HASH_ANNOTATION: &str = "open-cluster-management.io/config-spec-hash";
/// Annotation on objects applied by the Update strategy: hash of the required spec.
pub const SPEC_HASH_ANNOTATION: &str = "operator.openshift.io/spec-hash";
/// Default field manager of server-side apply, and the agent's HTTP User-Agent.
pub const FIELD_MANAGER: &str = "work-agent";

/// Annotation with the data type that a work came with.
pub const DATA_TYPE_ANNOTATION: &str = "cloudevents.open-cluster-management.io/datatype";
/// Label with the source that a work came from.
pub const ORIGINAL_SOURCE_LABEL: &str = "cloudevents.open-cluster-management.io/originalsource";
/// Annotation with the sequence id of the last status.
pub const SEQUENCE_ID_ANNOTATION: &str = "cloudevents.open-cluster-management.io/sequenceid";
/// Annotation that overrides the version sent with a spec.
pub const RESOURCE_VERSION_ANNOTATION: &str =
    "cloudevents.open-cluster-management.io/resourceversion";
/// Annotations that start like this travel in the `logtracing` attribute.
pub const LOG_TRACING_PREFIX: &str = "logging.open-cluster-management.io/";
/// The one log tracing annotation in use: an operation id.
pub const OP_ID_ANNOTATION: &str = "logging.open-cluster-management.io/op-id";

/// Condition types of works and manifests.
pub mod condition {
    /// Everything was applied.
    pub const APPLIED: &str = "Applied";
    /// Everything exists.
    pub const AVAILABLE: &str = "Available";
    /// A condition rule says that work goes on.
    pub const PROGRESSING: &str = "Progressing";
    /// A condition rule says that something is wrong.
    pub const DEGRADED: &str = "Degraded";
    /// A condition rule says that the work has done what it was for.
    pub const COMPLETE: &str = "Complete";
    /// Deletion has begun.
    pub const DELETING: &str = "Deleting";
    /// Deletion has ended; the last status of a work.
    pub const DELETED: &str = "Deleted";
    /// Feedback values could be read (manifest level).
    pub const STATUS_FEEDBACK_SYNCED: &str = "StatusFeedbackSynced";
}

/// Condition reasons.
pub mod reason {
    /// Work level, Applied=True.
    pub const APPLIED_WORK_COMPLETE: &str = "AppliedManifestWorkComplete";
    /// Manifest level, Applied=True.
    pub const APPLIED_MANIFEST_COMPLETE: &str = "AppliedManifestComplete";
    /// Work level, Deleted=True.
    pub const MANIFESTS_DELETED: &str = "ManifestsDeleted";
    /// Deleted=True made by the server when a cluster was removed for good.
    pub const CONSUMER_REMOVED: &str = "ConsumerRemoved";
    /// Feedback was cut because the message would have been too large for its receivers.
    pub const TOO_LARGE: &str = "TooLarge";
}
