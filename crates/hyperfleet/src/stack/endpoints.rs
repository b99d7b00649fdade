//! Where everything is, for people and for scripts.

use std::path::PathBuf;

/// Addresses of a running stack.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The data directory.
    pub data: PathBuf,
    /// Base URL of the HyperFleet API.
    pub api: String,
    /// URL of the regional cluster's Kubernetes API.
    pub regional: String,
    /// Its kubeconfig.
    pub regional_kubeconfig: PathBuf,
    /// URL of the management cluster's Kubernetes API.
    pub management: String,
    /// Its kubeconfig.
    pub management_kubeconfig: PathBuf,
    /// Name of the management cluster, which is its consumer name at Maestro.
    pub consumer: String,
    /// Base URL of Maestro's REST API.
    pub maestro_rest: String,
    /// `host:port` of Maestro's port for sources.
    pub maestro_grpc: String,
    /// `host:port` of Maestro's port for agents.
    pub maestro_broker: String,
    /// The source id under which the control-plane adapter publishes.
    pub source_id: String,
}

impl Endpoints {
    /// Names and values for `endpoints.json`.
    pub fn named(&self) -> Vec<(&'static str, String)> {
        vec![
            ("api", self.api.clone()),
            ("regional", self.regional.clone()),
            (
                "regionalKubeconfig",
                self.regional_kubeconfig.display().to_string(),
            ),
            ("management", self.management.clone()),
            (
                "managementKubeconfig",
                self.management_kubeconfig.display().to_string(),
            ),
            ("consumer", self.consumer.clone()),
            ("maestroRest", self.maestro_rest.clone()),
            ("maestroGrpc", self.maestro_grpc.clone()),
            ("maestroBroker", self.maestro_broker.clone()),
            ("sourceId", self.source_id.clone()),
        ]
    }

    /// Names and values for a person.
    pub fn rows(&self) -> Vec<(String, String)> {
        [
            ("HyperFleet API", self.api.clone()),
            ("regional cluster", self.regional.clone()),
            (
                "  kubeconfig",
                self.regional_kubeconfig.display().to_string(),
            ),
            (
                "management cluster",
                format!("{}  ({})", self.management, self.consumer),
            ),
            (
                "  kubeconfig",
                self.management_kubeconfig.display().to_string(),
            ),
            ("Maestro REST", self.maestro_rest.clone()),
            (
                "Maestro gRPC",
                format!(
                    "{}  (sources; source id {})",
                    self.maestro_grpc, self.source_id
                ),
            ),
            (
                "Maestro broker",
                format!("{}  (agents)", self.maestro_broker),
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Commands to try next.
    pub fn commands(&self) -> Vec<String> {
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "hyperfleet".to_owned());
        vec![
            format!(
                "{program} sample-cluster | curl -s -X POST -H 'Content-Type: application/json' -d @- {}/api/hyperfleet/v1/clusters",
                self.api
            ),
            format!(
                "kubectl --kubeconfig {} get hostedclusters -A -w",
                self.management_kubeconfig.display()
            ),
            format!(
                "{program} maestro-cli list --consumer {} --http-endpoint {} --output table",
                self.consumer, self.maestro_rest
            ),
        ]
    }
}
