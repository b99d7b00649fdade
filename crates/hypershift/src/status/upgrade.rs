//! Versions and where an upgrade stands.

use serde_json::Value;

use crate::conditions;
use crate::release::Release;

/// Where an upgrade stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UpgradeState {
    /// None under way (a first installation is none).
    #[default]
    Idle,
    /// The control plane rolls.
    InProgress,
    /// The control plane is done, the guest's components follow.
    ControlPlaneDone,
    /// The operator refuses it.
    Blocked,
}

impl UpgradeState {
    /// The word in the report's data.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::InProgress => "InProgress",
            Self::ControlPlaneDone => "ControlPlaneDone",
            Self::Blocked => "Blocked",
        }
    }

    /// Reads a status. `wanted_image` tells of an upgrade that the operator hasn't begun yet.
    pub(super) fn of(status: &Value, wanted_image: Option<&str>) -> Self {
        if !status.get("version").is_some_and(Value::is_object) {
            return Self::Idle;
        }
        let installed = completed(status, "version")
            .or_else(|| completed(status, "controlPlaneVersion"))
            .is_some();
        if !installed {
            return Self::Idle;
        }
        let progressing = conditions::find(status, "Progressing");
        if progressing.is_some_and(|condition| condition.reason == "Blocked") {
            return Self::Blocked;
        }
        let control_plane_image = status
            .pointer("/controlPlaneVersion/desired/image")
            .and_then(Value::as_str);
        let is_asked = matches!((control_plane_image, wanted_image), (Some(has), Some(wanted)) if has != wanted);
        if is_asked
            || progressing.is_some_and(|condition| condition.is_true())
            || is_open(status, "controlPlaneVersion")
        {
            return Self::InProgress;
        }
        // With a single entry the guest is still installing.
        let guest_follows = is_open(status, "version") && history(status, "version").len() > 1;
        if guest_follows {
            Self::ControlPlaneDone
        } else {
            Self::Idle
        }
    }
}

fn history<'v>(status: &'v Value, member: &str) -> &'v [Value] {
    let history = status
        .get(member)
        .and_then(|version| version.get("history"))
        .and_then(Value::as_array);
    history.map_or(&[], Vec::as_slice)
}

/// Whether the newest entry has not completed.
fn is_open(status: &Value, member: &str) -> bool {
    history(status, member)
        .first()
        .is_some_and(|newest| newest.get("state").is_none_or(|state| state != "Completed"))
}

/// The newest version that completed.
pub(super) fn completed<'v>(status: &'v Value, member: &str) -> Option<&'v str> {
    let entry = history(status, member)
        .iter()
        .find(|entry| entry.get("state").is_some_and(|state| state == "Completed"))?;
    entry
        .get("version")?
        .as_str()
        .filter(|version| !version.is_empty())
}

/// The version worked towards: of the wanted image if its tag says so, else of the status.
pub(super) fn desired_version(status: &Value, wanted_image: Option<&str>) -> String {
    let of_image = wanted_image
        .and_then(Release::of_image)
        .map(|release| release.to_string());
    let of_status = || {
        status
            .pointer("/version/desired/version")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    of_image.or_else(of_status).unwrap_or_default()
}
