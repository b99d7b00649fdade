//! What each failure looks like to an operator, told through the same doors.
//!
//! A scenario ends well when the system *said the right thing*: the failure is visible at the HyperFleet API with a reason and a message
//! that a person can act on, and nothing else was harmed.

use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;

use super::Demo;
use super::fact::{Fact, Hop};
use super::milestones::{self, CONTROL_PLANE, reported};
use super::watch::Milestone;

/// A failure that the demo can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Failure {
    /// A precondition that never comes: the dns adapter is not there.
    Dns,
    /// A cluster spec that HyperShift would refuse.
    Validation,
    /// A control plane that degrades after it was available.
    Degraded,
    /// A change of a field that can't be changed.
    Immutable,
    /// A management cluster that is away while a cluster is created.
    AgentDown,
    /// A Maestro server that restarts half way.
    ServerRestart,
}

impl Demo {
    /// Plays one failure; `Ok` when the system said the right thing.
    pub(super) async fn play_failure(&mut self, failure: Failure) -> anyhow::Result<()> {
        match failure {
            Failure::Dns => self.dns_missing().await,
            Failure::Validation => self.refused_spec().await,
            Failure::Degraded => self.degraded().await,
            Failure::Immutable => self.immutable().await,
            Failure::AgentDown => self.agent_down().await,
            Failure::ServerRestart => self.server_restart().await,
        }
    }

    async fn dns_missing(&mut self) -> anyhow::Result<()> {
        self.watch
            .stage("Create a cluster while the dns adapter is not running");
        self.create(|_| ()).await?;
        self.watch
            .until(
                self.patience,
                vec![
                    reported("validation Available", "validation", 1, |r| {
                        r.is_true("Available")
                    }),
                    reported("pullsecret Available", "pullsecret", 1, |r| {
                        r.is_true("Available")
                    }),
                    reported("waits for dns and says so", CONTROL_PLANE, 1, |r| {
                        r.condition("Applied").is_some_and(|c| {
                            c.status == "False"
                                && c.reason == "PreconditionsNotMet"
                                && c.message.contains("dns")
                        }) && r.is_true("Health")
                    }),
                ],
            )
            .await?;
        self.nothing_was_sent().await?;
        self.keep().await?;
        self.watch.console.explain("Reconciled=False names the adapters that have not reported; nothing was sent to Maestro.");
        self.watch.console.explain("An operator looks at the dns adapter: is it running, does its subscription have a backlog?");
        Ok(())
    }

    async fn refused_spec(&mut self) -> anyhow::Result<()> {
        self.watch
            .stage("Create a cluster whose spec HyperShift would refuse");
        self.create(|cluster| {
            cluster["spec"]["psc_subnet_name"] = json!("Not A Subnet");
            cluster["spec"]["wif_pool_id"] = json!("Bad_Pool");
        })
        .await?;
        self.watch
            .until(
                self.patience,
                vec![reported(
                    "ValidationFailed with every path",
                    CONTROL_PLANE,
                    1,
                    |r| {
                        r.condition("Applied").is_some_and(|c| {
                            c.status == "False"
                                && c.reason == "ValidationFailed"
                                && c.message.contains("privateServiceConnectSubnet")
                                && c.message.contains("poolID")
                        }) && r.condition("Health").is_some_and(|c| c.status == "False")
                    },
                )],
            )
            .await?;
        self.tell_condition("Applied");
        self.nothing_was_sent().await?;
        self.keep().await?;
        self.watch.console.explain("Every violation is listed with its path before anything is sent; mend the spec with a PATCH.");
        Ok(())
    }

    async fn degraded(&mut self) -> anyhow::Result<()> {
        self.watch.stage("Create a cluster");
        self.create(|_| ()).await?;
        self.watch
            .until(self.patience, milestones::creation())
            .await?;
        self.keep().await?;
        self.watch.stage("The control plane degrades");
        self.degrade_hosted_cluster().await?;
        self.watch
            .until(
                self.patience,
                vec![
                    Milestone::new(
                        "Degraded=True",
                        Hop::Operator,
                        |f| matches!(f, Fact::Operator { now, .. } if now.is_degraded()),
                    ),
                    reported(
                        "Health=False with the operator's reason",
                        CONTROL_PLANE,
                        1,
                        |r| {
                            r.condition("Health")
                                .is_some_and(|c| c.status == "False" && !c.message.is_empty())
                        },
                    ),
                ],
            )
            .await?;
        self.tell_condition("Health");
        self.watch
            .console
            .explain("Available stays what it is; Health=False carries the operator's own words.");
        Ok(())
    }

