//! `W`: acceptable, but worth knowing.

use serde_json::Value;

use super::{Findings, Violation};
use crate::hosted_cluster::HostedCluster;
use crate::names::{ANNOTATION_CLEANUP, DEFAULT_ISSUER_URL};
use crate::path;

/// Everything worth knowing about `document`. `stored` is the rendering that it replaces, `others` are further
/// HostedClusters that may get in its way.
pub fn warnings(document: &Value, stored: Option<&Value>, others: &[Value]) -> Vec<Violation> {
    let mut findings = Findings::default();
    shared_domain(document, others, &mut findings);
    let cluster = HostedCluster::new(document);
    if cluster.is_public() {
        let message = "external-dns must be able to write the api-/oauth- names";
        findings.add("W02", "spec.platform.gcp.endpointAccess", message);
    }
    if path::get(document, "spec.secretEncryption").is_none() {
        findings.add(
            "W03",
            "spec.secretEncryption",
            "etcd secrets will not be encrypted",
        );
    }
    if !cluster.cleans_cloud_resources() {
        let path = format!("metadata.annotations.\"{ANNOTATION_CLEANUP}\"");
        findings.add(
            "W04",
            &path,
            "guest load balancers and disks stay after deletion",
        );
    }
    let issuer = path::get(document, "spec.issuerURL").and_then(Value::as_str);
    if issuer.is_none_or(|issuer| issuer == DEFAULT_ISSUER_URL) {
        findings.add(
            "W05",
            "spec.issuerURL",
            "issuerURL is the default and cannot be changed later",
        );
    }
    if path::get(document, "spec.configuration.featureGate.featureSet").is_none() {
        let message = "GCP is tech preview and upstream documents TechPreviewNoUpgrade";
        findings.add("W06", "spec.configuration.featureGate.featureSet", message);
    }
    if path::get(document, "spec.sshKey").is_some() {
        findings.add(
            "W07",
            "spec.sshKey",
            "missing Secret gives a permanent SSHKeySync error",
        );
    }
    if let Some(stored) = stored {
        for field in ["pullSecret", "sshKey", "additionalTrustBundle"] {
            let path = format!("spec.{field}");
            if path::get(stored, &path) != path::get(document, &path) {
                findings.add("W08", &path, "all nodes will be replaced");
            }
        }
    }
    findings.violations
}

fn shared_domain(document: &Value, others: &[Value], findings: &mut Findings) {
    let Some((project, domain)) = place(document) else {
        return;
    };
    let own = HostedCluster::new(document).key();
    let shared = |other: &Value| {
        place(other) == Some((project, domain)) && HostedCluster::new(other).key() != own
    };
    if others.iter().any(shared) {
        let message = format!(
            "baseDomain {domain} is used by another cluster in project {project}: DNS zones would collide"
        );
        findings.add("W01", "spec.dns.baseDomain", message);
    }
}

/// GCP project and base domain: what names the zones of a cluster.
fn place(document: &Value) -> Option<(&str, &str)> {
    let text = |path| path::get(document, path).and_then(Value::as_str);
    Some((
        text("spec.platform.gcp.project")?,
        text("spec.dns.baseDomain")?,
    ))
}
