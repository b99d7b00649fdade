//! The rule table. Ids and texts are the contract with whoever reads the messages: never reuse an id.

use super::table::Check::{Items, Length, Matches, OneOf, Quantity, Required, Text, Unique};
use super::table::{Check, Rule};

const fn rule(id: &'static str, path: &'static str, check: Check) -> Rule {
    Rule {
        id,
        path,
        check,
        message: "",
    }
}

const fn told(id: &'static str, path: &'static str, check: Check, message: &'static str) -> Rule {
    Rule {
        id,
        path,
        check,
        message,
    }
}

const DOMAIN_OR_LABEL: &str = r"^$|^(?:(?:[a-zA-Z0-9-]+\.)+[a-zA-Z]{2,}|[a-zA-Z0-9-]+)$";

/// `S`: what the schema of the CRD says. S02 is ours (the CRD would admit a GCP cluster without a `gcp` section), S47 and
/// following spell out requirements of the schema that the others take for granted.
pub(super) const STRUCTURE: &[Rule] = &[
    rule("S01", "spec.platform.type", OneOf(&["GCP"])),
    rule("S02", "spec.platform.gcp", Required),
    rule(
        "S03",
        "spec.platform.gcp.{project,region,networkConfig,workloadIdentity}",
        Required,
    ),
    rule(
        "S04",
        "spec.platform.gcp.networkConfig.{network,privateServiceConnectSubnet}.name",
        Required,
    ),
    rule(
        "S05",
        "spec.platform.gcp.workloadIdentity.{projectNumber,poolID,providerID,serviceAccountsEmails}",
        Required,
    ),
    rule(
        "S06",
        "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.{nodePool,controlPlane,cloudController,storage,imageRegistry,network}",
        Required,
    ),
    rule("S07", "spec.{release,pullSecret,services}", Required),
    rule("S08", "spec.release.image", Length(1, 253)),
    rule("S09", "spec.platform.gcp.project", Length(6, 30)),
    rule("S10", "spec.platform.gcp.region", Length(1, 63)),
    rule(
        "S10",
        "spec.platform.gcp.networkConfig.{network,privateServiceConnectSubnet}.name",
        Length(1, 63),
    ),
    rule(
        "S12",
        "spec.platform.gcp.workloadIdentity.projectNumber",
        Text,
    ),
    rule(
        "S11",
        "spec.platform.gcp.workloadIdentity.projectNumber",
        Length(1, 25),
    ),
    rule(
        "S13",
        "spec.platform.gcp.workloadIdentity.{poolID,providerID}",
        Length(4, 32),
    ),
    rule(
        "S14",
        "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.*",
        Length(37, 85),
    ),
    rule(
        "S15",
        "spec.platform.gcp.endpointAccess",
        OneOf(&["PublicAndPrivate", "Private"]),
    ),
    rule("S16", "spec.platform.gcp.resourceLabels", Items(1, 60)),
    rule("S17", "spec.platform.gcp.resourceLabels[].key", Unique),
    rule(
        "S18",
        "spec.platform.gcp.resourceLabels[].{key,value}",
        Required,
    ),
    rule(
        "S19",
        "spec.platform.gcp.resourceLabels[].key",
        Length(1, 63),
    ),
    rule(
        "S20",
        "spec.platform.gcp.resourceLabels[].value",
        Length(0, 63),
    ),
    rule("S21", "spec.services", Items(0, 6)),
    rule(
        "S22",
        "spec.services[].service",
        OneOf(&[
            "APIServer",
            "OAuthServer",
            "OIDC",
            "Konnectivity",
            "Ignition",
            "OVNSbDb",
        ]),
    ),
    rule(
        "S23",
        "spec.services[].servicePublishingStrategy.type",
        OneOf(&["LoadBalancer", "NodePort", "Route", "None", "S3"]),
    ),
    rule(
        "S24",
        "spec.services[].servicePublishingStrategy.route.hostname",
        Length(1, 253),
    ),
    rule(
        "S24",
        "spec.services[].servicePublishingStrategy.loadBalancer.hostname",
        Length(1, 253),
    ),
    rule("S25", "spec.clusterID", Length(36, 36)),
    rule("S26", "spec.infraID", Length(1, 253)),
    rule("S27", "spec.issuerURL", Length(0, 255)),
    rule(
        "S28",
        "spec.dns.{baseDomain,baseDomainPrefix}",
        Length(0, 253),
    ),
    rule("S29", "spec.dns.baseDomain", Required),
    rule("S30", "spec.dns.publicZoneID", Length(1, 258)),
    rule("S31", "spec.dns.privateZoneID", Length(1, 265)),
    rule(
        "S32",
        "spec.networking.{machineNetwork,clusterNetwork,serviceNetwork}",
        Items(1, 2),
    ),
    rule(
        "S33",
        "spec.networking.{machineNetwork,clusterNetwork,serviceNetwork}[].cidr",
        Length(0, 43),
    ),
    rule(
        "S34",
        "spec.networking.networkType",
        OneOf(&["OpenShiftSDN", "Calico", "OVNKubernetes", "Other"]),
    ),
    rule(
        "S35",
        "spec.etcd.managementType",
        OneOf(&["Managed", "Unmanaged"]),
    ),
    rule(
        "S36",
        "spec.etcd.managed.storage.type",
        OneOf(&["PersistentVolume"]),
    ),
    told(
        "S37",
        "spec.etcd.managed.storage.persistentVolume.size",
        Quantity,
        "must be a quantity",
    ),
    rule(
        "S38",
        "spec.{controllerAvailabilityPolicy,infrastructureAvailabilityPolicy}",
        OneOf(&["HighlyAvailable", "SingleReplica"]),
    ),
    rule(
        "S39",
        "spec.olmCatalogPlacement",
        OneOf(&["management", "guest"]),
    ),
    rule("S40", "spec.capabilities.enabled[]", OneOf(CAPABILITIES)),
    rule("S40", "spec.capabilities.disabled[]", OneOf(CAPABILITIES)),
    rule(
        "S41",
        "spec.secretEncryption.type",
        OneOf(&["kms", "aescbc"]),
    ),
    rule("S42", "spec.{nodeSelector,labels}", Items(0, 20)),
    rule("S43", "spec.tolerations", Items(0, 25)),
    rule("S44", "spec.autoscaling.expanders", Items(1, 3)),
    rule("S45", "spec.channel", Length(1, 100)),
    rule("S46", "spec.pausedUntil", Length(4, 35)),
    rule("S47", "{metadata,spec}", Required),
    rule("S48", "spec.platform.type", Required),
    rule("S48", "spec.{platform}", Required),
    rule("S49", "spec.release.image", Required),
    rule(
        "S50",
        "spec.services[].{service,servicePublishingStrategy}",
        Required,
    ),
    rule(
        "S51",
        "spec.services[].servicePublishingStrategy.type",
        Required,
    ),
    rule(
        "S52",
        "spec.networking.{machineNetwork,clusterNetwork,serviceNetwork}[].cidr",
        Required,
    ),
    rule("S53", "spec.etcd.managementType", Required),
    rule("S54", "spec.secretEncryption.type", Required),
    rule("S55", "metadata.name", Required),
    rule("S56", "metadata.{name,namespace}", Text),
];

