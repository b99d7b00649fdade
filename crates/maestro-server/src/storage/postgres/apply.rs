//! Operations on resources: one transaction, set-based statements, two round trips.
//!
//! Locks are tried, never waited for: a row that another server works on goes to the next transaction instead of delaying
//! the other rows of this one. Nothing here waits for a row that somebody else holds, so no two servers can wait for each
//! other.

mod known;
mod plan;

use sql_store::postgres::Client;
use sql_store::postgres::tokio_postgres::Statement;

use super::super::{Batch, Error, Slot, now};
use super::Instance;
use super::locks::Locks;
use super::unit::Unit;
use crate::lifecycle::decide;
use crate::model::{Change, Refusal};
use known::Known;
use plan::Plan;

/// What a connection has to have prepared.
struct Statements {
    locking: Statement,
    loading: known::Statements,
    writing: plan::Statements,
}

impl Statements {
    /// Prepares all of them in one round trip; none when they are.
    async fn prepare(client: &Client) -> Result<Self, Error> {
        let (locking, loading, writing) = tokio::try_join!(
            Locks::prepare(client),
            known::Statements::prepare(client),
            plan::Statements::prepare(client),
        )?;
        Ok(Self {
            locking,
            loading,
            writing,
        })
    }
}

/// Makes a connection ready for the first batch.
pub(super) async fn warm_up(client: &Client) -> Result<(), Error> {
    Statements::prepare(client).await.map(drop)
}

pub(super) async fn run(
    client: Client,
    batch: &Batch,
    instance: &Instance,
) -> Result<Vec<Slot>, Error> {
    let unit = Unit::new(client);
    let result = Box::pin(write(&unit, batch, instance)).await;
    unit.end(result).await
}

async fn write(unit: &Unit, batch: &Batch, instance: &Instance) -> Result<Vec<Slot>, Error> {
    let operations = &batch.operations;
    let client = unit.client()?;
    let locks = Locks::of(operations);
    let Statements {
        locking,
        loading,
        writing,
    } = Statements::prepare(client).await?;
    let now = now();
    // The first round trip. Rows are read by a statement of its own, after the locks are held.
    let (begun, free, known) = tokio::join!(
        biased;
        unit.begin(),
        locks.take(client, &locking),
        Known::load(client, &loading, operations),
    );
    begun?;
    let (free, known) = (free?, known?);
    let mut plan = Plan::default();
    let mut slots = Vec::with_capacity(operations.len());
    for (operation, free) in operations.iter().zip(&free) {
        if !free || known.is_held(operation) {
            slots.push(Slot::Busy);
            continue;
        }
        let row = known.row(operation.id());
        let context = known.context(operation, now, batch.isolate_sources);
        let verdict = decide(operation, row.map(|row| &row.current), &context);
        slots.push(plan.add(operation, row, verdict, instance)?);
    }
    let doubt = instance.doubts.about(plan.events());
    // The second one.
    let (taken, committed) = tokio::join!(biased; plan.write(client, &writing, now), unit.commit());
    let taken = taken?;
    committed?;
    doubt.settle();
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
