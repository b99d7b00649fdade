//! Removing a work: the record is marked, its objects are asked to go, the list in the record shrinks, and when it is
//! empty the record goes too. A peer that takes over in the middle finds everything that it needs in the record.

use kube_access::Error;
use manifestwork::AppliedResourceMeta;

use super::{Remove, RemoveOutcome, Runner, apply};
use crate::record::Record;
use crate::remove::remove;

pub(super) async fn run(runner: &Runner, task: Remove) -> RemoveOutcome {
    match try_run(runner, &task).await {
        Ok(outcome) => outcome,
        Err(error) => RemoveOutcome {
            record: task.record,
            error: Some(error),
            ..RemoveOutcome::default()
        },
    }
}

async fn try_run(runner: &Runner, task: &Remove) -> Result<RemoveOutcome, Error> {
    let name = runner.identity.record_name(&task.name);
    let record = match &task.record {
        Some(record) => Some(record.clone()),
        None => match runner.records.find(&name).await {
            Ok(found) => found,
            // Without the definition there are no records.
            Err(Error::NoSuchKind { .. }) => None,
            Err(error) => return Err(error),
        },
    };
    let Some(mut record) = record else {
        return Ok(RemoveOutcome {
            finished: true,
            ..RemoveOutcome::default()
        });
    };
    if !record.deleting {
        match runner.records.delete(&record).await? {
            Some(marked) if marked.uid == record.uid => record = marked,
            // It had no finalizer to hold it. The objects are removed all the same.
            _ => record.deleting = true,
        }
    }
    let mut entries: Vec<AppliedResourceMeta> = record.applied.clone();
    for entry in &task.applied {
        let known = entries.iter().any(|have| {
            (&have.group, &have.resource, &have.namespace, &have.name)
                == (&entry.group, &entry.resource, &entry.namespace, &entry.name)
        });
        if !known {
            entries.push(entry.clone());
        }
    }
    let keeps = |entry: &AppliedResourceMeta| {
        task.bundle
            .as_ref()
            .is_some_and(|bundle| apply::outlives(bundle, entry))
    };
    let removed = remove(&runner.client, &record.owner(), &entries, keeps).await;
    let remaining: Vec<AppliedResourceMeta> =
        removed.held.iter().map(|held| held.entry.clone()).collect();
    let finished = remaining.is_empty() && removed.error.is_none();
    let mut error = removed.error;
    let current = match shrink(runner, &record, remaining, finished).await {
        Ok(current) => current,
        Err(later) => {
            error.get_or_insert(later);
            Some(record)
        }
    };
    Ok(RemoveOutcome {
        finished: finished && error.is_none(),
        record: current,
        held: removed.held,
        error,
    })
}

/// Writes what remains, or ends the record; answers with the record as it is now.
async fn shrink(
    runner: &Runner,
    record: &Record,
    remaining: Vec<AppliedResourceMeta>,
    finished: bool,
) -> Result<Option<Record>, Error> {
    if finished {
        runner.records.release(record).await?;
        return Ok(None);
    }
    match runner.records.set_applied(record, remaining).await {
        Ok(current) => Ok(Some(current)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
