//! Names that appear on the wire.

/// API group.
pub const GROUP: &str = "hypershift.openshift.io";
/// API version within [`GROUP`].
pub const VERSION: &str = "v1beta1";
/// `apiVersion` of both kinds.
pub const API_VERSION: &str = "hypershift.openshift.io/v1beta1";
/// Kind of a hosted control plane's declaration.
pub const HOSTED_CLUSTER: &str = "HostedCluster";
/// Resource (plural) of [`HOSTED_CLUSTER`].
pub const HOSTED_CLUSTERS: &str = "hostedclusters";
/// Kind of a set of workers.
pub const NODE_POOL: &str = "NodePool";
/// Resource (plural) of [`NODE_POOL`].
pub const NODE_POOLS: &str = "nodepools";

/// The operator's finalizer on both kinds.
pub const FINALIZER: &str = "hypershift.openshift.io/finalizer";

/// Label of HyperFleet's objects: the cluster they belong to.
pub const LABEL_CLUSTER_ID: &str = "hyperfleet.io/cluster-id";
/// Label of HyperFleet's objects: the adapter that owns them.
pub const LABEL_ADAPTER: &str = "hyperfleet.io/adapter";
/// Value of [`LABEL_ADAPTER`] on what the control-plane adapter makes.
pub const ADAPTER: &str = "controlplane";
/// Annotation of HyperFleet's objects: the HyperFleet generation they were rendered from.
pub const ANNOTATION_GENERATION: &str = "hyperfleet.io/generation";

/// Annotation: delete load balancers and disks of the guest with the cluster.
pub const ANNOTATION_CLEANUP: &str = "hypershift.openshift.io/cleanup-cloud-resources";
/// Annotation: wait this long (a Go duration) before the finalizer goes.
pub const ANNOTATION_DESTROY_GRACE: &str = "hypershift.openshift.io/destroy-grace-period";
/// Annotation: pod security level of the control plane's namespace.
pub const ANNOTATION_POD_SECURITY: &str =
    "hypershift.openshift.io/pod-security-admission-label-override";
/// Annotation: upgrade to exactly this image although the cluster says it is not upgradeable.
pub const ANNOTATION_FORCE_UPGRADE: &str = "hypershift.openshift.io/force-upgrade-to";

/// The issuer that stands in `spec.issuerURL` when nobody chose one.
pub const DEFAULT_ISSUER_URL: &str = "https://kubernetes.default.svc";
/// Where issuers live whose documents the operator publishes itself.
pub const BUCKET_ISSUER_PREFIX: &str = "https://storage.googleapis.com/";

/// The four services that a control plane on GCP publishes, all as Routes.
pub const GCP_SERVICES: [&str; 4] = ["APIServer", "OAuthServer", "Konnectivity", "Ignition"];
/// The fields of `serviceAccountsEmails`, all required.
pub const SERVICE_ACCOUNTS: [&str; 6] = [
    "nodePool",
    "controlPlane",
    "cloudController",
    "storage",
    "imageRegistry",
    "network",
];
