//! What a work asks for, read once per version and shared by everything that works on it.

use manifestwork::{
    DeleteOption, Executor, Manifest, ManifestConfig, ManifestWork, PropagationPolicy,
    ResourceIdentifier, UpdateStrategy, configs,
};

use kube_access::Gvk;

use crate::rank;

/// The spec of a work at one version. Manifests stay the text that they came in; each is parsed when it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The server's version of the work.
    pub version: i64,
    /// One item per manifest; the index is the ordinal.
    pub items: Vec<Item>,
    /// Rules for single manifests.
    pub configs: Vec<ManifestConfig>,
    /// What happens at deletion.
    pub delete_option: Option<DeleteOption>,
    /// Whose rights are needed.
    pub executor: Option<Executor>,
}

/// One manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The object as it came.
    pub manifest: Manifest,
    /// What names it, or why it can't be read.
    pub head: Result<Head, String>,
}

/// What names a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// Its namespace; may be empty.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

// === impl Bundle ===

impl Bundle {
    /// Reads the spec of a work.
    pub fn new(work: &ManifestWork) -> Self {
        let items = work
            .spec
            .workload
            .manifests
            .iter()
            .map(|manifest| Item {
                manifest: manifest.clone(),
                head: Head::read(manifest),
            })
            .collect();
        Self {
            version: work.metadata.generation,
            items,
            configs: work.spec.manifest_configs.clone(),
            delete_option: work.spec.delete_option.clone(),
            executor: work.spec.executor.clone(),
        }
    }

    /// Whether both ask for the same, whatever their versions are.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.configs == other.configs
            && self.delete_option == other.delete_option
            && self.executor == other.executor
            && self.items.len() == other.items.len()
            && self
                .items
                .iter()
                .zip(&other.items)
                .all(|(mine, theirs)| mine.manifest == theirs.manifest)
    }

    /// The ordinals in the order of application: by rank of their kind, then as written.
    pub fn apply_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by_key(|&ordinal| self.items.get(ordinal).map_or(rank::UNREADABLE, Item::rank));
        order
    }

    /// The strategy for an object, from the first matching config that has one.
    pub fn strategy(&self, object: &ResourceIdentifier) -> Option<&UpdateStrategy> {
        configs::find(&self.configs, object).update_strategy
    }

    /// Whether the object goes when the work goes.
    pub fn owns(&self, object: &ResourceIdentifier) -> bool {
        let Some(option) = &self.delete_option else {
            return true;
        };
        match option.propagation_policy {
            PropagationPolicy::Foreground => true,
            PropagationPolicy::Orphan => false,
            PropagationPolicy::SelectivelyOrphan | PropagationPolicy::Other(_) => !option
                .selectively_orphans
                .as_ref()
                .is_some_and(|orphans| orphans.orphaning_rules.contains(object)),
        }
    }
}

// === impl Item ===

impl Item {
    fn rank(&self) -> u16 {
        self.head
            .as_ref()
            .map_or(rank::UNREADABLE, |head| rank::of_kind(&head.gvk.kind))
    }
}

// === impl Head ===

impl Head {
    fn read(manifest: &Manifest) -> Result<Self, String> {
        let meta = manifest.meta().map_err(|error| error.to_string())?;
        if meta.kind.is_empty() || meta.api_version.is_empty() {
            return Err("the manifest has no apiVersion or no kind".to_owned());
        }
        if meta.metadata.name.is_empty() {
            return Err("the manifest has no metadata.name".to_owned());
        }
        Ok(Self {
            gvk: Gvk::new(&meta.api_version, &meta.kind),
            namespace: meta.metadata.namespace,
            name: meta.metadata.name,
        })
    }
}

#[cfg(test)]
mod tests {
    use manifestwork::{SelectivelyOrphan, Spec, Workload};
    use serde_json::{Value, json};

    use super::*;

    fn work(manifests: &[Value]) -> ManifestWork {
        ManifestWork {
            spec: Spec {
                workload: Workload {
                    manifests: manifests.iter().map(Manifest::from).collect(),
                },
                ..Spec::default()
            },
            ..ManifestWork::new("c1", "w")
        }
    }

    fn object(kind: &str, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})
    }

    #[test]
    fn kinds_in_rank_order_and_stable() {
        let bundle = Bundle::new(&work(&[
            object("HostedCluster", "a"),
            object("Deployment", "b"),
            object("ServiceAccount", "c"),
            json!({"kind": 3}),
            object("ServiceAccount", "d"),
            object("Namespace", "e"),
        ]));
        assert_eq!(bundle.apply_order(), [5, 2, 4, 1, 0, 3]);
        assert!(bundle.items[3].head.is_err());
    }

    #[test]
    fn ownership_follows_the_delete_option() {
        let mut bundle = Bundle::new(&work(&[object("ConfigMap", "a")]));
        let id = |name: &str| ResourceIdentifier {
            resource: "configmaps".into(),
            name: name.into(),
            ..ResourceIdentifier::default()
        };
        assert!(bundle.owns(&id("a")));
        bundle.delete_option = Some(DeleteOption::new(PropagationPolicy::Orphan));
        assert!(!bundle.owns(&id("a")));
        for policy in [
            PropagationPolicy::SelectivelyOrphan,
            PropagationPolicy::Other(String::new()),
        ] {
            bundle.delete_option = Some(DeleteOption {
                selectively_orphans: Some(SelectivelyOrphan {
                    orphaning_rules: vec![id("a")],
                }),
                ..DeleteOption::new(policy)
            });
            assert!(!bundle.owns(&id("a")));
            assert!(bundle.owns(&id("b")), "rules have no wildcards");
        }
    }
}
