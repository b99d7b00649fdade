//! The first minute: create, upgrade and delete a cluster, and see every hop.
//!
//! The demo starts all parts in an empty temporary directory ([`crate::stack`]), acts at the doors where a person would act, and tells
//! what it sees at the public interfaces. It ends with exit code 0 only if every stage was seen there.

pub mod console;
pub mod fact;
pub mod failures;
mod milestones;
mod observation;
mod observers;
mod report;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::stack::{self, Stack};
use console::{Console, Output};
use fact::Hop;
use failures::Failure;
use observation::Observation;
pub use observers::Targets;
use watch::Watch;

/// The request that the demo sends, with the spec fields that a HyperFleet user knows.
pub const CLUSTER: &str = include_str!("demo/cluster.json");

/// The version to which the demo upgrades.
const UPGRADE_TO: &str = "4.22.5";

/// What to play and how to tell it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The parts and where they keep their data.
    pub stack: stack::Options,
    /// The failure to show instead of the whole path.
    pub failure: Option<Failure>,
    /// The form of the output.
    pub output: Output,
    /// Where the report is written.
    pub report: PathBuf,
    /// How long one stage may take.
    pub patience: Duration,
}

/// Plays the demo.
///
/// # Errors
/// When a part doesn't start, or a stage was not seen at the public interfaces in time.
pub async fn play(options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut stack_options = options.stack.clone();
    if options.failure == Some(Failure::Dns) {
        stack_options.without.insert("dns".to_owned());
    }
    report::clear(&options.report)?;
    let console = Console::new(options.output);
    console.waiting("starting all parts");
    let stack = Stack::start(stack_options, &shutdown).await?;
    let (sender, observations) = mpsc::channel(observers::QUEUE);
    let mut demo = Demo {
        watch: Watch::new(observations, console),
        stack,
        sender,
        observers: TaskTracker::new(),
        stop_observers: shutdown.child_token(),
        patience: options.patience,
        kept: report::Kept::default(),
        cluster_id: String::new(),
    };
    let played = tokio::select! {
        played = demo.run(options.failure) => played,
        ended = shutdown.cancelled() => { let () = ended; Err(anyhow::anyhow!("interrupted")) }
    };
    demo.stop_observers.cancel();
    demo.observers.close();
    demo.observers.wait().await;
    let told = played.and_then(|()| demo.close(&options));
    let Demo {
        mut stack,
        mut watch,
        ..
    } = demo;
    stack.unregister().await;
    stack.stop().await?;
    watch.console.finish();
    told
}

/// A demo that is being played.
struct Demo {
    watch: Watch,
    stack: Stack,
    sender: mpsc::Sender<Observation>,
    observers: TaskTracker,
    stop_observers: CancellationToken,
    patience: Duration,
    kept: report::Kept,
    cluster_id: String,
}

impl Demo {
    async fn run(&mut self, failure: Option<Failure>) -> anyhow::Result<()> {
        self.watch.console.waiting("");
        self.introduce();
        self.observe_pulses().await?;
        self.watch.console.restart_clock();
        match failure {
            Some(failure) => self.play_failure(failure).await,
            None => self.play_path().await,
        }
    }

    async fn play_path(&mut self) -> anyhow::Result<()> {
        self.watch.stage("Create cluster \"my-cluster\"");
        self.create(|_| ()).await?;
        self.watch
            .until(self.patience, milestones::creation())
            .await?;
        self.keep().await?;

        self.watch.stage(&format!("Upgrade to {UPGRADE_TO}"));
        self.patch(json!({"openshift_version": UPGRADE_TO})).await?;
        self.watch
            .until(self.patience, milestones::upgrade(2, UPGRADE_TO))
            .await?;
        self.keep().await?;

        self.watch.stage("Try to change the region");
        self.refuse_region_change(3).await?;

        self.watch.stage("Delete the cluster");
        self.delete().await?;
        self.watch
            .until(self.patience, milestones::deletion())
            .await
    }

    fn introduce(&self) {
        let places = self.stack.endpoints();
        let rows = places.rows();
        self.watch.console.say("HyperFleet demo — all parts run in this process, their data is in a temporary directory.");
        for (name, address) in &rows {
            self.watch.console.say(format!("   {name:<20} {address}"));
        }
        if self.stack.is_simulated() {
            self.watch.console.say(format!(
                "   The HyperShift operator is simulated: one minute of a real control plane takes {:.2} s.",
                60.0 / self.stack.time_scale()
            ));
        }
        let endpoints: serde_json::Map<String, Value> = places
            .named()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect();
        self.watch
            .console
            .tell_json("endpoints", json!({"endpoints": endpoints}));
    }

