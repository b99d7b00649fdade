//! DELETE: preconditions, finalizers, propagation.

use std::sync::Arc;

use serde_json::Value;

use super::create::set_api_version;
use super::update::holds_namespace;
use super::{Engine, Outcome, Part, Target};
use crate::admission::Operation;
use crate::failure::Failure;
use crate::object::{Key, Object, finalizers, metadata_mut, set_status};
use crate::resource::Resource;

/// Finalizer of a foreground deletion.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of a deletion that leaves dependents alone.
pub(super) const ORPHAN: &str = "orphan";

/// Namespaces that every cluster has.
pub const PROTECTED_NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    #[default]
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without the owner reference.
    Orphan,
}

/// `DeleteOptions`, from the body or the query.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Check everything, delete nothing.
    pub dry_run: bool,
    /// Only this life of the object.
    pub uid: Option<String>,
    /// Only this version of the object.
    pub resource_version: Option<String>,
    /// Dependents.
    pub propagation: Propagation,
}

impl Engine {
    pub(super) fn delete(
        &mut self,
        target: &Target,
        options: &DeleteOptions,
    ) -> Result<Outcome, Failure> {
        let resource = self.resource(target)?;
        if target.part != Part::Whole {
            return Err(Failure::method_not_allowed());
        }
        let live = self.get(&resource, target)?;
        self.delete_object(&resource, &live, options)
    }

    pub(super) fn delete_collection(
        &mut self,
        target: &Target,
        keys: &[Key],
        options: &DeleteOptions,
    ) -> Result<Outcome, Failure> {
        let resource = self.resource(target)?;
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(live) = self.objects.get(key).cloned() else {
                continue;
            };
            items.push(self.delete_object(&resource, &live, options)?.object);
        }
        let list = serde_json::json!({
            "apiVersion": resource.api_version(),
            "kind": resource.list_kind,
            "metadata": {"resourceVersion": self.revision.to_string()},
            "items": items,
        });
        Ok(Outcome {
            object: list,
            stored: None,
            created: false,
            removed: true,
            warnings: Vec::new(),
        })
    }

    fn delete_object(
        &mut self,
        resource: &Arc<Resource>,
        live: &Arc<Object>,
        options: &DeleteOptions,
    ) -> Result<Outcome, Failure> {
        let subject = resource.subject(&live.key.name);
        if let Some(uid) = options.uid.as_ref().filter(|uid| ***uid != *live.uid) {
            return Err(Failure::uid_mismatch(&subject, uid, &live.uid));
        }
        if let Some(revision) = options
            .resource_version
            .as_ref()
            .filter(|revision| **revision != live.revision.to_string())
        {
            let detail = format!(
                "Precondition failed: ResourceVersion in precondition: {revision}, ResourceVersion in object meta: {}",
                live.revision
            );
            return Err(Failure::conflict(&subject, &detail));
        }
        if resource.kind == "Namespace" && PROTECTED_NAMESPACES.contains(&&*live.key.name) {
            return Err(Failure::forbidden(
                &subject,
                "this namespace may not be deleted",
            ));
        }
        let mut before = live.value();
        set_api_version(&mut before, &resource.api_version());
        self.admit(Operation::Delete, resource, Part::Whole, &before, None)
            .map_err(refused_delete)?;
        if options.dry_run {
            return Ok(Outcome {
                object: before,
                stored: None,
                created: false,
                removed: false,
                warnings: Vec::new(),
            });
        }
        let after = self.begin_deletion(&live.key, options.propagation);
        let (mut object, removed) = match after {
            Some(object) => (object.value(), !self.objects.contains_key(&live.key)),
            None => (before, false),
        };
        set_api_version(&mut object, &resource.api_version());
        Ok(Outcome {
            object,
            stored: None,
            created: false,
            removed,
            warnings: Vec::new(),
        })
    }

    /// Deletes an object, or marks it if something holds it. Returns its state afterwards; `None` if nothing changed.
    pub(super) fn begin_deletion(
        &mut self,
        key: &Key,
        propagation: Propagation,
    ) -> Option<Arc<Object>> {
        let live = self.objects.get(key).cloned()?;
        let mut value = live.value();
        let mut wanted = finalizers(&value);
        let marker = match propagation {
            Propagation::Background => None,
            Propagation::Foreground => Some(FOREGROUND),
            Propagation::Orphan => Some(ORPHAN),
        };
        if !live.deleting || marker.is_some() {
            // A later request may change how dependents are treated.
            wanted.retain(|name| name != FOREGROUND && name != ORPHAN);
            wanted.extend(marker.map(str::to_owned));
        }
        if wanted.is_empty() && !holds_namespace(&value) {
            return self.remove(key, None);
        }
        if live.deleting && wanted == live.finalizers {
            return None;
        }
        let now = self.now();
        if let Some(metadata) = metadata_mut(&mut value) {
            if !wanted.is_empty() {
                metadata.insert("finalizers".to_owned(), wanted.into());
            }
            if !live.deleting {
                metadata.insert("deletionTimestamp".to_owned(), now.into());
                metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
                if let Some(generation) = metadata.get("generation").and_then(Value::as_i64) {
                    metadata.insert("generation".to_owned(), (generation + 1).into());
                }
            }
        }
        if holds_namespace(&value) {
            set_status(&mut value, "phase", "Terminating".into());
        }
        Some(self.store(key.clone(), &mut value))
    }
}

/// Refused deletes are 403: there is no object to call invalid.
fn refused_delete(failure: Failure) -> Failure {
    Failure {
        code: 403,
        reason: "Forbidden",
        ..failure
    }
}