    async fn immutable(&mut self) -> anyhow::Result<()> {
        self.watch.stage("Create a cluster");
        self.create(|_| ()).await?;
        self.watch
            .until(self.patience, milestones::creation())
            .await?;
        self.keep().await?;
        self.watch.stage("Change the region");
        self.refuse_region_change(2).await?;
        self.watch.console.explain("The control plane keeps running as it was; PATCH the old value back to be reconciled again.");
        self.watch.stage("Change it back");
        self.patch(json!({"gcp_region": "us-central1"})).await?;
        self.watch
            .until(
                self.patience,
                vec![Milestone::new("Reconciled=True again", Hop::Api, |f| {
                    matches!(f, Fact::Reconciled(c) if c.is_true() && c.observed_generation == 3)
                })],
            )
            .await
    }

    async fn agent_down(&mut self) -> anyhow::Result<()> {
        self.watch
            .stage("Create a cluster while its management cluster is away");
        self.stack.stop_agent().await?;
        self.watch.console.action(
            Hop::Agent,
            "stopped (as if the management cluster were cut off)",
        );
        self.create(|_| ()).await?;
        self.watch
            .until(
                self.patience,
                vec![
                    Milestone::new("work stored", Hop::Maestro, |f| {
                        matches!(f, Fact::WorkStored { .. })
                    }),
                    reported(
                        "work sent, control plane not known yet",
                        CONTROL_PLANE,
                        1,
                        |r| {
                            r.is_true("Applied")
                                && r.condition("Available")
                                    .is_some_and(|c| c.status == "False")
                        },
                    ),
                ],
            )
            .await?;
        self.tell_condition("Available");
        self.watch.console.explain("The write is stored: nothing is lost and nobody else waits. After a while Applied says AgentNotResponding.");
        self.watch.stage("The management cluster comes back");
        self.stack.start_agent().await?;
        self.watch.console.action(Hop::Agent, "started");
        self.watch
            .until(
                self.patience,
                vec![
                    Milestone::new("HostedCluster applied", Hop::Agent, |f| {
                        matches!(f, Fact::HostedClusterApplied { .. })
                    }),
                    Milestone::new(
                        "Reconciled=True",
                        Hop::Api,
                        |f| matches!(f, Fact::Reconciled(c) if c.is_true()),
                    ),
                ],
            )
            .await?;
        self.keep().await
    }

    async fn server_restart(&mut self) -> anyhow::Result<()> {
        self.watch
            .stage("Create a cluster, and restart Maestro half way");
        self.create(|_| ()).await?;
        self.watch
            .until(
                self.patience,
                vec![Milestone::new("work stored", Hop::Maestro, |f| {
                    matches!(f, Fact::WorkStored { .. })
                })],
            )
            .await?;
        self.stack.stop_maestro_server().await?;
        self.watch.console.action(Hop::Maestro, "server stopped");
        self.watch.for_a_while(Duration::from_millis(700)).await;
        self.stack
            .start_maestro_server()
            .await
            .context("start the Maestro server again")?;
        self.watch
            .console
            .action(Hop::Maestro, "server started on the same data");
        self.watch
            .until(
                self.patience,
                vec![
                    Milestone::new(
                        "control plane available",
                        Hop::Operator,
                        |f| matches!(f, Fact::Operator { now, .. } if now.is_available()),
                    ),
                    Milestone::new(
                        "feedback Available=True",
                        Hop::Maestro,
                        |f| matches!(f, Fact::FedBack(state) if state.is_available()),
                    ),
                    Milestone::new(
                        "Reconciled=True",
                        Hop::Api,
                        |f| matches!(f, Fact::Reconciled(c) if c.is_true()),
                    ),
                ],
            )
            .await?;
        self.watch.console.explain("Agent, adapter and this demo reconnected by themselves and compared what they had: nothing was lost.");
        self.keep().await
    }

    /// Patches the region and waits for the refusal.
    pub(super) async fn refuse_region_change(&mut self, generation: i64) -> anyhow::Result<()> {
        let version_before = self.work_version();
        self.patch(json!({"gcp_region": "us-east4"})).await?;
        self.watch
            .until(
                self.patience,
                milestones::refusal(generation, "us-central1", "us-east4"),
            )
            .await?;
        self.tell_condition("Applied");
        anyhow::ensure!(
            self.work_version() == version_before,
            "the refused change reached Maestro: version {} became {}",
            version_before,
            self.work_version()
        );
        Ok(())
    }

    fn tell_condition(&self, kind: &str) {
        if let Some(condition) = self
            .watch
            .tracker
            .last_report(CONTROL_PLANE)
            .and_then(|r| r.condition(kind))
        {
            let line = format!(
                "{kind}={} {}: {}",
                condition.status, condition.reason, condition.message
            );
            self.watch.console.explain(&line);
        }
    }
}
