//! Applying the manifests of a work: the record first, the objects in their order, then what was dropped, then the
//! list in the record.

mod adopt;
mod ledger;

use kube_access::{Error, Gvk, object};
use manifestwork::{AppliedResourceMeta, ResourceIdentifier, ResourceMeta};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Applied, Apply, Attempt, Runner};
use crate::apply::merge::Ownership;
use crate::apply::{self, Strategy};
use crate::bundle::{Bundle, Head, Item};
use crate::executor;
use crate::failure::Failure;
use crate::record::Record;
use crate::remove;
use crate::target::Target;

/// Where a manifest stands after this job.
enum Place {
    /// Its object.
    Known {
        target: Target,
        strategy: Option<Strategy>,
    },
    /// Its kind isn't served, or discovery failed.
    Unknown(Head),
    /// It can't be read.
    Unreadable,
}

pub(super) async fn run(runner: &Runner, task: Apply, halt: &CancellationToken) -> Applied {
    let mut outcome = Applied {
        version: task.bundle.version,
        full: task.only.is_none(),
        applied: merged(&task),
        ..Applied::default()
    };
    let mut record = match prepare_record(runner, &task).await {
        Ok(record) => record,
        Err(error) => {
            outcome.trouble = Some(error.into());
            return outcome;
        }
    };
    let owner = record.owner();
    let mut places = Vec::with_capacity(task.bundle.items.len());
    places.resize_with(task.bundle.items.len(), || Place::Unreadable);
    for ordinal in task.bundle.apply_order() {
        if halt.is_cancelled() {
            outcome.halted = true;
            break;
        }
        let Some(item) = task.bundle.items.get(ordinal) else {
            continue;
        };
        let wanted = task
            .only
            .as_ref()
            .is_none_or(|only| only.contains(&ordinal));
        let (place, attempt) = if wanted {
            attempt(runner, &task, ordinal, item, &mut record).await
        } else {
            (locate(runner, item).await, None)
        };
        outcome.attempts.extend(attempt);
        if let Some(slot) = places.get_mut(ordinal) {
            *slot = place;
        }
    }
    let mut entries = entries(&outcome, &places);
    if outcome.halted {
        // Whoever removes the work needs to know everything that may be there.
        entries.extend(missing_from(&entries, &outcome.applied));
    } else {
        let dropped = dropped(&outcome.applied, &places);
        let removed = remove::remove(&runner.client, &owner, &dropped, |_| false).await;
        entries.extend(removed.held.iter().map(|held| held.entry.clone()));
        outcome.held = removed.held;
        outcome.trouble = removed.error.map(Failure::from);
    }
    entries.sort();
    entries.dedup();
    outcome.applied.clone_from(&entries);
    match runner.records.set_applied(&record, entries).await {
        Ok(record) => outcome.record = Some(record),
        Err(error) => {
            outcome.record = Some(record);
            outcome.trouble = Some(error.into());
        }
    }
    let complete = outcome
        .attempts
        .iter()
        .all(|attempt| attempt.result.is_ok());
    if outcome.full && !outcome.halted && complete {
        for old in &task.adopted {
            if let Err(error) = adopt::take_over(runner, old).await {
                outcome.trouble.get_or_insert(error.into());
            }
        }
    }
    outcome
}

/// The list of the record, and what is known beyond it.
fn merged(task: &Apply) -> Vec<AppliedResourceMeta> {
    let mut all: Vec<AppliedResourceMeta> = task
        .record
        .iter()
        .flat_map(|record| record.applied.iter().cloned())
        .collect();
    all.extend(missing_from(&all, &task.applied));
    all
}

/// The entries of `more` whose object isn't in `list`.
fn missing_from(
    list: &[AppliedResourceMeta],
    more: &[AppliedResourceMeta],
) -> Vec<AppliedResourceMeta> {
    more.iter()
        .filter(|entry| !list.iter().any(|have| same_object(have, entry)))
        .cloned()
        .collect()
}

fn same_object(left: &AppliedResourceMeta, right: &AppliedResourceMeta) -> bool {
    left.group == right.group
        && left.resource == right.resource
        && left.namespace == right.namespace
        && left.name == right.name
}

