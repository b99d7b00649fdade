//! Operations on resources: one transaction, set-based statements.
//!
//! Locks are tried, never waited for: a row that a Go server works on goes to the next transaction instead of delaying the
//! other rows of this one. Rows are locked in the order of their ids, so that two servers can't wait for each other.

mod known;
mod plan;

use sql_store::postgres::Client;

use super::super::{Batch, Error, Slot, now};
use super::Instance;
use super::locks::Locks;
use crate::lifecycle::decide;
use crate::model::{Change, Refusal};
use known::Known;
use plan::Plan;

pub(super) async fn run(
    client: &mut Client,
    batch: &Batch,
    instance: &Instance,
) -> Result<Vec<Slot>, Error> {
    let operations = &batch.operations;
    let transaction = client.transaction().await?;
    // A statement of its own: the rows must be read after the locks are held.
    let free = Locks::of(operations).take(&transaction).await?;
    let now = now();
    let known = Known::load(&transaction, operations, &free).await?;
    let mut plan = Plan::default();
    let mut slots = Vec::with_capacity(operations.len());
    for (operation, free) in operations.iter().zip(&free) {
        if !free {
            slots.push(Slot::Busy);
            continue;
        }
        let row = known.row(operation.id());
        let context = known.context(operation, now, batch.isolate_sources);
        let verdict = decide(operation, row.map(|row| &row.current), &context);
        slots.push(plan.add(operation, row, verdict, instance)?);
    }
    let taken = plan.write(&transaction, now).await?;
    transaction.commit().await?;
    for slot in &mut slots {
        if let Slot::Decided {
            change: Some(Change::Spec { id, .. }),
            ..
        } = slot
            && taken.contains(id)
        {
            *slot = Slot::Decided {
                outcome: Err(Refusal::AlreadyExists),
                change: None,
            };
        }
    }
    Ok(slots)
}
