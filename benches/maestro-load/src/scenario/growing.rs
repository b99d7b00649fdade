//! The same operations while the table grows.

use serde_json::{Map, Value, json};

use super::reads::{each, repeated};
use crate::database::Row;
use crate::figures::percentiles;
use crate::flow::{Flow, create_for_absent};
use crate::load::Load;
use crate::source::Pace;
use crate::work::{self, Shape};

/// Rows of one consumer.
const PER_CONSUMER: usize = 600;
/// Reads by id.
const READS: usize = 200;
/// Works that go the whole way, one after another.
const WORKS: usize = 100;
/// Lists of one consumer, of as many consumers that nobody listed before.
const LISTS: usize = 5;

pub async fn growing(load: &Load) -> anyhow::Result<Value> {
    let mut report = Map::new();
    let mut filled = Vec::new();
    let mut rows = match load.meter.database() {
        Some(database) => database.size().await?,
        None => load.mix.as_ref().map_or(0, Vec::len),
    };
    for size in load.args.sizes.clone() {
        // A table that is larger already gets a few more consumers: lists of others may be kept by the server.
        let missing = size.saturating_sub(rows).div_ceil(PER_CONSUMER).max(LISTS);
        eprintln!("Filling the table up to {size} rows.");
        let part = fill(load, &format!("grow-{size}"), missing).await?;
        rows += part.len();
        let fresh = filled.len();
        filled.extend(part);
        report.insert(size.to_string(), at(load, rows, &filled, fresh).await?);
    }
    Ok(report.into())
}

async fn fill(load: &Load, name: &str, consumers: usize) -> anyhow::Result<Vec<Shape>> {
    let Some(database) = load.meter.database() else {
        let clusters = load.clusters(name, consumers).await?;
        return create_for_absent(load, work::small(&clusters, PER_CONSUMER)).await;
    };
    let clusters: Vec<String> = (0..consumers)
        .map(|number| load.name(&format!("{name}-{number}")))
        .collect();
    database.register(&clusters).await?;
    let shapes = work::small(&clusters, PER_CONSUMER);
    let source = load.name("source");
    let rows = shapes.iter().map(|shape| Row {
        shape,
        source: &source,
        deleting: false,
    });
    database.fill(rows).await?;
    Ok(shapes)
}

/// Measures with so many rows, of which these were filled in, the last of them since the last time.
async fn at(load: &Load, rows: usize, filled: &[Shape], fresh: usize) -> anyhow::Result<Value> {
    eprintln!("Measuring with {rows} rows.");
    let before = load.meter.start().await;
    let mut times = Vec::new();
    let step = (filled.len() / READS).max(1);
    for shape in filled.iter().step_by(step).take(READS) {
        times.push(load.get(&shape.id).await?);
    }
    let by_id = json!({"ms": percentiles(times), "cost": load.meter.since(before, READS).await});
    // Works take consumers in turn.
    let unseen = filled.iter().skip(fresh).take(LISTS);
    let clusters: Vec<Option<&str>> = unseen.map(|shape| Some(shape.cluster.as_str())).collect();
    let first = each(load, &clusters).await?;
    let again = repeated(load, clusters.first().copied().flatten(), LISTS).await?;
    let clusters = load.clusters(&format!("fresh-{rows}"), 1).await?;
    let flow = Flow::connect(load, &clusters, work::small(&clusters, WORKS)).await?;
    let create = flow.create(load, Pace::Closed(1)).await?;
    flow.delete(load).await?;
    Ok(json!({
        "rows": rows,
        "by_id": by_id,
        "one_consumer_first": first,
        "one_consumer_again": again,
        "create": create,
    }))
}