/// A record that can own objects. One that somebody else is deleting can't: the objects are taken off it first, so
/// that they don't go with it, then it is let go and made anew.
async fn prepare_record(runner: &Runner, task: &Apply) -> Result<Record, Error> {
    let mut known = task.record.clone();
    if let Some(record) = known.take_if(|record| record.deleting) {
        tracing::warn!(
            record = record.name,
            "The record of a live work is being deleted by somebody else; it is made anew and its objects stay."
        );
        adopt::let_go(runner, &record).await?;
    }
    let record = runner
        .records
        .ensure(&task.name, &task.labels, known)
        .await?;
    if record.deleting {
        return Err(Error::Unavailable {
            message: format!("the record {} is being deleted", record.name),
            status: None,
        });
    }
    Ok(record)
}

async fn locate(runner: &Runner, item: &Item) -> Place {
    match &item.head {
        Err(_) => Place::Unreadable,
        Ok(head) => match Target::of_manifest(&runner.client, head).await {
            Ok(target) => Place::Known {
                target,
                strategy: None,
            },
            Err(_) => Place::Unknown(head.clone()),
        },
    }
}

async fn attempt(
    runner: &Runner,
    task: &Apply,
    ordinal: usize,
    item: &Item,
    record: &mut Record,
) -> (Place, Option<Attempt>) {
    let head = match &item.head {
        Ok(head) => head,
        Err(error) => {
            let failure = Failure::other(error);
            return (
                Place::Unreadable,
                Some(failed(meta(ordinal, None), failure)),
            );
        }
    };
    let target = match Target::of_manifest(&runner.client, head).await {
        Ok(target) => target,
        Err(error) => {
            let attempt = failed(meta(ordinal, Some(head)), error.into());
            return (Place::Unknown(head.clone()), Some(attempt));
        }
    };
    if target.resource.namespaced && target.namespace.is_empty() {
        let text = format!("a {} needs metadata.namespace", head.gvk.kind);
        let attempt = failed(target.meta(ordinal), Failure::other(text));
        return (Place::Unknown(head.clone()), Some(attempt));
    }
    let identifier = target.identifier();
    let strategy = Strategy::of(task.bundle.strategy(&identifier));
    let result = match &strategy {
        Err(failure) => Err(failure.clone()),
        Ok(_) if task.skip.contains(&ordinal) => {
            let place = Place::Known {
                target,
                strategy: None,
            };
            return (place, None);
        }
        Ok(strategy) if !strategy.writes() => no_longer_written(runner, record, &target).await,
        Ok(strategy) => apply_one(runner, task, item, &target, strategy, record).await,
    };
    let attempt = Attempt {
        ordinal,
        meta: target.meta(ordinal),
        target: Some(target.clone()),
        result,
    };
    let place = Place::Known {
        target,
        strategy: strategy.ok(),
    };
    (place, Some(attempt))
}

/// An object that was written once and is only read now must not go with the record.
async fn no_longer_written(
    runner: &Runner,
    record: &Record,
    target: &Target,
) -> Result<Option<Value>, Failure> {
    if ledger::entry_of(&record.applied, target).is_some()
        && let Some(live) = target.find(&runner.client).await?
    {
        let owner = record.owner();
        apply::own(&runner.client, target, live, Ownership::Disown(&owner)).await?;
    }
    Ok(None)
}

async fn apply_one(
    runner: &Runner,
    task: &Apply,
    item: &Item,
    target: &Target,
    strategy: &Strategy,
    record: &mut Record,
) -> Result<Option<Value>, Failure> {
    let owned = task.bundle.owns(&target.identifier());
    if let Some(executor) = &task.bundle.executor {
        executor::check(&runner.client, executor, target, &item.manifest, owned).await?;
    }
    if owned {
        ledger::list_ahead(runner, task, record, target).await?;
    }
    let owner = record.owner();
    let ownership = if owned {
        Ownership::Own(&owner)
    } else {
        Ownership::Disown(&owner)
    };
    let manifest = item.manifest.to_value();
    apply::apply(
        &runner.client,
        target,
        manifest,
        strategy,
        ownership,
        task.compare,
    )
    .await
}

