//! The life of a HostedCluster as its operator shows it: steps with a delay and a change of `.status`.
//!
//! ```text
//!  creation   S0 ─ S1 ─ … ─ S8 (available) ─ S9 ─ S10 (workers joined)
//!  upgrade    U0 ─ U1 ─ U2 ─ U3 (control plane done) ─ U4 (guest done)      or UB (blocked), UI (bad image)
//!  degradation D1 … D9
//!  deletion   X0 ─ X1 ─ … ─ X5 ─ [X6 grace] ─ X7 (gone)                     or XP, XB (stuck), XC, XT (leaks)
//! ```
//!
//! All functions are pure. The caller owns the clock: it says when a timeline started and how fast time runs, and
//! applies each [`Step`] when its delay has passed ([`StatusPatch::apply`]). Replaying all steps up to now from the
//! stored start gives the same status as having watched them: a simulator may stop and go on at any point.
//!
//! The data files beside this module hold the steps; in their texts `${name}` is a parameter, `"@15"` a time 15 seconds
//! after the start, `"$OLD"` the earlier entries of the same history. Reasons, texts and delays are documented in
//! `docs/protocol/hostedcluster-gcp.md`.

mod data;
mod parameters;
mod patch;

use std::time::Duration;

use serde_json::Value;

pub use parameters::Parameters;
pub use patch::{ConditionPatch, StatusPatch};

use crate::conditions;
use crate::hosted_cluster::HostedCluster;
use crate::names::{ANNOTATION_FORCE_UPGRADE, FINALIZER};
use crate::release::{NEWEST_SUPPORTED, OLDEST_SUPPORTED, Release};

/// One moment of a timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Delay since the timeline's start, already scaled by [`Parameters::speed`].
    pub after: Duration,
    /// For example `S3`; unique within a timeline.
    pub id: &'static str,
    /// What happens, for a reader of logs; may be empty.
    pub note: &'static str,
    /// What changes.
    pub patch: StatusPatch,
}

/// What may be wrong while a control plane is created.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CreationFault {
    /// Nothing.
    #[default]
    None,
    /// The pull secret is missing: blocked at S1 until it appears.
    NoPullSecret,
    /// Neither a signing key nor a bucket: comes up, but without workload identity and never reconciled.
    NoOidc,
    /// The management cluster has no free subnet for Private Service Connect: stays at S2.
    NoServiceConnectSubnet,
    /// `spec.services` lacks Ignition: one status, no finalizer, then silence.
    NoIgnition,
}

/// What an operator makes of a changed release image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Upgrade {
    /// U0 … U4.
    Proceeds,
    /// UB: `ClusterVersionUpgradeable` is False and the change is more than a z-stream.
    NotUpgradeable,
    /// UI: the image cannot be used; why.
    InvalidRelease(String),
}

/// How a deletion goes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Deletion {
    /// Everything goes within five minutes (plus the grace period).
    #[default]
    Clean,
    /// XP: a finalizer on the network objects stays. Endless, and `.status` doesn't show it.
    StuckNetwork,
    /// XB: the OIDC bucket cannot be cleaned. Endless.
    StuckBucket,
    /// XC: the guest's API server died first: its cloud resources stay behind.
    CleanupSkipped,
    /// XT: some cloud resource cannot be deleted; given up after ten minutes.
    CleanupTimedOut,
}

