//! What an agent lacks and what it has too much of, by what it says that it has.

use std::collections::{BTreeMap, HashMap, HashSet};

use event_wire::payload::ResourceVersionList;

use crate::model::{ClusterName, ResourceId};
use crate::storage::{Error, Store, Version};

/// Rows compared at once.
const PAGE: usize = 1000;
/// Unknown ids up to this number may be deleted without a tombstone …
const STRANGERS: usize = 10;
/// … or up to this share of what the agent has: one in so many.
const STRANGERS_SHARE: usize = 10;
/// Strangers of one cluster that are kept by id; the others are only counted.
const STRANGERS_KEPT: usize = 20_000;

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
    pub(super) suspicious: Strangers,
}

/// What an agent has, this server never knew and nobody has decided about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Strangers {
    /// How many.
    pub(super) count: usize,
    /// Those among them that are kept, with the agent's versions. None of a cluster that wasn't registered: any name can
    /// connect, and nobody can decide about them.
    pub(super) kept: Vec<(ResourceId, i64)>,
}

impl Strangers {
    pub(super) fn of(mut resources: Vec<(ResourceId, i64)>) -> Self {
        let count = resources.len();
        resources.truncate(STRANGERS_KEPT);
        resources.shrink_to_fit();
        Self {
            count,
            kept: resources,
        }
    }

    fn counted(count: usize) -> Self {
        let kept = Vec::new();
        Self { count, kept }
    }
}

impl From<ResourceVersionList> for Held {
    fn from(list: ResourceVersionList) -> Self {
        let versions = list
            .resource_versions
            .into_iter()
            // No resource has such an id, and no database could be asked for it.
            .filter(|entry| !entry.resource_id.contains('\0'))
            .map(|entry| (ResourceId::from(entry.resource_id), entry.resource_version))
            .collect();
        Self { versions }
    }
}

impl Held {
    /// As text, for another server on the same database.
    #[must_use]
    pub fn to_text(&self) -> String {
        let versions: BTreeMap<&str, i64> = self
            .versions
            .iter()
            .map(|(id, version)| (id.as_str(), *version))
            .collect();
        serde_json::to_string(&versions).unwrap_or_default()
    }

    /// From [`Held::to_text`]; `None` when it isn't.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let versions: BTreeMap<String, i64> = serde_json::from_str(text).ok()?;
        let versions = versions.into_iter();
        Some(Self {
            versions: versions
                .map(|(id, version)| (ResourceId::from(id), version))
                .collect(),
        })
    }

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
}

/// A list on its way through the rows. All streams of an agent share the list, so what was seen is noted beside it.
struct Comparison<'a> {
    held: &'a Held,
    seen: HashSet<&'a ResourceId>,
}

impl<'a> Comparison<'a> {
    fn of(held: &'a Held) -> Self {
        let seen = HashSet::new();
        Self { held, seen }
    }

    /// Ticks a row off and tells whether the agent should get it: always while it is deleting, else when its version is
    /// newer than the agent's.
    fn lacks(&mut self, row: &Version) -> bool {
        let held = self.held.versions.get_key_value(&row.id);
        let held = held.map_or(0, |(id, version)| {
            self.seen.insert(id);
            *version
        });
        row.deleting || row.version == 0 || row.version > held
    }

    /// How many there are that no row was seen for.
    fn unseen(&self) -> usize {
        self.held.len() - self.seen.len()
    }

    /// What no row was seen for.
    fn unknown(&self) -> HashMap<ResourceId, i64> {
        let all = self.held.versions.iter();
        all.filter(|(id, _)| !self.seen.contains(id))
            .map(|(id, version)| (id.clone(), *version))
            .collect()
    }
}

/// Compares what the agent has with what it should have: `send` gets the resources that it should get, page by page; the
/// rest of the agent's list is judged.
pub(super) async fn compare(
    store: &dyn Store,
    cluster: &ClusterName,
    held: &Held,
    mut send: impl FnMut(Vec<ResourceId>),
) -> Result<Orphans, Error> {
    let mut comparison = Comparison::of(held);
    let mut after = None;
    loop {
        let page = store.versions(cluster, after.as_ref(), PAGE).await?;
        let full = page.len() == PAGE;
        after = page.last().map(|row| row.id.clone());
        send(
            page.into_iter()
                .filter(|row| comparison.lacks(row))
                .map(|row| row.id)
                .collect(),
        );
        if !full {
            break;
        }
    }
    let unseen = comparison.unseen();
    if unseen == 0 {
        return Ok(Orphans::default());
    }
    if !store.is_registered(cluster).await? {
        return Ok(Orphans {
            suspicious: Strangers::counted(unseen),
            ..Orphans::default()
        });
    }
    judge(store, cluster, comparison.unknown(), held.len()).await
}

