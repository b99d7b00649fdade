//! Changes of the objects that the adapter made.
//!
//! One watch follows all works of this source. On Kubernetes there is one watch of metadata per kind and namespace that
//! has such objects. A watch is a hint: a change that is missed is found by the next pulse.
//! Works that are there when the adapter starts say for which pulse they were made, so that their resources run once; objects
//! on Kubernetes do too, see `found`.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use event_broker::Event as Pulse;
use futures::StreamExt as _;
use kube_access::watch::{Event, Selection};
use kube_access::{Gvk, object};
use maestro_client::{WatchEvent, WatchOptions};
use manifestwork::ManifestWork;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clients::Clients;
use super::found;
use crate::pipeline::outcome::Touched;
use crate::pipeline::{MANIFEST_WORK, pulse};

/// Kinds and namespaces that are watched on the adapter's own cluster.
const MAX_KUBERNETES_WATCHES: usize = 100;

/// What a watch says.
pub(super) enum Change {
    /// An object changed.
    Of(Touched),
    /// An object from before the start of this adapter, with the pulse that it was made for.
    Found(Touched, Box<Pulse>),
}

pub(super) struct Watches {
    clients: Clients,
    changes: mpsc::Sender<Change>,
    stop: CancellationToken,
    kubernetes: BTreeSet<(Gvk, Option<String>)>,
    tasks: JoinSet<()>,
}

impl Watches {
    pub(super) fn new(
        clients: &Clients,
        changes: mpsc::Sender<Change>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            clients: clients.clone(),
            changes,
            stop,
            kubernetes: BTreeSet::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Follows all works of this source in a task of its own.
    pub(super) fn follow_maestro(&self, tasks: &mut JoinSet<()>) {
        let Some(client) = self.clients.maestro.clone() else {
            return;
        };
        let (changes, stop) = (self.changes.clone(), self.stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follow_works(client, changes) => {}
            }
        });
    }

    /// Looks once for own objects on Kubernetes that are there already, in a task for each place.
    pub(super) fn look_back(
        &self,
        tasks: &mut JoinSet<()>,
        places: BTreeSet<(Gvk, Option<String>)>,
        labels: &str,
    ) {
        let Some(client) = &self.clients.kubernetes else {
            return;
        };
        for place in places {
            let (client, changes, stop) = (client.clone(), self.changes.clone(), self.stop.clone());
            let labels = labels.to_owned();
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = found::look(client, place, labels, changes) => {}
                }
            });
        }
    }

    /// Makes sure that the kinds of these objects are watched.
    pub(super) fn follow(&mut self, touched: &[Touched]) {
        let Some(client) = &self.clients.kubernetes else {
            return;
        };
        for touched in touched.iter().filter(|touched| touched.target.is_none()) {
            let place = (touched.gvk.clone(), touched.namespace.clone());
            if self.kubernetes.contains(&place) {
                continue;
            }
            if self.kubernetes.len() >= MAX_KUBERNETES_WATCHES {
                tracing::debug!(kind = %place.0.kind, "too many kinds and namespaces to watch: left to the next pulse");
                continue;
            }
            self.kubernetes.insert(place.clone());
            let (client, changes, stop) = (client.clone(), self.changes.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = follow_kind(client, place.0, place.1, changes) => {}
                }
            });
        }
    }
}

async fn follow_works(client: maestro_client::Client, changes: mpsc::Sender<Change>) {
    let mut watch = client.all_works().watch(WatchOptions::default());
    let mut synced = false;
    while let Some(event) = watch.next_event().await {
        let work = match &event {
            WatchEvent::Synced => {
                synced = true;
                continue;
            }
            // What is there when the watch begins has had no run yet, and may have changed while nobody looked.
            WatchEvent::Added(work) if !synced => {
                let Some(pulse) = pulse_of(work) else {
                    continue;
                };
                let found = Change::Found(of_work(work), Box::new(pulse));
                if changes.send(found).await.is_err() {
                    return;
                }
                continue;
            }
            WatchEvent::Interrupted(error) => {
                tracing::warn!(
                    "the watch of own works is interrupted and goes on trying: {}",
                    error.0
                );
                continue;
            }
            WatchEvent::Added(work) | WatchEvent::Modified(work) | WatchEvent::Deleted(work) => {
                work
            }
        };
        tracing::debug!(consumer = %work.metadata.namespace, manifestwork = %work.metadata.name, "own work changed");
        if changes.send(Change::Of(of_work(work))).await.is_err() {
            return;
        }
    }
}

fn of_work(work: &ManifestWork) -> Touched {
    Touched {
        target: Some(work.metadata.namespace.clone()),
        gvk: Gvk::new(&work.api_version, MANIFEST_WORK),
        namespace: Some(work.metadata.namespace.clone()),
        name: work.metadata.name.clone(),
    }
}

fn pulse_of(work: &ManifestWork) -> Option<Pulse> {
    let annotations = &work.metadata.annotations;
    annotations
        .get(pulse::ANNOTATION)
        .and_then(|note| pulse::read(note))
}

async fn follow_kind(
    client: kube_access::Client,
    gvk: Gvk,
    namespace: Option<String>,
    changes: mpsc::Sender<Change>,
) {
    let resource = match client.resolve(&gvk.api_version(), &gvk.kind).await {
        Ok(resource) => resource,
        Err(error) => {
            tracing::debug!(kind = %gvk.kind, "own objects are not watched: {error}");
            return;
        }
    };
    let selection = Selection {
        metadata_only: true,
        ..Selection::default()
    };
    let mut events = client.watch(&resource, namespace.as_deref(), selection);
    // Version of each object, so that a list after a gap tells what changed in it.
    // The first list tells everything: something may have changed since the run that asked for this watch.
    let mut known: HashMap<String, u64> = HashMap::new();
    while let Some(event) = events.next().await {
        let changed: Vec<Value> = match event {
            Event::Applied(object) => {
                known.insert(key(&object), fingerprint(&object));
                vec![object]
            }
            Event::Deleted(object) => {
                known.remove(&key(&object));
                vec![object]
            }
            Event::Listed(objects) => {
                let now: HashMap<String, u64> = objects
                    .iter()
                    .map(|object| (key(object), fingerprint(object)))
                    .collect();
                let changed = objects
                    .into_iter()
                    .filter(|object| known.get(&key(object)) != now.get(&key(object)))
                    .collect();
                known = now;
                changed
            }
            Event::Failed(error) => {
                tracing::debug!(kind = %gvk.kind, "the watch of own objects is interrupted: {error}");
                continue;
            }
        };
        for object in changed {
            let touched = Touched {
                target: None,
                gvk: gvk.clone(),
                namespace: object::namespace(&object).map(str::to_owned),
                name: object::name(&object).unwrap_or_default().to_owned(),
            };
            if changes.send(Change::Of(touched)).await.is_err() {
                return;
            }
        }
    }
}

fn key(object: &Value) -> String {
    format!(
        "{}/{}",
        object::namespace(object).unwrap_or_default(),
        object::name(object).unwrap_or_default()
    )
}

fn fingerprint(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    (object::uid(object), object::resource_version(object)).hash(&mut hasher);
    hasher.finish()
}