/// From an accepted object to an available control plane; the last step is S9, or S10 with
/// [`Parameters::workers`].
pub fn creation(parameters: &Parameters, fault: CreationFault) -> Vec<Step> {
    let mut steps = data::creation(parameters);
    if !parameters.workers {
        steps.retain(|step| step.id != "S10");
    }
    if parameters.is_private {
        for step in &mut steps {
            without_public_names(&mut step.patch);
        }
    }
    match fault {
        CreationFault::None => {}
        CreationFault::NoPullSecret => {
            steps.truncate(2);
            let problem = format!(
                "failed to get pull secret {}/{}",
                parameters.namespace, parameters.pull_secret
            );
            let blocked = format!("ValidReleaseImage condition is false: {problem}");
            for step in steps.iter_mut().skip(1) {
                step.patch
                    .put("ValidReleaseImage", "False", "SecretNotFound", &problem);
                step.patch.put("Progressing", "False", "Blocked", &blocked);
                step.patch
                    .put("Available", "False", "WaitingForAvailable", &blocked);
            }
        }
        CreationFault::NoOidc => {
            let problem =
                "either a service account signing key or the operator's OIDC bucket is required";
            for step in steps.iter_mut().skip(1) {
                if step.patch.has("ValidOIDCConfiguration") {
                    step.patch.put(
                        "ValidOIDCConfiguration",
                        "False",
                        "OIDCConfigurationInvalid",
                        problem,
                    );
                    step.patch.put(
                        "ReconciliationSucceeded",
                        "False",
                        "ReconciliationError",
                        problem,
                    );
                }
            }
        }
        CreationFault::NoServiceConnectSubnet => {
            steps.truncate(3);
            if let Some(last) = steps.last_mut() {
                let problem =
                    "no PRIVATE_SERVICE_CONNECT subnet is free in the management cluster's network";
                last.patch.put(
                    "GCPServiceAttachmentAvailable",
                    "False",
                    "GCPError",
                    problem,
                );
            }
        }
        CreationFault::NoIgnition => {
            steps.truncate(2);
            for step in &mut steps {
                step.patch.finalizers = None;
                let last = step
                    .patch
                    .conditions
                    .iter()
                    .position(|c| c.type_ == "ValidProxyConfiguration");
                if let Some(last) = last {
                    step.patch.conditions.truncate(last + 1);
                    let done = "Reconciliation completed successfully";
                    // The misspelling is the operator's.
                    step.patch.put(
                        "ReconciliationSucceeded",
                        "True",
                        "ReconciliatonSucceeded",
                        done,
                    );
                }
            }
        }
    }
    steps
}

/// What the operator makes of the release image that `object` asks for, given its status: upgrades within the
/// supported range proceed if `ClusterVersionUpgradeable` is not False, within one y-stream, or if forced by
/// annotation.
pub fn judge_upgrade(object: &Value) -> Upgrade {
    let cluster = HostedCluster::new(object);
    let image = cluster.release_image();
    let status = cluster.status().unwrap_or(&Value::Null);
    let running = status
        .pointer("/version/desired/version")
        .and_then(Value::as_str)
        .and_then(Release::parse);
    let wanted = Release::of_image(image);
    if let Some(wanted) = &wanted {
        if !wanted.is_supported() {
            let too_new = (wanted.major, wanted.minor) > NEWEST_SUPPORTED;
            let ((major, minor), what) = if too_new {
                (NEWEST_SUPPORTED, "the latest version supported is")
            } else {
                (
                    OLDEST_SUPPORTED,
                    "the minimum version supported for platform GCP is",
                )
            };
            return Upgrade::InvalidRelease(format!(
                "{what}: \"{major}.{minor}\". Attempting to use: \"{wanted}\""
            ));
        }
    } else if !image.contains('@') {
        return Upgrade::InvalidRelease(format!(
            "failed to lookup release image: {image}: manifest unknown"
        ));
    }
    let (Some(running), Some(wanted)) = (running, wanted) else {
        return Upgrade::Proceeds;
    };
    if wanted < running && !wanted.same_minor(&running) {
        return Upgrade::InvalidRelease(format!(
            "y-stream downgrade from \"{running}\" to \"{wanted}\" is not supported"
        ));
    }
    let upgradeable =
        conditions::find(status, "ClusterVersionUpgradeable").is_none_or(|c| !c.is_false());
    let forced = cluster.annotation(ANNOTATION_FORCE_UPGRADE) == Some(image);
    if upgradeable || forced || wanted.same_minor(&running) {
        Upgrade::Proceeds
    } else {
        Upgrade::NotUpgradeable
    }
}

