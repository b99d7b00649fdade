//! Removing objects that a record owns: who may be deleted, who is only disowned, who is left alone.
//!
//! See `docs/protocol/work-agent.md`, "Deletion".

use std::collections::BTreeMap;

use kube_access::{Client, Delete, Error, object};
use manifestwork::AppliedResourceMeta;
use manifestwork::constants::FIELD_MANAGER;
use serde_json::Value;

use crate::apply::merge::Ownership;
use crate::apply::{self, owner::Owner};
use crate::core::seen::Terminating;
use crate::rank;
use crate::target::Target;

/// An object that was asked to go and is still there, or waits for its turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its entry in the record.
    pub entry: AppliedResourceMeta,
    /// How to find it; none if discovery could not say.
    pub target: Option<Target>,
    /// Since when it is terminating and who holds it; none while it waits for its turn.
    pub terminating: Option<Terminating>,
}

/// What became of a list of objects.
#[derive(Debug, Default)]
pub struct Removed {
    /// What is still there.
    pub held: Vec<Held>,
    /// The first error, if there was one. The others were tried all the same.
    pub error: Option<Error>,
}

/// What one object needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Nothing more: it isn't there, or it isn't ours.
    Forget,
    /// Take our owner reference off; the object stays.
    Disown,
    /// It is going already.
    Wait,
    /// Delete it.
    Delete,
}

/// Asks objects to go, later kinds first: a kind is asked only when all kinds after it are gone, so that what they
/// need to end (secrets, operators, their definition) outlives them.
///
/// `keeps` tells the objects that stay although they are recorded.
pub async fn remove(
    client: &Client,
    owner: &Owner,
    entries: &[AppliedResourceMeta],
    keeps: impl Fn(&AppliedResourceMeta) -> bool,
) -> Removed {
    let mut removed = Removed::default();
    let mut by_rank: BTreeMap<u16, Vec<(AppliedResourceMeta, Target)>> = BTreeMap::new();
    for entry in entries {
        match Target::of_record(client, entry).await {
            Ok(target) => by_rank
                .entry(rank::of_kind(&target.resource.gvk.kind))
                .or_default()
                .push((entry.clone(), target)),
            // The kind isn't served any more, hence neither are its objects.
            Err(Error::NoSuchKind { .. }) => {}
            Err(error) => {
                removed.error.get_or_insert(error);
                removed.held.push(Held {
                    entry: entry.clone(),
                    target: None,
                    terminating: None,
                });
            }
        }
    }
    for (_, stage) in by_rank.into_iter().rev() {
        let waits = !removed.held.is_empty();
        for (entry, target) in stage {
            if waits {
                removed.held.push(Held {
                    entry,
                    target: Some(target),
                    terminating: None,
                });
                continue;
            }
            let keep = keeps(&entry);
            match remove_one(client, owner, &entry, &target, keep).await {
                Ok(None) => {}
                Ok(Some(terminating)) => removed.held.push(Held {
                    entry,
                    target: Some(target),
                    terminating: Some(terminating),
                }),
                Err(error) => {
                    removed.error.get_or_insert(error);
                    removed.held.push(Held {
                        entry,
                        target: Some(target),
                        terminating: None,
                    });
                }
            }
        }
    }
    removed
}

/// Answers with what holds the object, or `None` if there is nothing more to do about it.
async fn remove_one(
    client: &Client,
    owner: &Owner,
    entry: &AppliedResourceMeta,
    target: &Target,
    keep: bool,
) -> Result<Option<Terminating>, Error> {
    let Some(live) = target.find(client).await? else {
        return Ok(None);
    };
    match verdict(&live, owner, entry, keep) {
        Verdict::Forget => Ok(None),
        Verdict::Disown => match apply::own(client, target, live, Ownership::Disown(owner)).await {
            Ok(_) | Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        },
        Verdict::Wait => Ok(Terminating::read(&live)),
        Verdict::Delete => {
            let options = Delete::background_of(object::uid(&live).unwrap_or_default());
            let answer = client
                .delete(&target.resource, target.namespace(), &target.name, &options)
                .await;
            match answer {
                // The object itself comes back while something holds it; a Status says that it is gone.
                Ok(answer) => Ok(Terminating::read(&answer)),
                Err(Error::NotFound(_) | Error::Conflict(_)) => Ok(None),
                Err(error) => Err(error),
            }
        }
    }
}

