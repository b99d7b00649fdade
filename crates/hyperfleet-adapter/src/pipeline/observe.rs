//! What the policies see after the resources phase, and what they make of it.

use std::sync::Arc;

use kube_access::object;
use serde_json::Value;

use super::Run;
use super::apply;
use super::discovery::{MANIFEST_WORK, carried, with_status};
use super::outcome::Phase;
use crate::config::task::Resource;
use crate::policy::{Failure, Gvk, Observed, Operation, Overrides};
use crate::transport::gvk_of;

/// What a resource looks like at the end of the phase.
pub(super) struct State {
    /// Index in the task config.
    pub(super) index: usize,
    pub(super) target: Option<String>,
    pub(super) desired: Option<Value>,
    /// The ManifestWork or the live object.
    pub(super) object: Option<Value>,
    pub(super) deleting: bool,
    pub(super) operation: Option<Operation>,
    pub(super) failure: Option<Failure>,
    pub(super) refusal: Option<Overrides>,
}

impl State {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            target: None,
            desired: None,
            object: None,
            deleting: false,
            operation: None,
            failure: None,
            refusal: None,
        }
    }
}

impl Run<'_> {
    /// Looks at what exists without changing anything, for the policies only.
    pub(super) async fn observe_only(&mut self) {
        if self.pipeline.policies.is_empty() {
            return;
        }
        self.enter(Phase::Resources);
        let task = Arc::clone(&self.pipeline.task);
        let mut states = Vec::new();
        for (index, resource) in task.resources.iter().enumerate() {
            let handled = resource
                .gvk
                .iter()
                .chain(&resource.carried)
                .any(|gvk| self.is_handled(gvk));
            if !handled {
                continue;
            }
            let mut state = State::new(index);
            if let Ok(target) = self.target(resource)
                && let Ok(found) = self.discover(resource, target.as_deref()).await
            {
                if let Some(found) = &found {
                    self.touch(target.as_deref(), found);
                }
                state.target = target;
                state.object = found;
            }
            states.push(state);
        }
        let reason = self
            .trace
            .skipped
            .clone()
            .or_else(|| self.trace.errors.values().next().cloned());
        self.map_policies(
            &task.resources,
            &states,
            Some(reason.as_deref().unwrap_or("skipped")),
        );
    }

    fn is_handled(&self, gvk: &Gvk) -> bool {
        self.pipeline
            .policies
            .iter()
            .any(|policy| policy.handles(gvk))
    }

    /// Lets the policies read what is known, and remembers what they want changed in the report.
    pub(super) fn map_policies(
        &mut self,
        resources: &[Resource],
        states: &[State],
        skipped: Option<&str>,
    ) {
        let mut collected = Vec::new();
        for state in states {
            let Some(resource) = resources.get(state.index) else {
                continue;
            };
            for seen in self.seen_objects(resource, state) {
                let observed = Observed {
                    resource: &resource.name,
                    gvk: &seen.gvk,
                    object: seen.object.as_ref(),
                    work: state.object.as_ref().filter(|_| seen.in_work),
                    desired: seen.desired.as_ref(),
                    target: state.target.as_deref(),
                    params: self.scope.data().as_object().unwrap_or(self.settings()),
                    generation: self.generation(),
                    deleting: state.deleting,
                    operation: state.operation,
                    failure: state.failure.as_ref(),
                    skipped,
                    settings: self.settings(),
                    now: self.now,
                };
                for policy in self
                    .pipeline
                    .policies
                    .iter()
                    .filter(|policy| policy.handles(&seen.gvk))
                {
                    collected.extend(policy.map(&observed));
                }
            }
            collected.extend(state.refusal.clone());
        }
        self.overrides.extend(collected);
    }

    /// The objects of a resource that a policy handles: itself, or what it carries now or would carry.
    fn seen_objects(&self, resource: &Resource, state: &State) -> Vec<Seen> {
        let is_work = resource
            .gvk
            .as_ref()
            .is_some_and(|gvk| gvk.kind == MANIFEST_WORK)
            || state
                .desired
                .as_ref()
                .or(state.object.as_ref())
                .and_then(object::kind)
                == Some(MANIFEST_WORK);
        if !is_work {
            let known = state
                .desired
                .as_ref()
                .or(state.object.as_ref())
                .and_then(gvk_of)
                .or_else(|| resource.gvk.clone());
            return known
                .filter(|gvk| self.is_handled(gvk))
                .map(|gvk| Seen {
                    gvk,
                    object: state.object.clone(),
                    desired: state.desired.clone(),
                    in_work: false,
                })
                .into_iter()
                .collect();
        }
        let mut seen: Vec<Seen> = Vec::new();
        for desired in state.desired.iter().flat_map(carried) {
            let Some(gvk) = gvk_of(desired).filter(|gvk| self.is_handled(gvk)) else {
                continue;
            };
            let object = state.object.as_ref().and_then(|work| {
                apply::same_object(work, &gvk, desired)
                    .map(|manifest| with_status(work, manifest.clone()))
            });
            seen.push(Seen {
                gvk,
                object,
                desired: Some(desired.clone()),
                in_work: true,
            });
        }
        for manifest in state.object.iter().flat_map(carried) {
            let Some(gvk) = gvk_of(manifest).filter(|gvk| self.is_handled(gvk)) else {
                continue;
            };
            let known = seen.iter().any(|seen| {
                seen.gvk == gvk
                    && seen.desired.as_ref().is_some_and(|have| {
                        object::name(have) == object::name(manifest)
                            && object::namespace(have) == object::namespace(manifest)
                    })
            });
            if let (false, Some(work)) = (known, &state.object) {
                let object = Some(with_status(work, manifest.clone()));
                seen.push(Seen {
                    gvk,
                    object,
                    desired: None,
                    in_work: true,
                });
            }
        }
        if seen.is_empty() {
            let kinds = resource.carried.iter().filter(|gvk| self.is_handled(gvk));
            seen.extend(kinds.map(|gvk| Seen {
                gvk: gvk.clone(),
                object: None,
                desired: None,
                in_work: true,
            }));
        }
        seen
    }
}

/// One object as a policy sees it.
struct Seen {
    gvk: Gvk,
    object: Option<Value>,
    desired: Option<Value>,
    in_work: bool,
}
