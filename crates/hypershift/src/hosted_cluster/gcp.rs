//! `spec.platform.gcp`, typed.
//!
//! The types are for those who build or show the section; the rules work on the document itself
//! ([`crate::validate`]), so that a wrong value is reported and not lost in decoding.

use serde::{Deserialize, Serialize};

/// `spec.platform.gcp`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    /// GCP project of the workers, 6 to 30 characters. Immutable.
    pub project: String,
    /// GCP region, the management cluster's own. Immutable.
    pub region: String,
    /// Networks. Immutable.
    pub network_config: NetworkConfig,
    /// Who may reach the API server. Default `Private`.
    #[serde(default)]
    pub endpoint_access: EndpointAccess,
    /// Labels of the cloud resources, at most 60.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_labels: Vec<ResourceLabel>,
    /// Workload Identity Federation. Immutable.
    pub workload_identity: WorkloadIdentity,
}

/// `spec.platform.gcp.networkConfig`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkConfig {
    /// The VPC network.
    pub network: Reference,
    /// The subnet of the consumer endpoint of Private Service Connect.
    pub private_service_connect_subnet: Reference,
}

/// A reference by name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// 1 to 63 characters.
    pub name: String,
}

/// `spec.platform.gcp.endpointAccess`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum EndpointAccess {
    /// From inside the VPC and from outside.
    PublicAndPrivate,
    /// From inside the VPC only.
    #[default]
    Private,
}

/// One entry of `spec.platform.gcp.resourceLabels`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceLabel {
    /// Unique; not starting with `goog`.
    pub key: String,
    /// May be empty, must not start with a digit.
    pub value: String,
}

/// `spec.platform.gcp.workloadIdentity`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadIdentity {
    /// Digits, as text.
    #[serde(rename = "projectNumber")]
    pub project_number: String,
    /// Pool, 4 to 32 characters.
    #[serde(rename = "poolID")]
    pub pool_id: String,
    /// Provider, 4 to 32 characters.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// The six accounts, all different.
    #[serde(rename = "serviceAccountsEmails")]
    pub service_accounts: ServiceAccounts,
}

/// `spec.platform.gcp.workloadIdentity.serviceAccountsEmails`: e-mail addresses of the project's accounts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccounts {
    /// Cluster API provider: makes the workers.
    pub node_pool: String,
    /// Control-plane operator: endpoints, addresses, DNS.
    pub control_plane: String,
    /// Cloud controller manager: load balancers.
    pub cloud_controller: String,
    /// Persistent disk driver.
    pub storage: String,
    /// Image registry operator.
    pub image_registry: String,
    /// Cloud network configuration controller.
    pub network: String,
}

impl EndpointAccess {
    /// The value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublicAndPrivate => "PublicAndPrivate",
            Self::Private => "Private",
        }
    }
}
