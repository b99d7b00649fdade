//! `C`: the CRD's rules that relate several values.

use serde_json::{Map, Value};

use super::Findings;
use crate::path::{self, What};

/// The lists of networks, as rules name them.
pub(super) const NETWORKS: [&str; 3] = ["machineNetwork", "clusterNetwork", "serviceNetwork"];

/// Runs all of them. The structure has been found sound before.
pub(super) fn check(document: &Value, findings: &mut Findings) {
    reserved_prefixes(document, findings);
    same_project(document, findings);
    services(document, findings);
    urls(document, findings);
    networking(document, findings);
    etcd(document, findings);
    capabilities(document, findings);
    autoscaling(document, findings);
    serving_certificates(document, findings);
}

fn text<'v>(document: &'v Value, path: &str) -> &'v str {
    path::get(document, path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn reserved_prefixes(document: &Value, findings: &mut Findings) {
    let reserved = [
        (
            "C06",
            "poolID",
            "Pool ID cannot start with reserved prefix 'gcp-'",
        ),
        (
            "C07",
            "providerID",
            "Provider ID cannot start with reserved prefix 'gcp-'",
        ),
    ];
    for (rule, field, message) in reserved {
        let path = format!("spec.platform.gcp.workloadIdentity.{field}");
        if let Some(value) = path::get(document, &path)
            .filter(|id| id.as_str().is_some_and(|id| id.starts_with("gcp-")))
        {
            findings.add_value(rule, &path, value, message);
        }
    }
    for found in path::select(document, "spec.platform.gcp.resourceLabels[].key") {
        if let What::Value(key) = found.what
            && key.as_str().is_some_and(|key| key.starts_with("goog"))
        {
            let message = "Label keys starting with the reserved 'goog' prefix are not allowed";
            findings.add_value("C11", &found.path, key, message);
        }
    }
}

fn same_project(document: &Value, findings: &mut Findings) {
    let gcp = "spec.platform.gcp";
    let ending = format!(
        "@{}.iam.gserviceaccount.com",
        text(document, "spec.platform.gcp.project")
    );
    for found in path::select(
        document,
        "spec.platform.gcp.workloadIdentity.serviceAccountsEmails.*",
    ) {
        let What::Value(Value::String(email)) = found.what else {
            continue;
        };
        if !email.ends_with(&ending) {
            let message = format!(
                "{} service account must belong to the same project",
                found.field
            );
            findings.add_value(
                "C09",
                gcp,
                path::get(document, gcp).unwrap_or(&Value::Null),
                message,
            );
        }
    }
}

fn services(document: &Value, findings: &mut Findings) {
    let services = path::get(document, "spec.services")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if services.len() < 4 {
        let message = "spec.services in body should have at least 4 items or 3 for IBMCloud";
        findings.add_value(
            "C13",
            "spec",
            path::get(document, "spec").unwrap_or(&Value::Null),
            message,
        );
    }
    for (index, service) in services.iter().enumerate() {
        let path = format!("spec.services[{index}].servicePublishingStrategy");
        let Some(strategy) = service
            .get("servicePublishingStrategy")
            .and_then(Value::as_object)
        else {
            continue;
        };
        for message in union(strategy) {
            findings.add_value("C14", &path, &Value::Object(strategy.clone()), message);
        }
    }
}

/// Which members a strategy may have depends on its type.
fn union(strategy: &Map<String, Value>) -> Vec<&'static str> {
    let type_ = strategy
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let has = |member| strategy.get(member).is_some_and(|value| !value.is_null());
    let (port, route, balancer) = (has("nodePort"), has("route"), has("loadBalancer"));
    let rules = [
        (
            (type_ == "NodePort") == port,
            "nodePort is required when type is NodePort, and forbidden otherwise",
        ),
        (
            if type_ == "Route" {
                !port && !balancer
            } else {
                !route
            },
            "only route is allowed when type is Route, and forbidden otherwise",
        ),
        (
            if type_ == "LoadBalancer" {
                !port && !route
            } else {
                !balancer
            },
            "only loadBalancer is required when type is LoadBalancer, and forbidden otherwise",
        ),
        (
            type_ != "None" || !(port || route || balancer),
            "None does not allow any configuration for the service publishing strategy",
        ),
        (
            type_ != "S3" || !(port || route || balancer),
            "S3 does not allow any configuration for the service publishing strategy",
        ),
    ];
    rules
        .into_iter()
        .filter(|(holds, _)| !holds)
        .map(|(_, message)| message)
        .collect()
}

fn urls(document: &Value, findings: &mut Findings) {
    let urls = [
        (
            "C20",
            "spec.issuerURL",
            "issuerURL must be a valid absolute URL",
        ),
        (
            "C21",
            "spec.updateService",
            "updateService must be a valid absolute URL",
        ),
    ];
    for (rule, path, message) in urls {
        if let Some(value) = path::get(document, path)
            && !value.as_str().is_some_and(is_absolute_url)
        {
            findings.add_value(rule, path, value, message);
        }
    }
}

