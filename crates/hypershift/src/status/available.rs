//! Available (rules V1–V5).

use serde_json::Value;

use super::applied::{MISSING, SILENT};
use super::{ConditionInput, Context, Sent, UpgradeState, upgrade};
use crate::conditions;

pub(super) const READY: &str = "Control plane is ready and operational";

pub(super) fn is_available(status: &Value) -> bool {
    conditions::find(status, "Available").is_some_and(|available| available.is_true())
}

pub(super) fn map(
    status: Option<&Value>,
    applied: &ConditionInput,
    upgrade: UpgradeState,
    context: &Context<'_>,
) -> ConditionInput {
    match applied.reason.as_str() {
        MISSING => {
            return ConditionInput::fails(
                "NotReady",
                "Control plane not ready: its HostedCluster vanished",
            );
        }
        SILENT => return ConditionInput::fails("Unknown", "Control plane status unknown"),
        _ => {}
    }
    let Some(status) = status else {
        return match context.delivery.sent {
            Sent::Created => {
                ConditionInput::fails("Provisioning", "Control plane provisioning in progress")
            }
            Sent::Nothing | Sent::Updated => {
                ConditionInput::fails("Unknown", "Control plane status unknown")
            }
        };
    };
    let Some(available) = conditions::find(status, "Available") else {
        return ConditionInput::fails("Unknown", "Control plane status unknown");
    };
    if available.is_true() {
        return ready(status, upgrade, context);
    }
    // An installing control plane says Progressing=False: what it hasn't is any completed version.
    let progressing =
        conditions::find(status, "Progressing").is_some_and(|progressing| progressing.is_true());
    let installing = status.get("version").is_some_and(Value::is_object)
        && upgrade::completed(status, "version").is_none()
        && upgrade::completed(status, "controlPlaneVersion").is_none();
    let (reason, text) = if progressing || installing {
        ("Provisioning", "Control plane provisioning in progress")
    } else {
        ("NotReady", "Control plane not ready")
    };
    let detail = if available.message.is_empty() {
        String::new()
    } else {
        format!(": {}", available.message)
    };
    ConditionInput::fails(reason, format!("{text}{detail}"))
}

fn ready(status: &Value, state: UpgradeState, context: &Context<'_>) -> ConditionInput {
    if state != UpgradeState::InProgress && state != UpgradeState::Blocked {
        return ConditionInput::holds("ControlPlaneReady", READY);
    }
    let towards = upgrade::desired_version(status, context.wanted_image);
    let towards = if towards.is_empty() {
        "another release"
    } else {
        &towards
    };
    if context.options.available_requires_version {
        let message = format!("Control plane is operational, but not yet at {towards}");
        return ConditionInput::fails("UpgradeInProgress", message);
    }
    let suffix = match state {
        UpgradeState::Blocked => format!("upgrade to {towards} blocked"),
        _ => format!("upgrade to {towards} in progress"),
    };
    ConditionInput::holds("ControlPlaneReady", format!("{READY}; {suffix}"))
}
