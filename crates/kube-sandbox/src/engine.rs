//! The rules of the API: what each write does to the objects. No I/O and no clock of its own: one task owns an
//! [`Engine`], feeds it writes, and stores and publishes the [`Change`]s that it returns.
//!
//! Follows `docs/protocol/kubernetes-api.md`.

mod apply;
mod client_side;
mod create;
mod definition;
mod delete;
mod meta;
mod namespace;
mod parts;
mod request;
mod settle;
mod update;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

pub use delete::{DeleteOptions, Propagation};
pub use request::{FieldValidation, Outcome, Part, Target, Write, WriteOptions};

use crate::admission::{Admission, Operation, Review};
use crate::builtin::{CRD_STORAGE, NAMESPACE_STORAGE};
use crate::crd;
use crate::failure::Failure;
use crate::managed;
use crate::object::{Key, Object, metadata_text, set_metadata};
use crate::registry::Registry;
use crate::resource::Resource;

/// What happened to one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// resourceVersion of the change.
    pub revision: u64,
    /// The object before.
    pub previous: Option<Arc<Object>>,
    /// The object after; for a deletion its last state, with the resourceVersion of the deletion.
    pub object: Arc<Object>,
    /// Whether the object is gone.
    pub removed: bool,
}

/// Switches of an engine.
pub struct Options {
    /// Prune, default and validate custom resources by their schemas.
    pub validate_schemas: bool,
    /// Delete objects whose owners are gone.
    pub garbage_collection: bool,
    /// Rules from outside, all of which must accept.
    pub admission: Vec<Arc<dyn Admission>>,
    /// The time.
    pub clock: fn() -> Timestamp,
}

/// Background work that a change made necessary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// Make a CRD's endpoints, or take them away.
    Definition(Arc<str>),
    /// An object with owners, or one that waits for its dependents.
    Object(Key),
    /// An owner is gone.
    OwnerGone(Arc<str>),
    /// A namespace is terminating.
    Namespace(Arc<str>),
}

/// All objects and the rules for changing them.
pub struct Engine {
    options: Options,
    objects: BTreeMap<Key, Arc<Object>>,
    by_uid: HashMap<Arc<str>, Key>,
    /// Owner UID to dependents.
    dependents: HashMap<String, BTreeSet<Key>>,
    registry: Arc<Registry>,
    revision: u64,
    changes: Vec<Change>,
    work: BTreeSet<Work>,
}

impl Engine {
    /// An engine that starts with these objects. `revision` is the highest resourceVersion ever given out.
    pub fn new(options: Options, objects: Vec<Object>, revision: u64) -> Self {
        let mut engine = Self {
            options,
            objects: BTreeMap::new(),
            by_uid: HashMap::new(),
            dependents: HashMap::new(),
            registry: Arc::new(Registry::new([])),
            revision,
            changes: Vec::new(),
            work: BTreeSet::new(),
        };
        for object in objects {
            engine.insert(Arc::new(object));
        }
        engine.rebuild_registry();
        let objects: Vec<Arc<Object>> = engine.objects.values().cloned().collect();
        for object in objects {
            engine.plan_work(None, Some(&object));
        }
        engine
    }

    /// The current resource types.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The highest resourceVersion given out.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// All objects.
    pub fn objects(&self) -> &BTreeMap<Key, Arc<Object>> {
        &self.objects
    }

    /// Does one write and the background work that follows from it.
    ///
    /// # Errors
    /// The refusal; nothing was changed.
    pub fn execute(&mut self, write: Write) -> Result<Outcome, Failure> {
        let outcome = match write {
            Write::Create {
                target,
                object,
                options,
            } => self.create(&target, object, &options),
            Write::Replace {
                target,
                object,
                options,
            } => self.replace(&target, object, &options),
            Write::Patch {
                target,
                patch,
                options,
            } => self.patch(&target, &patch, &options),
            Write::Delete { target, options } => self.delete(&target, &options),
            Write::DeleteCollection {
                target,
                keys,
                options,
            } => self.delete_collection(&target, &keys, &options),
        };
        self.settle();
        outcome
    }

    /// Does the background work that is due, such as garbage collection.
    pub fn settle(&mut self) {
        while let Some(work) = self.work.pop_first() {
            self.do_work(work);
        }
    }

    /// The changes since the last call, to be stored and published.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Undoes changes that couldn't be stored. They must be the last ones taken.
    pub fn roll_back(&mut self, changes: &[Change]) {
        for change in changes.iter().rev() {
            self.forget(&change.object.key);
            if let Some(previous) = &change.previous {
                self.insert(Arc::clone(previous));
            }
        }
        // resourceVersions of undone changes are not given out again: someone may have heard of them.
        self.rebuild_registry();
        self.work.clear();
    }

    fn now(&self) -> String {
        crate::time::rfc3339((self.options.clock)())
    }

    fn resource(&self, target: &Target) -> Result<Arc<Resource>, Failure> {
        self.registry
            .find(&target.group, &target.version, &target.plural)
            .cloned()
            .ok_or_else(Failure::unknown_path)
    }