/// What the record lists: every object of the spec that is known to have been written, with the life it has now.
fn entries(outcome: &Applied, places: &[Place]) -> Vec<AppliedResourceMeta> {
    let mut entries = Vec::new();
    for (ordinal, place) in places.iter().enumerate() {
        let Place::Known { target, strategy } = place else {
            continue;
        };
        if strategy.as_ref().is_some_and(|strategy| !strategy.writes()) {
            continue;
        }
        let attempt = outcome
            .attempts
            .iter()
            .find(|attempt| attempt.ordinal == ordinal);
        let written = attempt
            .and_then(|attempt| attempt.result.as_ref().ok()?.as_ref())
            .and_then(|live| object::uid(live));
        let before = || ledger::entry_of(&outcome.applied, target).map(|entry| entry.uid.as_str());
        // A write whose answer is missing may have been carried out.
        let perhaps = || {
            let failure = attempt?.result.as_ref().err()?;
            failure.unsure.then_some("")
        };
        if let Some(uid) = written.or_else(before).or_else(perhaps) {
            entries.push(target.entry(uid));
        }
    }
    // A kind that isn't served now may be again: keep what may be its objects.
    let unreadable = places
        .iter()
        .any(|place| matches!(place, Place::Unreadable));
    let kept: Vec<_> = outcome
        .applied
        .iter()
        .filter(|entry| unreadable || places.iter().any(|place| may_be(place, entry)))
        .cloned()
        .collect();
    entries.extend(missing_from(&entries, &kept));
    entries
}

/// Entries that no manifest stands for any more. A manifest that can't be read may stand for any of them.
fn dropped(applied: &[AppliedResourceMeta], places: &[Place]) -> Vec<AppliedResourceMeta> {
    if places
        .iter()
        .any(|place| matches!(place, Place::Unreadable))
    {
        return Vec::new();
    }
    applied
        .iter()
        .filter(|entry| {
            !places.iter().any(|place| match place {
                Place::Known { target, .. } => target.is(entry),
                other => may_be(other, entry),
            })
        })
        .cloned()
        .collect()
}

/// Whether an entry could be the object of a manifest whose plural isn't known.
fn may_be(place: &Place, entry: &AppliedResourceMeta) -> bool {
    match place {
        Place::Unknown(head) => {
            head.gvk.group == entry.group
                && head.name == entry.name
                && (entry.namespace.is_empty() || head.namespace == entry.namespace)
        }
        Place::Known { .. } | Place::Unreadable => false,
    }
}

fn failed(meta: ResourceMeta, failure: Failure) -> Attempt {
    Attempt {
        ordinal: usize::try_from(meta.ordinal).unwrap_or_default(),
        meta,
        target: None,
        result: Err(failure),
    }
}

/// The name of a manifest without a known resource.
fn meta(ordinal: usize, head: Option<&Head>) -> ResourceMeta {
    let ordinal = i32::try_from(ordinal).unwrap_or(i32::MAX);
    let Some(Head {
        gvk: Gvk {
            group,
            version,
            kind,
        },
        namespace,
        name,
    }) = head.cloned()
    else {
        return ResourceMeta {
            ordinal,
            ..ResourceMeta::default()
        };
    };
    ResourceMeta {
        ordinal,
        group,
        version,
        kind,
        resource: String::new(),
        name,
        namespace,
    }
}

/// Which objects of a work outlive it although they are recorded: those that the spec never writes or doesn't own.
pub(super) fn outlives(bundle: &Bundle, entry: &AppliedResourceMeta) -> bool {
    let identifier = ResourceIdentifier {
        group: entry.group.clone(),
        resource: entry.resource.clone(),
        name: entry.name.clone(),
        namespace: entry.namespace.clone(),
    };
    let reads = matches!(
        Strategy::of(bundle.strategy(&identifier)),
        Ok(Strategy::ReadOnly)
    );
    reads || !bundle.owns(&identifier)
}
