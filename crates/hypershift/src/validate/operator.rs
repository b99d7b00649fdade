//! `O`: what the operator or GCP would find out only after the object is accepted, relating several values.
//! Runs on any document, also on one whose structure is broken.

use serde_json::Value;

use super::relations::NETWORKS;
use super::{Context, Findings};
use crate::cidr::{API_SERVER_V4, API_SERVER_V6, Cidr};
use crate::hosted_cluster::HostedCluster;
use crate::names::{ANNOTATION_DESTROY_GRACE, BUCKET_ISSUER_PREFIX, GCP_SERVICES};
use crate::path::{self, What};
use crate::release::{NEWEST_SUPPORTED, OLDEST_SUPPORTED, Release, names_architecture};

/// Longest infra id: the network tag `<infraID>-worker` may have 63 characters.
const MAX_INFRA_ID: usize = 56;
/// Longest name of the control plane's namespace.
const MAX_NAMESPACE: usize = 63;
/// Longest name of a Secret.
const MAX_SECRET_NAME: usize = 253;
/// The services that may have a public hostname.
const PUBLIC_SERVICES: [&str; 2] = ["APIServer", "OAuthServer"];

pub(super) fn check(document: &Value, context: &Context<'_>, findings: &mut Findings) {
    services(document, findings);
    identity(document, findings);
    networks(document, findings);
    release(document, context, findings);
    credentials(document, context, findings);
    placement(document, context, findings);
}

fn services(document: &Value, findings: &mut Findings) {
    let cluster = HostedCluster::new(document);
    if path::get(document, "spec.services").is_some_and(Value::is_array) {
        for wanted in GCP_SERVICES {
            let entries: Vec<&Value> = cluster
                .services()
                .filter(|entry| name_of(entry) == wanted)
                .collect();
            let as_route = |entry: &&Value| {
                entry
                    .pointer("/servicePublishingStrategy/type")
                    .and_then(Value::as_str)
                    == Some("Route")
            };
            if entries.len() != 1 || !entries.iter().all(as_route) {
                let message = format!("GCP requires exactly one {wanted} service of type Route");
                findings.add("O01", "spec.services", message);
            }
        }
        for service in PUBLIC_SERVICES {
            if cluster.is_public() && cluster.route_hostname(service).is_none() {
                findings.add(
                    "O02",
                    "spec.services",
                    format!("route hostname is required for service {service}"),
                );
            }
        }
    }
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, entry) in cluster.services().enumerate() {
        let service = name_of(entry);
        let hostname = entry.pointer("/servicePublishingStrategy/route/hostname");
        let Some(hostname) = hostname
            .and_then(Value::as_str)
            .filter(|hostname| !hostname.is_empty())
        else {
            continue;
        };
        let path = format!("spec.services[{index}].servicePublishingStrategy.route.hostname");
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == hostname) {
            let message = format!(
                "service type {service} can't be published with the same hostname {hostname} as service type {other}"
            );
            findings.add("O03", &path, message);
        }
        seen.push((service, hostname));
        if !PUBLIC_SERVICES.contains(&service) {
            findings.add(
                "O21",
                &path,
                format!("hostname is not allowed on {service}"),
            );
        }
    }
}

