//! Phase `resources`: discover, delete, render, apply, discover again.

use std::sync::Arc;

use serde_json::Value;

use super::apply::{self, Decision, Desired, decide};
use super::discovery::{self, Find, Wanted};
use super::observe::State;
use super::outcome::{Phase, ResourceResult, Touched};
use super::removal::Place;
use super::{PhaseError, Run, pulse};
use crate::config::task::{Manifest, Resource};
use crate::lang::{Expression, matched};
use crate::policy::{Failure, FailureClass, Gvk, Operation};
use crate::transport::{Error, Transport, gvk_of};
use kube_access::{Propagation, object};

/// Whether the loop goes on after a failed resource.
enum Stop {
    /// Apply failures stop the phase.
    Here(Failure),
    /// Failures around deletion are collected.
    Later(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Here(failure)
    }
}

impl Run<'_> {
    pub(super) async fn resources(&mut self) -> Result<(), PhaseError> {
        let task = Arc::clone(&self.pipeline.task);
        let mut states: Vec<State> = (0..task.resources.len()).map(State::new).collect();
        let result = self.process(&task.resources, &mut states).await;
        self.map_policies(&task.resources, &states, None);
        result
    }

    async fn process(
        &mut self,
        resources: &[Resource],
        states: &mut [State],
    ) -> Result<(), PhaseError> {
        if resources.iter().any(Resource::has_lifecycle) {
            self.pre_discover(resources).await?;
        }
        let mut messages: Vec<String> = Vec::new();
        let mut transient = false;
        let mut failed_step = String::new();
        for (index, (resource, state)) in resources.iter().zip(states.iter_mut()).enumerate() {
            self.step.clone_from(&resource.name);
            let mut result = ResourceResult {
                name: resource.name.clone(),
                kind: resource
                    .gvk
                    .as_ref()
                    .map(|gvk| gvk.kind.clone())
                    .unwrap_or_default(),
                ..ResourceResult::default()
            };
            let outcome = self.resource(resource, state, &mut result).await;
            let stop = matches!(outcome, Err(Stop::Here(_)));
            match outcome {
                Ok(decision) => {
                    tracing::info!(
                        "Resource[{index}] processed: operation={} reason={}",
                        decision.operation.as_str(),
                        decision.reason
                    );
                    state.operation = Some(decision.operation);
                    result.operation = Some(decision.operation);
                    result.reason = decision.reason;
                }
                Err(Stop::Here(failure) | Stop::Later(failure)) => {
                    tracing::warn!("Resource[{index}] processed: FAILED - {}", failure.message);
                    let error = PhaseError::from_failure(&resource.name, &failure);
                    let execution = error.execution(Phase::Resources);
                    self.scope
                        .meta
                        .resource_errors
                        .insert(resource.name.clone(), execution.clone());
                    // A failed apply is the reason to show; of failed deletes the first one.
                    if stop || self.scope.meta.execution_error.is_none() {
                        self.scope.meta.execution_error = Some(execution);
                    }
                    transient |= error.transient;
                    if failed_step.is_empty() || stop {
                        failed_step.clone_from(&resource.name);
                    }
                    result.error = Some(failure.message.clone());
                    messages.push(failure.message.clone());
                    state.failure = Some(failure);
                }
            }
            self.trace.resources.push(result);
            if stop {
                break;
            }
        }
        if messages.is_empty() {
            return Ok(());
        }
        Err(PhaseError {
            step: failed_step,
            message: messages.join("\n"),
            transient,
        })
    }

    /// With any `lifecycle`, all resources are looked up before the first is processed.
    async fn pre_discover(&mut self, resources: &[Resource]) -> Result<(), PhaseError> {
        for resource in resources {
            self.step.clone_from(&resource.name);
            let found = match self.target(resource) {
                Ok(target) => self.discover(resource, target.as_deref()).await,
                Err(failure) => Err(Error::new(failure.class, failure.message)),
            };
            match found {
                Ok(Some(found)) => drop(self.scope.resources.insert(resource.name.clone(), found)),
                Ok(None) => {}
                Err(error) => {
                    let error = PhaseError::transport(
                        &resource.name,
                        &error.context("pre-discovery failed"),
                    );
                    self.scope.meta.execution_error = Some(error.execution(Phase::Resources));
                    self.scope
                        .meta
                        .resource_errors
                        .insert(resource.name.clone(), error.execution(Phase::Resources));
                    return Err(error);
                }
            }
        }
        self.pre_discovered = true;
        Ok(())
    }

    async fn resource(
        &mut self,
        resource: &Resource,
        state: &mut State,
        result: &mut ResourceResult,
    ) -> Result<Decision, Stop> {
        state.target = self.target(resource).map_err(Stop::Here)?;
        let existing = self.scope.resources.get(&resource.name).cloned();
        state.object.clone_from(&existing);
        if let Some(when) = &resource.create_when
            && existing.is_none()
            && !self.lifecycle(when, "create").map_err(Stop::Later)?
        {
            let reason = "lifecycle.create.when condition evaluated to false";
            self.scope
                .meta
                .skip_resources(&format!("{}: {reason}", resource.name));
            return Ok(Decision {
                operation: Operation::Skip,
                reason: reason.into(),
            });
        }
        if let Some(rule) = &resource.delete
            && self.lifecycle(&rule.when, "delete").map_err(Stop::Later)?
        {
            state.deleting = true;
            return self
                .delete(resource, rule, state, result)
                .await
                .map_err(Stop::Later);
        }
        let recreate = self
            .recreates(resource, existing.as_ref())
            .map_err(Stop::Later)?;
        let old = existing.filter(|_| recreate);
        self.apply(resource, state, result, old).await
    }

    /// A lifecycle condition that can't be evaluated fails the resource: guessing could delete or keep too much.
    pub(super) fn lifecycle(&self, when: &Expression, what: &str) -> Result<bool, Failure> {
        let roots = self.scope.roots();
        when.evaluate(&self.scope.variables(&roots))
            .map(|value| matched(&value))
            .map_err(|error| {
                internal(format!(
                    "lifecycle.{what}.when condition can't be evaluated: {error}"
                ))
            })
    }

    /// `old` is an object that has to be gone first. It is not touched before it is sure what takes its place.
    async fn apply(
        &mut self,
        resource: &Resource,
        state: &mut State,
        result: &mut ResourceResult,
        old: Option<Value>,
    ) -> Result<Decision, Stop> {
        let transport = self.transport(resource)?;
        let object = self
            .manifest(resource)
            .map_err(|error| internal(format!("failed to render manifest: {error}")))?;
        describe(&object, result);
        if self.pipeline.recording {
            result.manifest = Some(object.clone());
        }
        state.desired = Some(object.clone());
        let applying = |error: Error| failure(error.context("failed to apply resource"));
        let Some(gvk) = gvk_of(&object) else {
            return Err(internal(
                "failed to apply resource: manifest has no apiVersion and kind".into(),
            )
            .into());
        };
        let Some(name) = object::name(&object)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
        else {
            return Err(
                internal("failed to apply resource: manifest has no metadata.name".into()).into(),
            );
        };
        transport.check(&object).map_err(applying)?;
        let target = state.target.clone();
        let target = target.as_deref();
        let namespace = object::namespace(&object).map(str::to_owned);
        let wanted = self.wanted(resource)?;
        let known = self.pre_discovered && is_by_name(&wanted, &object, target);
        let current = if old.is_some() {
            old.clone()
        } else if known {
            // Looked up a moment ago. A change since then is found by the write, which names the version.
            state.object.clone()
        } else {
            transport
                .get(target, &gvk, namespace.as_deref(), &name)
                .await
                .map_err(applying)?
        };
        let decision = match &old {
            Some(_) => Decision {
                operation: Operation::Recreate,
                reason: "lifecycle.recreate.when evaluated to true".into(),
            },
            None => decide(current.as_ref(), &object, resource.recreate_on_change),
        };
        let desired = Desired {
            resource: &resource.name,
            gvk: &gvk,
            object: &object,
            target,
        };
        if decision.operation != Operation::Skip
            && let Err(refusal) = self.review(&desired, current.as_ref())
        {
            if let Some(current) = current {
                self.touch(target, &current);
                self.store(resource, state, current);
            }
            state.refusal = Some(refusal.overrides);
            return Err(refusal.failure.into());
        }
        // After the comparison: the note alone is no reason to write.
        let noted = self.note.as_deref().map(|note| {
            // Works are found by their source; on Kubernetes a label tells own objects from others.
            let adapter = &self.pipeline.config.adapter.name;
            pulse::noted(
                &object,
                note,
                Some(adapter.as_str()).filter(|_| target.is_none()),
            )
        });
        let desired = Desired {
            object: noted.as_ref().unwrap_or(&object),
            ..desired
        };
        let decision = match old {
            None => apply::write(transport.as_ref(), &desired, current.as_ref(), decision)
                .await
                .map_err(applying)?,
            Some(old) => {
                self.touch(target, &old);
                result.before = Some(old.clone());
                let place = Place {
                    transport: Arc::clone(&transport),
                    target,
                    gvk: gvk.clone(),
                    wanted: wanted.clone(),
                };
                let remaining = place.remove(old, Propagation::Background).await;
                if let Some(remaining) = remaining.map_err(Stop::Later)? {
                    self.store(resource, state, remaining);
                    self.nested(resource)?;
                    result.pending = true;
                    return Ok(Decision {
                        operation: Operation::Recreate,
                        reason: "deletion pending".into(),
                    });
                }
                self.forget(resource, state);
                let created = transport.create(target, &gvk, desired.object).await;
                created.map_err(applying)?;
                decision
            }
        };

        let unchanged = current.filter(|_| {
            decision.operation == Operation::Skip && is_by_name(&wanted, &object, target)
        });
        let found = match unchanged {
            Some(current) => current,
            None => {
                let after =
                    |message: String| format!("failed to discover resource after apply: {message}");
                discovery::find(transport.as_ref(), target, &gvk, &wanted)
                    .await
                    .map_err(|error| {
                        failure(Error {
                            message: after(error.message),
                            ..error
                        })
                    })?
                    .ok_or_else(|| Failure {
                        class: FailureClass::Transient,
                        message: after(format!("{} {name} is not found", gvk.kind)),
                    })?
            }
        };
        self.touch(target, &found);
        self.store(resource, state, found);
        self.nested(resource)?;
        Ok(decision)
    }

    /// The objects inside of the resource, under their own names.
    fn nested(&mut self, resource: &Resource) -> Result<(), Failure> {
        for nested in &resource.nested {
            if nested.name == resource.name {
                tracing::warn!(resource = %resource.name, "nested discovery has the name of its resource: skipped");
                continue;
            }
            if self.scope.resources.contains_key(&nested.name) {
                return Err(internal(format!(
                    "nested discovery key collision: {:?} already exists in context",
                    nested.name
                )));
            }
            let wanted = match self.render_discovery(&nested.discovery) {
                Ok(wanted) => wanted,
                Err(error) => {
                    tracing::warn!(nested = %nested.name, "nested discovery can't be rendered: {error}");
                    continue;
                }
            };
            let found = self
                .scope
                .resources
                .get(&resource.name)
                .and_then(|parent| discovery::nested(parent, &wanted));
            match found {
                Some(found) => drop(self.scope.resources.insert(nested.name.clone(), found)),
                None => {
                    tracing::warn!(nested = %nested.name, "nested discovery finds nothing in {}", resource.name)
                }
            }
        }
        Ok(())
    }

    /// It is not there any more.
    pub(super) fn forget(&mut self, resource: &Resource, state: &mut State) {
        self.scope.resources.remove(&resource.name);
        state.object = None;
    }

    pub(super) fn store(&mut self, resource: &Resource, state: &mut State, object: Value) {
        state.object = Some(object.clone());
        self.scope.resources.insert(resource.name.clone(), object);
    }

    pub(super) fn touch(&mut self, target: Option<&str>, object: &Value) {
        if let (Some(gvk), Some(name)) = (gvk_of(object), object::name(object)) {
            let touched = Touched {
                target: target.map(str::to_owned),
                gvk,
                namespace: object::namespace(object).map(str::to_owned),
                name: name.to_owned(),
            };
            if !self.touched.contains(&touched) {
                self.touched.push(touched);
            }
        }
    }

    // --- what a resource is and where it lives ---

    pub(super) fn target(&self, resource: &Resource) -> Result<Option<String>, Failure> {
        let Some(text) = &resource.target else {
            return Ok(None);
        };
        let target = text.render(self.scope.data()).map_err(|error| {
            internal(format!("failed to render targetCluster template: {error}"))
        })?;
        if target.trim().is_empty() {
            return Err(internal(
                "consumer name (target cluster) is required: transport.maestro.target_cluster is empty".into(),
            ));
        }
        Ok(Some(target))
    }

    pub(super) fn transport(&self, resource: &Resource) -> Result<Arc<dyn Transport>, Failure> {
        let (transport, name) = match resource.target {
            Some(_) => (&self.transports.maestro, "maestro"),
            None => (&self.transports.kubernetes, "kubernetes"),
        };
        transport
            .clone()
            .ok_or_else(|| internal(format!("no {name} client is configured")))
    }

    pub(super) fn wanted(&self, resource: &Resource) -> Result<Wanted, Failure> {
        self.render_discovery(&resource.discovery)
            .map_err(|error| internal(format!("failed to render discovery: {error}")))
    }

    /// The kind, rendering the manifest if it does not say so literally.
    pub(super) fn kind(&self, resource: &Resource) -> Result<Gvk, Failure> {
        if let Some(gvk) = &resource.gvk {
            return Ok(gvk.clone());
        }
        let object = self
            .manifest(resource)
            .map_err(|error| internal(format!("kind of the manifest: {error}")))?;
        gvk_of(&object).ok_or_else(|| internal("manifest has no apiVersion and kind".into()))
    }

    pub(super) async fn discover(
        &self,
        resource: &Resource,
        target: Option<&str>,
    ) -> Result<Option<Value>, Error> {
        let internal = |failure: Failure| Error::new(failure.class, failure.message);
        let transport = self.transport(resource).map_err(internal)?;
        let wanted = self.wanted(resource).map_err(internal)?;
        discovery::find(
            transport.as_ref(),
            target,
            &self.kind(resource).map_err(internal)?,
            &wanted,
        )
        .await
    }

    fn manifest(&self, resource: &Resource) -> Result<Value, String> {
        let data = self.scope.data();
        let value = match &resource.manifest {
            Manifest::Map(shape) => shape
                .render_plain(data)
                .map_err(|error| format!("failed to render manifest template: {}", error.0))?,
            Manifest::Text(text) => {
                let rendered = text
                    .render(data)
                    .map_err(|error| format!("failed to render manifest template: {error}"))?;
                let documents = go_compat::yaml::documents_config(&rendered).map_err(|error| {
                    format!("failed to parse rendered manifest as YAML: {error}")
                })?;
                documents.into_iter().next().unwrap_or(Value::Null)
            }
        };
        match value {
            Value::Object(map) if !map.is_empty() => Ok(Value::Object(map)),
            Value::Object(_) | Value::Null => Err("empty manifest: it renders to nothing".into()),
            _ => Err("empty manifest: it does not render to a map".into()),
        }
    }
}

/// Whether the discovery means exactly this object. Works are found by name alone.
fn is_by_name(wanted: &Wanted, object: &Value, target: Option<&str>) -> bool {
    let same_name = matches!(&wanted.by, Find::Name(name) if object::name(object) == Some(name));
    same_name && (target.is_some() || wanted.namespace.as_deref() == object::namespace(object))
}

pub(super) fn describe(object: &Value, result: &mut ResourceResult) {
    result.kind = object::kind(object).unwrap_or_default().to_owned();
    result.namespace = object::namespace(object).unwrap_or_default().to_owned();
    result.object = object::name(object).unwrap_or_default().to_owned();
}

fn internal(message: String) -> Failure {
    Failure {
        class: FailureClass::Internal,
        message,
    }
}

pub(super) fn failure(error: Error) -> Failure {
    Failure {
        class: error.class,
        message: error.message,
    }
}
