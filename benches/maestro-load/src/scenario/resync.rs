//! An agent that comes back.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::agent::Manner;
use crate::figures::{Figures, Mark, milliseconds};
use crate::flow::create_for_absent;
use crate::load::{Load, held_but_one};
use crate::work::{self, Shape};

pub async fn resync(load: &Load) -> anyhow::Result<Value> {
    let clusters = load.clusters("resync", 1).await?;
    let cluster = clusters.first().cloned().unwrap_or_default();
    let shapes = work::mix(&clusters, load.args.resync_works);
    eprintln!("Publishing {} works for one absent agent.", shapes.len());
    let shapes = create_for_absent(load, shapes).await?;
    eprintln!("The agent comes and has nothing.");
    let lost = comes(load, &cluster, &shapes, Vec::new(), shapes.len()).await?;
    eprintln!("The agent comes and lacks one.");
    let held = held_but_one(&shapes);
    let lacks_one = comes(load, &cluster, &shapes, held, 1).await?;
    Ok(json!({"works": shapes.len(), "has_nothing": lost, "lacks_one": lacks_one}))
}

async fn comes(
    load: &Load,
    cluster: &str,
    shapes: &[Shape],
    held: Vec<event_wire::payload::ResourceVersion>,
    lacking: usize,
) -> anyhow::Result<Value> {
    let wanted = shapes.iter().rev().take(lacking);
    let figures = Arc::new(Figures::new(wanted.map(|shape| shape.id.as_str())));
    let before = load.meter.start().await;
    figures.start();
    let _agent = load.agent(cluster, held, Manner::Notes, &figures).await?;
    figures
        .wait(Mark::Delivered, lacking, load.patience())
        .await?;
    Ok(json!({
        "lacking": lacking,
        "ms": milliseconds(figures.last(Mark::Delivered)),
        "works_per_second": figures.rate(Mark::Delivered),
        "cost": load.meter.since(before, lacking).await,
    }))
}
