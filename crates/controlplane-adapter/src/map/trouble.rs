//! A run that failed: what Maestro or the review said.

use hyperfleet_adapter::policy::{Failure, FailureClass, Observed, Overrides};
use hypershift::status::{ConditionInput, Status};

use super::Running;
use crate::report::{APPLIED, AVAILABLE, FINALIZED, HEALTH, put};
use crate::settings::Settings;

pub(super) fn map(
    observed: &Observed<'_>,
    failure: &Failure,
    running: Option<&Running<'_>>,
    settings: &Settings,
) -> Overrides {
    let mut overrides = Overrides::default();
    if let Some(running) = running {
        running.data(&mut overrides);
    }
    put(
        &mut overrides,
        FINALIZED,
        ConditionInput::fails("NotDeleting", ""),
    );
    if failure.class == FailureClass::Refused {
        // Applied and Available are the review's to say. The adapter and the running cluster are as well as they were.
        let health = running.map_or_else(
            || ConditionInput::holds("NoIssues", "No degradation detected"),
            |running| running.mapped.health.clone(),
        );
        put(&mut overrides, HEALTH, health);
        return overrides;
    }
    let (applied, health) = conditions(observed, failure);
    put(&mut overrides, APPLIED, applied);
    put(&mut overrides, HEALTH, health);
    let unknown = failure.class == FailureClass::Transient && settings.transient_available_unknown;
    let status = if unknown {
        Status::Unknown
    } else {
        Status::False
    };
    put(
        &mut overrides,
        AVAILABLE,
        ConditionInput::new(status, "Unknown", "Cannot determine status"),
    );
    overrides
}

/// Applied and Health of a failure that is not the request's fault.
pub(super) fn conditions(
    observed: &Observed<'_>,
    failure: &Failure,
) -> (ConditionInput, ConditionInput) {
    let text = &failure.message;
    let broken = || ConditionInput::fails("AdapterError", "Maestro SDK call failed");
    let both = |reason: &str, message: String| {
        (
            ConditionInput::fails(reason, &message),
            ConditionInput::fails(reason, message),
        )
    };
    match failure.class {
        FailureClass::Transient => (ConditionInput::fails("MaestroError", text), broken()),
        FailureClass::Unauthorized => {
            let source = "Check the ServiceAccount token and the Maestro authorization of this adapter's source";
            (
                ConditionInput::fails("MaestroAuthError", format!("{text}. {source}")),
                broken(),
            )
        }
        FailureClass::Rejected => (ConditionInput::fails("MaestroRejected", text), broken()),
        FailureClass::ConsumerNotFound => {
            let target = observed.target.unwrap_or_default();
            both(
                "ConsumerNotFound",
                format!("management cluster \"{target}\" is not registered in Maestro"),
            )
        }
        FailureClass::Conflict => both("ManifestWorkConflict", text.clone()),
        FailureClass::Refused | FailureClass::Internal => both("AdapterError", text.clone()),
    }
}
