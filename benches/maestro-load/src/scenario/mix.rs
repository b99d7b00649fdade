//! The whole way of works, as fast as answered and at fixed rates.

use serde_json::{Map, Value};

use crate::flow::Flow;
use crate::load::{Load, held};
use crate::source::Pace;
use crate::work;

/// Works of one run at a fixed concurrency.
const CONCURRENT_WORKS: usize = 2000;
/// … and with a single publisher.
const SINGLE_WORKS: usize = 500;

pub async fn mix(load: &mut Load) -> anyhow::Result<Value> {
    let clusters = load.clusters("mix", load.args.consumers).await?;
    let shapes = work::mix(&clusters, load.args.works);
    eprintln!(
        "Publishing {} works for {} clusters.",
        shapes.len(),
        clusters.len()
    );
    let flow = Flow::connect(load, &clusters, shapes).await?;
    let report = flow
        .create(load, Pace::Closed(load.args.publishers))
        .await?;
    load.mix = Some(flow.shapes);
    Ok(report)
}

/// Removes the works of the mix.
pub async fn delete(load: &mut Load) -> anyhow::Result<Option<Value>> {
    let Some(shapes) = load.mix.take() else {
        return Ok(None);
    };
    eprintln!("Deleting {} works.", shapes.len());
    let mut clusters: Vec<String> = shapes.iter().map(|shape| shape.cluster.clone()).collect();
    clusters.sort_unstable();
    clusters.dedup();
    let versions = |cluster: &str| held(shapes.iter().filter(|shape| shape.cluster == cluster));
    let flow = Flow::resume(load, &clusters, shapes.clone(), versions).await?;
    Ok(Some(flow.delete(load).await?))
}

pub async fn latency(load: &Load) -> anyhow::Result<Value> {
    let mut report = Map::new();
    for rate in load.args.rates.clone() {
        let pace = Pace::PerSecond(rate);
        let works = usize::try_from(rate.saturating_mul(load.args.seconds))?;
        eprintln!("Publishing {works} works at {rate} per second.");
        let figures = at(load, &format!("rate-{rate}"), works, pace).await?;
        report.insert(rate.to_string(), figures);
    }
    Ok(report.into())
}

pub async fn concurrency(load: &Load) -> anyhow::Result<Value> {
    let mut report = Map::new();
    for publishers in load.args.concurrency.clone() {
        let works = if publishers == 1 {
            SINGLE_WORKS
        } else {
            CONCURRENT_WORKS
        };
        eprintln!("Publishing {works} works, {publishers} at once.");
        let pace = Pace::Closed(publishers);
        let figures = at(load, &format!("many-{publishers}"), works, pace).await?;
        report.insert(publishers.to_string(), figures);
    }
    Ok(report.into())
}

/// One run of the mix, removed again.
async fn at(load: &Load, name: &str, works: usize, pace: Pace) -> anyhow::Result<Value> {
    let clusters = load.clusters(name, load.args.consumers).await?;
    let mut shapes = work::mix(&clusters, works.div_ceil(clusters.len().max(1)));
    shapes.truncate(works);
    let flow = Flow::connect(load, &clusters, shapes).await?;
    let report = flow.create(load, pace).await?;
    flow.delete(load).await?;
    Ok(report)
}
