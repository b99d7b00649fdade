//! What the status of a HostedCluster means to HyperFleet: the conditions Applied, Available and Health, and the data
//! that goes with them.
//!
//! ```text
//!  what the agent says about the manifest ─┐
//!  .status of the HostedCluster ───────────┼─► map ─► Applied, Available, Health, endpoint, version, upgrade
//!  the time, and for how long ─────────────┘
//! ```
//!
//! Rules A1–A5, V1–V5 and H1–H5 of `docs/protocol/hostedcluster-gcp.md`; deletion is [`crate::deletion`].

mod applied;
mod available;
mod health;
mod upgrade;

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use applied::{Delivery, Generations, Sent, observed_generation};
pub use upgrade::UpgradeState;

use crate::conditions::Condition;

/// Longest message of a reported condition, characters; longer ones are cut with `…`.
pub const MAX_MESSAGE: usize = 1024;

/// Status of a condition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// Nobody knows.
    Unknown,
}

/// A condition as it is to be reported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConditionInput {
    /// Whether it holds.
    pub status: Status,
    /// A CamelCase word.
    pub reason: String,
    /// A sentence, at most [`MAX_MESSAGE`] characters.
    pub message: String,
}

/// How patient and how strict to be. [`Default`] gives the documented defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// After this long without an acknowledgement the agent counts as silent. Default 5 minutes.
    pub agent_timeout: Duration,
    /// How long `Degraded=True` may last before Health is False; it comes and goes in every upgrade. Default 0.
    pub degraded_grace: Duration,
    /// How long a configuration or platform condition may be False before Health is False. Default 5 minutes.
    pub config_error_grace: Duration,
    /// Report Available=False until the control plane runs the wanted version. Default false.
    pub available_requires_version: bool,
    /// Look for the signs of certificate problems that the operator shows elsewhere than in `Degraded`. Default true.
    pub certificate_signals: bool,
    /// After this long a deletion counts as stuck. Default 30 minutes.
    pub finalizer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            agent_timeout: 5 * MINUTE,
            degraded_grace: Duration::ZERO,
            config_error_grace: 5 * MINUTE,
            available_requires_version: false,
            certificate_signals: true,
            finalizer_timeout: 30 * MINUTE,
        }
    }
}

/// What is known beside the HostedCluster's status.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the agent says, and what this run did.
    pub delivery: Delivery<'a>,
    /// Why the fed back status could not be read, if so.
    pub feedback_error: Option<&'a str>,
    /// The release image that the stored rendering asks for.
    pub wanted_image: Option<&'a str>,
    /// The time.
    pub now: Timestamp,
    /// Patience.
    pub options: &'a Options,
}

/// The meaning of a status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapped {
    /// Is the object as wanted on the management cluster?
    pub applied: ConditionInput,
    /// Is the control plane usable?
    pub available: ConditionInput,
    /// Is anything wrong?
    pub health: ConditionInput,
    /// URL of the API server; empty while unknown.
    pub control_plane_endpoint: String,
    /// Version that runs completely; empty while unknown.
    pub version: String,
    /// Version that the operator works towards; empty while unknown.
    pub desired_version: String,
    /// Version that the control plane alone runs; empty while unknown.
    pub control_plane_version: String,
    /// Where an upgrade stands.
    pub upgrade: UpgradeState,
}

/// Maps a HostedCluster (whole, or only its `.status`; null if nothing was fed back yet) to what is reported.
pub fn map(hosted_cluster: &Value, context: &Context<'_>) -> Mapped {
    let status = hosted_cluster
        .get("status")
        .filter(|status| status.is_object())
        .unwrap_or(hosted_cluster);
    let status = Some(status).filter(|status| status.is_object() && !is_bare_object(status));
    let upgrade = UpgradeState::of(status.unwrap_or(&Value::Null), context.wanted_image);
    let applied = applied::map(status, context);
    let available = available::map(status, &applied, upgrade, context);
    let health = health::map(status, &applied, context);
    let shown = status.unwrap_or(&Value::Null);
    let is_available = available::is_available(shown);
    Mapped {
        control_plane_endpoint: endpoint(shown),
        version: version(shown, is_available),
        desired_version: upgrade::desired_version(shown, context.wanted_image),
        control_plane_version: upgrade::completed(shown, "controlPlaneVersion")
            .unwrap_or_default()
            .to_owned(),
        applied,
        available,
        health,
        upgrade,
    }
}

/// A whole object that has no status (yet).
fn is_bare_object(value: &Value) -> bool {
    value.get("kind").is_some() && value.get("spec").is_some()
}

/// `status.controlPlaneEndpoint` as one text: a URL for the object form, whatever stands there for the text form.
fn endpoint(status: &Value) -> String {
    match status.get("controlPlaneEndpoint") {
        Some(Value::String(text)) => text.clone(),
        Some(endpoint) => {
            let host = endpoint
                .get("host")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let port = endpoint
                .get("port")
                .and_then(Value::as_i64)
                .unwrap_or_default();
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.to_owned()
            };
            match (host.is_empty(), port) {
                (true, _) => String::new(),
                (false, 0) => format!("https://{host}"),
                (false, port) => format!("https://{host}:{port}"),
            }
        }
        None => String::new(),
    }
}

/// The version that runs: the guest's, else the control plane's, else what an available cluster works towards.
fn version(status: &Value, is_available: bool) -> String {
    if let Some(Value::String(text)) = status.get("version") {
        return text.clone();
    }
    let towards = || {
        let desired = status
            .pointer("/version/desired/version")
            .and_then(Value::as_str);
        desired.filter(|_| is_available)
    };
    upgrade::completed(status, "version")
        .or_else(|| upgrade::completed(status, "controlPlaneVersion"))
        .or_else(towards)
        .unwrap_or_default()
        .to_owned()
}

/// Whether the condition has had its status for at least `grace`. A condition that doesn't say since when counts as old.
fn lasts(condition: &Condition<'_>, grace: Duration, now: Timestamp) -> bool {
    condition
        .last_transition_time
        .is_none_or(|since| elapsed(since, now) >= grace)
}

/// The time from `since` to `now`; zero if `since` is in the future (clocks differ).
pub(crate) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since).max(SignedDuration::ZERO)).unwrap_or_default()
}

// === impl ConditionInput ===

impl ConditionInput {
    /// A condition that holds.
    pub fn holds(reason: &str, message: impl AsRef<str>) -> Self {
        Self::new(Status::True, reason, message)
    }

    /// A condition that doesn't hold.
    pub fn fails(reason: &str, message: impl AsRef<str>) -> Self {
        Self::new(Status::False, reason, message)
    }

    /// Any condition; a long message is cut.
    pub fn new(status: Status, reason: &str, message: impl AsRef<str>) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: cut(message.as_ref()),
        }
    }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        None => message.to_owned(),
        Some(_) => {
            let kept: String = message.chars().take(MAX_MESSAGE - 1).collect();
            format!("{kept}…")
        }
    }
}

// === impl Status ===

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
