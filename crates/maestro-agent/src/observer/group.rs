//! The watched objects of one kind.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube_access::watch::{Event, Observation, Selection};
use kube_access::{Client, Resource, object};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Sight;
use crate::target::Target;

/// An object that can't be read at times is not reported as unreadable before so much time has passed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Namespace and name.
type Key = (String, String);

/// A task that ends with its handle.
#[derive(Debug)]
struct Task(AbortHandle);

impl Task {
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
enum Mode {
    /// A watch per object.
    Singles(HashMap<Key, Task>),
    /// One watch for all; the channel tells it which objects are of interest.
    Together {
        /// None: the whole cluster.
        namespace: Option<String>,
        keys: watch::Sender<Arc<BTreeSet<Key>>>,
        _task: Task,
    },
}

/// The watched objects of one kind.
#[derive(Debug)]
pub(super) struct Group {
    client: Client,
    sights: mpsc::Sender<Sight>,
    limit: usize,
    keys: BTreeSet<Key>,
    mode: Mode,
}

impl Group {
    pub(super) fn new(client: Client, sights: mpsc::Sender<Sight>, limit: usize) -> Self {
        Self {
            client,
            sights,
            limit,
            keys: BTreeSet::new(),
            mode: Mode::Singles(HashMap::new()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn add(&mut self, target: Target) {
        let key = key(&target);
        if !self.keys.insert(key.clone()) {
            return;
        }
        match &mut self.mode {
            Mode::Singles(tasks) if self.keys.len() <= self.limit => {
                let task = follow(self.client.clone(), target, self.sights.clone());
                tasks.insert(key, Task::spawn(task));
            }
            Mode::Together {
                namespace, keys, ..
            } if namespace.as_ref().is_none_or(|have| *have == key.0) => {
                keys.send_replace(Arc::new(self.keys.clone()));
            }
            Mode::Singles(_) | Mode::Together { .. } => self.follow_together(&target),
        }
    }

    pub(super) fn remove(&mut self, target: &Target) {
        let key = key(target);
        self.keys.remove(&key);
        match &mut self.mode {
            Mode::Singles(tasks) => {
                tasks.remove(&key);
            }
            Mode::Together { keys, .. } => {
                keys.send_replace(Arc::new(self.keys.clone()));
            }
        }
    }

    fn follow_together(&mut self, like: &Target) {
        let mut namespaces = self.keys.iter().map(|(namespace, _)| namespace);
        let first = namespaces.next().cloned();
        let namespace =
            first.filter(|first| !first.is_empty() && namespaces.all(|other| other == first));
        let (keys, interest) = watch::channel(Arc::new(self.keys.clone()));
        let task = follow_all(
            self.client.clone(),
            Arc::clone(&like.resource),
            namespace.clone(),
            interest,
            self.sights.clone(),
        );
        self.mode = Mode::Together {
            namespace,
            keys,
            _task: Task::spawn(task),
        };
    }
}

fn key(target: &Target) -> Key {
    (target.namespace.clone(), target.name.clone())
}

/// Follows one object. While it can't be watched it is read instead, at the pace of the attempts to watch it.
async fn follow(client: Client, target: Target, sights: mpsc::Sender<Sight>) {
    let mut events = client.watch_one(&target.resource, target.namespace(), &target.name);
    let mut trouble = Trouble::default();
    while let Some(event) = events.next().await {
        let sight = match event {
            Observation::Present(live) => Ok(Some(live)),
            Observation::Absent => Ok(None),
            Observation::Failed(_) => target.find(&client).await,
        };
        if trouble.is_news(&sight) && sights.send((target.clone(), sight)).await.is_err() {
            return;
        }
    }
}

/// Follows the metadata of all objects of a kind, and reads those of interest when they change.
async fn follow_all(
    client: Client,
    resource: Arc<Resource>,
    namespace: Option<String>,
    mut interest: watch::Receiver<Arc<BTreeSet<Key>>>,
    sights: mpsc::Sender<Sight>,
) {
    let selection = Selection {
        metadata_only: true,
        ..Selection::default()
    };
    let mut events = client.watch(&resource, namespace.as_deref(), selection);
    let mut keys = interest.borrow_and_update().clone();
    let mut stale: BTreeSet<Key> = (*keys).clone();
    let mut troubles: HashMap<Key, Trouble> = HashMap::new();
    loop {
        // Take in everything that is there before reading: a burst of changes needs one GET.
        while let Some(event) = if stale.is_empty() {
            tokio::select! {
                changed = interest.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    None
                }
                event = events.next() => event,
            }
        } else {
            events.next().now_or_never().flatten()
        } {
            match event {
                // A list may come after a gap: everything may have changed.
                Event::Listed(_) | Event::Failed(_) => stale.clone_from(&keys),
                Event::Applied(live) | Event::Deleted(live) => {
                    let text = |found: Option<&str>| found.unwrap_or_default().to_owned();
                    let key = (text(object::namespace(&live)), text(object::name(&live)));
                    if keys.contains(&key) {
                        stale.insert(key);
                    }
                }
            }
        }
        let now = interest.borrow_and_update().clone();
        stale.extend(now.difference(&keys).cloned());
        troubles.retain(|key, _| now.contains(key));
        keys = now;
        while let Some(key) = stale.pop_first() {
            if !keys.contains(&key) {
                continue;
            }
            let target = Target {
                resource: Arc::clone(&resource),
                namespace: key.0.clone(),
                name: key.1.clone(),
            };
            let sight = target.find(&client).await;
            let trouble = troubles.entry(key).or_default();
            if trouble.is_news(&sight) && sights.send((target, sight)).await.is_err() {
                return;
            }
        }
    }
}

/// Keeps short troubles to itself.
#[derive(Debug, Default)]
struct Trouble {
    seen: bool,
    since: Option<Instant>,
}

impl Trouble {
    fn is_news<T, E>(&mut self, sight: &Result<T, E>) -> bool {
        if sight.is_ok() {
            self.seen = true;
            self.since = None;
            return true;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        // Before the first sight there is nothing better to tell.
        !self.seen || since.elapsed() >= PATIENCE
    }
}
