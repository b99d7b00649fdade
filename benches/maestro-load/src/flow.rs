//! Works on their whole way: a source, agents that answer, and what was noted.

use std::sync::Arc;
use std::time::Instant;

use event_wire::payload::ResourceVersion;
use serde_json::{Value, json};

use crate::agent::{Agent, Manner};
use crate::figures::{self, Figures, Mark};
use crate::load::Load;
use crate::source::{Pace, Source};
use crate::work::Shape;

/// Agents that connect at once.
const AT_ONCE: usize = 32;

pub struct Flow {
    pub shapes: Vec<Shape>,
    pub figures: Arc<Figures>,
    source: Source,
    _agents: Vec<Agent>,
}

impl Flow {
    /// Connects a source and the agents of these clusters.
    pub async fn connect(
        load: &Load,
        clusters: &[String],
        shapes: Vec<Shape>,
    ) -> anyhow::Result<Self> {
        Self::resume(load, clusters, shapes, |_| Vec::new()).await
    }

    /// The same with agents that have works already.
    pub async fn resume(
        load: &Load,
        clusters: &[String],
        shapes: Vec<Shape>,
        held: impl Fn(&str) -> Vec<ResourceVersion>,
    ) -> anyhow::Result<Self> {
        let figures = Arc::new(Figures::new(shapes.iter().map(|shape| shape.id.as_str())));
        let mut agents = Vec::with_capacity(clusters.len());
        for clusters in clusters.chunks(AT_ONCE) {
            let connecting = clusters
                .iter()
                .map(|cluster| load.agent(cluster, held(cluster), Manner::Answers, &figures));
            agents.extend(futures::future::try_join_all(connecting).await?);
        }
        let name = load.name("source");
        let source = Source::connect(&load.args.source_grpc, &name, Arc::clone(&figures)).await?;
        Ok(Self {
            shapes,
            figures,
            source,
            _agents: agents,
        })
    }

    /// Creates the works, waits until the source has a status of each, and reports.
    pub async fn create(&self, load: &Load, pace: Pace) -> anyhow::Result<Value> {
        let figures = &self.figures;
        let before = load.meter.start().await;
        figures.start();
        let failed = self.source.create(&self.shapes, pace).await;
        let wanted = self.shapes.len() - failed;
        figures
            .wait(Mark::Answered, wanted, load.patience())
            .await?;
        Ok(json!({
            "works": self.shapes.len(),
            "failed": failed,
            "created_per_second": figures.rate(Mark::Accepted),
            "delivered_per_second": figures.rate(Mark::Delivered),
            "answered_per_second": figures.rate(Mark::Answered),
            "accept_ms": figures.latency(Mark::Sent, Mark::Accepted),
            "create_to_delivered_ms": figures.latency(Mark::Sent, Mark::Delivered),
            "create_to_status_ms": figures.latency(Mark::Sent, Mark::Answered),
            "cost": load.meter.since(before, wanted).await,
        }))
    }

    /// Deletes the works, waits until the source has heard the end of each, and reports.
    pub async fn delete(&self, load: &Load) -> anyhow::Result<Value> {
        let before = load.meter.start().await;
        let started = Instant::now();
        let failed = self.source.delete(&self.shapes, load.args.publishers).await;
        let wanted = self.shapes.len() - failed;
        self.figures
            .wait(Mark::Removed, wanted, load.patience())
            .await?;
        Ok(json!({
            "failed": failed,
            "deleted_per_second": figures::rate(wanted, started.elapsed()),
            "cost": load.meter.since(before, wanted).await,
        }))
    }

    /// Asks for the deletion of the works without waiting for their agents.
    pub async fn ask_for_deletion(&self, load: &Load) -> usize {
        self.source.delete(&self.shapes, load.args.publishers).await
    }
}

/// Creates works while no agent is there, and waits until they are accepted.
pub async fn create_for_absent(load: &Load, shapes: Vec<Shape>) -> anyhow::Result<Vec<Shape>> {
    let flow = Flow::connect(load, &[], shapes).await?;
    let publishers = load.args.publishers;
    let failed = flow
        .source
        .create(&flow.shapes, Pace::Closed(publishers))
        .await;
    anyhow::ensure!(failed == 0, "{failed} works were refused");
    Ok(flow.shapes)
}
