//! The life of a CustomResourceDefinition.

use serde_json::Value;

use super::{Engine, Propagation};
use crate::builtin::CRD_STORAGE;
use crate::crd;
use crate::object::{Key, set_metadata};

impl Engine {
    /// A definition: publish its names, or delete its objects and then the definition.
    pub(super) fn settle_definition(&mut self, name: &str) {
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
