//! Applied (rules A1–A5), and the generation that a report speaks for.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{ConditionInput, Context, elapsed};
use crate::conditions::Condition;

/// What this run sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sent {
    /// Nothing: it only looked.
    #[default]
    Nothing,
    /// The work is new.
    Created,
    /// The work was changed.
    Updated,
}

/// The work that carries the HostedCluster, and what the agent says about the manifest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery<'a> {
    /// What this run sent.
    pub sent: Sent,
    /// The manifest's condition Applied (the work's, if the manifest has none).
    pub applied: Option<Condition<'a>>,
    /// The manifest's condition Available: does the object exist on the cluster?
    pub present: Option<Condition<'a>>,
    /// Generation of the work, to tell an answer about an earlier one.
    pub work_generation: Option<i64>,
    /// When the work was made.
    pub sent_at: Option<Timestamp>,
}

/// Why Applied is False, where that also makes Health False.
pub(super) const APPLY_FAILED: &str = "ManifestApplyFailed";
pub(super) const MISSING: &str = "HostedClusterMissing";
pub(super) const SILENT: &str = "AgentNotResponding";

impl<'a> Delivery<'a> {
    /// The agent's Applied, if it is about the current work.
    fn current(&self) -> Option<Condition<'a>> {
        let is_current =
            |condition: &Condition<'_>| match (condition.observed_generation, self.work_generation)
            {
                (Some(observed), Some(work)) => observed >= work,
                _ => true,
            };
        self.applied.filter(is_current)
    }

    /// How long the agent has been silent, if it never said anything.
    fn silence(&self, now: Timestamp) -> Option<Duration> {
        if self.applied.is_some() {
            None
        } else {
            self.sent_at.map(|sent| elapsed(sent, now))
        }
    }
}

pub(super) fn map(status: Option<&Value>, context: &Context<'_>) -> ConditionInput {
    let delivery = &context.delivery;
    if let Some(refused) = delivery.current().filter(Condition::is_false) {
        return ConditionInput::fails(
            APPLY_FAILED,
            or(
                refused.message,
                "the agent could not apply the HostedCluster",
            ),
        );
    }
    if let Some(missing) = delivery.present.filter(Condition::is_false) {
        let detail = or(missing.message, "it no longer exists");
        let message = format!(
            "HostedCluster vanished from the management cluster, nobody asked for that: {detail}"
        );
        return ConditionInput::fails(MISSING, message);
    }
    if let Some(silence) = delivery
        .silence(context.now)
        .filter(|silence| *silence > context.options.agent_timeout)
        && status.is_none()
    {
        let minutes = silence.as_secs() / 60;
        let message = format!(
            "the agent of the management cluster has not acknowledged the work for {minutes}m"
        );
        return ConditionInput::fails(SILENT, message);
    }
    match delivery.sent {
        Sent::Created => ConditionInput::holds(
            "ManifestWorkCreated",
            "HostedCluster CR sent to management cluster",
        ),
        Sent::Updated => ConditionInput::holds(
            "ManifestWorkUpdated",
            "HostedCluster update sent to management cluster",
        ),
        Sent::Nothing => ConditionInput::holds(
            "ManifestWorkExists",
            "HostedCluster CR exists in management cluster",
        ),
    }
}

fn or<'t>(text: &'t str, default: &'t str) -> &'t str {
    if text.is_empty() { default } else { text }
}

/// The generations that decide what a report speaks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generations {
    /// The HyperFleet generation in the stored work's annotation.
    pub annotated: i64,
    /// Generation of the work.
    pub work: Option<i64>,
    /// The work's generation that the agent has applied.
    pub applied: Option<i64>,
    /// `metadata.generation` of the HostedCluster, fed back.
    pub object: Option<i64>,
    /// The HostedCluster's generation that the operator has seen (its condition Available).
    pub operator: Option<i64>,
    /// The generation of the adapter's last report, if there was one.
    pub reported: Option<i64>,
}

/// The HyperFleet generation that a report may claim: that of the work, once agent and operator have seen it, and the one
/// reported before until then. A first report claims the work's generation (it says Available=False anyway, or describes
/// a cluster that was there before).
pub fn observed_generation(generations: &Generations) -> i64 {
    let behind = |seen: Option<i64>, wanted: Option<i64>| matches!((seen, wanted), (Some(seen), Some(wanted)) if seen < wanted);
    let lags = behind(generations.applied, generations.work)
        || behind(generations.operator, generations.object);
    match generations.reported {
        Some(reported) if lags => reported.min(generations.annotated),
        None if lags => generations.annotated.saturating_sub(1).max(1),
        _ => generations.annotated,
    }
}
