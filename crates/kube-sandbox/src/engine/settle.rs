//! What a cluster's controllers do about deletions and definitions: garbage collection, namespaces, CRDs.
//!
//! Each piece of work looks at the present state and does what is missing, so it can be planned again at any time,
//! in particular after a restart.

use std::sync::Arc;

use serde_json::{Value, json};

use super::delete::{FOREGROUND, ORPHAN};
use super::{Engine, Propagation, Work};
use crate::builtin::{CRD_STORAGE, NAMESPACE_STORAGE};
use crate::crd;
use crate::object::{Key, Object, Owner, finalizers, metadata_mut, set_metadata, set_status};

/// How an owner reference stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The owner is there, or can't be looked up.
    Solid,
    /// The owner is being deleted in the foreground and waits for this object.
    Waiting,
    /// There is no such owner.
    Dangling,
}

impl Engine {
    /// Plans what a change of an object makes necessary.
    pub(super) fn plan_work(&mut self, previous: Option<&Object>, current: Option<&Object>) {
        let Some(any) = current.or(previous) else {
            return;
        };
        let key = any.key.clone();
        let namespace = Arc::clone(&key.namespace);
        let held_by_namespace = any.deleting || current.is_none();
        if &*key.storage == CRD_STORAGE && current.is_some() {
            self.work.insert(Work::Definition(Arc::clone(&key.name)));
        }
        if &*key.storage == NAMESPACE_STORAGE && current.is_some_and(|object| object.deleting) {
            self.work.insert(Work::Namespace(Arc::clone(&key.name)));
        }
        if !namespace.is_empty()
            && held_by_namespace
            && self
                .namespace_object(&namespace)
                .is_some_and(|object| object.deleting)
        {
            self.work.insert(Work::Namespace(namespace));
        }
        match current {
            Some(object) => {
                let waits = object.deleting
                    && object
                        .finalizers
                        .iter()
                        .any(|name| name == FOREGROUND || name == ORPHAN);
                if waits || !object.owners.is_empty() {
                    self.work.insert(Work::Object(key));
                }
            }
            None => {
                self.work.insert(Work::OwnerGone(Arc::clone(&any.uid)));
                if let Some(definition) = self
                    .registry
                    .find_storage(&key.storage)
                    .filter(|found| found.is_custom())
                {
                    self.work
                        .insert(Work::Definition(Arc::clone(&definition.storage)));
                }
            }
        }
        // An owner that waits for its dependents may be waiting for this one.
        for owner in previous
            .map(|object| object.owners.as_slice())
            .unwrap_or_default()
        {
            if let Some(key) = self.by_uid.get(owner.uid.as_str()) {
                self.work.insert(Work::Object(key.clone()));
            }
        }
    }

    pub(super) fn do_work(&mut self, work: Work) {
        match work {
            Work::Definition(name) => self.settle_definition(&name),
            Work::Namespace(name) => self.settle_namespace(&name),
            Work::OwnerGone(uid) => {
                let keys: Vec<Key> = self
                    .dependents
                    .get(&*uid)
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect();
                self.work.extend(keys.into_iter().map(Work::Object));
            }
            Work::Object(key) => {
                self.settle_waiting(&key);
                if self.options.garbage_collection {
                    self.settle_owned(&key);
                }
            }
        }
    }

    /// A deleting object with `orphan` or `foregroundDeletion`.
    fn settle_waiting(&mut self, key: &Key) {
        let Some(object) = self
            .objects
            .get(key)
            .cloned()
            .filter(|object| object.deleting)
        else {
            return;
        };
        let has = |name: &str| object.finalizers.iter().any(|finalizer| finalizer == name);
        let dependents: Vec<Arc<Object>> = self
            .dependents
            .get(&*object.uid)
            .into_iter()
            .flatten()
            .filter_map(|key| self.objects.get(key).cloned())
            .collect();
        if has(ORPHAN) {
            for dependent in dependents {
                self.drop_owners(&dependent, &[Arc::clone(&object.uid)]);
            }
            self.drop_finalizer(key, ORPHAN);
        } else if has(FOREGROUND) {
            let blocking: Vec<Arc<Object>> = dependents
                .into_iter()
                .filter(|dependent| {
                    dependent
                        .owners
                        .iter()
                        .any(|owner| *owner.uid == *object.uid && owner.blocks_deletion)
                })
                .collect();
            if blocking.is_empty() || !self.options.garbage_collection {
                self.drop_finalizer(key, FOREGROUND);
            } else {
                self.work.extend(
                    blocking
                        .iter()
                        .filter(|dependent| !dependent.deleting)
                        .map(|dependent| Work::Object(dependent.key.clone())),
                );
            }
        }
    }