/// Decides about the ids that no row was seen for; `total` is the length of the agent's list.
async fn judge(
    store: &dyn Store,
    cluster: &ClusterName,
    mut unknown: HashMap<ResourceId, i64>,
    total: usize,
) -> Result<Orphans, Error> {
    let mut orphans = Orphans::default();
    // What another cluster has now is never tolerated: perhaps the agent has the wrong name.
    let mut elsewhere: Vec<(ResourceId, i64)> = Vec::new();
    let ids: Vec<ResourceId> = unknown.keys().cloned().collect();
    for ids in ids.chunks(PAGE) {
        let dead = store.tombstones(cluster, ids).await?;
        let rows = store.clusters_of(ids).await?;
        // Created while the pages were read.
        for (id, _) in rows.iter().filter(|(_, owner)| owner == cluster) {
            unknown.remove(id);
        }
        for id in dead {
            orphans.delete.extend(unknown.remove_entry(&id));
        }
        for (id, _) in &rows {
            elsewhere.extend(unknown.remove_entry(id));
        }
    }
    if unknown.len() <= tolerated(total) {
        orphans.delete.extend(unknown);
    } else {
        elsewhere.extend(unknown);
    }
    orphans.suspicious = Strangers::of(elsewhere);
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

    fn held(entries: &[(&str, i64)]) -> Held {
        let entry = |(id, version): &(&str, i64)| (ResourceId::from(*id), *version);
        Held {
            versions: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn f9_only_what_is_outdated_or_unknown_is_sent() {
        let list = held(&[("a", 2), ("b", 1), ("x", 7)]);
        let mut agent = Comparison::of(&list);
        assert!(!agent.lacks(&row("a", 2, false)), "current");
        assert!(agent.lacks(&row("b", 2, false)), "outdated");
        assert!(agent.lacks(&row("c", 1, false)), "not listed");
        assert_eq!(agent.unknown(), [("x".into(), 7)].into());
        assert_eq!(agent.unseen(), 1);
        assert!(
            Comparison::of(&held(&[("a", 9)])).lacks(&row("a", 2, true)),
            "a deletion is sent whatever the version"
        );
    }

    #[test]
    fn what_an_agent_has_survives_being_passed_on() {
        let agent = held(&[("a", 2), ("b\"\n", 1), ("", 0)]);
        assert_eq!(Held::from_text(&agent.to_text()), Some(agent));
        assert_eq!(Held::from_text("[1]"), None);
    }

    #[tokio::test]
    async fn of_a_cluster_that_is_not_registered_only_the_number_is_kept() {
        let store = crate::storage::sqlite::Sqlite::in_memory().unwrap();
        let ids: Vec<String> = (0..30_000).map(|number| format!("r{number}")).collect();
        let list: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        let agent = held(&list);
        let orphans = compare(&store, &"c1".into(), &agent, |_| {}).await.unwrap();
        assert_eq!(orphans.suspicious, Strangers::counted(30_000));
        assert!(orphans.delete.is_empty());

        let consumer = crate::model::Consumer {
            id: "1".to_owned(),
            name: "c1".into(),
            labels: BTreeMap::new(),
            created_at: crate::storage::now(),
            updated_at: crate::storage::now(),
        };
        store.create_consumer(&consumer).await.unwrap();
        let orphans = compare(&store, &"c1".into(), &agent, |_| {}).await.unwrap();
        let Strangers { count, kept } = orphans.suspicious;
        assert_eq!((count, kept.len()), (30_000, STRANGERS_KEPT));
    }

    #[test]
    fn few_strangers_are_tolerated() {
        assert_eq!([0, 50, 101, 6000].map(tolerated), [10, 10, 10, 600]);
    }
}