fn verdict(live: &Value, owner: &Owner, entry: &AppliedResourceMeta, keep: bool) -> Verdict {
    if !owner.owns(live) {
        // Listed before it was written, and the writer ended before it could put its reference there.
        let left_behind =
            entry.uid.is_empty() && !keep && !owner.shares(live) && is_written_by_us(live);
        if !left_behind {
            return Verdict::Forget;
        }
    } else if keep || owner.shares(live) {
        return Verdict::Disown;
    }
    let same_life = entry.uid.is_empty() || object::uid(live) == Some(entry.uid.as_str());
    if !same_life {
        return Verdict::Forget;
    }
    if object::is_deleting(live) {
        Verdict::Wait
    } else {
        Verdict::Delete
    }
}

/// Whether an agent is among those who wrote the object. All managers of agents begin alike.
fn is_written_by_us(live: &Value) -> bool {
    let managers = live["metadata"]["managedFields"].as_array();
    managers.into_iter().flatten().any(|entry| {
        entry["manager"]
            .as_str()
            .is_some_and(|manager| manager.starts_with(FIELD_MANAGER))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner(uid: &str) -> Owner {
        Owner {
            name: format!("h-{uid}"),
            uid: uid.to_owned(),
        }
    }

    fn live(owners: &[&str], deleting: bool) -> Value {
        let references: Vec<Value> = owners.iter().map(|uid| owner(uid).reference()).collect();
        let mut object = json!({"metadata": {"uid": "o1", "ownerReferences": references}});
        if deleting {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        object
    }

    fn entry(uid: &str) -> AppliedResourceMeta {
        AppliedResourceMeta {
            uid: uid.to_owned(),
            ..AppliedResourceMeta::default()
        }
    }

    #[test]
    fn only_our_own_life_of_an_object_is_deleted() {
        let me = owner("amw");
        assert_eq!(
            verdict(&live(&["amw"], false), &me, &entry("o1"), false),
            Verdict::Delete
        );
        assert_eq!(
            verdict(&live(&["amw"], true), &me, &entry("o1"), false),
            Verdict::Wait
        );
        assert_eq!(
            verdict(&live(&["amw"], false), &me, &entry("o2"), false),
            Verdict::Forget
        );
        assert_eq!(
            verdict(&live(&["amw"], false), &me, &entry(""), false),
            Verdict::Delete
        );
        let foreign = live(&[], false);
        assert_eq!(verdict(&foreign, &me, &entry(""), false), Verdict::Forget);
        let mut left_behind = foreign;
        left_behind["metadata"]["managedFields"] = json!([{"manager": "work-agent"}]);
        assert_eq!(
            verdict(&left_behind, &me, &entry(""), false),
            Verdict::Delete
        );
        assert_eq!(
            verdict(&left_behind, &me, &entry("o1"), false),
            Verdict::Forget
        );
        let mut of_another = live(&["other"], false);
        of_another["metadata"]["managedFields"] = json!([{"manager": "work-agent"}]);
        assert_eq!(
            verdict(&of_another, &me, &entry(""), false),
            Verdict::Forget
        );
    }

    #[test]
    fn f72_foreign_owners_do_not_save_an_object_but_another_record_does() {
        let me = owner("amw");
        let mut with_deployment = live(&["amw"], false);
        with_deployment["metadata"]["ownerReferences"]
            .as_array_mut()
            .unwrap()
            .push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "x"}));
        assert_eq!(
            verdict(&with_deployment, &me, &entry("o1"), false),
            Verdict::Delete
        );
        assert_eq!(
            verdict(&live(&["amw", "amw2"], false), &me, &entry("o1"), false),
            Verdict::Disown
        );
        assert_eq!(
            verdict(&live(&[], false), &me, &entry("o1"), false),
            Verdict::Forget
        );
        assert_eq!(
            verdict(&live(&["amw"], false), &me, &entry("o1"), true),
            Verdict::Disown
        );
    }
}
