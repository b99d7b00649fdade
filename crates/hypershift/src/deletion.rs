//! What the deletion of a HostedCluster means to HyperFleet.
//!
//! While a HostedCluster is deleted its status is frozen (Available stays True until the object is gone), so nothing of it
//! is mapped but what the deletion itself reports; what holds the deletion is in the metadata that is fed back.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::conditions;
use crate::status::{ConditionInput, Options, elapsed};

/// What is known about the deletion.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// `<namespace>/<name>` of the HostedCluster.
    pub hosted_cluster: &'a str,
    /// Where the deletion stands.
    pub phase: Phase<'a>,
    /// The time.
    pub now: Timestamp,
}

/// Where a deletion stands.
#[derive(Clone, Copy, Debug)]
pub enum Phase<'a> {
    /// The cluster still has node pools: nothing is deleted before they are gone.
    NodePools {
        /// How many.
        count: usize,
    },
    /// The work's deletion was asked for.
    Requested {
        /// When: the work's deletion timestamp, else the cluster's.
        since: Option<Timestamp>,
        /// What the agent fed back: the object's deletion timestamp, once it has one.
        deleted_at: Option<Timestamp>,
        /// The object's finalizers, as fed back.
        finalizers: &'a [String],
        /// The object's last status, for what it says about cloud resources.
        status: Option<&'a Value>,
    },
    /// Nothing is left, or never was.
    Gone,
}

/// The four conditions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Applied.
    pub applied: ConditionInput,
    /// Available; `None`: as the running cluster says.
    pub available: Option<ConditionInput>,
    /// Health.
    pub health: ConditionInput,
    /// Finalized.
    pub finalized: ConditionInput,
}

/// Maps a deletion to what is reported.
pub fn map(state: &State<'_>, options: &Options) -> Report {
    let healthy = || ConditionInput::holds("NoIssues", "No degradation detected");
    match state.phase {
        Phase::NodePools { count } => {
            let pools = if count == 1 {
                "1 node pool".to_owned()
            } else {
                format!("{count} node pools")
            };
            let message = format!("waiting for {pools} to be deleted");
            Report {
                applied: ConditionInput::fails("NodePoolsExist", &message),
                available: None,
                health: healthy(),
                finalized: ConditionInput::fails("CleanupInProgress", &message),
            }
        }
        Phase::Gone => {
            let message = "HostedCluster removed";
            Report {
                applied: ConditionInput::fails("Deleted", message),
                available: Some(ConditionInput::fails("Deleted", message)),
                health: healthy(),
                finalized: ConditionInput::holds("CleanupConfirmed", message),
            }
        }
        Phase::Requested {
            since,
            deleted_at,
            finalizers,
            status,
        } => {
            let running = deleted_at.or(since).map(|since| elapsed(since, state.now));
            let leftovers =
                status.and_then(|status| conditions::find(status, "CloudResourcesDestroyed"));
            let leftovers = leftovers
                .map(|condition| condition.message)
                .unwrap_or_default();
            let listed = if finalizers.is_empty() {
                "none fed back".to_owned()
            } else {
                finalizers.join(", ")
            };
            let stuck = running.filter(|running| *running > options.finalizer_timeout);
            let applied = if deleted_at.is_some() || !finalizers.is_empty() || stuck.is_some() {
                let detail = if leftovers.is_empty() {
                    String::new()
                } else {
                    format!("; {leftovers}")
                };
                ConditionInput::holds("FinalizersRunning", format!("deleting: {listed}{detail}"))
            } else {
                ConditionInput::holds("DeletionInitiated", "HostedCluster deletion requested")
            };
            let (health, finalized) = match (stuck, deleted_at) {
                (Some(running), _) => {
                    let message = stuck_message(state.hosted_cluster, &listed, running, leftovers);
                    (
                        ConditionInput::fails("FinalizersStuck", &message),
                        ConditionInput::fails("FinalizersStuck", message),
                    )
                }
                (None, None) if running.is_some_and(|running| running > options.agent_timeout) => {
                    let message = "the agent of the management cluster has not begun the deletion; it may be away";
                    let health = ConditionInput::fails("AgentNotResponding", message);
                    (health, ConditionInput::fails("CleanupInProgress", message))
                }
                _ => (
                    healthy(),
                    ConditionInput::fails(
                        "CleanupInProgress",
                        "waiting for the HostedCluster to go",
                    ),
                ),
            };
            let available = ConditionInput::fails("Deleting", "HostedCluster is being deleted");
            Report {
                applied,
                available: Some(available),
                health,
                finalized,
            }
        }
    }
}

/// What holds the deletion and where to look.
fn stuck_message(key: &str, finalizers: &str, running: Duration, leftovers: &str) -> String {
    let namespace = key.replace(['/', '.'], "-");
    let leftovers = if leftovers.is_empty() {
        "none reported"
    } else {
        leftovers
    };
    format!(
        "HostedCluster {key} still has finalizers [{finalizers}] after {}m. Check: operator logs; GCPPrivateServiceConnect \
         in {namespace} (service account permissions); leftovers: {leftovers}",
        running.as_secs() / 60
    )
}

#[cfg(test)]
mod tests;
