//! The four adapters, run from YAML that the user finds in the data directory.

use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use controlplane_adapter::configs::{self, Adapter};
use hyperfleet_adapter::{Dependencies, Loader, Service, Source};
use kube_access::Client as Kubernetes;

use super::super::{CONSUMER, Stack, TOPIC};
use super::{ADAPTERS_NAMESPACE, ANY_PORT, SOURCE_ID};

/// A Docker config that opens nothing: the sandbox has no registry to ask. A real one is taken from the environment.
const PULL_SECRET: &str = r#"{"auths":{"registry.example.com":{"auth":"c2FuZGJveDpzYW5kYm94"}}}"#;

/// The YAML that drives the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ControlPlane {
    /// The shipped one: the seed's field names, a HostedCluster that today's HyperShift accepts
    Corrected,
    /// The design document's own YAML, word for word, through the loader of older generations
    Seed,
    /// A task config of the current generation as an upstream user would write it
    UpstreamStyle,
}

impl ControlPlane {
    fn yaml(self) -> Adapter {
        match self {
            Self::Corrected => configs::CONTROLPLANE,
            Self::Seed => configs::SEED,
            Self::UpstreamStyle => configs::UPSTREAM_STYLE,
        }
    }
}

/// Starts the adapters that are not left out.
pub(in crate::stack) async fn start(stack: &mut Stack) -> anyhow::Result<()> {
    for adapter in [
        configs::VALIDATION,
        configs::DNS,
        configs::PULLSECRET,
        stack.options.control_plane.yaml(),
    ] {
        if !stack.options.without.contains(adapter.name) {
            start_one(stack, adapter)
                .await
                .with_context(|| format!("start the adapter {}", adapter.name))?;
        }
    }
    Ok(())
}

async fn start_one(stack: &mut Stack, adapter: Adapter) -> anyhow::Result<()> {
    let deployment = stack.data.write_once(
        &format!("adapters/{}/deployment.yaml", adapter.name),
        adapter.deployment,
    )?;
    let task = stack.data.write_once(
        &format!("adapters/{}/task.yaml", adapter.name),
        adapter.task,
    )?;
    let endpoints = stack.endpoints();
    let pull_secret = std::env::var("PULL_SECRET_DATA").unwrap_or_else(|_| PULL_SECRET.to_owned());
    let mut loader = Loader::new(
        Source::deployment_file(&deployment)?,
        Source::task_file(&task)?,
    )
    .environment(
        [
            ("ADAPTER_NAMESPACE", ADAPTERS_NAMESPACE),
            ("MANAGEMENT_CLUSTER_CONSUMER", CONSUMER),
            ("HOSTED_CLUSTER_NAMESPACE", super::super::NAMESPACE),
            ("PULL_SECRET_DATA", pull_secret.as_str()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
    .set("clients.hyperfleet_api.base_url", endpoints.api.clone())
    .set("clients.broker.topic", TOPIC)
    .set("health_listen", ANY_PORT)
    .set("metrics_listen", ANY_PORT)
    .set("rerun.enabled", true);
    if adapter.deployment.contains("maestro:") {
        loader = loader
            .set(
                "clients.maestro.http_server_address",
                endpoints.maestro_rest.clone(),
            )
            .set(
                "clients.maestro.grpc_server_address",
                endpoints.maestro_grpc.clone(),
            )
            .set("clients.maestro.source_id", SOURCE_ID)
            .set("clients.maestro.insecure", true)
            .set("clients.maestro.auth", serde_json::Value::Null);
    }
    let loaded = loader.load()?;
    for warning in &loaded.warnings {
        tracing::warn!(adapter = adapter.name, "{warning}");
    }
    let mut dependencies =
        Dependencies::new(Arc::clone(&stack.broker)).policy(controlplane_adapter::policy());
    dependencies.kubernetes = Some(Kubernetes::from_url(&endpoints.regional)?);
    dependencies.maestro = Some(stack.maestro()?);
    let service = Service::bind(loaded.config, loaded.task, dependencies).await?;
    stack.add(&format!("adapter {}", adapter.name), |token| {
        service.run(token)
    });
    Ok(())
}
