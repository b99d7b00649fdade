//! What the operator would do now: a pure function of the object, the time and the settings.

use std::time::Duration;

use hypershift::timeline::{self, CreationFault, Deletion, Parameters, Step, Upgrade};
use jiff::{SignedDuration, Timestamp};
use kube_access::object as meta;
use serde_json::{Value, json};

use crate::memory::{Memory, Play, Verdict};

/// An annotation that makes a running control plane degrade for as long as it stands. Its value is the step of the degradation timeline
/// at which to stay (`D1` … `D8`); any other value means `D1`. Without it everything gets well again.
pub const DEGRADE_ANNOTATION: &str = "simulator.hyperfleet.io/degrade";

/// How the plays go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How much faster than real time; 1 = a control plane takes about five minutes.
    pub time_scale: f64,
    /// What is wrong while a control plane is created.
    pub creation: CreationFault,
    /// How deletions go.
    pub deletion: Deletion,
}

/// What to write, and when to look again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Members of `.spec` that the operator fills in, as a merge patch.
    pub spec: Option<Value>,
    /// The new `.status`.
    pub status: Option<Value>,
    /// The new finalizers.
    pub finalizers: Option<Vec<String>>,
    /// The new memory.
    pub memory: Option<Memory>,
    /// When the next step is due.
    pub wake: Option<Timestamp>,
}

impl Plan {
    /// Whether there is nothing to write.
    pub fn is_idle(&self) -> bool {
        self.spec.is_none()
            && self.status.is_none()
            && self.finalizers.is_none()
            && self.memory.is_none()
    }
}

/// Decides about one HostedCluster.
pub fn plan(object: &Value, now: Timestamp, settings: &Settings) -> Plan {
    if let Some(spec) = missing_ids(object) {
        // The write is seen as a change, which leads back here.
        return Plan {
            spec: Some(spec),
            ..Plan::default()
        };
    }
    let remembered = Memory::of(object);
    let memory = current_play(object, remembered.as_ref(), now);
    let steps = steps(object, &memory, settings);
    let first = memory
        .step
        .as_ref()
        .and_then(|last| steps.iter().position(|s| s.id == last))
        .map_or(0, |i| i + 1);
    let hold = hold(object, &memory, &steps);

    let deleting = meta::is_deleting(object);
    let generation = meta::generation(object).unwrap_or(1);
    let mut status = object.get("status").cloned().unwrap_or_default();
    let mut finalizers = None;
    let mut next = memory.clone();
    let mut wake = None;
    for (index, step) in steps.iter().enumerate().skip(first) {
        match hold {
            Hold::At(last) if index > last => break,
            // Recovery doesn't wait for the clock.
            Hold::Recover => {}
            _ => {
                let due = at(memory.started, step.after);
                if due > now {
                    wake = Some(due);
                    break;
                }
            }
        }
        step.patch.apply(&mut status, now, generation, deleting);
        finalizers = step.patch.finalizers.clone().or(finalizers);
        next.step = Some(step.id.to_owned());
    }
    next.done = next.step.as_deref() == steps.last().map(|step| step.id);
    Plan {
        spec: None,
        status: (Some(&status) != object.get("status") && status.is_object()).then_some(status),
        finalizers: finalizers
            .map(|own| merged_finalizers(object, &own))
            .filter(|list| *list != meta::finalizers(object)),
        memory: (Some(&next) != remembered.as_ref()).then_some(next),
        wake,
    }
}

