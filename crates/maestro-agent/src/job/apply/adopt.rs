//! Records that must go while their objects stay: those of a previous server address, and those that somebody is
//! deleting by hand under a live work.

use kube_access::Error;

use super::super::Runner;
use crate::apply;
use crate::apply::merge::Ownership;
use crate::record::Record;
use crate::target::Target;

/// Ends a record of an earlier server address. Its objects belong to the new record by now.
pub(super) async fn take_over(runner: &Runner, old: &Record) -> Result<(), Error> {
    tracing::info!(
        record = old.name,
        "A record of another server address is taken over."
    );
    disown_all(runner, old).await?;
    runner.records.delete(old).await?;
    runner.records.release(old).await
}

/// Ends a record that is being deleted, without its objects.
pub(super) async fn let_go(runner: &Runner, record: &Record) -> Result<(), Error> {
    disown_all(runner, record).await?;
    runner.records.release(record).await
}

/// Takes the record's owner reference off all its objects, so that the garbage collector leaves them alone.
async fn disown_all(runner: &Runner, record: &Record) -> Result<(), Error> {
    let owner = record.owner();
    for entry in &record.applied {
        let target = match Target::of_record(&runner.client, entry).await {
            Ok(target) => target,
            Err(Error::NoSuchKind { .. }) => continue,
            Err(error) => return Err(error),
        };
        let Some(live) = target.find(&runner.client).await? else {
            continue;
        };
        match apply::own(&runner.client, &target, live, Ownership::Disown(&owner)).await {
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
