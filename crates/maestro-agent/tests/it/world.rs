//! An agent between a broker and a cluster, and the words that tests are written in.

use std::time::Duration;

use maestro_agent::{Config, Service};
use manifestwork::{
    Condition, DeleteOption, FeedbackRule, FeedbackRuleType, FieldValue, JsonPathRule, Manifest,
    ManifestConfig, ManifestWork, ResourceIdentifier, UpdateStrategy, UpdateStrategyType,
    conditions,
};
use serde_json::{Value, json};
use testkit::eventually;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, CONSUMER};
use crate::cluster::Cluster;

/// How long a test waits before it fails; the machine may be slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that runs.
pub struct Agent {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    pub health: Option<std::net::SocketAddr>,
}

impl Agent {
    /// Stops in good order.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// Stops like `kill -9`.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub struct World {
    pub broker: Broker,
    pub cluster: Cluster,
}

impl World {
    pub async fn new() -> Self {
        Self {
            broker: Broker::start().await,
            cluster: Cluster::start().await,
        }
    }

    pub fn config(&self) -> Config {
        Config {
            consumer_name: CONSUMER.to_owned(),
            client_id: "c1-work-agent".to_owned(),
            server_address: self.broker.address.to_string(),
            ..Config::default()
        }
    }

    /// Starts an agent and waits until it has subscribed.
    pub async fn agent(&self) -> Agent {
        self.agent_with(self.config()).await
    }

    pub async fn agent_with(&self, config: Config) -> Agent {
        let service = Service::bind(config, self.cluster.through_proxy.clone())
            .await
            .unwrap();
        let health = service.addresses().health;
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let before = self.broker.resyncs().len();
        let task = tokio::spawn(async move { service.run(token).await.unwrap() });
        eventually("the agent has asked for a resync", PATIENCE, async || {
            (self.broker.resyncs().len() > before).then_some(())
        })
        .await;
        Agent {
            shutdown,
            task,
            health,
        }
    }

    /// Waits for a status that satisfies the test.
    pub async fn status(
        &self,
        id: &str,
        what: &str,
        test: impl Fn(&ManifestWork) -> bool,
    ) -> ManifestWork {
        let work = eventually(what, PATIENCE, async || {
            self.broker.last(id).filter(|work| test(work))
        });
        work.await
    }

    /// Waits until a version is applied and available.
    pub async fn applied(&self, id: &str, version: i32) -> ManifestWork {
        let what = format!("{id} is applied at version {version}");
        self.status(id, &what, |work| is_applied(work, version))
            .await
    }

    /// Waits until the server has heard that everything is gone.
    pub async fn deleted(&self, id: &str) -> ManifestWork {
        self.status(id, &format!("{id} is reported as deleted"), |work| {
            conditions::is_true(&work.status.conditions, "Deleted")
        })
        .await
    }

    /// Waits for an object.
    pub async fn object(&self, kind: &str, name: &str, test: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{kind} {name} is as expected");
        eventually(&what, PATIENCE, async || {
            self.cluster
                .get(kind, name)
                .await
                .filter(|object| test(object))
        })
        .await
    }

    /// Waits until an object isn't there.
    pub async fn gone(&self, kind: &str, name: &str) {
        eventually(&format!("{kind} {name} is gone"), PATIENCE, async || {
            self.cluster.get(kind, name).await.is_none().then_some(())
        })
        .await;
    }
}

pub fn is_applied(work: &ManifestWork, version: i32) -> bool {
    let holds = |type_: &str| {
        conditions::find(&work.status.conditions, type_).is_some_and(|condition| {
            condition.status == true.into() && condition.observed_generation == i64::from(version)
        })
    };
    holds("Applied") && holds("Available")
}

/// A work for the consumer.
pub fn work(id: &str, manifests: &[Value]) -> ManifestWork {
    let mut work = ManifestWork::new(CONSUMER, id);
    work.metadata.uid = id.to_owned();
    work.spec.workload.manifests = manifests.iter().map(Manifest::from).collect();
    work
}

pub fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data})
}

pub fn thing(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "test.io/v1", "kind": "Thing", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

pub fn identifier(kind: &str, name: &str) -> ResourceIdentifier {
    let (group, resource) = match kind {
        "Thing" => ("test.io", "things"),
        _ => ("", "configmaps"),
    };
    ResourceIdentifier {
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        namespace: "default".to_owned(),
    }
}

pub fn strategy(type_: UpdateStrategyType) -> UpdateStrategy {
    UpdateStrategy {
        type_: Some(type_),
        server_side_apply: None,
    }
}

/// A config with server-side apply (or another strategy) and the whole status as feedback.
pub fn configured(kind: &str, name: &str, type_: UpdateStrategyType) -> ManifestConfig {
    ManifestConfig {
        resource_identifier: identifier(kind, name),
        feedback_rules: vec![FeedbackRule {
            type_: FeedbackRuleType::JsonPaths,
            json_paths: vec![JsonPathRule {
                name: "status".to_owned(),
                version: String::new(),
                path: ".status".to_owned(),
            }],
        }],
        update_strategy: Some(strategy(type_)),
        ..ManifestConfig::default()
    }
}

/// A work of one Thing with server-side apply and feedback.
pub fn thing_work(id: &str, name: &str, spec: Value) -> ManifestWork {
    let mut made = work(id, &[thing(name, spec)]);
    made.spec.manifest_configs = vec![configured(
        "Thing",
        name,
        UpdateStrategyType::ServerSideApply,
    )];
    made
}

pub fn delete_option(work: &mut ManifestWork, option: DeleteOption) {
    work.spec.delete_option = Some(option);
}

/// The raw JSON feedback `status` of the first manifest.
pub fn feedback(work: &ManifestWork) -> Value {
    match work.status.feedback(0, "status") {
        Some(FieldValue::JsonRaw(text)) => serde_json::from_str(text).unwrap(),
        other => json!({"other": format!("{other:?}")}),
    }
}

/// A condition of one manifest.
pub fn manifest_condition<'a>(
    work: &'a ManifestWork,
    ordinal: usize,
    type_: &str,
) -> Option<&'a Condition> {
    let manifest = work.status.resource_status.manifests.get(ordinal)?;
    conditions::find(&manifest.conditions, type_)
}