    /// An object with owners: without a living owner it goes.
    fn settle_owned(&mut self, key: &Key) {
        let Some(object) = self
            .objects
            .get(key)
            .cloned()
            .filter(|object| !object.deleting && !object.owners.is_empty())
        else {
            return;
        };
        let standings: Vec<(Arc<str>, Standing)> = object
            .owners
            .iter()
            .map(|owner| (Arc::from(owner.uid.as_str()), self.standing(&object, owner)))
            .collect();
        let has = |wanted: Standing| standings.iter().any(|(_, standing)| *standing == wanted);
        if has(Standing::Solid) {
            let gone: Vec<Arc<str>> = standings
                .iter()
                .filter(|(_, standing)| *standing != Standing::Solid)
                .map(|(uid, _)| Arc::clone(uid))
                .collect();
            self.drop_owners(&object, &gone);
        } else if has(Standing::Waiting) {
            let has_dependents = self.dependents.contains_key(&*object.uid);
            let propagation = if has_dependents {
                Propagation::Foreground
            } else {
                Propagation::Background
            };
            self.begin_deletion(key, propagation);
        } else {
            self.begin_deletion(key, Propagation::Background);
        }
    }

    fn standing(&self, object: &Object, owner: &Owner) -> Standing {
        let group = owner
            .api_version
            .split_once('/')
            .map_or("", |(group, _)| group);
        let Some(resource) = self.registry.find_group_kind(group, &owner.kind) else {
            return Standing::Solid;
        };
        let found = self
            .by_uid
            .get(owner.uid.as_str())
            .and_then(|key| self.objects.get(key))
            .filter(|candidate| {
                candidate.key.storage == resource.storage
                    && *candidate.key.name == *owner.name
                    && (candidate.key.namespace.is_empty()
                        || candidate.key.namespace == object.key.namespace)
            });
        match found {
            None => Standing::Dangling,
            Some(candidate)
                if candidate.deleting
                    && owner.blocks_deletion
                    && candidate
                        .finalizers
                        .iter()
                        .any(|finalizer| finalizer == FOREGROUND) =>
            {
                Standing::Waiting
            }
            Some(_) => Standing::Solid,
        }
    }

    fn drop_owners(&mut self, object: &Object, uids: &[Arc<str>]) {
        if uids.is_empty() {
            return;
        }
        let mut value = object.value();
        if let Some(metadata) = metadata_mut(&mut value)
            && let Some(Value::Array(owners)) = metadata.get_mut("ownerReferences")
        {
            owners.retain(|owner| {
                let uid = owner.get("uid").and_then(Value::as_str).unwrap_or_default();
                !uids.iter().any(|gone| **gone == *uid)
            });
            if owners.is_empty() {
                metadata.remove("ownerReferences");
            }
        }
        self.store(object.key.clone(), &mut value);
    }

    fn drop_finalizer(&mut self, key: &Key, name: &str) {
        let Some(object) = self.objects.get(key).cloned() else {
            return;
        };
        let mut value = object.value();
        let left: Vec<String> = finalizers(&value)
            .into_iter()
            .filter(|finalizer| finalizer != name)
            .collect();
        if let Some(metadata) = metadata_mut(&mut value) {
            if left.is_empty() {
                metadata.remove("finalizers");
            } else {
                metadata.insert("finalizers".to_owned(), left.clone().into());
            }
        }
        if left.is_empty() && object.deleting {
            self.remove(key, Some(&mut value));
        } else {
            self.store(key.clone(), &mut value);
        }
    }

