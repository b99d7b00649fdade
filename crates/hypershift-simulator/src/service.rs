//! Watches HostedClusters and writes what [`plan`](crate::plan::plan) says.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use hypershift::timeline::{CreationFault, Deletion};
use jiff::{SignedDuration, Timestamp};
use kube_access::watch::{Event, Selection};
use kube_access::{Client, Resource, object as meta};
use kube_access::{Patch, Write};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::memory::TIMELINE_ANNOTATION;
use crate::plan::{Plan, Settings, plan};

/// The field manager of the writes.
const MANAGER: &str = "hypershift-operator";

/// Until a write that failed is tried again, and until a missing CRD is looked for again.
const RETRY: Duration = Duration::from_millis(500);

/// How the plays go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// How much faster than real time; 1 = a control plane takes about five minutes.
    pub time_scale: f64,
    /// What is wrong while a control plane is created.
    pub creation: CreationFault,
    /// How deletions go.
    pub deletion: Deletion,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            creation: CreationFault::None,
            deletion: Deletion::Clean,
        }
    }
}

/// Why the simulator can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of range.
    #[error("time scale {0} must be a number greater than 0")]
    TimeScale(f64),
}

/// A simulator that is ready to run.
#[derive(Debug)]
pub struct Service {
    settings: Settings,
    client: Client,
}

/// Namespace and name.
type Key = (String, String);

impl Service {
    /// Checks the configuration; the cluster is first contacted by [`Service::run`].
    ///
    /// # Errors
    /// [`Error::TimeScale`].
    pub async fn bind(config: Config, client: Client) -> Result<Self, Error> {
        if !(config.time_scale.is_finite() && config.time_scale > 0.0) {
            return Err(Error::TimeScale(config.time_scale));
        }
        let settings = Settings {
            time_scale: config.time_scale,
            creation: config.creation,
            deletion: config.deletion,
        };
        Ok(Self { settings, client })
    }

    /// Plays until `shutdown`. A cluster that can't be reached, or that has no HostedClusters yet, is tried again and again.
    ///
    /// # Errors
    /// None at present.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        // Dropping the future between two writes is safe: the next start goes on from the object.
        shutdown.run_until_cancelled(self.play()).await;
        Ok(())
    }

    async fn play(&self) {
        let resource = self.resource().await;
        let mut events = self.client.watch(&resource, None, Selection::default());
        let mut objects: BTreeMap<Key, Value> = BTreeMap::new();
        let mut wakes: BTreeMap<Key, Timestamp> = BTreeMap::new();
        loop {
            let next = wakes.values().min().copied();
            let changed: Vec<Key> = tokio::select! {
                event = events.next() => match event {
                    Some(Event::Listed(items)) => {
                        objects = items.into_iter().map(|item| (key(&item), item)).collect();
                        wakes.retain(|key, _| objects.contains_key(key));
                        objects.keys().cloned().collect()
                    }
                    Some(Event::Applied(item)) => {
                        let key = key(&item);
                        objects.insert(key.clone(), item);
                        vec![key]
                    }
                    Some(Event::Deleted(item)) => {
                        let key = key(&item);
                        objects.remove(&key);
                        wakes.remove(&key);
                        continue;
                    }
                    Some(Event::Failed(error)) => {
                        tracing::warn!(%error, "HostedClusters can't be watched.");
                        continue;
                    }
                    None => return,
                },
                () = sleep_until(next) => due(&wakes),
            };
            for key in changed {
                wakes.remove(&key);
                let Some(object) = objects.get_mut(&key) else {
                    continue;
                };
                if let Some(wake) = self.act(&resource, object).await {
                    wakes.insert(key, wake);
                }
            }
        }
    }

    /// Does what is due for one object and says when to look again.
    async fn act(&self, resource: &Resource, object: &mut Value) -> Option<Timestamp> {
        let plan = plan(object, Timestamp::now(), &self.settings);
        let wake = plan.wake;
        match self.write(resource, object, plan).await {
            Ok(()) => wake,
            // Somebody else has changed or removed it: the watch brings what it is now.
            Err(error) if error.is_conflict() || error.is_not_found() => None,
            Err(error) => {
                tracing::warn!(name = meta::name(object), %error, "A HostedCluster could not be written.");
                let retry = SignedDuration::try_from(RETRY).unwrap_or_default();
                Timestamp::now().checked_add(retry).ok()
            }
        }
    }

    /// Status first: a step that is played again after a crash changes nothing, one that is left out would be missing.
    async fn write(
        &self,
        resource: &Resource,
        object: &mut Value,
        plan: Plan,
    ) -> Result<(), kube_access::Error> {
        if plan.is_idle() {
            return Ok(());
        }
        let namespace = meta::namespace(object).map(str::to_owned);
        let name = meta::name(object).unwrap_or_default().to_owned();
        let options = Write {
            field_manager: MANAGER.to_owned(),
            ..Write::default()
        };
        if let Some(status) = plan.status {
            let patch = Patch::Merge(json!({"metadata": version(object), "status": status}));
            *object = self
                .client
                .patch_status(resource, namespace.as_deref(), &name, &patch, &options)
                .await?;
        }
        let mut metadata = version(object);
        if let Some(memory) = &plan.memory {
            metadata["annotations"] = json!({TIMELINE_ANNOTATION: memory.to_annotation()});
        }
        if let Some(finalizers) = &plan.finalizers {
            metadata["finalizers"] = json!(finalizers);
        }
        let mut body = json!({"metadata": metadata});
        if let Some(spec) = plan.spec {
            body["spec"] = spec;
        }
        *object = self
            .client
            .patch(
                resource,
                namespace.as_deref(),
                &name,
                &Patch::Merge(body),
                &options,
            )
            .await?;
        if let Some(step) = plan.memory.and_then(|memory| memory.step) {
            tracing::debug!(name, step, "A step was played.");
        }
        Ok(())
    }

    /// Waits until the cluster knows HostedClusters.
    async fn resource(&self) -> Resource {
        let mut told = false;
        loop {
            match self
                .client
                .resolve(
                    hypershift::names::API_VERSION,
                    hypershift::names::HOSTED_CLUSTER,
                )
                .await
            {
                Ok(resource) => return resource,
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(%error, "The cluster has no HostedClusters yet; waiting.");
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Binds and runs.
///
/// # Errors
/// As [`Service::bind`] and [`Service::run`].
pub async fn run(config: Config, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    Service::bind(config, client).await?.run(shutdown).await
}

fn key(object: &Value) -> Key {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    (text(meta::namespace(object)), text(meta::name(object)))
}

/// Guards a write: it only succeeds on the version that was looked at.
fn version(object: &Value) -> Value {
    json!({"resourceVersion": meta::resource_version(object)})
}

fn due(wakes: &BTreeMap<Key, Timestamp>) -> Vec<Key> {
    let now = Timestamp::now();
    wakes
        .iter()
        .filter(|(_, wake)| **wake <= now)
        .map(|(key, _)| key.clone())
        .collect()
}

async fn sleep_until(wake: Option<Timestamp>) {
    let Some(wake) = wake else {
        return std::future::pending().await;
    };
    let wait = Timestamp::now().duration_until(wake);
    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
}
