//! What the agent says about a manifest: its conditions and the values it fed back.

use hypershift::conditions::{self, Condition};
use jiff::Timestamp;
use serde_json::Value;

/// Name of the feedback value that holds the whole `.status`.
const STATUS: &str = "status";

/// The HostedCluster as a run found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    /// The manifest with what was fed back (Maestro), or the live object (Kubernetes).
    object: &'a Value,
    /// The ManifestWork that carries it.
    work: Option<&'a Value>,
}

/// A status, or why there is none.
#[derive(Debug)]
pub(crate) enum FedBack {
    /// It was read.
    Status(Value),
    /// The agent has sent none (yet).
    Nothing,
    /// It was sent and can't be read.
    Broken(String),
}

impl<'a> Found<'a> {
    pub(crate) fn new(object: &'a Value, work: Option<&'a Value>) -> Self {
        Self { object, work }
    }

    /// The object itself.
    pub(crate) fn object(&self) -> &'a Value {
        self.object
    }

    /// Whether the whole status is fed back at all: some works only ask for single values, and then the YAML that asked
    /// for them knows what they mean.
    pub(crate) fn feeds_status(&self) -> bool {
        let Some(work) = self.work else { return true };
        let configs = work
            .pointer("/spec/manifestConfigs")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let rules = configs
            .filter_map(|config| config.get("feedbackRules")?.as_array())
            .flatten();
        let mut paths = rules
            .filter_map(|rule| rule.get("jsonPaths")?.as_array())
            .flatten();
        paths.any(|path| path.get("name").is_some_and(|name| name == STATUS))
            || self.object.get(STATUS).is_some()
    }

    /// `.status` of the HostedCluster.
    pub(crate) fn status(&self) -> FedBack {
        match self
            .value(STATUS)
            .and_then(|field| field.get("jsonRaw")?.as_str())
        {
            Some(raw) => match serde_json::from_str::<Value>(raw) {
                Ok(status) => FedBack::Status(status),
                Err(error) => FedBack::Broken(error.to_string()),
            },
            None => match self.object.get(STATUS).filter(|status| status.is_object()) {
                Some(status) => FedBack::Status(status.clone()),
                None => FedBack::Nothing,
            },
        }
    }

    /// `metadata.generation` of the HostedCluster on its cluster.
    pub(crate) fn object_generation(&self) -> Option<i64> {
        if self.work.is_none() {
            return self
                .object
                .pointer("/metadata/generation")
                .and_then(Value::as_i64);
        }
        let field = self.value("generation")?;
        field
            .get("integer")
            .and_then(Value::as_i64)
            .or_else(|| field.get("jsonRaw")?.as_str()?.parse().ok())
    }

    /// `metadata.deletionTimestamp` of the HostedCluster on its cluster.
    pub(crate) fn deleted_at(&self) -> Option<Timestamp> {
        if self.work.is_none() {
            return time(self.object.pointer("/metadata/deletionTimestamp"));
        }
        let field = self.value("deletionTimestamp")?;
        time(field.get("string")).or_else(|| {
            time(
                serde_json::from_str(field.get("jsonRaw")?.as_str()?)
                    .ok()
                    .as_ref(),
            )
        })
    }

    /// `metadata.finalizers` of the HostedCluster on its cluster.
    pub(crate) fn finalizers(&self) -> Vec<String> {
        let texts = |list: &Value| -> Vec<String> {
            list.as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect()
        };
        if self.work.is_none() {
            return self
                .object
                .pointer("/metadata/finalizers")
                .map(texts)
                .unwrap_or_default();
        }
        let raw = self
            .value("finalizers")
            .and_then(|field| field.get("jsonRaw")?.as_str());
        raw.and_then(|raw| serde_json::from_str(raw).ok())
            .as_ref()
            .map(texts)
            .unwrap_or_default()
    }

    /// A condition of the manifest.
    pub(crate) fn manifest_condition(&self, type_: &str) -> Option<Condition<'a>> {
        self.work?;
        conditions::all(self.object).find(|condition| condition.type_ == type_)
    }

    /// A condition of the work.
    pub(crate) fn work_condition(&self, type_: &str) -> Option<Condition<'a>> {
        conditions::find(self.work?.get("status")?, type_)
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        let values = self.object.pointer("/statusFeedback/values")?.as_array()?;
        values
            .iter()
            .find(|value| value.get("name").is_some_and(|known| known == name))?
            .get("fieldValue")
    }
}

/// An RFC 3339 text as a time.
pub(crate) fn time(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}
