//! The clusters that the adapter works on: made, waited for, removed.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use hyperfleet_client::{Client, Error};
use hyperfleet_types::NewResource;
use serde_json::{Value, json};

use crate::Args;
use crate::pulses::Pulses;

/// A spec that every shipped adapter accepts.
const SAMPLE: &str = include_str!("../../../crates/hyperfleet/src/demo/cluster.json");
/// Pause between two looks at a cluster that others work on.
const LOOK: Duration = Duration::from_millis(500);

/// What was created, also when not all of it could be.
pub struct Created {
    pub ids: Vec<String>,
    pub error: Option<anyhow::Error>,
}

/// Creates the clusters, and remembers the first refusal.
pub async fn create(api: &Client, args: &Args) -> Created {
    let mut created = Created {
        ids: Vec::new(),
        error: None,
    };
    let mut answers = futures::stream::iter(0..args.clusters)
        .map(|number| async move {
            let new = sample(&format!("{}-{number}", args.name))?;
            let cluster = api
                .clusters()
                .create(&new)
                .await
                .with_context(|| format!("create the cluster {}", new.name))?;
            anyhow::Ok(cluster.id)
        })
        .buffer_unordered(args.in_flight());
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(id) => created.ids.push(id),
            Err(error) => {
                created.error.get_or_insert(error);
            }
        }
    }
    created
}

/// The sample with a name of its own, also where its spec repeats it.
fn sample(name: &str) -> anyhow::Result<NewResource> {
    let text = SAMPLE.replace("my-cluster", name);
    serde_json::from_str(&text).context("the sample cluster is no resource")
}

/// Waits until the clusters are reconciled, at most so long; returns how many are.
pub async fn settle(pulses: &Pulses<'_>, clusters: &[String], patience: Duration) -> usize {
    let end = Instant::now() + patience;
    let mut reconciled = 0;
    for id in clusters {
        loop {
            let cluster = pulses.api.clusters().get(id).await;
            if cluster.is_ok_and(|cluster| cluster.is_reconciled()) {
                reconciled += 1;
                break;
            }
            if Instant::now() >= end {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    reconciled
}

/// Deletes the clusters and lets the adapter remove its objects.
pub async fn delete(pulses: &Pulses<'_>, clusters: &[String]) -> Value {
    let end = Instant::now() + pulses.patience;
    let outcomes: Vec<Outcome> = futures::stream::iter(clusters)
        .map(|id| async move {
            match delete_one(pulses, id, end).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    eprintln!("Delete the cluster {id}: {error}");
                    Outcome::Failed
                }
            }
        })
        .buffer_unordered(pulses.in_flight)
        .collect()
        .await;
    let mut gone = 0;
    let mut left = 0;
    // Others may be done by now.
    for id in clusters {
        match pulses.api.clusters().get(id).await {
            Err(error) if error.is_not_found() => gone += 1,
            _ => left += 1,
        }
    }
    let count = |wanted| {
        outcomes
            .iter()
            .filter(|outcome| **outcome == wanted)
            .count()
    };
    json!({
        "finalized": count(Outcome::Finalized),
        "not_finalized": count(Outcome::TooLate),
        "failed": count(Outcome::Failed),
        "gone": gone,
        "left_deleting": left,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The adapter's objects are gone, or the whole cluster is.
    Finalized,
    /// Not within the time.
    TooLate,
    /// The API refused.
    Failed,
}

async fn delete_one(pulses: &Pulses<'_>, id: &str, end: Instant) -> Result<Outcome, Error> {
    match pulses.api.clusters().delete(id).await {
        Err(error) if error.is_not_found() => return Ok(Outcome::Finalized),
        answer => answer?,
    };
    // Objects go in their own time, so that it takes several pulses, as Sentinel sends them.
    while Instant::now() < end {
        pulses.one(id).await;
        match pulses.report_of(id).await {
            Err(error) if error.is_not_found() => return Ok(Outcome::Finalized),
            Ok(Some(report)) if report.is_true("Finalized") => return Ok(Outcome::Finalized),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
    Ok(Outcome::TooLate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_differ_in_everything_that_must_be_unique() {
        let cluster = sample("load-7").unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(cluster.name, "load-7");
        assert_eq!(
            cluster.spec.get("pull_secret_name"),
            Some(&json!("load-7-pull-secret"))
        );
    }
}
