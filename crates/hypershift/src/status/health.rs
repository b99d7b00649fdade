//! Health (rules H1–H5): the first thing that is wrong.

use serde_json::Value;

use super::applied::{APPLY_FAILED, MISSING, SILENT};
use super::{ConditionInput, Context, lasts};
use crate::conditions::{self, Condition};

/// Conditions whose being False means that the configuration or the platform keeps the operator from its work, most
/// telling first.
const CONFIGURATION: [&str; 10] = [
    "ValidReleaseImage",
    "ValidConfiguration",
    "ValidGCPWorkloadIdentity",
    "ValidGCPCredentials",
    "PlatformCredentialsFound",
    "ValidOIDCConfiguration",
    "GCPServiceAttachmentAvailable",
    "GCPEndpointAvailable",
    "GCPDNSAvailable",
    "GCPPrivateServiceConnectAvailable",
];
/// In whose messages an expired certificate shows.
const CARRIERS: [&str; 3] = [
    "ConfigOperatorReconciliationSucceeded",
    "ReconciliationSucceeded",
    "Available",
];
/// What a certificate problem sounds like in `ValidConfiguration`.
const CONFIGURATION_SIGNS: [&str; 4] = [
    "KAS SANs",
    "KAS TLS",
    "NamedCertificates",
    "service account signing key",
];
/// What to do about certificates.
const REMEDY: &str = "Certificates are managed by the HyperShift operator: check its logs, the proxy's CA bundle, named \
                      serving certificates and the signing key";

pub(super) fn map(
    status: Option<&Value>,
    applied: &ConditionInput,
    context: &Context<'_>,
) -> ConditionInput {
    if let Some(error) = context.feedback_error {
        let message = format!("the status that the agent fed back could not be read: {error}");
        return ConditionInput::fails("FeedbackParseError", message);
    }
    if [APPLY_FAILED, MISSING, SILENT].contains(&applied.reason.as_str()) {
        return ConditionInput::fails(&applied.reason, &applied.message);
    }
    let Some(status) = status else {
        return healthy();
    };
    degraded(status, context)
        .or_else(|| certificates(status).filter(|_| context.options.certificate_signals))
        .or_else(|| configuration(status, context))
        .unwrap_or_else(healthy)
}

fn healthy() -> ConditionInput {
    ConditionInput::holds("NoIssues", "No degradation detected")
}

fn degraded(status: &Value, context: &Context<'_>) -> Option<ConditionInput> {
    let degraded = conditions::find(status, "Degraded").filter(Condition::is_true)?;
    let is_certificate = degraded.reason.contains("Certificate");
    if !is_certificate && !lasts(&degraded, context.options.degraded_grace, context.now) {
        return None;
    }
    let remedy = if is_certificate {
        format!(". {REMEDY}")
    } else {
        String::new()
    };
    Some(ConditionInput::fails(
        "Degraded",
        format!("Control plane is degraded: {}{remedy}", degraded.message),
    ))
}

fn certificates(status: &Value) -> Option<ConditionInput> {
    let failing = |type_: &str| conditions::find(status, type_).filter(Condition::is_false);
    let bundle = failing("ValidProxyConfiguration")
        .filter(|condition| condition.reason == "ProxyCABundleInvalid");
    let named = || {
        let says = |condition: &Condition<'_>| {
            CONFIGURATION_SIGNS
                .iter()
                .any(|sign| condition.message.contains(sign))
        };
        failing("ValidConfiguration").filter(says)
    };
    let expired = || {
        let says = |condition: &Condition<'_>| {
            condition.message.contains("x509:")
                || condition.message.contains("certificate has expired")
        };
        CARRIERS
            .iter()
            .find_map(|type_| failing(type_).filter(says))
    };
    let signal = bundle.or_else(named).or_else(expired)?;
    Some(ConditionInput::fails(
        "CertificateProblem",
        format!("{}. {REMEDY}", signal.message),
    ))
}

fn configuration(status: &Value, context: &Context<'_>) -> Option<ConditionInput> {
    let lasting = |condition: &Condition<'_>| {
        lasts(condition, context.options.config_error_grace, context.now)
    };
    let failing = |type_: &str| {
        conditions::find(status, type_)
            .filter(Condition::is_false)
            .filter(lasting)
    };
    if let Some(cause) = CONFIGURATION.iter().find_map(|type_| failing(type_)) {
        return Some(failed(&cause));
    }
    let blocked = conditions::find(status, "Progressing")
        .filter(|c| c.reason == "Blocked")
        .filter(lasting);
    if let Some(blocked) = blocked {
        if blocked.message.starts_with("ClusterVersionUpgradeable") {
            let message = format!("{}. Acknowledge or use a z-stream release", blocked.message);
            return Some(ConditionInput::fails("UpgradeBlocked", message));
        }
        return Some(failed(&blocked));
    }
    failing("ReconciliationSucceeded").map(|cause| failed(&cause))
}

fn failed(cause: &Condition<'_>) -> ConditionInput {
    ConditionInput::fails(
        "ReconcileFailed",
        format!("{}: {}", cause.type_, cause.message),
    )
}