    fn key(resource: &Resource, target: &Target, name: &str) -> Key {
        let namespace = if resource.namespaced {
            target.namespace.as_str()
        } else {
            ""
        };
        Key::new(&resource.storage, namespace, name)
    }

    fn get(&self, resource: &Resource, target: &Target) -> Result<Arc<Object>, Failure> {
        self.objects
            .get(&Self::key(resource, target, &target.name))
            .cloned()
            .ok_or_else(|| Failure::not_found(&resource.subject(&target.name)))
    }

    fn admit(
        &self,
        operation: Operation,
        resource: &Resource,
        part: Part,
        object: &Value,
        old_object: Option<&Value>,
    ) -> Result<(), Failure> {
        let name = metadata_text(object, "name");
        let review = Review {
            operation,
            group: &resource.group,
            version: &resource.version,
            resource: &resource.plural,
            subresource: match part {
                Part::Whole => "",
                Part::Status => "status",
                Part::Finalize => "finalize",
            },
            namespace: metadata_text(object, "namespace"),
            name,
            object,
            old_object,
        };
        let causes: Vec<_> = self
            .options
            .admission
            .iter()
            .filter_map(|rule| rule.review(&review).err())
            .flatten()
            .collect();
        if causes.is_empty() {
            Ok(())
        } else {
            Err(Failure::invalid(&resource.subject(name), &causes))
        }
    }

    // === Changing the maps ===

    /// Stores an object, with a new resourceVersion that `value` gets too, and plans what follows.
    fn store(&mut self, key: Key, value: &mut Value) -> Arc<Object> {
        self.revision += 1;
        set_metadata(value, "resourceVersion", self.revision.to_string().into());
        let object = Arc::new(Object::new(key, self.revision, value));
        let previous = self.insert(Arc::clone(&object));
        if *object.key.storage == *CRD_STORAGE {
            self.rebuild_registry();
        }
        self.plan_work(previous.as_deref(), Some(&object));
        self.changes.push(Change {
            revision: self.revision,
            previous,
            object: Arc::clone(&object),
            removed: false,
        });
        object
    }

    /// Removes an object whose last state is `last`, or the stored one, and plans what follows. Returns the last state
    /// with the resourceVersion of the removal, which `last` gets too.
    fn remove(&mut self, key: &Key, last: Option<&mut Value>) -> Option<Arc<Object>> {
        let previous = self.forget(key)?;
        self.revision += 1;
        let mut stored;
        let value = match last {
            Some(last) => last,
            None => {
                stored = previous.value();
                &mut stored
            }
        };
        set_metadata(value, "resourceVersion", self.revision.to_string().into());
        let object = Arc::new(Object::new(key.clone(), self.revision, value));
        if *key.storage == *CRD_STORAGE {
            self.rebuild_registry();
        }
        self.plan_work(Some(&previous), None);
        self.changes.push(Change {
            revision: self.revision,
            previous: Some(previous),
            object: Arc::clone(&object),
            removed: true,
        });
        Some(object)
    }

    fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let previous = self.forget(&object.key);
        self.by_uid
            .insert(Arc::clone(&object.uid), object.key.clone());
        for owner in &object.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(object.key.clone());
        }
        self.objects.insert(object.key.clone(), object);
        previous
    }

    fn forget(&mut self, key: &Key) -> Option<Arc<Object>> {
        let object = self.objects.remove(key)?;
        self.by_uid.remove(&object.uid);
        for owner in &object.owners {
            if let Some(keys) = self.dependents.get_mut(&owner.uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        Some(object)
    }

    fn rebuild_registry(&mut self) {
        let custom = self
            .in_storage(CRD_STORAGE, None)
            .into_iter()
            .map(|object| object.value())
            .filter(crd::is_established)
            .flat_map(|crd| crd::resources(&crd))
            .collect::<Vec<_>>();
        self.registry = Arc::new(Registry::new(custom));
    }

    /// Objects stored under a name, optionally of one namespace.
    fn in_storage(&self, storage: &str, namespace: Option<&str>) -> Vec<Arc<Object>> {
        range(&self.objects, storage, namespace).cloned().collect()
    }

    fn namespace_object(&self, name: &str) -> Option<Arc<Object>> {
        self.objects
            .get(&Key::new(&NAMESPACE_STORAGE.into(), "", name))
            .cloned()
    }
}

/// Objects stored under a name, optionally of one namespace, in the order of lists.
pub fn range<'a>(
    objects: &'a BTreeMap<Key, Arc<Object>>,
    storage: &str,
    namespace: Option<&str>,
) -> impl Iterator<Item = &'a Arc<Object>> {
    let storage: Arc<str> = storage.into();
    let start = Key::new(&storage, namespace.unwrap_or_default(), "");
    let namespace: Option<Arc<str>> = namespace.map(Into::into);
    objects
        .range(start..)
        .take_while(move |(key, _)| {
            key.storage == storage
                && namespace
                    .as_ref()
                    .is_none_or(|namespace| key.namespace == *namespace)
        })
        .map(|(_, object)| object)
}

/// Who owns fields after a write.
enum Ownership {
    /// The named manager changed some.
    Update(String),
    /// Server-side apply already decided.
    Applied(managed::Managed),
}

#[cfg(test)]
mod tests;