const CAPABILITIES: &[&str] = &[
    "ImageRegistry",
    "openshift-samples",
    "Insights",
    "baremetal",
    "Console",
    "NodeTuning",
    "Ingress",
];

/// `C`: the CRD's rules that are a pattern on one text.
pub(super) const PATTERNS: &[Rule] = &[
    told(
        "C01",
        "spec.platform.gcp.project",
        Matches("^[a-z][a-z0-9-]{4,28}[a-z0-9]$"),
        "project must start with a lowercase letter, contain only lowercase letters, digits, or hyphens, and end with a letter or digit",
    ),
    told(
        "C02",
        "spec.platform.gcp.region",
        Matches("^[a-z]+-[a-z]+[0-9]+$"),
        "region must be a valid GCP region (e.g., us-central1, europe-west2)",
    ),
    told(
        "C03",
        "spec.platform.gcp.networkConfig.{network,privateServiceConnectSubnet}.name",
        Matches("^[a-z]([-a-z0-9]*[a-z0-9])?$"),
        "must start with a lowercase letter, contain only lowercase letters, digits, or hyphens, and not end with a hyphen",
    ),
    told(
        "C04",
        "spec.platform.gcp.workloadIdentity.projectNumber",
        Matches("^[0-9]+$"),
        "projectNumber must contain only digits",
    ),
    told(
        "C05",
        "spec.platform.gcp.workloadIdentity.{poolID,providerID}",
        Matches("^[a-z][a-z0-9-]{2,30}[a-z0-9]$"),
        "{f} must start with a lowercase letter, contain only lowercase letters, digits, or hyphens, and end with a letter or digit",
    ),
    told(
        "C08",
        "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.*",
        Matches(
            r"^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z][a-z0-9-]{4,28}[a-z0-9]\.iam\.gserviceaccount\.com$",
        ),
        "email must be a valid GCP service account email (format: name@project.iam.gserviceaccount.com)",
    ),
    told(
        "C10",
        "spec.platform.gcp.resourceLabels[].key",
        Matches("^[a-z]([_a-z0-9-]{0,61}[a-z0-9])?$"),
        "key must start with a lowercase letter, contain only lowercase letters, digits, underscores, or hyphens, and end with a letter or digit",
    ),
    told(
        "C12",
        "spec.platform.gcp.resourceLabels[].value",
        Matches("^$|^[a-z]([_a-z0-9-]{0,61}[a-z0-9])?$"),
        "value must be empty or start with a lowercase letter, contain only lowercase letters, digits, underscores, or hyphens, and end with a letter or digit",
    ),
    told(
        "C15",
        "spec.services[].servicePublishingStrategy.route.hostname",
        Matches(HOSTNAME),
        HOSTNAME_TEXT,
    ),
    told(
        "C15",
        "spec.services[].servicePublishingStrategy.loadBalancer.hostname",
        Matches(HOSTNAME),
        HOSTNAME_TEXT,
    ),
    told("C16", "spec.release.image", Matches(IMAGE), IMAGE_TEXT),
    told(
        "C16",
        "spec.controlPlaneRelease.image",
        Matches(IMAGE),
        IMAGE_TEXT,
    ),
    told(
        "C17",
        "spec.clusterID",
        Matches("[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12}"),
        "clusterID must be an RFC4122 UUID value (xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx in hexadecimal digits)",
    ),
    told(
        "C18",
        "spec.infraID",
        Matches("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
        "infraID must consist of lowercase alphanumeric characters or '-', start and end with an alphanumeric character, and be between 1 and 253 characters",
    ),
    told(
        "C19",
        "spec.dns.{baseDomain,baseDomainPrefix}",
        Matches(DOMAIN_OR_LABEL),
        "{f} must be a valid domain name (e.g., example, example.com, sub.example.com)",
    ),
    told(
        "C22",
        "spec.networking.{machineNetwork,clusterNetwork,serviceNetwork}[].cidr",
        Matches(
            r"^(([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2})$|^([0-9a-fA-F]{0,4}:){2,7}([0-9a-fA-F]{0,4})?/[0-9]{1,3}$",
        ),
        "cidr must be a valid IPv4 or IPv6 CIDR notation (e.g., 192.168.1.0/24 or 2001:db8::/64)",
    ),
    told(
        "C29",
        "spec.kubeAPIServerDNSName",
        Matches(DOMAIN_OR_LABEL),
        "kubeAPIServerDNSName must be a valid URL name (e.g., api.example.com)",
    ),
    told(
        "C30",
        "spec.pausedUntil",
        Matches(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}.*$|^([Tt]rue|[Ff]alse)$"),
        "PausedUntil must be a date in RFC3339 format or 'True', 'true', 'False' or 'false'",
    ),
];

const HOSTNAME: &str = r"^(?:[a-zA-Z0-9-]+\.)+[a-zA-Z]{2,}$";
const HOSTNAME_TEXT: &str = "hostname must be a valid domain name (e.g., example.com)";
const IMAGE: &str = r"^[0-9A-Za-z_]+[^\t\n\f\r ]+$";
const IMAGE_TEXT: &str = "Image must start with a word character (letters, digits, or underscores) and contain no white spaces";

/// `O`: rules of the operator and of GCP that are a question about one value.
pub(super) const OPERATOR: &[Rule] = &[
    told(
        "O04",
        "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.*",
        Unique,
        "service account e-mails must be six different accounts",
    ),
    told(
        "O06",
        "metadata.name",
        Matches("^[a-z]([-a-z0-9]*[a-z0-9])?$"),
        "cluster name must start with a letter (DNS zone <name>-hypershift-local)",
    ),
    told(
        "O08",
        "spec.dns.baseDomain",
        Matches("^[a-z][a-z0-9.-]*$"),
        "baseDomain must be set, lowercase and start with a letter",
    ),
    told(
        "O14",
        "spec.secretEncryption.type",
        OneOf(&["aescbc"]),
        "no KMS provider exists for GCP",
    ),
    told(
        "O18",
        "spec.etcd.managementType",
        OneOf(&["Managed"]),
        "unmanaged etcd is not supported here",
    ),
];