/// Goes on with the play that is remembered, or begins the one that the object asks for.
fn current_play(object: &Value, remembered: Option<&Memory>, now: Timestamp) -> Memory {
    let image = object
        .pointer("/spec/release/image")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some(memory) = remembered else {
        let play = if meta::is_deleting(object) {
            Play::Deletion
        } else {
            Play::Creation
        };
        return Memory::begin(play, now, image);
    };
    if meta::is_deleting(object) {
        return match memory.play {
            Play::Deletion => memory.clone(),
            _ => Memory::begin(Play::Deletion, now, image),
        };
    }
    // Another release waits for the end of what is going on, except where that has no end.
    let interruptible = memory.done || matches!(memory.play, Play::Degradation);
    if interruptible && memory.image != image {
        let before = json!({
            "version": object.pointer("/status/version"),
            "controlPlaneVersion": object.pointer("/status/controlPlaneVersion"),
        });
        let verdict = match timeline::judge_upgrade(object) {
            Upgrade::Proceeds => Verdict::Proceeds,
            Upgrade::NotUpgradeable => Verdict::NotUpgradeable,
            Upgrade::InvalidRelease(why) => Verdict::InvalidRelease(why),
        };
        return Memory::begin(Play::Upgrade { before, verdict }, now, image);
    }
    let wants_degradation = meta::annotation(object, DEGRADE_ANNOTATION).is_some();
    if memory.done && wants_degradation {
        return Memory::begin(Play::Degradation, now, image);
    }
    memory.clone()
}

fn steps(object: &Value, memory: &Memory, settings: &Settings) -> Vec<Step> {
    let mut about = object.clone();
    if let Some(image) = about.pointer_mut("/spec/release/image") {
        *image = Value::from(memory.image.clone());
    }
    let parameters = Parameters::of(&about, memory.started, settings.time_scale);
    match &memory.play {
        Play::Creation => timeline::creation(&parameters, settings.creation),
        Play::Upgrade { before, verdict } => {
            let verdict = match verdict {
                Verdict::Proceeds => Upgrade::Proceeds,
                Verdict::NotUpgradeable => Upgrade::NotUpgradeable,
                Verdict::InvalidRelease(why) => Upgrade::InvalidRelease(why.clone()),
            };
            timeline::upgrade(&parameters, before, &verdict)
        }
        Play::Degradation => timeline::degradation(&parameters),
        Play::Deletion => {
            let grace = meta::annotation(object, hypershift::names::ANNOTATION_DESTROY_GRACE)
                .and_then(|text| go_compat::duration::parse(text).ok());
            let cleanup =
                meta::annotation(object, hypershift::names::ANNOTATION_CLEANUP) == Some("true");
            timeline::deletion(&parameters, settings.deletion, grace, cleanup)
        }
    }
}

enum Hold {
    Never,
    At(usize),
    Recover,
}

fn hold(object: &Value, memory: &Memory, steps: &[Step]) -> Hold {
    if memory.play != Play::Degradation {
        return Hold::Never;
    }
    match meta::annotation(object, DEGRADE_ANNOTATION) {
        None => Hold::Recover,
        Some(id) => Hold::At(steps.iter().position(|step| step.id == id).unwrap_or(0)),
    }
}

/// The ids that the operator writes into the spec when nobody chose them.
fn missing_ids(object: &Value) -> Option<Value> {
    let absent = |key: &str| {
        object
            .pointer(&format!("/spec/{key}"))
            .is_none_or(|v| v.as_str() == Some(""))
    };
    if meta::is_deleting(object) || !(absent("clusterID") || absent("infraID")) {
        return None;
    }
    let uid = meta::uid(object)?;
    let mut spec = serde_json::Map::new();
    if absent("clusterID") {
        spec.insert("clusterID".to_owned(), Value::from(uid));
    }
    if absent("infraID") {
        let name = meta::name(object).unwrap_or_default();
        spec.insert(
            "infraID".to_owned(),
            Value::from(format!("{name}-{}", uid.get(..5).unwrap_or(uid))),
        );
    }
    Some(Value::Object(spec))
}

/// The finalizers of others stay; ours are what the step says.
fn merged_finalizers(object: &Value, own: &[String]) -> Vec<String> {
    let mut list: Vec<String> = meta::finalizers(object)
        .into_iter()
        .filter(|name| *name != hypershift::names::FINALIZER)
        .map(str::to_owned)
        .collect();
    list.extend(own.iter().cloned());
    list
}

fn at(started: Timestamp, after: Duration) -> Timestamp {
    let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
    started.checked_add(after).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
