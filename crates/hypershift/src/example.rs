//! A HostedCluster that keeps every rule, for tests, documentation and a first try.

use serde_json::{Value, json};

/// A public control plane named `name` in namespace `clusters`, release 4.22.3, in project `my-project-123`.
pub fn hosted_cluster(name: &str) -> Value {
    let account =
        |account: &str| format!("{name}-{account}@my-project-123.iam.gserviceaccount.com");
    let route =
        |service: &str| json!({"service": service, "servicePublishingStrategy": {"type": "Route"}});
    let public = |service: &str, host: &str| {
        let hostname = format!("{host}-{name}.gcp.example.com");
        json!({"service": service, "servicePublishingStrategy": {"type": "Route", "route": {"hostname": hostname}}})
    };
    json!({
        "apiVersion": crate::names::API_VERSION,
        "kind": crate::names::HOSTED_CLUSTER,
        "metadata": {
            "name": name,
            "namespace": "clusters",
            "labels": {"hyperfleet.io/adapter": "controlplane"},
            "annotations": {
                "hyperfleet.io/generation": "1",
                "hypershift.openshift.io/cleanup-cloud-resources": "true",
                "hypershift.openshift.io/pod-security-admission-label-override": "baseline",
            },
        },
        "spec": {
            "clusterID": "0198a3b1-7c2e-7f4a-9d21-1c5f0b6a7e88",
            "infraID": "hf-0198a3b1-7c2e-7f4a-9d21-1c5f0b6a7e88",
            "release": {"image": "quay.io/openshift-release-dev/ocp-release:4.22.3-multi"},
            "controllerAvailabilityPolicy": "HighlyAvailable",
            "infrastructureAvailabilityPolicy": "SingleReplica",
            "platform": {
                "type": "GCP",
                "gcp": {
                    "project": "my-project-123",
                    "region": "us-central1",
                    "endpointAccess": "PublicAndPrivate",
                    "networkConfig": {
                        "network": {"name": "vpc"},
                        "privateServiceConnectSubnet": {"name": "psc-subnet"},
                    },
                    "workloadIdentity": {
                        "projectNumber": "123456789012",
                        "poolID": format!("{name}-wi-pool"),
                        "providerID": format!("{name}-k8s-provider"),
                        "serviceAccountsEmails": {
                            "controlPlane": account("ctrlplane-op"),
                            "nodePool": account("nodepool-mgmt"),
                            "cloudController": account("cloud-controller"),
                            "storage": account("gcp-pd-csi"),
                            "imageRegistry": account("image-registry"),
                            "network": account("cloud-network"),
                        },
                    },
                    "resourceLabels": [
                        {"key": "cluster-id", "value": "hf-0198a3b1-7c2e-7f4a-9d21-1c5f0b6a7e88"},
                        {"key": "managed-by", "value": "hyperfleet"},
                    ],
                },
            },
            "networking": {
                "networkType": "OVNKubernetes",
                "clusterNetwork": [{"cidr": "10.132.0.0/14"}],
                "serviceNetwork": [{"cidr": "172.31.0.0/16"}],
                "machineNetwork": [{"cidr": "10.0.0.0/20"}],
            },
            "dns": {"baseDomain": "gcp.example.com"},
            "etcd": {
                "managementType": "Managed",
                "managed": {"storage": {"type": "PersistentVolume", "persistentVolume": {"size": "8Gi"}}},
            },
            "services": [
                public("APIServer", "api"),
                public("OAuthServer", "oauth"),
                route("Konnectivity"),
                route("Ignition"),
            ],
            "pullSecret": {"name": format!("{name}-pull-secret")},
            "issuerURL": format!("https://oidc.example.com/{name}"),
            "serviceAccountSigningKey": {"name": format!("{name}-sa-signing-key")},
            "secretEncryption": {"type": "aescbc", "aescbc": {"activeKey": {"name": format!("{name}-etcd-key")}}},
            "configuration": {"featureGate": {"featureSet": "TechPreviewNoUpgrade"}},
        },
    })
}
