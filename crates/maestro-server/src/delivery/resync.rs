//! What an agent lacks and what it has too much of, by what it says that it has.

use std::collections::HashMap;

use event_wire::payload::ResourceVersionList;

use crate::model::{ClusterName, ResourceId};
use crate::storage::{Error, Store, Version};

/// Rows compared at once.
const PAGE: usize = 1000;
/// Unknown ids up to this number may be deleted without a tombstone …
const STRANGERS: usize = 10;
/// … or up to this share of what the agent has: one in so many.
const STRANGERS_SHARE: usize = 10;

/// What an agent says that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    versions: HashMap<ResourceId, i64>,
}

/// What the agent has and this server doesn't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Orphans {
    /// To be deleted, with the version that the agent has.
    pub(super) delete: Vec<(ResourceId, i64)>,
    /// Too many to be believed: an empty or restored database must not wipe a cluster.
    pub(super) suspicious: Vec<(ResourceId, i64)>,
}

impl From<ResourceVersionList> for Held {
    fn from(list: ResourceVersionList) -> Self {
        let versions = list
            .resource_versions
            .into_iter()
            .map(|entry| (ResourceId::from(entry.resource_id), entry.resource_version))
            .collect();
        Self { versions }
    }
}

impl Held {
    /// How many resources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Crosses a row off and tells whether the agent should get it: always while it is deleting, else when its version
    /// is newer than the agent's.
    fn lacks(&mut self, row: &Version) -> bool {
        let held = self.versions.remove(&row.id).unwrap_or(0);
        row.deleting || row.version == 0 || row.version > held
    }
}

/// Compares what the agent has with what it should have: `send` gets the resources that it should get, page by page; the
/// rest of the agent's list is judged.
pub(super) async fn compare(
    store: &dyn Store,
    cluster: &ClusterName,
    mut held: Held,
    mut send: impl FnMut(Vec<ResourceId>),
) -> Result<Orphans, Error> {
    let total = held.len();
    let mut after = None;
    loop {
        let page = store.versions(cluster, after.as_ref(), PAGE).await?;
        let full = page.len() == PAGE;
        after = page.last().map(|row| row.id.clone());
        send(
            page.into_iter()
                .filter(|row| held.lacks(row))
                .map(|row| row.id)
                .collect(),
        );
        if !full {
            break;
        }
    }
    judge(store, cluster, held, total).await
}

async fn judge(
    store: &dyn Store,
    cluster: &ClusterName,
    mut held: Held,
    total: usize,
) -> Result<Orphans, Error> {
    let mut orphans = Orphans::default();
    if held.is_empty() || !store.is_registered(cluster).await? {
        orphans.suspicious = held.versions.into_iter().collect();
        return Ok(orphans);
    }
    let unknown: Vec<ResourceId> = held.versions.keys().cloned().collect();
    for ids in unknown.chunks(PAGE) {
        let dead = store.tombstones(cluster, ids).await?;
        // Created while the pages were read, or moved behind the cursor.
        for row in store.resources(ids).await? {
            held.versions.remove(&row.id);
        }
        for id in dead {
            orphans.delete.extend(held.versions.remove_entry(&id));
        }
    }
    if held.versions.len() <= tolerated(total) {
        orphans.delete.extend(held.versions);
    } else {
        orphans.suspicious.extend(held.versions);
    }
    orphans.delete.sort_unstable();
    Ok(orphans)
}

fn tolerated(total: usize) -> usize {
    STRANGERS.max(total / STRANGERS_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, version: i64, deleting: bool) -> Version {
        Version {
            id: id.into(),
            version,
            deleting,
        }
    }

    #[test]
    fn f9_only_what_is_outdated_or_unknown_is_sent() {
        let mut held = Held {
            versions: [("a".into(), 2), ("b".into(), 1), ("x".into(), 7)].into(),
        };
        assert!(!held.lacks(&row("a", 2, false)), "current");
        assert!(held.lacks(&row("b", 2, false)), "outdated");
        assert!(held.lacks(&row("c", 1, false)), "not listed");
        assert_eq!(held.versions, [("x".into(), 7)].into());
        let mut held = Held {
            versions: [("a".into(), 9)].into(),
        };
        assert!(
            held.lacks(&row("a", 2, true)),
            "a deletion is sent whatever the version"
        );
    }

    #[test]
    fn few_strangers_are_tolerated() {
        assert_eq!([0, 50, 101, 6000].map(tolerated), [10, 10, 10, 600]);
    }
}