/// An upgrade of the control plane. `status` is the object's status when the image changed: its version histories go on
/// in the new ones. Without [`Parameters::workers`] the guest's version stays Partial (U4 is left out).
pub fn upgrade(parameters: &Parameters, status: &Value, verdict: &Upgrade) -> Vec<Step> {
    let problem = match verdict {
        Upgrade::InvalidRelease(problem) => problem.as_str(),
        Upgrade::Proceeds | Upgrade::NotUpgradeable => "",
    };
    let mut steps = data::upgrade(parameters, status, problem);
    match verdict {
        Upgrade::Proceeds => steps.retain(|step| {
            !matches!(step.id, "UB" | "UI") && (parameters.workers || step.id != "U4")
        }),
        Upgrade::NotUpgradeable => steps.retain(|step| step.id == "UB"),
        Upgrade::InvalidRelease(_) => steps.retain(|step| step.id == "UI"),
    }
    steps
}

/// Everything that can go wrong with a running control plane, one after the other, ending well.
pub fn degradation(parameters: &Parameters) -> Vec<Step> {
    data::degradation(parameters)
}

/// The operator's deletion. The object is gone when [`StatusPatch::finalizers`] is empty (X7); `grace` is the annotated
/// grace period, unscaled. Without the cleanup annotation (`cleanup` false) cloud resources are left alone and X3 to
/// X5 don't happen.
pub fn deletion(
    parameters: &Parameters,
    how: Deletion,
    grace: Option<Duration>,
    cleanup: bool,
) -> Vec<Step> {
    let mut steps = data::deletion(parameters, grace);
    let keep: &[&str] = match how {
        Deletion::Clean => &["X0", "X1", "X2", "X3", "X4", "X5", "X6", "X7"],
        Deletion::StuckNetwork => &["X0", "XP"],
        Deletion::StuckBucket => &["X0", "X1", "X2", "X3", "X4", "X5", "XB"],
        Deletion::CleanupSkipped => &["X0", "X1", "X2", "X3", "XC", "X6", "X7"],
        Deletion::CleanupTimedOut => &["X0", "X1", "X2", "X3", "XT", "X6", "X7"],
    };
    steps.retain(|step| {
        let needs_grace = step.id == "X6" && grace.is_none();
        let needs_cleanup = !cleanup && matches!(step.id, "X3" | "X4" | "X5" | "XC" | "XT");
        keep.contains(&step.id) && !needs_grace && !needs_cleanup
    });
    // After the ten minutes of XT the rest takes as long as usual.
    let end_of_cleanup = steps
        .iter()
        .find(|step| step.id == "XT")
        .map(|step| step.after);
    let grace = parameters.scaled(grace.unwrap_or_default());
    let mut shift = Duration::ZERO;
    for step in &mut steps {
        if matches!(step.id, "X6" | "X7") {
            if let Some(end) = end_of_cleanup {
                shift = shift.max(end.saturating_sub(parameters.scaled(Duration::from_secs(250))));
            }
            step.after += shift;
        }
        if step.id == "X7" {
            step.after += grace;
        }
    }
    steps.sort_by_key(|step| step.after);
    steps
}

/// Whether the last step of a deletion has taken the operator's finalizer away.
pub fn releases(patch: &StatusPatch) -> bool {
    patch
        .finalizers
        .as_ref()
        .is_some_and(|left| !left.iter().any(|name| name == FINALIZER))
}

/// Private control planes have no public names, so nothing looks them up.
fn without_public_names(patch: &mut StatusPatch) {
    for condition in &mut patch.conditions {
        let unknown =
            condition.type_ == "ExternalDNSReachable" && condition.message != data::NOT_FOUND;
        if unknown {
            "Unknown".clone_into(&mut condition.status);
            "StatusUnknown".clone_into(&mut condition.reason);
            "External DNS is not configured".clone_into(&mut condition.message);
        }
    }
}

#[cfg(test)]
mod tests;
