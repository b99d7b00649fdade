//! The data files, read once, and their parameters filled in.

use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ConditionPatch, Parameters, StatusPatch, Step};

/// The message of conditions that are copied from a control plane that isn't there yet.
pub(super) const NOT_FOUND: &str = "The hosted control plane is not found";
/// Entries kept in a version history.
const MAX_HISTORY: usize = 100;

static CREATION: LazyLock<Vec<Raw>> = LazyLock::new(|| read(include_str!("creation.yaml")));
static UPGRADE: LazyLock<Vec<Raw>> = LazyLock::new(|| read(include_str!("upgrade.yaml")));
static DEGRADATION: LazyLock<Vec<Raw>> = LazyLock::new(|| read(include_str!("degradation.yaml")));
static DELETION: LazyLock<Vec<Raw>> = LazyLock::new(|| read(include_str!("deletion.yaml")));

/// A step as it stands in a data file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    step: String,
    seconds: u64,
    #[serde(default)]
    note: String,
    finalizers: Option<Vec<String>>,
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default)]
    conditions: Vec<[String; 4]>,
}

fn read(text: &str) -> Vec<Raw> {
    #[expect(
        clippy::expect_used,
        reason = "the files are part of this crate and its tests read them all"
    )]
    go_compat::yaml::from_str_config(text).expect("an embedded timeline is well formed")
}

pub(super) fn creation(parameters: &Parameters) -> Vec<Step> {
    fill(&CREATION, parameters, &Value::Null, &[])
}

pub(super) fn upgrade(parameters: &Parameters, status: &Value, problem: &str) -> Vec<Step> {
    let cvo = status
        .pointer("/version/observedGeneration")
        .and_then(Value::as_i64)
        .unwrap_or(0)
        .saturating_add(1);
    let extra = [
        ("problem", Value::from(problem)),
        ("cvo_generation", Value::from(cvo)),
    ];
    fill(&UPGRADE, parameters, status, &extra)
}

pub(super) fn degradation(parameters: &Parameters) -> Vec<Step> {
    fill(&DEGRADATION, parameters, &Value::Null, &[])
}

pub(super) fn deletion(parameters: &Parameters, grace: Option<Duration>) -> Vec<Step> {
    let grace = go_compat::duration::format(grace.unwrap_or_default());
    fill(
        &DELETION,
        parameters,
        &Value::Null,
        &[("grace", Value::from(grace))],
    )
}

fn fill(
    raw: &'static [Raw],
    parameters: &Parameters,
    status: &Value,
    extra: &[(&str, Value)],
) -> Vec<Step> {
    let filler = Filler::new(parameters, extra);
    raw.iter()
        .map(|raw| {
            let mut set = Map::new();
            for (member, value) in &raw.set {
                let earlier = status
                    .get(member)
                    .and_then(|old| old.get("history"))
                    .and_then(Value::as_array);
                set.insert(
                    member.clone(),
                    filler.value(value, earlier.map_or(&[], Vec::as_slice)),
                );
            }
            let conditions = raw
                .conditions
                .iter()
                .map(|[type_, status, reason, message]| ConditionPatch {
                    type_: type_.clone(),
                    status: status.clone(),
                    reason: reason.clone(),
                    message: filler.text(message),
                });
            Step {
                after: parameters.scaled(Duration::from_secs(raw.seconds)),
                id: &raw.step,
                note: &raw.note,
                patch: StatusPatch {
                    set,
                    conditions: conditions.collect(),
                    finalizers: raw.finalizers.clone(),
                },
            }
        })
        .collect()
}

/// Replaces placeholders.
struct Filler<'a> {
    parameters: &'a Parameters,
    names: Vec<(String, Value)>,
}

impl<'a> Filler<'a> {
    fn new(parameters: &'a Parameters, extra: &[(&str, Value)]) -> Self {
        let p = parameters;
        let texts = [
            ("namespace", &p.namespace),
            ("name", &p.name),
            ("image", &p.image),
            ("version", &p.version),
            ("api_host", &p.api_host),
            ("oauth_host", &p.oauth_host),
        ];
        let mut names: Vec<(String, Value)> = texts
            .map(|(name, value)| (format!("${{{name}}}"), value.as_str().into()))
            .into();
        names.push(("${generation}".into(), p.generation.into()));
        names.extend(
            extra
                .iter()
                .map(|(name, value)| (format!("${{{name}}}"), value.clone())),
        );
        Self { parameters, names }
    }

    fn text(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (placeholder, value) in &self.names {
            if filled.contains(placeholder) {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                filled = filled.replace(placeholder, &value);
            }
        }
        filled
    }

    fn value(&self, value: &Value, earlier: &[Value]) -> Value {
        match value {
            Value::String(text) => {
                if let Some(seconds) = text
                    .strip_prefix('@')
                    .and_then(|seconds| seconds.parse().ok())
                {
                    return go_compat::time::rfc3339_seconds(self.parameters.moment(seconds))
                        .into();
                }
                // A placeholder alone keeps the type of its value.
                let whole = self
                    .names
                    .iter()
                    .find(|(placeholder, _)| placeholder == text);
                whole.map_or_else(|| self.text(text).into(), |(_, value)| value.clone())
            }
            Value::Array(items) => {
                let mut filled = Vec::new();
                for item in items {
                    if item == "$OLD" {
                        let superseded_at = filled
                            .first()
                            .and_then(|new: &Value| new.get("startedTime"))
                            .cloned();
                        filled.extend(
                            earlier
                                .iter()
                                .map(|entry| superseded(entry, superseded_at.as_ref())),
                        );
                        filled.truncate(MAX_HISTORY);
                    } else {
                        filled.push(self.value(item, earlier));
                    }
                }
                Value::Array(filled)
            }
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| (name.clone(), self.value(member, earlier)))
                .collect(),
            other => other.clone(),
        }
    }
}

/// An earlier history entry: one that never completed ends when its successor starts, and stays Partial.
fn superseded(entry: &Value, at: Option<&Value>) -> Value {
    let mut entry = entry.clone();
    let open =
        entry["state"] == "Partial" && entry.get("completionTime").is_none_or(Value::is_null);
    if let (true, Some(at), Some(members)) = (open, at, entry.as_object_mut()) {
        members.insert("completionTime".into(), at.clone());
    }
    entry
}
