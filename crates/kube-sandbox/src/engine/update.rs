//! PUT and PATCH: the present state, the wanted one, and what may be stored of it.

use std::sync::Arc;

use serde_json::Value;

use super::create::{check_place, check_type, set_api_version};
use super::parts::{check_part, keep_other_part, keep_system_metadata, scope, subresource};
use super::{Engine, Outcome, Ownership, Part, Target, WriteOptions};
use crate::admission::Operation;
use crate::failure::{Cause, Failure};
use crate::managed::{self, Managed, Manager};
use crate::object::{Object, finalizers, metadata_text, remove_metadata, set_metadata};
use crate::patch::Patch;
use crate::resource::{GenerationRule, Resource};

impl Engine {
    pub(super) fn replace(
        &mut self,
        target: &Target,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Outcome, Failure> {
        let resource = self.resource(target)?;
        check_part(&resource, target.part)?;
        check_type(&resource, &object)?;
        check_place(&resource, target, &object)?;
        let current = self.current(&resource, target)?;
        if resource.is_custom() && metadata_text(&object, "resourceVersion").is_empty() {
            let cause = Cause::new(
                "metadata.resourceVersion",
                "FieldValueInvalid",
                "Invalid value: 0x0: must be specified for an update",
            );
            return Err(Failure::invalid(&resource.subject(&target.name), &[cause]));
        }
        check_identity(&resource, &current.live, &object)?;
        self.change(
            &resource,
            target,
            current,
            object,
            Ownership::Update(options.manager.clone()),
            options,
        )
    }

    pub(super) fn patch(
        &mut self,
        target: &Target,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Outcome, Failure> {
        let resource = self.resource(target)?;
        check_part(&resource, target.part)?;
        if let Patch::Apply { config, force } = patch {
            return self.apply(&resource, target, config, *force, options);
        }
        if resource.is_custom() && matches!(patch, Patch::Strategic(_)) {
            return Err(Failure::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        let current = self.current(&resource, target)?;
        let patched = patch.apply_to(
            &current.value,
            &resource.shape,
            &resource.subject(&target.name),
        )?;
        check_type(&resource, &patched)?;
        check_place(&resource, target, &patched)?;
        check_identity(&resource, &current.live, &patched)?;
        self.change(
            &resource,
            target,
            current,
            patched,
            Ownership::Update(options.manager.clone()),
            options,
        )
    }

    /// The present state of the object that a request names.
    pub(super) fn current(&self, resource: &Resource, target: &Target) -> Result<Current, Failure> {
        let live = self.get(resource, target)?;
        let mut value = live.value();
        set_api_version(&mut value, &resource.api_version());
        let owners = Managed::of(&value);
        Ok(Current {
            live,
            value,
            owners,
        })
    }

    /// Checks and stores a changed object.
    pub(super) fn change(
        &mut self,
        resource: &Arc<Resource>,
        target: &Target,
        current: Current,
        mut object: Value,
        ownership: Ownership,
        options: &WriteOptions,
    ) -> Result<Outcome, Failure> {
        let Current {
            live,
            value: before,
            owners,
        } = current;
        set_api_version(&mut object, &resource.api_version());
        let requested_owners = remove_metadata(&mut object, "managedFields");
        keep_other_part(resource, target.part, &before, &mut object);
        keep_system_metadata(resource, &before, &mut object);
        check_finalizers(resource, &live, &object)?;

        let warnings = self.conform(resource, &mut object, options.field_validation)?;
        self.default_and_validate(resource, &mut object, Some(&before))?;
        self.check_grant(resource, options, &object, Some(&before))?;
        self.admit(
            Operation::Update,
            resource,
            target.part,
            &object,
            Some(&before),
        )?;

        let managed = match ownership {
            Ownership::Applied(managed) => managed,
            Ownership::Update(name) => {
                let manager = Manager {
                    operation: managed::Operation::Update,
                    name,
                    api_version: resource.api_version(),
                    subresource: subresource(target.part).to_owned(),
                };
                let starting = starting_owners(&owners, requested_owners, target.part);
                let scope = scope(resource, target.part);
                managed::update(
                    &starting,
                    &before,
                    &object,
                    &manager,
                    scope,
                    &resource.shape,
                    &self.now(),
                )
            }
        };
        if managed.same_ownership(&owners) && same_content(&before, &object) {
            return Ok(Outcome {
                object: before,
                stored: Some(live),
                created: false,
                removed: false,
                warnings,
            });
        }
        managed.store(&mut object);
        if advances_generation(resource, target.part, &before, &object) {
            let generation = before
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or(0)
                + 1;
            set_metadata(&mut object, "generation", generation.into());
        }
        set_api_version(&mut object, &resource.storage_api_version());
        let released = live.deleting && finalizers(&object).is_empty() && !holds_namespace(&object);
        let mut stored = None;
        if !options.dry_run && released {
            stored = self.remove(&live.key, Some(&mut object));
        } else if !options.dry_run {
            stored = Some(self.store(live.key.clone(), &mut object));
        }
        set_api_version(&mut object, &resource.api_version());
        Ok(Outcome {
            object,
            stored,
            created: false,
            removed: released,
            warnings,
        })
    }
}

/// The present state of an object.
pub(super) struct Current {
    pub(super) live: Arc<Object>,
    /// In the version of the request.
    pub(super) value: Value,
    pub(super) owners: Managed,
}

/// A terminating namespace also waits for `spec.finalizers`.
pub(super) fn holds_namespace(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some("Namespace")
        && object
            .pointer("/spec/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
}
/// resourceVersion and uid of the body, if given, must be those of the live object.
pub(super) fn check_identity(
    resource: &Resource,
    live: &Object,
    object: &Value,
) -> Result<(), Failure> {
    let subject = resource.subject(&live.key.name);
    let uid = metadata_text(object, "uid");
    if !uid.is_empty() && uid != &*live.uid {
        return Err(Failure::uid_mismatch(&subject, uid, &live.uid));
    }
    let revision = metadata_text(object, "resourceVersion");
    if !revision.is_empty() && revision != "0" && revision != live.revision.to_string() {
        if revision.parse::<u64>().is_err() {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &revision.into(),
                "must be a number",
            );
            return Err(Failure::invalid(&subject, &[cause]));
        }
        return Err(Failure::stale(&subject));
    }
    Ok(())
}
/// While an object is being deleted its finalizers can only become fewer.
fn check_finalizers(resource: &Resource, live: &Object, object: &Value) -> Result<(), Failure> {
    if !live.deleting {
        return Ok(());
    }
    let added: Vec<String> = finalizers(object)
        .into_iter()
        .filter(|name| !live.finalizers.contains(name))
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    let shown = added
        .iter()
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    let cause = Cause::forbidden(
        "metadata.finalizers",
        &format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
        ),
    );
    Err(Failure::invalid(
        &resource.subject(&live.key.name),
        &[cause],
    ))
}

/// The owners before an update: as the client sent them for the whole object, `[{}]` to start anew, else as stored.
fn starting_owners(stored: &Managed, requested: Option<Value>, part: Part) -> Managed {
    let Some(Value::Array(requested)) = requested.filter(|_| part == Part::Whole) else {
        return stored.clone();
    };
    if let [only] = requested.as_slice()
        && only.as_object().is_some_and(serde_json::Map::is_empty)
    {
        return Managed::default();
    }
    let sent = Managed::from_entries(&requested);
    if sent.is_empty() {
        stored.clone()
    } else {
        sent
    }
}

/// Whether two objects differ in nothing but owners and resourceVersion.
fn same_content(before: &Value, object: &Value) -> bool {
    let (Some(before), Some(object)) = (before.as_object(), object.as_object()) else {
        return before == object;
    };
    let counts = |name: &String| !matches!(name.as_str(), "managedFields" | "resourceVersion");
    before.len() == object.len()
        && before
            .iter()
            .all(|(name, old)| match (object.get(name), old) {
                (Some(Value::Object(new)), Value::Object(old)) if name == "metadata" => {
                    let left = old.iter().filter(|(name, _)| counts(name));
                    left.eq(new.iter().filter(|(name, _)| counts(name)))
                }
                (new, old) => new == Some(old),
            })
}

fn advances_generation(resource: &Resource, part: Part, before: &Value, object: &Value) -> bool {
    if part != Part::Whole {
        return false;
    }
    match resource.generation {
        GenerationRule::None => false,
        GenerationRule::Spec => content(before, true) != content(object, true),
        GenerationRule::Content => {
            content(before, resource.has_status) != content(object, resource.has_status)
        }
    }
}

/// Everything that counts for the generation.
fn content(object: &Value, without_status: bool) -> Vec<(&String, &Value)> {
    object
        .as_object()
        .map(|map| {
            map.iter()
                .filter(|(name, _)| match name.as_str() {
                    "metadata" | "apiVersion" | "kind" => false,
                    "status" => !without_status,
                    _ => true,
                })
                .collect()
        })
        .unwrap_or_default()
}
