//! What a cluster's controllers do: planning, and garbage collection.
//!
//! Each piece of work looks at the present state and does what is missing, so it can be planned again at any time,
//! in particular after a restart.

use std::sync::Arc;

use serde_json::Value;

use super::delete::{FOREGROUND, ORPHAN};
use super::{Engine, Propagation, Work};
use crate::builtin::{CRD_STORAGE, NAMESPACE_STORAGE};
use crate::object::{Key, Object, Owner, finalizers, metadata_mut};

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

    pub(super) fn drop_finalizer(&mut self, key: &Key, name: &str) {
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
}
