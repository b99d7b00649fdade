//! What an agent lacks and what it has too much of, by what it says that it has.

use std::collections::{BTreeMap, HashMap};

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
    versions: HashMap<ResourceId, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    version: i64,
    /// There is a row for it.
    known: bool,
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
            // No resource has such an id, and no database could be asked for it.
            .filter(|entry| !entry.resource_id.contains('\0'))
            .map(|entry| {
                let held = Entry {
                    version: entry.resource_version,
                    known: false,
                };
                (ResourceId::from(entry.resource_id), held)
            })
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
            .map(|(id, entry)| (id.as_str(), entry.version))
            .collect();
        serde_json::to_string(&versions).unwrap_or_default()
    }

    /// From [`Held::to_text`]; `None` when it isn't.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let versions: BTreeMap<String, i64> = serde_json::from_str(text).ok()?;
        let entries = versions.into_iter().map(|(id, version)| {
            let known = false;
            (ResourceId::from(id), Entry { version, known })
        });
        Some(Self {
            versions: entries.collect(),
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

    /// Ticks a row off and tells whether the agent should get it: always while it is deleting, else when its version is
    /// newer than the agent's.
    fn lacks(&mut self, row: &Version) -> bool {
        let held = self.versions.get_mut(&row.id).map_or(0, |entry| {
            entry.known = true;
            entry.version
        });
        row.deleting || row.version == 0 || row.version > held
    }

    /// What no row was seen for.
    fn unknown(&self) -> HashMap<ResourceId, i64> {
        let unknown = self.versions.iter().filter(|(_, entry)| !entry.known);
        unknown
            .map(|(id, entry)| (id.clone(), entry.version))
            .collect()
    }
}

/// Compares what the agent has with what it should have: `send` gets the resources that it should get, page by page; the
/// rest of the agent's list is judged.
pub(super) async fn compare(
    store: &dyn Store,
    cluster: &ClusterName,
    held: &mut Held,
    mut send: impl FnMut(Vec<ResourceId>),
) -> Result<Orphans, Error> {
    for entry in held.versions.values_mut() {
        entry.known = false;
    }
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
    judge(store, cluster, held.unknown(), held.len()).await
}

/// Decides about the ids that no row was seen for; `total` is the length of the agent's list.
async fn judge(
    store: &dyn Store,
    cluster: &ClusterName,
    mut unknown: HashMap<ResourceId, i64>,
    total: usize,
) -> Result<Orphans, Error> {
    let mut orphans = Orphans::default();
    if unknown.is_empty() {
        return Ok(orphans);
    }
    if !store.is_registered(cluster).await? {
        orphans.suspicious.extend(unknown);
        return Ok(orphans);
    }
    let ids: Vec<ResourceId> = unknown.keys().cloned().collect();
    for ids in ids.chunks(PAGE) {
        let dead = store.tombstones(cluster, ids).await?;
        // Created while the pages were read.
        for row in store.resources(ids).await? {
            unknown.remove(&row.id);
        }
        for id in dead {
            orphans.delete.extend(unknown.remove_entry(&id));
        }
    }
    if unknown.len() <= tolerated(total) {
        orphans.delete.extend(unknown);
    } else {
        orphans.suspicious.extend(unknown);
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

    fn held(entries: &[(&str, i64)]) -> Held {
        let entry = |(id, version): &(&str, i64)| {
            (
                ResourceId::from(*id),
                Entry {
                    version: *version,
                    known: false,
                },
            )
        };
        Held {
            versions: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn f9_only_what_is_outdated_or_unknown_is_sent() {
        let mut agent = held(&[("a", 2), ("b", 1), ("x", 7)]);
        assert!(!agent.lacks(&row("a", 2, false)), "current");
        assert!(agent.lacks(&row("b", 2, false)), "outdated");
        assert!(agent.lacks(&row("c", 1, false)), "not listed");
        assert_eq!(agent.unknown(), [("x".into(), 7)].into());
        assert!(
            held(&[("a", 9)]).lacks(&row("a", 2, true)),
            "a deletion is sent whatever the version"
        );
    }

    #[test]
    fn what_an_agent_has_survives_being_passed_on() {
        let agent = held(&[("a", 2), ("b\"\n", 1), ("", 0)]);
        assert_eq!(Held::from_text(&agent.to_text()), Some(agent));
        assert_eq!(Held::from_text("[1]"), None);
    }

    #[test]
    fn few_strangers_are_tolerated() {
        assert_eq!([0, 50, 101, 6000].map(tolerated), [10, 10, 10, 600]);
    }
}
