//! The watched objects of one kind in one namespace.

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

/// A task that ends with its handle.
#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
enum Mode {
    /// A watch per object.
    Singles(HashMap<String, Task>),
    /// One watch for all; the channel tells it which names are of interest.
    Together {
        names: watch::Sender<Arc<BTreeSet<String>>>,
        _task: Task,
    },
}

/// The watched objects of one kind in one namespace.
#[derive(Debug)]
pub(super) struct Group {
    client: Client,
    sights: mpsc::Sender<Sight>,
    limit: usize,
    names: BTreeSet<String>,
    mode: Mode,
}

impl Group {
    pub(super) fn new(client: Client, sights: mpsc::Sender<Sight>, limit: usize) -> Self {
        Self {
            client,
            sights,
            limit,
            names: BTreeSet::new(),
            mode: Mode::Singles(HashMap::new()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn add(&mut self, target: Target) {
        if !self.names.insert(target.name.clone()) {
            return;
        }
        match &mut self.mode {
            Mode::Singles(tasks) if self.names.len() <= self.limit => {
                let task = follow(self.client.clone(), target.clone(), self.sights.clone());
                let handle = tokio::spawn(task).abort_handle();
                tasks.insert(target.name, Task(handle));
            }
            Mode::Singles(_) => {
                let (names, interest) = watch::channel(Arc::new(self.names.clone()));
                let task = follow_all(self.client.clone(), target, interest, self.sights.clone());
                let handle = tokio::spawn(task).abort_handle();
                self.mode = Mode::Together {
                    names,
                    _task: Task(handle),
                };
            }
            Mode::Together { names, .. } => {
                names.send_replace(Arc::new(self.names.clone()));
            }
        }
    }

    pub(super) fn remove(&mut self, target: &Target) {
        self.names.remove(&target.name);
        match &mut self.mode {
            Mode::Singles(tasks) => {
                tasks.remove(&target.name);
            }
            Mode::Together { names, .. } => {
                names.send_replace(Arc::new(self.names.clone()));
            }
        }
    }
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
    like: Target,
    mut interest: watch::Receiver<Arc<BTreeSet<String>>>,
    sights: mpsc::Sender<Sight>,
) {
    let selection = Selection {
        metadata_only: true,
        ..Selection::default()
    };
    let resource: &Resource = &like.resource;
    let mut events = client.watch(resource, like.namespace(), selection);
    let mut names = interest.borrow_and_update().clone();
    let mut stale: BTreeSet<String> = (*names).clone();
    let mut troubles: HashMap<String, Trouble> = HashMap::new();
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
                Event::Listed(_) | Event::Failed(_) => stale.clone_from(&names),
                Event::Applied(live) | Event::Deleted(live) => {
                    stale.extend(
                        object::name(&live)
                            .filter(|name| names.contains(*name))
                            .map(str::to_owned),
                    );
                }
            }
        }
        let now = interest.borrow_and_update().clone();
        stale.extend(now.difference(&names).cloned());
        troubles.retain(|name, _| now.contains(name));
        names = now;
        while let Some(name) = stale.pop_first() {
            if !names.contains(&name) {
                continue;
            }
            let target = Target {
                name: name.clone(),
                ..like.clone()
            };
            let sight = target.find(&client).await;
            let trouble = troubles.entry(name).or_default();
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