    /// A terminating namespace: delete what is in it, then the namespace; say what still holds it.
    fn settle_namespace(&mut self, name: &str) {
        let key = Key::new(&NAMESPACE_STORAGE.into(), "", name);
        let Some(namespace) = self
            .objects
            .get(&key)
            .cloned()
            .filter(|object| object.deleting)
        else {
            return;
        };
        let mut storages: Vec<Arc<str>> = self
            .registry
            .all()
            .iter()
            .filter(|resource| resource.namespaced)
            .map(|resource| Arc::clone(&resource.storage))
            .collect();
        storages.sort();
        storages.dedup();
        let mut left: Vec<Arc<Object>> = Vec::new();
        for storage in storages {
            for object in self.in_storage(&storage, Some(name)) {
                if !object.deleting {
                    self.begin_deletion(&object.key, Propagation::Background);
                }
                left.extend(self.objects.get(&object.key).cloned());
            }
        }
        let mut value = namespace.value();
        if left.is_empty() {
            if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
                let others: Vec<Value> = spec
                    .get("finalizers")
                    .and_then(Value::as_array)
                    .map(|list| {
                        list.iter()
                            .filter(|name| *name != "kubernetes")
                            .cloned()
                            .collect()
                    })
                    .unwrap_or_default();
                if !others.is_empty() {
                    return;
                }
                spec.remove("finalizers");
            }
            if finalizers(&value).is_empty() {
                self.remove(&key, Some(&mut value));
            }
            return;
        }
        let conditions =
            namespace_conditions(&left, value.pointer("/status/conditions"), &self.now());
        if value.pointer("/status/conditions") != Some(&conditions) {
            set_status(&mut value, "conditions", conditions);
            self.store(key, &mut value);
        }
    }

    /// A definition: publish its names, or delete its objects and then the definition.
    fn settle_definition(&mut self, name: &str) {
        let key = Key::new(&CRD_STORAGE.into(), "", name);
        let Some(object) = self.objects.get(&key).cloned() else {
            return;
        };
        let crd = object.value();
        if object.deleting {
            let instances = self.in_storage(name, None);
            for instance in &instances {
                if !instance.deleting {
                    self.begin_deletion(&instance.key, Propagation::Background);
                }
            }
            if self.in_storage(name, None).is_empty()
                && object
                    .finalizers
                    .iter()
                    .any(|name| name == crd::CLEANUP_FINALIZER)
            {
                self.drop_finalizer(&key, crd::CLEANUP_FINALIZER);
            }
            return;
        }
        let status = crd::established_status(
            &crd,
            &self.now(),
            self.names_conflict(&key, &crd).as_deref(),
        );
        let held = object
            .finalizers
            .iter()
            .any(|name| name == crd::CLEANUP_FINALIZER);
        if crd.get("status") == Some(&status) && held {
            return;
        }
        let mut value = crd;
        if !held {
            let mut list = object.finalizers.clone();
            list.push(crd::CLEANUP_FINALIZER.to_owned());
            set_metadata(&mut value, "finalizers", list.into());
        }
        if let Some(map) = value.as_object_mut() {
            map.insert("status".to_owned(), status);
        }
        self.store(key, &mut value);
    }

    /// Whether another definition of the group has the same kind.
    fn names_conflict(&self, key: &Key, crd: &Value) -> Option<String> {
        let of = |crd: &Value, pointer: &str| {
            crd.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (group, kind) = (of(crd, "/spec/group"), of(crd, "/spec/names/kind"));
        self.in_storage(CRD_STORAGE, None)
            .into_iter()
            .filter(|other| other.key != *key)
            .map(|other| other.value())
            .find(|other| {
                crd::is_established(other)
                    && of(other, "/spec/group") == group
                    && of(other, "/spec/names/kind") == kind
            })
            .map(|_| format!("{kind:?} is already in use"))
    }
}

/// Why a namespace isn't gone yet.
fn namespace_conditions(left: &[Arc<Object>], old: Option<&Value>, now: &str) -> Value {
    let mut by_type: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut by_finalizer: std::collections::BTreeMap<&str, usize> =
        std::collections::BTreeMap::new();
    for object in left {
        *by_type.entry(&object.key.storage).or_default() += 1;
        for finalizer in &object.finalizers {
            *by_finalizer.entry(finalizer).or_default() += 1;
        }
    }
    let types: Vec<String> = by_type
        .iter()
        .map(|(storage, count)| format!("{storage} has {count} resource instances"))
        .collect();
    let holders: Vec<String> = by_finalizer
        .iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    let condition = |kind: &str, status: &str, reason: &str, message: String| {
        let previous = old.and_then(Value::as_array).and_then(|list| {
            list.iter()
                .find(|condition| condition["type"] == kind && condition["status"] == status)
        });
        let since = previous.map_or_else(
            || now.into(),
            |condition| condition["lastTransitionTime"].clone(),
        );
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    };
    let finalizers = if holders.is_empty() {
        condition(
            "NamespaceFinalizersRemaining",
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished".to_owned(),
        )
    } else {
        let text = format!(
            "Some content in the namespace has finalizers remaining: {}",
            holders.join(", ")
        );
        condition(
            "NamespaceFinalizersRemaining",
            "True",
            "SomeFinalizersRemain",
            text,
        )
    };
    json!([
        condition(
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned()
        ),
        condition(
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            format!("Some resources are remaining: {}", types.join(", "))
        ),
        finalizers,
    ])
}
