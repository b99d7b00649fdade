//! All resource types that are served now: the built-in ones and those of established CRDs.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::builtin;
use crate::resource::Resource;

/// A set of resource types. Immutable; a change of a CRD makes a new one.
#[derive(Debug)]
pub struct Registry {
    /// In the order of discovery.
    order: Vec<Arc<Resource>>,
    by_path: BTreeMap<(Arc<str>, Arc<str>, String), Arc<Resource>>,
    /// Documents that describe these types, made when first asked for.
    documents: OnceLock<BTreeMap<String, Bytes>>,
}

impl Registry {
    /// The built-in types and these.
    pub fn new(custom: impl IntoIterator<Item = Resource>) -> Self {
        let order: Vec<Arc<Resource>> = builtin::resources()
            .into_iter()
            .chain(custom)
            .map(Arc::new)
            .collect();
        let by_path = order
            .iter()
            .map(|resource| {
                let path = (
                    Arc::clone(&resource.group),
                    Arc::clone(&resource.version),
                    resource.plural.clone(),
                );
                (path, Arc::clone(resource))
            })
            .collect();
        Self {
            order,
            by_path,
            documents: OnceLock::new(),
        }
    }

    /// The type served at `/apis/<group>/<version>/<plural>`.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path
            .get(&(group.into(), version.into(), plural.to_owned()))
    }

    /// A type of this group and kind, in whatever version.
    pub fn find_group_kind(&self, group: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.order
            .iter()
            .find(|resource| resource.kind == kind && *resource.group == *group)
    }

    /// A type stored under this name.
    pub fn find_storage(&self, storage: &str) -> Option<&Arc<Resource>> {
        self.order
            .iter()
            .find(|resource| *resource.storage == *storage)
    }

    /// Documents about these types by path; `make` is called at most once.
    pub fn documents(
        &self,
        make: impl FnOnce() -> BTreeMap<String, Bytes>,
    ) -> &BTreeMap<String, Bytes> {
        self.documents.get_or_init(make)
    }

    /// All types, in the order of discovery.
    pub fn all(&self) -> &[Arc<Resource>] {
        &self.order
    }

    /// Groups with their versions, preferred version first; without the core group.
    pub fn groups(&self) -> Vec<(Arc<str>, Vec<Arc<str>>)> {
        let mut groups: Vec<(Arc<str>, Vec<Arc<str>>)> = Vec::new();
        for resource in self
            .order
            .iter()
            .filter(|resource| !resource.group.is_empty())
        {
            match groups
                .iter_mut()
                .find(|(group, _)| *group == resource.group)
            {
                None => groups.push((
                    Arc::clone(&resource.group),
                    vec![Arc::clone(&resource.version)],
                )),
                Some((_, versions)) => {
                    if !versions.contains(&resource.version) {
                        versions.push(Arc::clone(&resource.version));
                    }
                }
            }
        }
        groups
    }

    /// The types of one group and version.
    pub fn of_version(&self, group: &str, version: &str) -> Vec<&Arc<Resource>> {
        self.order
            .iter()
            .filter(|resource| *resource.group == *group && *resource.version == *version)
            .collect()
    }
}
