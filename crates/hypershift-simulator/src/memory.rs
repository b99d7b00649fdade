//! What the simulator remembers of a play, on the object that it plays with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The annotation that holds the memory, as JSON.
pub const TIMELINE_ANNOTATION: &str = "simulator.hyperfleet.io/timeline";

/// Which timeline is played, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The timeline.
    pub play: Play,
    /// When it began.
    pub started: Timestamp,
    /// The release image that it is about.
    pub image: String,
    /// The last step that was played; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whether the last step was the end.
    #[serde(default)]
    pub done: bool,
}

/// A timeline with what it must know from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name")]
pub enum Play {
    /// From nothing to available.
    Creation,
    /// To another release.
    Upgrade {
        /// Status members whose histories go on.
        before: Value,
        /// What the operator thinks of the release.
        verdict: Verdict,
    },
    /// Things that go wrong, and right again.
    Degradation,
    /// To nothing.
    Deletion,
}

/// What the operator thinks of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It goes there.
    Proceeds,
    /// The cluster says that it is not upgradeable.
    NotUpgradeable,
    /// It can't be used, and why.
    InvalidRelease(String),
}

impl Memory {
    /// A play that begins now.
    pub fn begin(play: Play, started: Timestamp, image: &str) -> Self {
        Self {
            play,
            started,
            image: image.to_owned(),
            step: None,
            done: false,
        }
    }

    /// What the object's annotation says; nothing when it has none or somebody broke it (then the play begins again).
    pub fn of(object: &Value) -> Option<Self> {
        let text = kube_access::object::annotation(object, TIMELINE_ANNOTATION)?;
        serde_json::from_str(text).ok()
    }

    /// The text of the annotation.
    pub fn to_annotation(&self) -> String {
        // A struct of texts and times can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}
