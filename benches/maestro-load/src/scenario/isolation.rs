//! What deletions that wait for a dead cluster cost a live one.

use serde_json::{Value, json};

use crate::database::Row;
use crate::flow::{Flow, create_for_absent};
use crate::load::Load;
use crate::source::Pace;
use crate::work;

/// Publishes per second on the live cluster.
const RATE: u32 = 50;
/// Length of each measurement, seconds.
const SECONDS: u32 = 10;

pub async fn isolation(load: &Load) -> anyhow::Result<Value> {
    let dead = load.clusters("dead", 1).await?;
    let backlog = load.args.backlog;
    let alone = live(load, "before").await?;
    let shapes = work::small(&dead, backlog);
    eprintln!("Leaving {backlog} deletions waiting for a cluster whose agent is away.");
    if let Some(database) = load.meter.database() {
        let source = load.name("source");
        let rows = shapes.iter().map(|shape| Row {
            shape,
            source: &source,
            deleting: true,
        });
        database.fill(rows).await?;
        let cluster = dead.first().map_or("", String::as_str);
        database.announce_deletions(cluster).await?;
    } else {
        let shapes = create_for_absent(load, shapes).await?;
        let flow = Flow::connect(load, &[], shapes).await?;
        let failed = flow.ask_for_deletion(load).await;
        anyhow::ensure!(failed == 0, "{failed} deletions were refused");
    }
    let beside = live(load, "beside").await?;
    Ok(json!({"backlog": backlog, "alone": alone, "beside_backlog": beside}))
}

async fn live(load: &Load, name: &str) -> anyhow::Result<Value> {
    let clusters = load.clusters(name, 1).await?;
    let works = usize::try_from(RATE * SECONDS)?;
    eprintln!("Publishing {works} works at {RATE} per second for a live cluster.");
    let flow = Flow::connect(load, &clusters, work::small(&clusters, works)).await?;
    flow.create(load, Pace::PerSecond(RATE)).await
}
