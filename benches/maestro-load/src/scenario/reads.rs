//! Lists over REST.

use serde_json::{Value, json};

use crate::figures::{milliseconds, percentiles, rounded};
use crate::load::{Listed, Load};

/// Lists of one consumer.
const REPEATS: usize = 5;
/// Lists of everything.
const LONG_REPEATS: usize = 2;

pub async fn lists(load: &mut Load) -> anyhow::Result<Value> {
    if load.mix.is_none() {
        Box::pin(super::mix::mix(load)).await?;
    }
    let mix = load.mix.as_deref().unwrap_or_default();
    let mut clusters: Vec<Option<&str>> = mix
        .iter()
        .map(|shape| Some(shape.cluster.as_str()))
        .collect();
    clusters.sort_unstable();
    clusters.dedup();
    clusters.truncate(REPEATS);
    eprintln!("Listing the works of some consumers for the first time.");
    let first = each(load, &clusters).await?;
    eprintln!("Listing one consumer's works again.");
    let cluster = clusters.first().copied().flatten();
    let again = repeated(load, cluster, REPEATS).await?;
    eprintln!("Listing all works.");
    let all = repeated(load, None, LONG_REPEATS).await?;
    Ok(json!({"one_consumer_first": first, "one_consumer_again": again, "all": all}))
}

/// Lists the same several times; the median time counts.
pub async fn repeated(load: &Load, cluster: Option<&str>, repeats: usize) -> anyhow::Result<Value> {
    each(load, &vec![cluster; repeats]).await
}

/// Lists one after the other; the median time counts.
pub async fn each(load: &Load, lists: &[Option<&str>]) -> anyhow::Result<Value> {
    let before = load.meter.start().await;
    let mut times = Vec::new();
    let mut last = Listed::default();
    for cluster in lists {
        last = load.list(*cluster).await?;
        times.push(last.time);
    }
    let slowest = times.iter().max().copied().unwrap_or_default();
    let median = percentiles(times);
    #[allow(clippy::cast_precision_loss, reason = "bytes")]
    let megabytes = rounded(last.bytes as f64 / 1e6);
    Ok(json!({
        "items": last.items,
        "pages": last.pages,
        "megabytes": megabytes,
        "ms": median.get("p50"),
        "slowest_ms": milliseconds(slowest),
        "cost": load.meter.since(before, lists.len()).await,
    }))
}
