//! The resource types of every cluster: names, scopes and merge rules, as tables.
//!
//! Built-in objects are kept as they are sent, with the defaults and rules of [`rules`]; there are no controllers
//! behind them except for namespaces, garbage collection and CustomResourceDefinitions.

pub mod rules;
pub mod types;

use std::sync::Arc;

use crate::resource::{GenerationRule, Origin, Resource};
use crate::schema::Schema;
use crate::shape::Shape;

/// One line of the table: plural, kind, short names, then flags: `n` namespaced, `s` status subresource,
/// `g` generation follows spec, `c` scale subresource, `a` category `all`.
type Line = (&'static str, &'static str, &'static str, &'static str);

const CORE: &[Line] = &[
    ("configmaps", "ConfigMap", "cm", "n"),
    ("endpoints", "Endpoints", "ep", "n"),
    ("events", "Event", "ev", "n"),
    ("limitranges", "LimitRange", "limits", "n"),
    ("namespaces", "Namespace", "ns", "s"),
    ("nodes", "Node", "no", "s"),
    (
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        "pvc",
        "ns",
    ),
    ("persistentvolumes", "PersistentVolume", "pv", "s"),
    ("pods", "Pod", "po", "nsa"),
    ("podtemplates", "PodTemplate", "", "n"),
    (
        "replicationcontrollers",
        "ReplicationController",
        "rc",
        "nsgca",
    ),
    ("resourcequotas", "ResourceQuota", "quota", "ns"),
    ("secrets", "Secret", "", "n"),
    ("serviceaccounts", "ServiceAccount", "sa", "n"),
    ("services", "Service", "svc", "nsa"),
];

const APPS: &[Line] = &[
    ("controllerrevisions", "ControllerRevision", "", "n"),
    ("daemonsets", "DaemonSet", "ds", "nsga"),
    ("deployments", "Deployment", "deploy", "nsgca"),
    ("replicasets", "ReplicaSet", "rs", "nsgca"),
    ("statefulsets", "StatefulSet", "sts", "nsgca"),
];

const BATCH: &[Line] = &[
    ("cronjobs", "CronJob", "cj", "nsga"),
    ("jobs", "Job", "", "nsga"),
];

const RBAC: &[Line] = &[
    ("clusterrolebindings", "ClusterRoleBinding", "", ""),
    ("clusterroles", "ClusterRole", "", ""),
    ("rolebindings", "RoleBinding", "", "n"),
    ("roles", "Role", "", "n"),
];

const NETWORKING: &[Line] = &[
    ("ingressclasses", "IngressClass", "", "g"),
    ("ingresses", "Ingress", "ing", "nsg"),
    ("networkpolicies", "NetworkPolicy", "netpol", "ng"),
];

const ADMISSION: &[Line] = &[
    (
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        "",
        "g",
    ),
    (
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        "",
        "sg",
    ),
    (
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        "",
        "g",
    ),
    (
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        "",
        "g",
    ),
];

const STORAGE: &[Line] = &[
    ("csidrivers", "CSIDriver", "", ""),
    ("csinodes", "CSINode", "", ""),
    ("storageclasses", "StorageClass", "sc", ""),
    ("volumeattachments", "VolumeAttachment", "", "s"),
];

/// Group, version, table. The order is that of discovery.
const GROUPS: &[(&str, &str, &[Line])] = &[
    ("", "v1", CORE),
    ("apps", "v1", APPS),
    ("batch", "v1", BATCH),
    ("rbac.authorization.k8s.io", "v1", RBAC),
    ("coordination.k8s.io", "v1", &[("leases", "Lease", "", "n")]),
    ("networking.k8s.io", "v1", NETWORKING),
    (
        "policy",
        "v1",
        &[("poddisruptionbudgets", "PodDisruptionBudget", "pdb", "nsg")],
    ),
    (
        "autoscaling",
        "v2",
        &[(
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
            "hpa",
            "nsa",
        )],
    ),
    (
        "discovery.k8s.io",
        "v1",
        &[("endpointslices", "EndpointSlice", "", "n")],
    ),
    (
        "scheduling.k8s.io",
        "v1",
        &[("priorityclasses", "PriorityClass", "pc", "")],
    ),
    ("storage.k8s.io", "v1", STORAGE),
    ("admissionregistration.k8s.io", "v1", ADMISSION),
    (
        CRD_GROUP,
        "v1",
        &[(
            "customresourcedefinitions",
            "CustomResourceDefinition",
            "crd,crds",
            "sg",
        )],
    ),
];

/// Group of CustomResourceDefinition.
pub const CRD_GROUP: &str = "apiextensions.k8s.io";
/// Storage name of CustomResourceDefinition.
pub const CRD_STORAGE: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Storage name of Namespace.
pub const NAMESPACE_STORAGE: &str = "namespaces";

/// The schema of `metadata`, for every kind.
pub fn metadata_schema() -> Arc<Schema> {
    types::schema("meta.ObjectMeta").unwrap_or_default()
}

/// Merge rules of `metadata`, for every kind.
pub fn metadata_shape() -> Arc<Shape> {
    metadata_schema().shape()
}

/// All built-in resource types, in the order of discovery.
pub fn resources() -> Vec<Resource> {
    GROUPS
        .iter()
        .flat_map(|(group, version, lines)| {
            lines
                .iter()
                .map(move |line| resource(group, version, *line))
        })
        .collect()
}

fn resource(group: &str, version: &str, (plural, kind, short_names, flags): Line) -> Resource {
    let has = |flag: char| flags.contains(flag);
    let schema = types::schema(&types::name_of(group, version, kind));
    let version: Arc<str> = version.into();
    Resource {
        group: group.into(),
        version: Arc::clone(&version),
        storage_version: version,
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: short_names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        categories: if has('a') {
            vec!["all".to_owned()]
        } else {
            Vec::new()
        },
        namespaced: has('n'),
        origin: Origin::BuiltIn,
        has_status: has('s'),
        scale: has('c').then(|| crate::resource::Scale {
            spec_replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            selector: None,
        }),
        generation: if has('g') {
            GenerationRule::Spec
        } else {
            GenerationRule::None
        },
        shape: schema
            .as_ref()
            .map_or_else(Shape::unknown, |schema| schema.shape()),
        schema,
        open_api: None,
        columns: None,
        selectable_fields: selectable(kind)
            .iter()
            .map(|field| (*field).to_owned())
            .collect(),
        storage: crate::failure::qualified(plural, group).into(),
        deprecation: None,
    }
}

/// Paths that field selectors may use besides name and namespace.
fn selectable(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "Secret" => &["type"],
        "Namespace" => &["status.phase"],
        "Node" => &["spec.unschedulable"],
        "ReplicaSet" | "ReplicationController" => &["status.replicas"],
        "Job" => &["status.successful"],
        "Service" => &["spec.clusterIP", "spec.type"],
        _ => &[],
    }
}