/// As CEL's `isURL` and a scheme: `scheme://host…` or `scheme:/path`, without spaces.
fn is_absolute_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let mut letters = scheme.chars();
    let scheme_is_good = letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    scheme_is_good
        && rest.starts_with('/')
        && rest.len() > 1
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn networking(document: &Value, findings: &mut Findings) {
    let Some(networking) = path::get(document, "spec.networking") else {
        return;
    };
    let cidrs = |list: &str| -> Vec<&str> {
        let items = networking
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        items
            .filter_map(|item| item.get("cidr")?.as_str())
            .collect()
    };
    let lists = NETWORKS.map(cidrs);
    let shared = lists.iter().enumerate().any(|(index, list)| {
        list.iter().any(|cidr| {
            lists
                .iter()
                .skip(index + 1)
                .any(|other| other.contains(cidr))
        })
    });
    if shared {
        let message = "CIDR ranges in machineNetwork, clusterNetwork, and serviceNetwork must be unique and non-overlapping";
        findings.add_value("C23", "spec.networking", networking, message);
    }
    let type_ = networking
        .get("networkType")
        .and_then(Value::as_str)
        .unwrap_or("OVNKubernetes");
    if networking.get("allocateNodeCIDRs").and_then(Value::as_str) == Some("Enabled")
        && type_ != "Other"
    {
        let message = "allocateNodeCIDRs can only be set to Enabled when networkType is 'Other'";
        findings.add_value("C32", "spec.networking", networking, message);
    }
}

fn etcd(document: &Value, findings: &mut Findings) {
    let Some(etcd) = path::get(document, "spec.etcd") else {
        return;
    };
    let type_ = etcd
        .get("managementType")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let has = |member| {
        etcd.get(member)
            .is_some_and(|value: &Value| !value.is_null())
    };
    let rules = [
        (
            "C24",
            (type_ == "Managed") == has("managed"),
            "Only managed configuration must be set when managementType is Managed",
        ),
        (
            "C25",
            (type_ == "Unmanaged") == has("unmanaged"),
            "Only unmanaged configuration must be set when managementType is Unmanaged",
        ),
    ];
    for (rule, holds, message) in rules {
        if !holds {
            findings.add_value(rule, "spec.etcd", etcd, message);
        }
    }
}

fn capabilities(document: &Value, findings: &mut Findings) {
    let Some(capabilities) = path::get(document, "spec.capabilities") else {
        return;
    };
    let list = |name: &str| -> Vec<&Value> {
        capabilities
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect()
    };
    let (enabled, disabled) = (list("enabled"), list("disabled"));
    if enabled
        .iter()
        .any(|capability| disabled.contains(capability))
    {
        let message = "Capabilities can not be both enabled and disabled at once.";
        findings.add_value("C26", "spec.capabilities", capabilities, message);
    }
    let is_disabled = |name: &str| disabled.iter().any(|capability| *capability == name);
    if is_disabled("Ingress") && !is_disabled("Console") {
        let message =
            "Ingress capability can only be disabled if Console capability is also disabled";
        let value = capabilities.get("disabled").unwrap_or(&Value::Null);
        findings.add_value("C27", "spec.capabilities.disabled", value, message);
    }
}

fn autoscaling(document: &Value, findings: &mut Findings) {
    let Some(autoscaling) = path::get(document, "spec.autoscaling") else {
        return;
    };
    let scaling = autoscaling
        .get("scaling")
        .and_then(Value::as_str)
        .unwrap_or("ScaleUpAndScaleDown");
    if autoscaling.get("scaleDown").is_some() && scaling != "ScaleUpAndScaleDown" {
        let message = "scaleDown can only be set when scaling is ScaleUpAndScaleDown";
        findings.add_value("C28", "spec.autoscaling", autoscaling, message);
    }
}

fn serving_certificates(document: &Value, findings: &mut Findings) {
    let names: Vec<&Value> = path::select(
        document,
        "spec.configuration.apiServer.servingCerts.namedCertificates[].names[]",
    )
    .into_iter()
    .filter_map(|found| match found.what {
        What::Value(name) => Some(name),
        _ => None,
    })
    .collect();
    let services = path::get(document, "spec.services")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let clash = services
        .filter(|service| {
            service
                .get("service")
                .is_some_and(|name| name == "APIServer")
        })
        .filter_map(|service| service.pointer("/servicePublishingStrategy/loadBalancer/hostname"))
        .any(|hostname| names.contains(&hostname));
    if clash {
        let message = "APIServer loadBalancer hostname cannot be in ClusterConfiguration.apiserver.servingCerts.namedCertificates[]";
        findings.add_value(
            "C31",
            "spec",
            path::get(document, "spec").unwrap_or(&Value::Null),
            message,
        );
    }
}
