//! Before a HostedCluster is sent: who owns the work, what may not change, what no operator would accept.

use hyperfleet_adapter::policy::{Overrides, Review, Verdict};
use hypershift::status::ConditionInput;
use hypershift::validate::{self, Context, Mode, Violation};
use hypershift::{immutable, names};
use serde_json::Value;

use crate::report::{APPLIED, AVAILABLE, FINALIZED, HEALTH, put};
use crate::settings::{Settings, Validation};

/// Violations that a message spells out; the rest is counted.
const MAX_TOLD: usize = 5;

pub(crate) fn review(review: &Review<'_>) -> Verdict {
    let settings = match Settings::parse(review.settings) {
        Ok(settings) => settings,
        Err(problems) => {
            return refuse(
                review,
                "InvalidPolicySettings",
                &problems.join("; "),
                &Blame::Adapter,
            );
        }
    };
    if let Some(owners) = foreign_labels(review) {
        let name = review
            .work
            .and_then(|work| work.pointer("/metadata/name")?.as_str())
            .unwrap_or_default();
        let message = format!("ManifestWork {name} is owned by {owners}");
        return refuse(review, "ManifestWorkConflict", &message, &Blame::Adapter);
    }
    let violations = match settings.validation {
        Validation::Off => Vec::new(),
        Validation::Enforce | Validation::Warn => {
            let context = Context {
                mode: Mode::Full,
                oidc_bucket: settings.oidc_bucket,
                management_region: settings.management_region.as_deref(),
                ..Context::default()
            };
            validate::check(review.desired, &context)
        }
    };
    let enforced = settings.validation == Validation::Enforce;
    if let Some(current) = review.current {
        let options = immutable::Options {
            allow_downgrade: settings.allow_downgrade,
        };
        let changes = immutable::changes_with(current, review.desired, options);
        if !changes.is_empty() {
            let mut told: Vec<String> = changes.iter().map(ToString::to_string).collect();
            if enforced {
                told.extend(violations.iter().map(ToString::to_string));
            }
            let running = generation_of(current);
            return refuse(
                review,
                "ImmutableFieldChanged",
                &list(&told),
                &Blame::Change { running },
            );
        }
    }
    if enforced && !violations.is_empty() {
        let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
        return refuse(review, "ValidationFailed", &list(&told), &Blame::Spec);
    }
    let worth_knowing = match settings.validation {
        Validation::Off => Vec::new(),
        _ => validate::warnings(review.desired, review.current, &[]),
    };
    let sentences: Vec<String> = violations
        .iter()
        .chain(&worth_knowing)
        .map(sentence)
        .collect();
    if sentences.is_empty() {
        Verdict::Allow
    } else {
        Verdict::Warn(sentences)
    }
}

fn sentence(violation: &Violation) -> String {
    format!("{} [{}]", violation, violation.rule)
}

/// Who is to blame, which decides about Health.
enum Blame {
    /// The request asks for a change that can't be made; the running control plane is as healthy as it was.
    Change { running: Option<i64> },
    /// What is asked for can't work.
    Spec,
    /// The adapter's surroundings.
    Adapter,
}

fn refuse(review: &Review<'_>, reason: &str, message: &str, blame: &Blame) -> Verdict {
    // At the new generation, with Available=False: else the API would call the refused generation reconciled.
    let mut overrides = Overrides {
        observed_generation: Some(review.generation),
        ..Overrides::default()
    };
    put(
        &mut overrides,
        APPLIED,
        ConditionInput::fails(reason, message),
    );
    match blame {
        Blame::Change { running } => {
            let running = running.map_or_else(
                || "its last accepted generation".to_owned(),
                |n| format!("generation {n}"),
            );
            let available = format!("control plane keeps running with {running}");
            put(
                &mut overrides,
                AVAILABLE,
                ConditionInput::fails(reason, available),
            );
        }
        Blame::Spec => {
            put(
                &mut overrides,
                AVAILABLE,
                ConditionInput::fails(reason, message),
            );
            let remedy = format!(
                "{message}. Correct the cluster's spec; nothing was sent to the management cluster"
            );
            put(
                &mut overrides,
                HEALTH,
                ConditionInput::fails(reason, remedy),
            );
        }
        Blame::Adapter => {
            put(
                &mut overrides,
                AVAILABLE,
                ConditionInput::fails("Unknown", "Cannot determine status"),
            );
            put(
                &mut overrides,
                HEALTH,
                ConditionInput::fails(reason, message),
            );
        }
    }
    put(
        &mut overrides,
        FINALIZED,
        ConditionInput::fails("NotDeleting", ""),
    );
    Verdict::Refuse {
        reason: reason.to_owned(),
        message: message.to_owned(),
        overrides,
    }
}

/// The first few, and how many more.
fn list(told: &[String]) -> String {
    let shown = told
        .iter()
        .take(MAX_TOLD)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    match told.len().saturating_sub(MAX_TOLD) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// The owner labels of the stored work, if they say that it isn't ours: another cluster's, or made by another adapter. What
/// this adapter made under an older config, without labels or labelled with its own name, is adopted.
fn foreign_labels(review: &Review<'_>) -> Option<String> {
    let (stored, wanted) = (review.current_work?, review.work?);
    let own_name = review
        .params
        .get("adapter")
        .and_then(|adapter| adapter.get("name")?.as_str());
    let differs = |name: &str| match (label(stored, name), label(wanted, name)) {
        (Some(stored), Some(wanted)) => stored != wanted,
        _ => false,
    };
    let adapter = label(stored, names::LABEL_ADAPTER);
    let known = adapter == Some(names::ADAPTER) || (adapter.is_some() && adapter == own_name);
    let foreign = differs(names::LABEL_CLUSTER_ID) || (differs(names::LABEL_ADAPTER) && !known);
    let owners = [names::LABEL_CLUSTER_ID, names::LABEL_ADAPTER];
    foreign.then(|| {
        owners
            .map(|name| format!("{name}={}", label(stored, name).unwrap_or_default()))
            .join(", ")
    })
}

fn label<'w>(work: &'w Value, name: &str) -> Option<&'w str> {
    work.get("metadata")?.get("labels")?.get(name)?.as_str()
}

fn generation_of(object: &Value) -> Option<i64> {
    hypershift::hosted_cluster::HostedCluster::new(object).hyperfleet_generation()
}

#[cfg(test)]
mod tests;
