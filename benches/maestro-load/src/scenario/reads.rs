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
    let cluster = mix.first().map(|shape| shape.cluster.clone());
    let cluster = cluster.unwrap_or_default();
    eprintln!("Listing one consumer's works.");
    let one = repeated(load, Some(&cluster), REPEATS).await?;
    eprintln!("Listing all works.");
    let all = repeated(load, None, LONG_REPEATS).await?;
    Ok(json!({"one_consumer": one, "all": all}))
}

/// Lists several times; the median time counts.
pub async fn repeated(load: &Load, cluster: Option<&str>, repeats: usize) -> anyhow::Result<Value> {
    let before = load.meter.start().await;
    let mut times = Vec::new();
    let mut last = Listed::default();
    for _ in 0..repeats {
        last = load.list(cluster).await?;
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
        "cost": load.meter.since(before, repeats).await,
    }))
}
