//! Objects are listed in the record before they are written: whatever happens to this process in between, a later deletion
//! finds them. The uid follows once it is known.

use kube_access::Error;
use manifestwork::AppliedResourceMeta;

use super::super::{Apply, Runner};
use crate::apply::Strategy;
use crate::record::Record;
use crate::target::Target;

/// Lists an object that is about to be written, and with it all others of the work that can be named by now.
pub(super) async fn list_ahead(
    runner: &Runner,
    task: &Apply,
    record: &mut Record,
    target: &Target,
) -> Result<(), Error> {
    if record.applied.iter().any(|entry| target.is(entry)) {
        return Ok(());
    }
    let mut list = record.applied.clone();
    for item in &task.bundle.items {
        let Ok(head) = &item.head else {
            continue;
        };
        // Definitions may come with this very work; what can't be named yet is listed when its turn comes.
        if let Ok(target) = Target::of_manifest(&runner.client, head).await
            && is_to_be_listed(task, &target)
            && !list.iter().any(|entry| target.is(entry))
        {
            list.push(target.entry(""));
        }
    }
    *record = runner.records.set_applied(record, list).await?;
    Ok(())
}

/// Objects that are never written, or that outlive the work, are of no interest to a deletion.
pub(super) fn is_to_be_listed(task: &Apply, target: &Target) -> bool {
    let identifier = target.identifier();
    let strategy = Strategy::of(task.bundle.strategy(&identifier));
    strategy.is_ok_and(|strategy| strategy.writes()) && task.bundle.owns(&identifier)
}

/// The entry of an object in a list.
pub(super) fn entry_of<'a>(
    list: &'a [AppliedResourceMeta],
    target: &Target,
) -> Option<&'a AppliedResourceMeta> {
    list.iter().find(|entry| target.is(entry))
}