    async fn observe_pulses(&self) -> anyhow::Result<()> {
        let mut consumer = self.stack.subscribe_pulses("demo").await?;
        let sender = self.sender.clone();
        let stop = self.stop_observers.clone();
        self.observers.spawn(async move {
            while let Some(Some(delivery)) = stop.run_until_cancelled(consumer.next()).await {
                let event = serde_json::to_value(&delivery.event).unwrap_or_default();
                delivery.ack().await;
                if sender.send(Observation::Pulse(event)).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// POSTs the cluster, changed by `change`, and begins to observe it.
    async fn create(&mut self, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        let mut request: Value =
            serde_json::from_str(CLUSTER).context("read the demo's cluster")?;
        change(&mut request);
        let name = request["name"].as_str().unwrap_or_default().to_owned();
        let (status, answer) = self.api("POST", "/clusters", Some(&request)).await?;
        self.cluster_id = answer["id"]
            .as_str()
            .context("the API answered without an id")?
            .to_owned();
        self.watch.console.action(
            Hop::Api,
            &format!(
                "POST /clusters  {status}  generation {}",
                answer["generation"]
            ),
        );
        observers::observe(
            &self.stack.targets().await?,
            &self.cluster_id,
            &name,
            self.sender.clone(),
            &self.observers,
            &self.stop_observers,
        );
        Ok(())
    }

    /// PATCHes fields of the cluster's spec.
    async fn patch(&mut self, fields: Value) -> anyhow::Result<()> {
        let (_, cluster) = self
            .api("GET", &format!("/clusters/{}", self.cluster_id), None)
            .await?;
        let mut spec = cluster["spec"].clone();
        if let (Some(spec), Value::Object(fields)) = (spec.as_object_mut(), fields) {
            spec.extend(fields);
        }
        let path = format!("/clusters/{}", self.cluster_id);
        let (status, answer) = self
            .api("PATCH", &path, Some(&json!({"spec": spec})))
            .await?;
        self.watch.console.action(
            Hop::Api,
            &format!(
                "PATCH /clusters/{{id}}  {status}  generation {}",
                answer["generation"]
            ),
        );
        Ok(())
    }

    async fn delete(&mut self) -> anyhow::Result<()> {
        let (status, _) = self
            .api("DELETE", &format!("/clusters/{}", self.cluster_id), None)
            .await?;
        self.watch
            .console
            .action(Hop::Api, &format!("DELETE /clusters/{{id}}  {status}"));
        Ok(())
    }

    /// Sets the simulator's annotation that makes the control plane degrade.
    async fn degrade_hosted_cluster(&self) -> anyhow::Result<()> {
        let targets = self.stack.targets().await?;
        let name = self.kept.hosted_cluster["metadata"]["name"]
            .as_str()
            .context("no HostedCluster was seen")?;
        stack::degrade(&targets.management, &targets.namespace, name).await?;
        self.watch.console.action(
            Hop::Operator,
            "told to degrade (annotation on the HostedCluster)",
        );
        Ok(())
    }

    /// Keeps the objects as they are now for the report.
    async fn keep(&mut self) -> anyhow::Result<()> {
        let (_, cluster) = self
            .api("GET", &format!("/clusters/{}", self.cluster_id), None)
            .await?;
        let (_, statuses) = self
            .api(
                "GET",
                &format!("/clusters/{}/statuses", self.cluster_id),
                None,
            )
            .await?;
        self.kept = report::Kept {
            work: self.watch.tracker.last_work().cloned().unwrap_or_default(),
            hosted_cluster: self
                .watch
                .tracker
                .last_hosted()
                .cloned()
                .unwrap_or_default(),
            conditions: json!({"cluster": cluster, "statuses": statuses["items"]}),
        };
        Ok(())
    }

    /// Fails if Maestro holds a work for the cluster.
    async fn nothing_was_sent(&self) -> anyhow::Result<()> {
        let targets = self.stack.targets().await?;
        let works = targets
            .maestro
            .works(&targets.consumer)
            .list(&maestro_client::ListOptions::default())
            .await?;
        anyhow::ensure!(
            works.is_empty(),
            "{} work(s) were sent to Maestro, none was expected",
            works.len()
        );
        self.watch.console.action(Hop::Maestro, "no work was sent");
        Ok(())
    }

    fn work_version(&self) -> i64 {
        self.watch
            .tracker
            .last_work()
            .and_then(|w| w.pointer("/metadata/generation")?.as_i64())
            .unwrap_or_default()
    }

    async fn api(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}/api/hyperfleet/v1{path}", self.stack.endpoints().api);
        let mut request = reqwest::Client::new()
            .request(method.parse()?, &url)
            .timeout(Duration::from_secs(30));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{method} {url}"))?;
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap_or_default();
        if !(200..300).contains(&status) {
            bail!(
                "{method} {path} answered {status}: {}",
                answer["detail"].as_str().unwrap_or("no detail")
            );
        }
        Ok((status, answer))
    }

    fn close(&mut self, options: &Options) -> anyhow::Result<()> {
        let files = report::write(&options.report, &self.kept, &self.watch)?;
        for line in report::summary(&self.watch, &self.kept, &files) {
            self.watch.console.say(line);
        }
        self.watch.console.say(
            "\nNext   hyperfleet up      hyperfleet demo --fail agent-down      hyperfleet --help",
        );
        self.watch.console.tell_json(
            "report",
            json!({
                "ok": true,
                "files": files,
                "hops": report::hops_seen(&self.watch),
                "milestones": self.watch.reached,
                "secondsPerHop": report::seconds_per_hop(&self.watch),
            }),
        );
        Ok(())
    }
}
