//! What all scenarios share: the server's addresses, its REST API, and what is left from earlier scenarios.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use event_wire::payload::ResourceVersion;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::agent::{Agent, Manner};
use crate::args::Args;
use crate::figures::Figures;
use crate::meter::Meter;
use crate::work::Shape;

/// Rows on a page, as Go clients ask for them.
const PAGE: usize = 400;
/// Requests or connections on their way at once while something is prepared.
const AT_ONCE: usize = 32;

pub struct Load {
    pub args: Args,
    pub meter: Meter,
    http: reqwest::Client,
    /// Tells the names of this run from those of others.
    run: String,
    /// The works of the mix, if it has run and they are still there.
    pub mix: Option<Vec<Shape>>,
}

/// A list over REST.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listed {
    pub items: usize,
    pub bytes: usize,
    pub pages: usize,
    /// Without the time that this program needed to count the items.
    pub time: Duration,
}

impl Load {
    pub fn new(args: Args, meter: Meter) -> Self {
        let run = uuid::Uuid::new_v4().simple().to_string();
        Self {
            args,
            meter,
            http: reqwest::Client::new(),
            run: run.get(..6).unwrap_or_default().to_owned(),
            mix: None,
        }
    }

    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.args.patience)
    }

    /// A name that no other run uses.
    pub fn name(&self, what: &str) -> String {
        format!("{}-{}-{what}", self.args.name, self.run)
    }

    /// Registers clusters.
    pub async fn clusters(&self, what: &str, count: usize) -> anyhow::Result<Vec<String>> {
        let names: Vec<String> = (0..count)
            .map(|number| self.name(&format!("{what}-{number}")))
            .collect();
        futures::stream::iter(&names)
            .map(|name| self.register(name))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(names)
    }

    async fn register(&self, cluster: &str) -> anyhow::Result<()> {
        let url = format!("{}/api/maestro/v1/consumers", self.args.rest);
        let request = self.http.post(url).json(&json!({"name": cluster}));
        let answer = request.send().await.context("reach REST")?;
        let status = answer.status().as_u16();
        anyhow::ensure!(
            status == 201 || status == 409,
            "register {cluster}: HTTP {status}"
        );
        Ok(())
    }

    /// Connects an agent.
    pub async fn agent(
        &self,
        cluster: &str,
        held: Vec<ResourceVersion>,
        manner: Manner,
        figures: &Arc<Figures>,
    ) -> anyhow::Result<Agent> {
        let connected = Agent::connect(
            &self.args.agent_grpc,
            cluster,
            held,
            manner,
            Arc::clone(figures),
        );
        tokio::time::timeout(self.patience(), connected)
            .await
            .with_context(|| format!("the agent of {cluster} got no answer in time"))?
    }

    /// Connects an agent of each cluster that has nothing.
    pub async fn agents(
        &self,
        clusters: &[String],
        manner: Manner,
        figures: &Arc<Figures>,
    ) -> anyhow::Result<Vec<Agent>> {
        futures::stream::iter(clusters)
            .map(|cluster| self.agent(cluster, Vec::new(), manner, figures))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Lists the works of one cluster, or all works.
    pub async fn list(&self, cluster: Option<&str>) -> anyhow::Result<Listed> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<IgnoredAny>,
        }
        let url = format!("{}/api/maestro/v1/resource-bundles", self.args.rest);
        let mut listed = Listed::default();
        for page in 1.. {
            let mut query = vec![("page", page.to_string()), ("size", PAGE.to_string())];
            if let Some(cluster) = cluster {
                query.push(("search", format!("consumer_name='{cluster}'")));
            }
            let started = Instant::now();
            let request = self.http.get(&url).query(&query).timeout(self.patience());
            let answer = request.send().await?.error_for_status()?;
            let body = answer.bytes().await?;
            listed.time += started.elapsed();
            listed.bytes += body.len();
            listed.pages += 1;
            let found = serde_json::from_slice::<List>(&body)?.items.len();
            listed.items += found;
            if found < PAGE {
                break;
            }
        }
        Ok(listed)
    }

    /// Reads a work by its id; tells how long it took.
    pub async fn get(&self, id: &str) -> anyhow::Result<Duration> {
        let url = format!("{}/api/maestro/v1/resource-bundles/{id}", self.args.rest);
        let started = Instant::now();
        let request = self.http.get(url).timeout(self.patience());
        let answer = request.send().await?.error_for_status()?;
        answer.bytes().await?;
        Ok(started.elapsed())
    }
}

/// What an agent says that it has: these works in their first version.
pub fn held<'a>(shapes: impl Iterator<Item = &'a Shape>) -> Vec<ResourceVersion> {
    let entry = |shape: &Shape| ResourceVersion {
        resource_id: shape.id.clone(),
        resource_version: 1,
    };
    shapes.map(entry).collect()
}

/// The same with the last one in an older version.
pub fn held_but_one(shapes: &[Shape]) -> Vec<ResourceVersion> {
    let mut held = held(shapes.iter());
    if let Some(last) = held.last_mut() {
        last.resource_version = 0;
    }
    held
}