fn name_of(service: &Value) -> &str {
    service
        .get("service")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn identity(document: &Value, findings: &mut Findings) {
    let cluster = HostedCluster::new(document);
    if let Some(id) = path::get(document, "spec.infraID").and_then(Value::as_str)
        && (!id.starts_with(|c: char| c.is_ascii_lowercase()) || id.chars().count() > MAX_INFRA_ID)
    {
        let message = "infraID must start with a letter and be at most 56 characters (network tag <infraID>-worker)";
        findings.add_value("O05", "spec.infraID", &id.into(), message);
    }
    let (name, namespace) = (cluster.name(), cluster.namespace());
    if namespace.len() + 1 + name.len() > MAX_NAMESPACE {
        let message = format!(
            "control plane namespace {namespace}-{name} would exceed {MAX_NAMESPACE} characters"
        );
        findings.add("O07", "metadata", message);
    }
    if path::get(document, "spec").is_some() && path::get(document, "spec.dns.baseDomain").is_none()
    {
        findings.add(
            "O08",
            "spec.dns.baseDomain",
            "baseDomain must be set, lowercase and start with a letter",
        );
    }
    if path::get(document, "spec.autoNode").is_some() {
        findings.add("O17", "spec.autoNode", "AutoNode is only available on AWS");
    }
    if let Err(text) = cluster.destroy_grace_period() {
        let path = format!("metadata.annotations.\"{ANNOTATION_DESTROY_GRACE}\"");
        let message = format!("failed to parse {ANNOTATION_DESTROY_GRACE} annotation");
        findings.add_value("O19", &path, &text.into(), message);
    }
}

fn networks(document: &Value, findings: &mut Findings) {
    let mut known: Vec<(&str, String, Cidr)> = Vec::new();
    for list in NETWORKS {
        for found in path::select(document, &format!("spec.networking.{list}[].cidr")) {
            let What::Value(Value::String(text)) = found.what else {
                continue;
            };
            let Some(cidr) = Cidr::parse(text).filter(|cidr| cidr.canonical().to_string() == *text)
            else {
                let message = match Cidr::parse(text) {
                    Some(cidr) => {
                        format!("{text} is not a canonical CIDR: write {}", cidr.canonical())
                    }
                    None => format!("{text} is not a canonical CIDR"),
                };
                findings.add("O09", &found.path, message);
                continue;
            };
            for (other, other_path, other_cidr) in &known {
                if cidr.overlaps(*other_cidr) {
                    let message = format!("{other} and {list} overlap: {other_cidr} and {cidr}");
                    findings.add("O10", &found.path, message);
                } else if cidr.is_ipv4() != other_cidr.is_ipv4() {
                    let message = format!(
                        "one IP family is needed: {cidr} and {other_cidr} at {other_path} differ"
                    );
                    findings.add("O10", &found.path, message);
                }
            }
            for address in [API_SERVER_V4, API_SERVER_V6]
                .into_iter()
                .filter(|address| cidr.contains(*address))
            {
                let message =
                    format!("{cidr} contains {address}, at which pods reach the hosted API server");
                findings.add("O10", &found.path, message);
            }
            known.push((list, found.path, cidr));
        }
    }
}

fn release(document: &Value, context: &Context<'_>, findings: &mut Findings) {
    let image = HostedCluster::new(document).release_image();
    if image.is_empty() {
        return;
    }
    if !names_architecture(image) {
        findings.add_value(
            "O11",
            "spec.release.image",
            &image.into(),
            "release image tag needs an architecture suffix",
        );
    }
    let (path, text, version) = match context.openshift_version {
        Some(asked) => ("openshift_version", asked.to_owned(), Release::parse(asked)),
        None => {
            // A digest says nothing about the version, and a tag that isn't one is the operator's to look up.
            let Some(version) = Release::of_image(image) else {
                return;
            };
            ("spec.release.image", version.to_string(), Some(version))
        }
    };
    if !version.is_some_and(|version| version.is_supported()) {
        let ((a, b), (c, d)) = (OLDEST_SUPPORTED, NEWEST_SUPPORTED);
        findings.add(
            "O12",
            path,
            format!("release version {text} is outside {a}.{b} .. {c}.{d}"),
        );
    }
}

fn credentials(document: &Value, context: &Context<'_>, findings: &mut Findings) {
    let has_key = path::get(document, "spec.serviceAccountSigningKey").is_some();
    let issuer = path::get(document, "spec.issuerURL")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if path::get(document, "spec").is_some()
        && !has_key
        && !context.oidc_bucket
        && !issuer.starts_with(BUCKET_ISSUER_PREFIX)
    {
        let message = "either serviceAccountSigningKey or the operator's OIDC bucket is required";
        findings.add("O13", "spec", message);
    }
    for field in ["pullSecret", "sshKey", "serviceAccountSigningKey"] {
        let path = format!("spec.{field}");
        let Some(reference) = path::get(document, &path).filter(|reference| reference.is_object())
        else {
            continue;
        };
        let name = reference.get("name").unwrap_or(&Value::Null);
        if !name.as_str().is_some_and(is_secret_name) {
            findings.add_value(
                "O15",
                &format!("{path}.name"),
                name,
                format!("{field}.name must be a valid Secret name"),
            );
        }
    }
}

/// A DNS-1123 subdomain.
fn is_secret_name(name: &str) -> bool {
    let label = |label: &str| {
        let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty()
            && label.bytes().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MAX_SECRET_NAME && name.split('.').all(label)
}

fn placement(document: &Value, context: &Context<'_>, findings: &mut Findings) {
    let path = "spec.platform.gcp.region";
    let (Some(management), Some(region)) = (context.management_region, path::get(document, path))
    else {
        return;
    };
    if region != management {
        let shown = region.as_str().unwrap_or_default();
        let message = format!("region {shown} differs from management cluster region {management}");
        findings.add_value("O16", path, region, message);
    }
}
