//! Which lists of built-in kinds merge by key, and which objects are one value.

use std::sync::{Arc, LazyLock};

use crate::shape::{ObjectShape, Shape};

/// Merge rules of `metadata`, for every kind.
pub static METADATA: LazyLock<Arc<Shape>> = LazyLock::new(|| {
    Shape::object([
        ("labels", Shape::unknown()),
        ("annotations", Shape::unknown()),
        ("finalizers", Shape::set()),
        ("ownerReferences", Shape::keyed(&["uid"], Shape::atomic())),
    ])
});

static POD_SPEC: LazyLock<Arc<Shape>> = LazyLock::new(|| {
    let container = Shape::object([
        (
            "ports",
            Shape::keyed(&["containerPort", "protocol=TCP"], Shape::unknown()),
        ),
        ("env", Shape::keyed(&["name"], env())),
        (
            "volumeMounts",
            Shape::keyed(&["mountPath"], Shape::unknown()),
        ),
        (
            "volumeDevices",
            Shape::keyed(&["devicePath"], Shape::unknown()),
        ),
        (
            "resources",
            Shape::object([("claims", Shape::keyed(&["name"], Shape::unknown()))]),
        ),
    ]);
    Shape::object([
        (
            "containers",
            Shape::keyed(&["name"], Arc::clone(&container)),
        ),
        (
            "initContainers",
            Shape::keyed(&["name"], Arc::clone(&container)),
        ),
        ("ephemeralContainers", Shape::keyed(&["name"], container)),
        ("volumes", Shape::keyed(&["name"], Shape::unknown())),
        ("imagePullSecrets", Shape::keyed(&["name"], Shape::atomic())),
        ("hostAliases", Shape::keyed(&["ip"], Shape::unknown())),
        (
            "topologySpreadConstraints",
            Shape::keyed(&["topologyKey", "whenUnsatisfiable"], Shape::unknown()),
        ),
        ("resourceClaims", Shape::keyed(&["name"], Shape::unknown())),
        ("schedulingGates", Shape::keyed(&["name"], Shape::unknown())),
        ("nodeSelector", Shape::atomic()),
    ])
});

fn env() -> Arc<Shape> {
    let source = Shape::object([
        ("configMapKeyRef", Shape::atomic()),
        ("secretKeyRef", Shape::atomic()),
        ("fieldRef", Shape::atomic()),
        ("resourceFieldRef", Shape::atomic()),
    ]);
    Shape::object([("valueFrom", source)])
}

fn template() -> Arc<Shape> {
    Shape::object([
        ("metadata", Arc::clone(&METADATA)),
        ("spec", Arc::clone(&POD_SPEC)),
    ])
}

fn conditions() -> Arc<Shape> {
    Shape::object([("conditions", Shape::keyed(&["type"], Shape::unknown()))])
}

fn workload() -> Arc<Shape> {
    Shape::object([
        ("selector", Shape::atomic()),
        ("template", template()),
        ("volumeClaimTemplates", Shape::atomic()),
    ])
}

/// The shape of a kind.
pub fn of(kind: &str) -> Arc<Shape> {
    let (spec, status) = match kind {
        "Pod" => (Arc::clone(&POD_SPEC), pod_status()),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController" => {
            (workload(), conditions())
        }
        "Job" => (workload(), conditions()),
        "CronJob" => {
            let job = Shape::object([("metadata", Arc::clone(&METADATA)), ("spec", workload())]);
            (Shape::object([("jobTemplate", job)]), Shape::unknown())
        }
        "Service" => (
            Shape::object([
                (
                    "ports",
                    Shape::keyed(&["port", "protocol=TCP"], Shape::unknown()),
                ),
                ("selector", Shape::atomic()),
            ]),
            conditions(),
        ),
        "Node" => (
            Shape::object([("podCIDRs", Shape::set())]),
            Shape::object([
                ("conditions", Shape::keyed(&["type"], Shape::unknown())),
                ("addresses", Shape::keyed(&["type"], Shape::unknown())),
            ]),
        ),
        "CustomResourceDefinition" => (
            Shape::object([("versions", Shape::unknown())]),
            Shape::object([("conditions", Shape::keyed(&["type"], Shape::unknown()))]),
        ),
        "NetworkPolicy" => (
            Shape::object([("podSelector", Shape::atomic())]),
            Shape::unknown(),
        ),
        "PodDisruptionBudget" => (Shape::object([("selector", Shape::atomic())]), conditions()),
        "Namespace" | "PersistentVolumeClaim" => (Shape::unknown(), conditions()),
        _ => (Shape::unknown(), Shape::unknown()),
    };
    let mut object = ObjectShape::default();
    let mut put = |name: &str, shape: Arc<Shape>| object.fields.insert(name.to_owned(), shape);
    put("metadata", Arc::clone(&METADATA));
    put("spec", spec);
    put("status", status);
    match kind {
        "ServiceAccount" => {
            put("secrets", Shape::keyed(&["name"], Shape::unknown()));
            put("imagePullSecrets", Shape::keyed(&["name"], Shape::atomic()));
        }
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            put("webhooks", Shape::keyed(&["name"], Shape::unknown()));
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            put("roleRef", Shape::atomic());
        }
        "ClusterRole" => {
            put("aggregationRule", Shape::atomic());
        }
        _ => {}
    }
    Arc::new(Shape::Object(object))
}

fn pod_status() -> Arc<Shape> {
    Shape::object([
        ("conditions", Shape::keyed(&["type"], Shape::unknown())),
        ("podIPs", Shape::keyed(&["ip"], Shape::unknown())),
        ("hostIPs", Shape::keyed(&["ip"], Shape::unknown())),
    ])
}
