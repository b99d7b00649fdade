//! In which order the objects of a work are applied; deletion walks it backwards.
//!
//! See `docs/protocol/work-agent.md`, "Order".

/// The rank of every kind that isn't listed: custom resources come after the built-in kinds that they may need.
pub const CUSTOM: u16 = 1000;
/// The rank of a manifest that can't be read.
pub const UNREADABLE: u16 = 1001;

/// The rank of a kind; lower ranks are applied first. The group is not looked at.
pub fn of_kind(kind: &str) -> u16 {
    match kind {
        "PriorityClass"
        | "Namespace"
        | "CustomResourceDefinition"
        | "StorageClass"
        | "PersistentVolume"
        | "PodSecurityPolicy" => 0,
        "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => 1,
        "NetworkPolicy"
        | "ResourceQuota"
        | "LimitRange"
        | "PodDisruptionBudget"
        | "ServiceAccount" => 2,
        "Secret" | "ConfigMap" | "PersistentVolumeClaim" => 3,
        "Service" => 4,
        "DaemonSet"
        | "Pod"
        | "ReplicationController"
        | "ReplicaSet"
        | "Deployment"
        | "HorizontalPodAutoscaler"
        | "StatefulSet"
        | "Job"
        | "CronJob" => 5,
        "APIService"
        | "MutatingWebhookConfiguration"
        | "ValidatingWebhookConfiguration"
        | "ValidatingAdmissionPolicy"
        | "ValidatingAdmissionPolicyBinding" => 6,
        _ => CUSTOM,
    }
}
