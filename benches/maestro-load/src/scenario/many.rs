//! Many agents.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::Manner;
use crate::figures::{Figures, Mark, percentiles, rounded};
use crate::flow::Flow;
use crate::load::{Load, held_but_one};
use crate::meter::megabytes;
use crate::source::Pace;
use crate::work::{self, Shape};

/// How long idle agents are watched.
const REST: Duration = Duration::from_secs(10);
/// Pause of an agent whose connection was refused.
const RETRY: Duration = Duration::from_millis(250);
/// Works of each agent in a storm.
const WORKS: usize = 6;

pub async fn idle(load: &Load) -> anyhow::Result<Value> {
    let count = load.args.agents;
    let clusters = load.clusters("idle", count).await?;
    let figures = Arc::new(Figures::new(std::iter::empty()));
    let before = load.meter.memory();
    eprintln!("Connecting {count} agents.");
    let start = load.meter.start().await;
    let connecting = Instant::now();
    let agents = load.agents(&clusters, Manner::Notes, &figures).await?;
    let connected = connecting.elapsed();
    let connect_cost = load.meter.since(start, count).await;
    let start = load.meter.start().await;
    tokio::time::sleep(REST).await;
    let rest_cost = load.meter.since(start, 1).await;
    let after = load.meter.memory();
    let works = load.mix.as_ref().map_or(0, Vec::len);
    let mut report = json!({
        "agents": count,
        "works_in_table": works,
        "connected_in_seconds": rounded(connected.as_secs_f64()),
        "connecting": connect_cost,
        "ten_seconds_at_rest": rest_cost,
    });
    if let (Some(before), Some(after), Some(report)) = (before, after, report.as_object_mut()) {
        report.insert("rss_before_mb".into(), megabytes(before));
        report.insert("rss_with_agents_mb".into(), megabytes(after));
        #[allow(clippy::cast_precision_loss, reason = "kilobytes")]
        let each = after.saturating_sub(before) as f64 / count.max(1) as f64;
        report.insert("rss_per_agent_kb".into(), json!(rounded(each)));
    }
    drop(agents);
    Ok(report)
}

pub async fn storm(load: &Load) -> anyhow::Result<Value> {
    let count = load.args.agents;
    let clusters = load.clusters("storm", count).await?;
    eprintln!("Creating {WORKS} works for each of {count} agents.");
    let flow = Flow::connect(load, &clusters, work::small(&clusters, WORKS)).await?;
    flow.create(load, Pace::Closed(load.args.publishers))
        .await?;
    // A pattern would only move the works out and leave the streams open until the end.
    let shapes = flow.shapes.clone();
    drop(flow);
    let mut of: HashMap<&str, Vec<Shape>> = HashMap::new();
    for shape in &shapes {
        of.entry(&shape.cluster).or_default().push(shape.clone());
    }
    // Old streams end before the new ones come.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let lacking = of
        .values()
        .filter_map(|shapes| Some(shapes.last()?.id.as_str()));
    let figures = Arc::new(Figures::new(lacking));
    eprintln!("All {count} agents connect at once.");
    let before = load.meter.start().await;
    figures.start();
    let (started, retries) = (Instant::now(), AtomicUsize::new(0));
    let agents = of.iter().map(|(cluster, shapes)| {
        let (figures, retries) = (&figures, &retries);
        async move {
            let held = held_but_one(shapes);
            // Agents try again; the time counts from their first attempt.
            loop {
                match load
                    .agent(cluster, held.clone(), Manner::Notes, figures)
                    .await
                {
                    Ok(agent) => return anyhow::Ok((agent, started.elapsed())),
                    Err(error) if started.elapsed() > load.patience() => return Err(error),
                    Err(_) => {
                        retries.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
    });
    let agents = futures::future::try_join_all(agents).await?;
    figures
        .wait(Mark::Delivered, count, load.patience())
        .await?;
    let subscribed = agents.iter().map(|(_, time)| *time).collect();
    Ok(json!({
        "agents": count,
        "works": shapes.len(),
        "retries": retries.load(Ordering::Relaxed),
        "subscribed_ms": percentiles(subscribed),
        "resynced_ms": figures.times(Mark::Delivered),
        "cost": load.meter.since(before, count).await,
    }))
}
